//! How many file descriptors this process may have open.
#![forbid(unsafe_code)]

use std::{fmt, io};

use crate::numbers::thousands;

/// Why this process can't have the file descriptors that it needs.
#[derive(Debug)]
pub enum DescriptorError {
    /// The system allows fewer.
    TooFew {
        /// Descriptors that are needed.
        needed: u64,
        /// The most that this process may have.
        limit: u64,
    },
    /// The system refused to change the limit.
    CannotRaise(io::Error),
}

/// Raises the limit of this process to `needed` descriptors, unless it is higher already.
///
/// # Errors
/// The system allows fewer, or refuses.
pub fn raise(needed: u64) -> Result<(), DescriptorError> {
    let limit = rlimit::increase_nofile_limit(needed).map_err(DescriptorError::CannotRaise)?;
    match limit < needed {
        true => Err(DescriptorError::TooFew { needed, limit }),
        false => Ok(()),
    }
}

impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DescriptorError::TooFew { needed, limit } => write!(
                f,
                "{} file descriptors are needed, and this process may have {} at most: raise the limit as root \
                 (ulimit -Hn {needed}; or prlimit --pid <your shell's> --nofile={needed})",
                thousands(*needed),
                thousands(*limit),
            ),
            DescriptorError::CannotRaise(error) => {
                write!(f, "cannot raise the limit of file descriptors: {error}")
            }
        }
    }
}

impl std::error::Error for DescriptorError {}

#[cfg(test)]
mod tests {
    use super::{DescriptorError, raise};

    #[test]
    fn too_few_are_named_with_the_way_out() {
        let error = DescriptorError::TooFew {
            needed: 10_064,
            limit: 4096,
        };
        let error = error.to_string();
        for part in ["10,064", "4,096", "ulimit -Hn 10064"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_there_is_is_enough() {
        assert!(raise(1).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn more_than_there_can_be_is_refused() {
        let most = u64::MAX - 1;
        let error = raise(most).expect_err("no system has so many");
        assert!(matches!(
            error,
            DescriptorError::TooFew { needed, .. } if needed == most
        ));
    }
}
