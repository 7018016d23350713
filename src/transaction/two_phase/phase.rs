//! How far a transaction is, and what was decided.

use std::sync::Arc;

use std::fmt;

use crate::transaction::participant::Outcome;

/// How far a transaction is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Branches are enlisted, and work. While a log is replayed: nothing is decided so far.
    Working,
    /// Votes are awaited.
    Preparing,
    /// The only branch was told to commit, and decides by doing so or not.
    OnePhase,
    /// The commit record was handed to the log. From here on no deadline applies.
    Logging,
    /// Writing the commit record failed: the log decides when it is opened again.
    InDoubt,
    /// It is decided, and branches have still to do their part.
    Settling(Decision),
    /// All have, and the end record was handed to the log.
    Ending(Decision),
    /// It is over.
    Ended(Decision),
}

/// What was decided. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// To commit.
    Commit,
    /// To abort.
    Abort(AbortReason),
}

impl Decision {
    /// What becomes of the transaction.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Commit => Outcome::Committed,
            Self::Abort(_) => Outcome::Aborted,
        }
    }

    pub(super) fn of(outcome: Outcome, reason: AbortReason) -> Self {
        match outcome {
            Outcome::Committed => Self::Commit,
            Outcome::Aborted => Self::Abort(reason),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, decision) = match self {
            Self::Working => ("working", None),
            Self::Preparing => ("preparing", None),
            Self::OnePhase => ("committing in one phase", None),
            Self::Logging => ("logging its commit", None),
            Self::InDoubt => ("in doubt", None),
            Self::Settling(decision) => ("settling", Some(decision)),
            Self::Ending(decision) => ("ending", Some(decision)),
            Self::Ended(decision) => ("ended", Some(decision)),
        };
        f.write_str(what)?;
        match decision.map(Decision::outcome) {
            None => Ok(()),
            Some(Outcome::Committed) => f.write_str(" as committed"),
            Some(Outcome::Aborted) => f.write_str(" as aborted"),
        }
    }
}

/// Why a transaction was aborted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AbortReason {
    /// The caller asked for it.
    Asked,
    /// The caller dropped it before the decision.
    Dropped,
    /// A deadline passed before the decision.
    Deadline,
    /// A branch voted no.
    No {
        /// Which.
        branch: u16,
        /// Why.
        reason: Arc<str>,
    },
    /// A branch gave no vote to rely on.
    Unknown {
        /// Which.
        branch: u16,
    },
    /// A branch had not finished being enlisted.
    Unfinished {
        /// Which.
        branch: u16,
    },
    /// The branch of a one-phase commit aborted.
    OnePhase,
    /// The log did not take the record.
    Log,
    /// An operator decided so.
    Operator,
    /// No record says otherwise: the coordinator that ran it is gone.
    Presumed,
    /// A record says so; why is not remembered.
    Logged,
}

/// In words, without those of a participant: they may quote data.
impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("it was asked for"),
            Self::Dropped => f.write_str("it was dropped before the decision"),
            Self::Deadline => f.write_str("a deadline passed"),
            Self::No { branch, .. } => write!(f, "branch {branch} voted no"),
            Self::Unknown { branch } => write!(f, "branch {branch} gave no vote to rely on"),
            Self::Unfinished { branch } => write!(f, "branch {branch} was not enlisted"),
            Self::OnePhase => f.write_str("its only branch aborted"),
            Self::Log => f.write_str("the log did not take a record"),
            Self::Operator => f.write_str("an operator decided so"),
            Self::Presumed => f.write_str("no record says otherwise"),
            Self::Logged => f.write_str("a record says so"),
        }
    }
}
