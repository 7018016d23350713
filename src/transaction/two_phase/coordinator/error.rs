//! What a coordinator could not do, and what state that leaves things in.

use crate::transaction::id::TransactionId;
use crate::transaction::log::{AppendError, LogError, RecordError};
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::{ParticipantError, ParticipantOpenError};
use crate::transaction::two_phase::event::Refusal;
use crate::transaction::two_phase::phase::AbortReason;

/// A coordinator that was not opened. No transaction was touched; the log's epoch may have been
/// used up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Two participants have the same name. Nothing was opened.
    #[error("two participants are called {0}")]
    Duplicate(ParticipantName),
    /// The log was not opened.
    #[error("the log was not opened")]
    Log(#[from] LogError),
    /// The log did not take the participants' names. Open again.
    #[error("the log did not take the names of the participants")]
    Append(#[from] AppendError),
    /// A name that the log cannot hold: no valid one is so long.
    #[error("the log cannot hold a participant's name")]
    Record(#[from] RecordError),
    /// The log does not outlive the process, and this participant does: after a crash nobody would
    /// know what was decided, and its branches would be aborted where others committed. Use a
    /// durable log, or say that this is what you want by
    /// [`allow_volatile_log`](super::OpenCoordinator::allow_volatile_log).
    #[error("participant {0} outlives the log")]
    Volatile(ParticipantName),
    /// The participant has seen a later opening of this log, or is unfit to take part.
    #[error("participant {name} was not opened")]
    Participant {
        /// Which.
        name: ParticipantName,
        /// Why.
        source: ParticipantOpenError,
    },
}

/// A transaction that was not begun. Nothing happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The log has no room to decide another transaction. Try again when there is.
    #[error("the log has no room for another transaction")]
    Log(#[source] AppendError),
    /// The log has failed, and is being opened again. Try again in a moment.
    #[error("the log is being opened again")]
    Reopening,
    /// Another coordinator has opened the log, or a participant has seen a later opening of it.
    /// This one is of no more use: drop it.
    #[error("another coordinator has taken over")]
    Superseded,
    /// The coordinator was shut down.
    #[error("the coordinator is shut down")]
    Closed,
}

/// A participant that was not enlisted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnlistError {
    /// The coordinator was not opened with a participant of this name. The transaction goes on.
    #[error("no participant is registered as {0}")]
    Unregistered(ParticipantName),
    /// The participant has not been reached since the coordinator was opened. The transaction goes
    /// on.
    #[error("participant {0} cannot be reached yet")]
    Unavailable(ParticipantName),
    /// The transaction has as many branches as one may have. It goes on.
    #[error("a transaction has at most {max} branches")]
    TooMany {
        /// The most there may be.
        max: u16,
    },
    /// The log has no room for a further branch. The transaction goes on.
    #[error("the log has no room for another branch")]
    Log(#[source] AppendError),
    /// The transaction has been aborted.
    #[error("the transaction has been aborted: {0}")]
    Aborted(AbortReason),
    /// The participant did not begin the branch. The transaction has been aborted.
    #[error("the participant did not begin a branch")]
    Participant(#[from] ParticipantError),
}

/// An operator's word that was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No such transaction is known here: it is over, or was never begun.
    #[error("transaction {0} is not known here")]
    Unknown(TransactionId),
    /// The transaction is too far, or not far enough.
    #[error(transparent)]
    Refused(Refusal),
    /// The word is not durable, as far as is known: the log has no room, or has failed, or the
    /// coordinator ends. Say it again.
    #[error("the log did not take it")]
    Log,
}

/// A participant that was not retired. Nothing changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetireError {
    /// It is registered here.
    #[error("participant {0} is registered")]
    Registered(ParticipantName),
    /// A transaction that is not over has a branch of it, or is broken and may have one.
    #[error("transaction {0} has a branch of it")]
    InUse(TransactionId),
    /// The log did not take it, or may not have.
    #[error("the log did not take it")]
    Log(#[from] AppendError),
    /// A name that the log cannot hold: no valid one is so long.
    #[error("the log cannot hold the name")]
    Record(#[from] RecordError),
}
