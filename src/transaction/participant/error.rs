//! What goes wrong with a participant, and what may be concluded from it.

use std::error::Error;

use super::ledger::StaleLog;

/// What a client, a driver or a network said.
type Source = Box<dyn Error + Send + Sync>;

/// A request that was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParticipantError {
    /// It cannot be said whether anything happened: a lost connection, a time-out, an error that
    /// nobody has classified. Whatever was asked may be asked again.
    #[error("the participant gave no answer to rely on")]
    Unknown(#[source] Source),
    /// Nothing happened, and nothing will until somebody changes something: a right is missing, a
    /// setting is wrong. Asked again, it says the same.
    #[error("the participant refuses")]
    Refused(#[source] Source),
}

impl ParticipantError {
    /// [`Unknown`](Self::Unknown), for this reason.
    pub fn unknown(source: impl Into<Source>) -> Self {
        Self::Unknown(source.into())
    }

    /// [`Refused`](Self::Refused), for this reason.
    pub fn refused(source: impl Into<Source>) -> Self {
        Self::Refused(source.into())
    }
}

/// A participant that is not ready for a coordinator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParticipantOpenError {
    /// It has seen the coordinator in this epoch or a later one. The log is a stale copy, or was
    /// restored from a backup: nothing may be done with it.
    #[error(transparent)]
    Stale(#[from] StaleLog),
    /// It cannot take part as it is: its tables are missing or of another version, it allows no
    /// prepared transactions, a right is missing. Mend it, and open the coordinator again.
    #[error("the participant cannot take part as it is")]
    Unfit(#[source] Source),
    /// It was not reached, or did not answer: it may have taken note, or not. Ask again.
    #[error("the participant was not opened")]
    Unknown(#[source] Source),
}

impl ParticipantOpenError {
    /// Whether the log is a copy of the past.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Stale(_))
    }
}
