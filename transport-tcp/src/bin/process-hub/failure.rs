//! How a command fails: with words that say what to do, and an exit status that a program can read.

use std::fmt;

/// What went wrong, for the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The operation failed.
    Failed = 1,
    /// The command line, or a file it names, is wrong.
    Usage = 2,
    /// The node does not answer.
    Unreachable = 3,
}

/// Why a command ends with another status than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// The operation was tried and failed.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string(), hint: None }
    }

    /// The user gave something that cannot be used.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string(), hint: None }
    }

    /// Nobody answers where the node should be.
    pub(crate) fn unreachable(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Unreachable, message: message.to_string(), hint: None }
    }

    /// The same with what to do about it.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        let hint = hint.to_string();
        self.hint = (!hint.is_empty()).then_some(hint);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// What a command comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;
