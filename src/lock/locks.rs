//! The handle that users hold.

use std::sync::Arc;

use super::acquire::{Acquire, IfFree, One};
use super::backend::{BackendError, Inspection, LockBackend};
use super::error::AcquireError;
use super::fence::FencingToken;
use super::keeper::Keeper;
use super::name::{LockName, NameError};
use super::set::All;
use super::stats::LockStats;

/// Locks of one store. Cloning copies a pointer; the clones share one renewal task and one task
/// that cleans up, which live in the tokio runtime (with its timers enabled) of the first
/// acquisition, and are begun anew in that of a later one should it have ended.
#[derive(Clone, Debug)]
pub struct Locks {
    keeper: Arc<Keeper>,
}

impl Locks {
    /// A handle to the locks of this store.
    #[must_use]
    pub fn new(backend: impl LockBackend) -> Self {
        let keeper = Arc::new(Keeper::new(Arc::new(backend)));
        Self { keeper }
    }

    /// Acquires a lock when awaited: `locks.acquire("orders/17").await?`. Waits for ever, unless
    /// bounded by [`wait`](Acquire::wait).
    pub fn acquire<N>(&self, name: N) -> Acquire<One>
    where
        N: TryInto<LockName>,
        N::Error: Into<NameError>,
    {
        Acquire::one(
            Arc::clone(&self.keeper),
            name.try_into().map_err(Into::into),
        )
    }

    /// Acquires a lock when awaited if that is possible at once, and else answers `None`. It never
    /// passes those who wait. The guard must be kept in a variable: in
    /// `if locks.try_acquire(name).await?.is_some() { … }` it is dropped before the block.
    pub fn try_acquire<N>(&self, name: N) -> Acquire<IfFree>
    where
        N: TryInto<LockName>,
        N::Error: Into<NameError>,
    {
        Acquire::if_free(
            Arc::clone(&self.keeper),
            name.try_into().map_err(Into::into),
        )
    }

    /// Acquires several locks when awaited, all or none, in the order of their names, so that no
    /// two who do so wait for each other. A name that comes twice is an error.
    pub fn acquire_all<N>(&self, names: impl IntoIterator<Item = N>) -> Acquire<All>
    where
        N: TryInto<LockName>,
        N::Error: Into<NameError>,
    {
        let names = names.into_iter();
        let names = names.map(|name| name.try_into().map_err(Into::into));
        Acquire::all(Arc::clone(&self.keeper), names.collect())
    }

    /// Who holds a lock and who waits for it, as of one instant.
    ///
    /// # Errors
    /// [`BackendError`]: nothing was learned.
    ///
    /// # Cancel safety
    /// Safe: it changes nothing.
    pub async fn inspect(&self, name: &LockName) -> Result<Inspection, BackendError> {
        self.keeper.backend.inspect(name).await
    }

    /// Takes a lock away from the holder with this fencing token, as
    /// [`inspect`](Self::inspect) showed it, and answers whether it was held. A later holder is
    /// safe from a late command. The former holder believes to hold until it renews, within a
    /// third of its TTL, or to its deadline if it does not renew.
    ///
    /// # Errors
    /// [`BackendError`]: inspect again.
    ///
    /// # Cancel safety
    /// It may or may not have been taken away.
    pub async fn force_release(
        &self,
        name: &LockName,
        token: FencingToken,
    ) -> Result<bool, BackendError> {
        self.keeper.backend.force_release(name, token).await
    }

    /// Returns once everything that was dropped before is released in the store, or left to end
    /// with its lease: for use before a process ends.
    ///
    /// # Errors
    /// [`AcquireError::NoRuntime`] outside a tokio runtime.
    ///
    /// # Cancel safety
    /// Safe: the work goes on in the background.
    pub async fn flush(&self) -> Result<(), AcquireError> {
        let count = self.keeper.reaper.count();
        loop {
            self.keeper.ensure_tasks()?;
            if self.keeper.reaper.settled(count).await {
                return Ok(());
            }
        }
    }

    /// What this handle and its clones have counted.
    #[must_use]
    pub fn stats(&self) -> LockStats {
        self.keeper.stats()
    }
}
