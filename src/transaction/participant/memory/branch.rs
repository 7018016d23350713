//! What a caller has of a branch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Shared;
use super::error::MemoryError;
use crate::transaction::id::BranchId;

/// Reads and writes a [`MemoryParticipant`](super::MemoryParticipant) within a transaction.
///
/// Each key is locked for this branch when it is first touched, and until the branch ends, which
/// is up to the coordinator: dropping this value does not end it. What it writes is seen by
/// itself, and by others once it has committed.
pub struct MemoryBranch<V = i64> {
    shared: Arc<Shared<V>>,
    id: BranchId,
    lock_wait: Duration,
}

impl<V: Clone> MemoryBranch<V> {
    pub(super) fn new(shared: Arc<Shared<V>>, id: BranchId, lock_wait: Duration) -> Self {
        Self {
            shared,
            id,
            lock_wait,
        }
    }

    /// Reads what is under this key.
    ///
    /// # Errors
    /// [`MemoryError`]: nothing was read.
    ///
    /// # Cancel safety
    /// The key may be locked, or become so.
    pub async fn get(&self, key: &str) -> Result<Option<V>, MemoryError> {
        self.lock(key).await?;
        self.shared.state.lock().read(self.id, key)
    }

    /// Puts a value under this key.
    ///
    /// # Errors
    /// [`MemoryError`]: nothing was written.
    ///
    /// # Cancel safety
    /// Nothing was written. The key may be locked, or become so.
    pub async fn set(&self, key: &str, value: V) -> Result<(), MemoryError> {
        self.lock(key).await?;
        self.shared.state.lock().write(self.id, key, Some(value))
    }

    /// Removes what is under this key, if anything.
    ///
    /// # Errors
    /// [`MemoryError`]: nothing was removed.
    ///
    /// # Cancel safety
    /// Nothing was removed. The key may be locked, or become so.
    pub async fn remove(&self, key: &str) -> Result<(), MemoryError> {
        self.lock(key).await?;
        self.shared.state.lock().write(self.id, key, None)
    }

    /// Puts under this key what becomes of the value there, or removes it.
    ///
    /// # Errors
    /// [`MemoryError`]: nothing was written.
    ///
    /// # Cancel safety
    /// Nothing was written. The key may be locked, or become so.
    pub async fn update(
        &self,
        key: &str,
        change: impl FnOnce(Option<V>) -> Option<V> + Send,
    ) -> Result<(), MemoryError> {
        let value = change(self.get(key).await?);
        self.shared.state.lock().write(self.id, key, value)
    }

    /// Waits until this branch holds the key.
    async fn lock(&self, key: &str) -> Result<(), MemoryError> {
        let mut since = None;
        loop {
            let wait = self.shared.state.lock().lock(self.id, key)?;
            let Some(wait) = wait else {
                return Ok(());
            };
            let since = *since.get_or_insert_with(Instant::now);
            let left = self.lock_wait.saturating_sub(since.elapsed());
            // Who waited is never told more than to look again.
            if timeout(left, wait.called).await.is_err() {
                return Err(MemoryError::Locked {
                    holder: wait.holder,
                    waited: self.lock_wait,
                });
            }
        }
    }
}

impl<V> fmt::Debug for MemoryBranch<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBranch")
            .field("participant", &self.shared.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
