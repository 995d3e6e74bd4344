//! What the command line asks for, as far as criterion does not see to it.

/// Rounds of a run: in each, every candidate is measured once.
const ROUNDS: usize = 5;

/// In the environment, since criterion reads the arguments too and takes no others.
const BUSY: &str = "POOLBUF_PEERS_BUSY";

pub(crate) struct Options {
    /// Run everything once, and measure nothing.
    pub(crate) test: bool,
    /// Measure nothing, and write the report of what was stored.
    pub(crate) render: bool,
    /// With one process beside that spins, for the whole time.
    pub(crate) busy: bool,
    /// What the names of what is measured must contain.
    filter: Option<String>,
    /// Nothing but what cargo adds by itself, so all is measured as it is meant to be.
    pub(crate) plain: bool,
}

impl Options {
    pub(crate) fn from_arguments() -> Self {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        Options {
            test: has("--test") || has("--list"),
            render: has("--render"),
            busy: std::env::var_os(BUSY).is_some_and(|value| value != "0"),
            filter: arguments.iter().find(|argument| !argument.starts_with('-')).cloned(),
            plain: arguments.iter().all(|argument| argument == "--bench"),
        }
    }

    pub(crate) fn rounds(&self) -> usize {
        if self.test { 1 } else { ROUNDS }
    }

    /// Whether a measurement of that name is wanted.
    pub(crate) fn wants(&self, id: &str) -> bool {
        self.filter.as_ref().is_none_or(|part| id.contains(part))
    }
}
