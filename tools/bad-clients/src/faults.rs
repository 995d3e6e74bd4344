//! What can be wrong with a server: for the tests, which make sure that each fault is reported.
#![forbid(unsafe_code)]

/// What is wrong with a server that should send all bytes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    LosesBuffers,
    AnswersWrongly,
    ShowsOthersBytes,
    KeepsMemory,
    KeepsConnections,
    WaitsForSlowReaders,
    Panics,
    Dies,
    DoesNotStop,
}

impl Fault {
    pub const ALL: [Fault; 10] = [
        Fault::Nothing,
        Fault::LosesBuffers,
        Fault::AnswersWrongly,
        Fault::ShowsOthersBytes,
        Fault::KeepsMemory,
        Fault::KeepsConnections,
        Fault::WaitsForSlowReaders,
        Fault::Panics,
        Fault::Dies,
        Fault::DoesNotStop,
    ];

    /// On a command line.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The fault of that name.
    pub fn named(name: &str) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// Whether it shows on every connection, and not on every tenth only.
    pub fn shows_always(self) -> bool {
        matches!(
            self,
            Fault::AnswersWrongly | Fault::ShowsOthersBytes | Fault::KeepsMemory | Fault::WaitsForSlowReaders
        )
    }

    /// What must be among the lines of the report.
    pub fn is_reported_as(self) -> &'static str {
        match self {
            Fault::Nothing => "",
            Fault::LosesBuffers => "buffers are not back when all clients are gone",
            Fault::AnswersWrongly => "wrong answers to the good player",
            Fault::ShowsOthersBytes => "wrong answers to bad clients",
            Fault::KeepsMemory => "are resident after the attack",
            Fault::KeepsConnections => "descriptors are open when all clients are gone",
            Fault::WaitsForSlowReaders => "while slow clients hold what they can: a message of 64",
            Fault::Panics => "a panic in the server: ",
            Fault::Dies => "the server died (",
            Fault::DoesNotStop => "does not end when it is told to",
        }
    }
}
