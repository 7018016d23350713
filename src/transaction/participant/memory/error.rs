//! What a branch in memory does not do.

use std::time::Duration;

use crate::transaction::id::BranchId;

/// What was asked of a branch in memory was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The branch works no more: its transaction is being committed, was aborted, or the map lost
    /// it in a crash. Nothing was read or written. Nothing can be done by it.
    #[error("branch {0} works no more")]
    Ended(BranchId),
    /// Another branch has held the key all the time, perhaps because it waits for this one.
    /// Nothing was read or written, and what was before stands. Abort the transaction, so that
    /// the other can go on.
    #[error("branch {holder} has held the key for {waited:?}")]
    Locked {
        /// Who held it.
        holder: BranchId,
        /// How long was waited: what [`lock_wait`](super::MemoryParticipant::lock_wait) allows.
        waited: Duration,
    },
}
