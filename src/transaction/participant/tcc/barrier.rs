//! What a barrier answers, to the service and to the participant.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::super::{Opening, ParticipantError, ParticipantOpenError};
use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;

/// The rows of a barrier, as the participant needs them: where the service's own database keeps
/// what was tried, confirmed and cancelled.
///
/// Use [`MemoryBarrier`](super::MemoryBarrier), or those on `PostgreSQL` and `MariaDB`. Implement
/// it where the service is behind a network: its process then passes these on to one of them.
///
/// Each method is one atomic and durable step, ends by itself, and may be repeated. Use it through
/// `Arc<dyn Barrier>`, `Box<dyn Barrier>` or by value: all forward.
pub trait Barrier: fmt::Debug + Send + Sync + 'static {
    /// What its rows outlive.
    fn persistence(&self) -> Persistence;

    /// Takes note that a coordinator's log was opened, as
    /// [`Participant::open`](super::super::Participant::open) has it. From here on nothing of
    /// earlier epochs is tried, nor confirmed unless it is prepared.
    ///
    /// # Errors
    /// As there.
    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>>;

    /// Looks at what is known of a branch.
    ///
    /// # Errors
    /// Nothing was learned.
    fn look(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>>;

    /// Prepares a branch that was tried and has not ended, and looks.
    ///
    /// # Errors
    /// It may be prepared.
    fn promise(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>>;

    /// Confirms a branch of which there are no rows, and in which nothing was tried; or cancels it,
    /// if its coordinator was opened in a later epoch. Looks then.
    ///
    /// # Errors
    /// It may be done.
    fn confirm_empty(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>>;

    /// The prepared branches of this coordinator's epochs before this one.
    ///
    /// # Errors
    /// Nothing was learned.
    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>>;

    /// Raises the watermark, as [`Participant::forget`](super::super::Participant::forget) has it,
    /// and drops the rows below it of branches that have ended. From here on nothing is tried
    /// there.
    ///
    /// # Errors
    /// Some rows may be gone.
    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>>;
}

/// How far a branch is, by its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// There is nothing.
    Nothing,
    /// It was tried.
    Tried,
    /// It was tried, and waits for the decision.
    Prepared,
    /// It was confirmed.
    Confirmed,
    /// It was cancelled, and can never be tried or confirmed.
    Cancelled,
}

/// What is to be seen of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Sight {
    /// How far it is.
    pub standing: Standing,
    /// Whether its transaction is below its coordinator's watermark.
    pub is_over: bool,
    /// Whether its coordinator was opened in a later epoch.
    pub is_fenced: bool,
}

impl Sight {
    /// What is to be seen of a branch whose transaction is above the watermark, and whose coordinator
    /// was not opened in a later epoch.
    #[must_use]
    pub fn new(standing: Standing) -> Self {
        Self {
            standing,
            is_over: false,
            is_fenced: false,
        }
    }
}

/// What the barrier says to a try, a confirm or a cancel that it does not refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the work is to be done only if it is the first"]
pub enum Entry {
    /// It is the first: do the work, in this transaction. This is the note of the try.
    First(Vec<u8>),
    /// It was done before: do nothing, and give the answer that was given then. This is the note of
    /// the try; none where the branch is forgotten already, or was never tried.
    Again(Vec<u8>),
    /// A cancel of what was never tried: do nothing. From here on it cannot be tried.
    Empty,
}

/// Why the barrier lets nobody through. Nothing was written by it; give up the transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// It comes too late: the branch was cancelled. A try or confirm never happens now.
    #[error("branch {0} is cancelled")]
    Cancelled(BranchId),
    /// It comes too late: the branch was confirmed, and cannot be cancelled.
    #[error("branch {0} is confirmed")]
    Confirmed(BranchId),
    /// A confirm of what was not tried, or not yet.
    #[error("branch {0} was not tried")]
    NotTried(BranchId),
    /// A try that comes after its transaction is over, and its rows are gone.
    #[error("the transaction of branch {0} is over")]
    Over(BranchId),
    /// Its coordinator was opened in a later epoch: who asks was replaced.
    #[error("the coordinator of branch {0} was opened in a later epoch")]
    Fenced(BranchId),
    /// A try that was made before, with another note: it is not the same request. What was tried
    /// then stands.
    #[error("branch {0} was tried with another note")]
    Different(BranchId),
    /// The note is longer than [`NOTE_MAX`].
    #[error("a note has at most {NOTE_MAX} bytes")]
    NoteTooLong,
    /// The statement failed, and the transaction with it, or nobody knows. A deadlock, a time-out
    /// and a conflict of isolation are among these: roll back, and do it again.
    #[error("the barrier was not reached")]
    Database(#[source] Box<dyn Error + Send + Sync>),
}

/// Bytes in the longest note of a try: enough for what a confirm needs to know, and little enough
/// to be read with every repeat.
pub const NOTE_MAX: usize = 16 * 1024;

impl Entry {
    /// The note of the try, if the work is to be done.
    #[must_use]
    pub fn first(self) -> Option<Vec<u8>> {
        match self {
            Self::First(note) => Some(note),
            Self::Again(_) | Self::Empty => None,
        }
    }

    /// As [`cancel_always`](super::MemoryBarrier::cancel_always) has it: an empty cancel does the
    /// work.
    pub(super) fn always(self) -> Self {
        match self {
            Self::Empty => Self::First(Vec::new()),
            Self::First(_) | Self::Again(_) => self,
        }
    }
}

/// Refuses a repeated try that is not the same.
pub(super) fn check_repeat(
    entry: Entry,
    branch: BranchId,
    note: &[u8],
) -> Result<Entry, BarrierError> {
    match entry {
        Entry::Again(before) if before != note => Err(BarrierError::Different(branch)),
        Entry::First(_) | Entry::Again(_) | Entry::Empty => Ok(entry),
    }
}

impl From<BarrierError> for ParticipantError {
    fn from(error: BarrierError) -> Self {
        match error {
            BarrierError::Database(_) => Self::unknown(error),
            BarrierError::Cancelled(_)
            | BarrierError::Confirmed(_)
            | BarrierError::NotTried(_)
            | BarrierError::Over(_)
            | BarrierError::Fenced(_)
            | BarrierError::Different(_)
            | BarrierError::NoteTooLong => Self::refused(error),
        }
    }
}

/// Refuses what is no note.
pub(super) fn check_note(note: &[u8]) -> Result<(), BarrierError> {
    if note.len() > NOTE_MAX {
        return Err(BarrierError::NoteTooLong);
    }
    Ok(())
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<B: Barrier + ?Sized> Barrier for $pointer<B> {
            fn persistence(&self) -> Persistence {
                (**self).persistence()
            }

            fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
                (**self).open(opening)
            }

            fn look(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
                (**self).look(branch)
            }

            fn promise(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
                (**self).promise(branch)
            }

            fn confirm_empty(
                &self,
                branch: BranchId,
            ) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
                (**self).confirm_empty(branch)
            }

            fn in_doubt(
                &self,
                coordinator: CoordinatorId,
                before: Epoch,
            ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
                (**self).in_doubt(coordinator, before)
            }

            fn forget(
                &self,
                coordinator: CoordinatorId,
                watermark: (Epoch, u64),
            ) -> BoxFuture<'_, Result<(), ParticipantError>> {
                (**self).forget(coordinator, watermark)
            }
        }
    };
}

forward!(Arc);
forward!(Box);
