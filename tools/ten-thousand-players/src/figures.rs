//! What the players' process tells in one line.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Answers that came while it counted.
    pub messages: u64,
    /// How long it counted.
    pub seconds: f64,
    /// Players whose connection failed, or whose last answer did not come.
    pub failures: u64,
    /// Answers with a wrong byte.
    pub differences: u64,
    /// From before the send to the last byte of the answer.
    pub p50_nanos: u64,
    pub p99_nanos: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {}",
            self.messages, self.seconds, self.failures, self.differences, self.p50_nanos, self.p99_nanos,
        )
    }
}

impl FromStr for Figures {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let figures = match words[..] {
            [messages, seconds, failures, differences, p50, p99] => (|| {
                Some(Figures {
                    messages: messages.parse().ok()?,
                    seconds: seconds.parse().ok()?,
                    failures: failures.parse().ok()?,
                    differences: differences.parse().ok()?,
                    p50_nanos: p50.parse().ok()?,
                    p99_nanos: p99.parse().ok()?,
                })
            })(),
            _ => None,
        };
        figures.ok_or_else(|| format!("{line:?} are no figures of players"))
    }
}
