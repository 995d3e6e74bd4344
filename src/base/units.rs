//! Numbers as messages have them: with their unit, of which one is not many.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

/// So many bytes: "1 byte", "2 bytes".
pub(crate) struct Bytes(pub(crate) usize);

/// So many buffers.
pub(crate) struct Buffers(pub(crate) usize);

/// How long ago something was.
pub(crate) struct Ago(pub(crate) Duration);

fn write_counted(f: &mut fmt::Formatter<'_>, count: usize, unit: &str) -> fmt::Result {
    let plural = if count == 1 { "" } else { "s" };
    write!(f, "{count} {unit}{plural}")
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_counted(f, self.0, "byte")
    }
}

impl fmt::Display for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_counted(f, self.0, "buffer")
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::ZERO => write!(f, "less than 1ms ago"),
            ago => write!(f, "{ago:.1?} ago"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many_and_none_is_not_one() {
        let words = [0, 1, 2].map(|count| format!("{}, {}", Bytes(count), Buffers(count)));
        assert_eq!(words, ["0 bytes, 0 buffers", "1 byte, 1 buffer", "2 bytes, 2 buffers"]);
    }

    #[test]
    fn times_are_rounded_and_never_nothing() {
        let ago = |millis| Ago(Duration::from_millis(millis)).to_string();
        assert_eq!(ago(0), "less than 1ms ago");
        assert_eq!(ago(7), "7.0ms ago");
        assert_eq!(ago(12_345), "12.3s ago");
    }
}
