//! Why a call of the handle failed, and how a lease is lost.

use std::time::Duration;

use super::backend::{BackendError, MetadataError, TtlError};
use super::name::{LockName, NameError};
use super::queue::{Family, PermitsError};

/// Why a lock was not acquired. Nothing is held; what a lost answer may have left in the store is
/// removed in the background.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// The name is no lock name. Nothing was sent.
    #[error("the lock's name is not valid")]
    Name(#[from] NameError),
    /// The TTL is out of range. Nothing was sent.
    #[error("the TTL is not valid")]
    Ttl(#[from] TtlError),
    /// The metadata is too long. Nothing was sent.
    #[error("the metadata is not valid")]
    Metadata(#[from] MetadataError),
    /// More permits were asked for than there are, or none. Nothing was sent.
    #[error("the permits are not valid")]
    Permits(#[from] PermitsError),
    /// `acquire_all` was given a name twice; locks are not re-entrant. Nothing was sent.
    #[error("the lock {0} was named twice")]
    Duplicate(LockName),
    /// It was not called within a tokio runtime. Nothing was sent.
    #[error("locks need a tokio runtime")]
    NoRuntime,
    /// It could not be had within the bound. Wait for longer, or do without. With a bound of zero
    /// this is so wherever the store does not answer at once; `try_acquire` waits for the answer.
    #[error("the lock could not be had within {waited:?}")]
    TimedOut {
        /// The bound.
        waited: Duration,
    },
    /// A member of a set was lost, again and again, before all were acquired. Ask for a longer TTL.
    #[error("a lock was lost before all were acquired")]
    Lost(#[source] Loss),
    /// The name is used in another family of modes while anyone holds or waits. Two parts of a
    /// program disagree on what the name means.
    #[error("the name is used as {0:?}")]
    Foreign(Family),
    /// The store did not confirm the request, or a waiter's claims for as long as its lease lived.
    /// Its kind says whether to try again.
    #[error("the store of locks failed")]
    Store(#[from] BackendError),
}

/// How a lease was lost. The holder must stop: another may hold by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// It was not proved alive before its deadline: the store was unreachable, the process was
    /// paused, or it was not to be renewed.
    #[error("the lease was not renewed in time")]
    Expired,
    /// The store has no entry of it any more: an operator released it by force, or the store lost
    /// it.
    #[error("the lock was released by somebody else")]
    Removed,
}

/// Why [`run`](super::Acquire::run) has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The lock was not acquired; the work was not begun.
    #[error("the lock was not acquired")]
    Acquire(#[from] AcquireError),
    /// The lease was lost on the way. What the work had done by then is done.
    #[error("the lease was lost while the work was under way")]
    Lost {
        /// How.
        #[source]
        loss: Loss,
        /// Whether the work ran to its end all the same, though not under the lock all the time.
        finished: bool,
    },
}
