//! What all clones of a handle, its acquisitions and its guards share.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::runtime::Handle;

use super::backend::{Entry, LockBackend};
use super::error::AcquireError;
use super::name::{HolderId, LockName};
use super::reaper::Reaper;
use super::renewal::Renewal;
use super::stats::LockStats;

/// A store, and the two tasks that tend to what is held there. When the last clone, acquisition
/// and guard are gone, the tasks finish what is left and end.
pub(super) struct Keeper {
    pub(super) backend: Arc<dyn LockBackend>,
    pub(super) renewal: Arc<Renewal>,
    pub(super) reaper: Arc<Reaper>,
    pub(super) waiting: AtomicU64,
    handle: u64,
    acquisitions: AtomicU64,
}

impl Keeper {
    pub(super) fn new(backend: Arc<dyn LockBackend>) -> Self {
        Self {
            backend,
            renewal: Arc::default(),
            reaper: Arc::default(),
            waiting: AtomicU64::new(0),
            // The standard library seeds it from the system's randomness, once for a thread: a fork
            // has the same.
            handle: RandomState::new().hash_one((process::id(), SystemTime::now())),
            acquisitions: AtomicU64::new(0),
        }
    }

    /// An entry for a new acquisition, and when within its window it is to be renewed: multiples
    /// of the golden ratio, which lie evenly however many there are.
    pub(super) fn entry(&self, name: LockName) -> (Entry, u16) {
        let count = self.acquisitions.fetch_add(1, Ordering::Relaxed);
        let holder = HolderId::new(self.handle, count);
        let spread = self
            .handle
            .wrapping_add(count.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let [high, low, ..] = spread.to_be_bytes();
        (Entry::new(name, holder), u16::from_be_bytes([high, low]))
    }

    /// Sees to it that both tasks run, in the runtime of whoever calls first.
    pub(super) fn ensure_tasks(&self) -> Result<(), AcquireError> {
        let runtime = Handle::try_current().map_err(|_| AcquireError::NoRuntime)?;
        if self.renewal.runs() && self.reaper.runs() {
            return Ok(());
        }
        if let Some(task) = self.renewal.task(&self.backend, &self.reaper) {
            runtime.spawn(task);
        }
        if let Some(task) = self.reaper.task(&self.backend) {
            runtime.spawn(task);
        }
        Ok(())
    }

    pub(super) fn stats(&self) -> LockStats {
        LockStats {
            waiting: self.waiting.load(Ordering::Relaxed),
            abandoned: self.reaper.abandoned(),
            ..self.renewal.stats()
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("backend", &self.backend)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.renewal.close();
        self.reaper.close();
    }
}
