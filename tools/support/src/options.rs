//! Options on the command line: `--name value`, `--name=value` and `--name`. What is wrong is an error that says what
//! is right.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser};

/// The options that a program has, by their names as they are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Options that need a value.
    pub valued: &'static [&'static str],
    /// Options that take none; `-h` stands for `--help`.
    pub flags: &'static [&'static str],
}

/// Options under way from a command line into a program.
///
/// ```
/// use poolbuf_support::options::{Known, Options};
///
/// const KNOWN: Known = Known { valued: &["--threads"], flags: &["--help"] };
/// let mut threads = 4;
/// let mut options = Options::new(KNOWN, ["--threads=8"]);
/// while let Some(name) = options.next_name()? {
///     match name {
///         "--threads" => threads = options.number(1..=64)?,
///         _ => println!("help"),
///     }
/// }
/// assert_eq!(threads, 8);
/// # Ok::<(), poolbuf_support::options::OptionError>(())
/// ```
#[derive(Debug)]
pub struct Options {
    known: Known,
    parser: Parser,
    /// Those that came so far; the last is the present one.
    seen: Vec<&'static str>,
}

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// There is no such option.
    Unknown {
        /// As it was typed.
        argument: String,
        /// The options that there are.
        known: Known,
    },
    /// An option came twice.
    Twice {
        /// Its name.
        name: &'static str,
    },
    /// An option that needs a value is the last on the command line.
    NoValue {
        /// Its name.
        name: &'static str,
        /// What is allowed.
        allowed: String,
    },
    /// An option that takes no value has one.
    NeedlessValue {
        /// Its name.
        name: &'static str,
        /// As it was typed.
        value: String,
    },
    /// An option has a value that is not allowed.
    NotAllowed {
        /// Its name.
        name: &'static str,
        /// As it was typed.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// An option came with others, and stands alone.
    NotAlone {
        /// Its name.
        name: &'static str,
    },
}

impl Options {
    /// The options of the command line `arguments`, without the program's name.
    pub fn new(known: Known, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        Options {
            known,
            parser: Parser::from_args(arguments),
            seen: Vec::new(),
        }
    }

    /// The name of the next option, if there is one. One with a value is to be followed by a call that takes it.
    ///
    /// # Errors
    /// It is not known, or came before; or it is a flag and has a value.
    pub fn next_name(&mut self) -> Result<Option<&'static str>, OptionError> {
        let known = self.known;
        let unknown = |argument: String| OptionError::Unknown { argument, known };
        let typed = match self.parser.next() {
            Ok(None) => return Ok(None),
            Ok(Some(Arg::Short('h'))) => "--help".to_owned(),
            Ok(Some(Arg::Short(letter))) => format!("-{letter}"),
            Ok(Some(Arg::Long(name))) => format!("--{name}"),
            Ok(Some(Arg::Value(value))) => return Err(unknown(value.to_string_lossy().into())),
            // Both say so much of what is wrong.
            Err(error) => return Err(unknown(error.to_string())),
        };
        let find = |names: &[&'static str]| names.iter().copied().find(|name| *name == typed);
        let flag = find(known.flags);
        let Some(name) = flag.or_else(|| find(known.valued)) else {
            return Err(unknown(typed));
        };
        if flag.is_some() {
            if let Some(value) = self.parser.optional_value() {
                let value = value.to_string_lossy().into();
                return Err(OptionError::NeedlessValue { name, value });
            }
        }
        if self.seen.contains(&name) {
            return Err(OptionError::Twice { name });
        }
        self.seen.push(name);
        Ok(Some(name))
    }

    /// The value of the present option, which `parse` understands unless it is not allowed; `allowed` says in words
    /// what is.
    ///
    /// # Errors
    /// There is no value, or it is not allowed.
    ///
    /// # Panics
    /// There is no present option.
    pub fn value<T>(
        &mut self,
        allowed: impl fmt::Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, OptionError> {
        let name = *self.seen.last().expect("an option came");
        let allowed = allowed.to_string();
        let Ok(value) = self.parser.value() else {
            return Err(OptionError::NoValue { name, allowed });
        };
        // What is not Unicode is not allowed anywhere.
        let parsed = value.to_str().and_then(parse);
        parsed.ok_or_else(|| OptionError::NotAllowed {
            name,
            value: value.to_string_lossy().into(),
            allowed,
        })
    }

    /// A whole number.
    ///
    /// # Errors
    /// There is no value, or it is not allowed.
    pub fn number<T>(&mut self, allowed: RangeInclusive<T>) -> Result<T, OptionError>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let words = format!("a whole number from {} to {}", allowed.start(), allowed.end());
        let parse = |value: &str| value.parse().ok().filter(|number| allowed.contains(number));
        self.value(words, parse)
    }

    /// A time in seconds, which may have a fraction.
    ///
    /// # Errors
    /// There is no value, or it is not allowed.
    pub fn seconds(&mut self, allowed: RangeInclusive<f64>) -> Result<Duration, OptionError> {
        let words = format!("seconds from {} to {}", allowed.start(), allowed.end());
        let parse = |value: &str| value.parse().ok().filter(|seconds| allowed.contains(seconds));
        self.value(words, parse).map(Duration::from_secs_f64)
    }

    /// What `choices` has under the name that is given.
    ///
    /// # Errors
    /// There is no value, or it is none of the names.
    pub fn one_of<T: Clone>(&mut self, choices: &[(&str, T)]) -> Result<T, OptionError> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let parse = |value: &str| {
            let mut named = choices.iter().filter(|(name, _)| *name == value);
            named.next().map(|(_, choice)| choice.clone())
        };
        self.value(format!("one of {}", names.join(", ")), parse)
    }

    /// Makes sure that `name`, if it came, is the only option.
    ///
    /// # Errors
    /// It is not.
    pub fn alone(&self, name: &'static str) -> Result<(), OptionError> {
        match self.seen.contains(&name) && self.seen.len() > 1 {
            true => Err(OptionError::NotAlone { name }),
            false => Ok(()),
        }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionError::Unknown { argument, known } => {
                let names = [known.valued, known.flags].concat().join(", ");
                write!(f, "unknown option {argument:?}: there are {names}")
            }
            OptionError::Twice { name } => write!(f, "{name} is given twice"),
            OptionError::NoValue { name, allowed } => write!(f, "{name} needs a value: {allowed}"),
            OptionError::NeedlessValue { name, value } => {
                write!(f, "{name} takes no value, and has {value:?}")
            }
            OptionError::NotAllowed { name, value, allowed } => {
                write!(f, "{name} {value:?} is not allowed: it takes {allowed}")
            }
            OptionError::NotAlone { name } => write!(f, "{name} goes with no other option"),
        }
    }
}

impl std::error::Error for OptionError {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Known, OptionError, Options};

    const KNOWN: Known = Known {
        valued: &["--threads", "--seconds", "--pool"],
        flags: &["--help", "--quick"],
    };

    #[derive(Debug, Default, PartialEq)]
    struct Parsed {
        threads: u64,
        duration: Duration,
        pool: char,
        help: bool,
        quick: bool,
    }

    fn parse(line: &str) -> Result<Parsed, OptionError> {
        let mut parsed = Parsed::default();
        let mut options = Options::new(KNOWN, line.split_whitespace());
        while let Some(name) = options.next_name()? {
            match name {
                "--threads" => parsed.threads = options.number(1..=u64::MAX)?,
                "--seconds" => parsed.duration = options.seconds(0.5..=10.0)?,
                "--pool" => parsed.pool = options.one_of(&[("aligned", 'a'), ("buffer", 'b')])?,
                "--help" => parsed.help = true,
                _ => parsed.quick = true,
            }
        }
        options.alone("--quick")?;
        Ok(parsed)
    }

    #[test]
    fn both_ways_to_give_a_value_are_understood() {
        let expected = || Parsed {
            threads: u64::MAX,
            duration: Duration::from_millis(2500),
            pool: 'b',
            help: true,
            quick: false,
        };
        let max = "18446744073709551615";
        for line in [
            format!("--threads {max} --seconds 2.5 --pool buffer --help"),
            format!("-h --pool=buffer --seconds=2.5 --threads={max}"),
        ] {
            assert_eq!(parse(&line), Ok(expected()), "{line}");
        }
        assert_eq!(parse(""), Ok(Parsed::default()));
        assert!(parse("--quick").is_ok_and(|parsed| parsed.quick));
    }

    #[test]
    fn errors_say_what_is_right() {
        let known = "there are --threads, --seconds, --pool, --help, --quick";
        let unknown = |argument: &str| format!("unknown option {argument:?}: {known}");
        let threads = "a whole number from 1 to 18446744073709551615";
        let not_allowed = |value: &str| format!("--threads {value:?} is not allowed: it takes {threads}");
        for (line, expected) in [
            ("--thread 1", unknown("--thread")),
            ("--thread=1", unknown("--thread")),
            ("9", unknown("9")),
            ("-t", unknown("-t")),
            ("--", String::new()),
            ("-- --threads", unknown("--threads")),
            ("--threads", format!("--threads needs a value: {threads}")),
            ("--threads=", not_allowed("")),
            ("--threads 0", not_allowed("0")),
            ("--threads -1", not_allowed("-1")),
            ("--threads 1.5", not_allowed("1.5")),
            ("--threads --help", not_allowed("--help")),
            (
                "--seconds NaN",
                "--seconds \"NaN\" is not allowed: it takes seconds from 0.5 to 10".to_owned(),
            ),
            (
                "--pool mutex",
                "--pool \"mutex\" is not allowed: it takes one of aligned, buffer".to_owned(),
            ),
            ("--help=yes", "--help takes no value, and has \"yes\"".to_owned()),
            ("--help -h", "--help is given twice".to_owned()),
            ("--threads 1 --threads 1", "--threads is given twice".to_owned()),
            ("--quick --threads 1", "--quick goes with no other option".to_owned()),
        ] {
            let error = parse(line).err().map(|error| error.to_string());
            assert_eq!(error.unwrap_or_default(), expected, "{line}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_unicode_is_not_allowed() {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;

        let odd = OsString::from_vec(vec![b'1', 0xFF]);
        let mut options = Options::new(KNOWN, ["--threads".into(), odd.clone()]);
        assert_eq!(options.next_name(), Ok(Some("--threads")));
        let error = options.number(1..=9).expect_err("not a number");
        assert!(error.to_string().contains("1\u{FFFD}"), "{error}");
        assert!(Options::new(KNOWN, [odd]).next_name().is_err());
    }
}
