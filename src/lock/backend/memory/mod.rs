//! Locks within one process.

mod lock;
mod shard;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::future::BoxFuture;
use crate::lock::fence::FencingToken;
use crate::lock::name::LockName;

use super::{BackendError, Claimed, Enqueued, Entry, Inspection, LockBackend, Renewed, Request};
use lock::Lock;
use shard::Shard;

/// Maps of locks, so that threads on different locks seldom meet: a few times the cores of a
/// large machine.
const SHARDS: usize = 64;

/// Grants that a shard is credited with at a time, for its sweep.
const CREDIT: u64 = 16;

/// Locks in the memory of this process: for its tasks, for tests and examples.
///
/// Nothing fails here and no step takes time. Fencing tokens come from one counter and never
/// repeat in the life of this value. Waiters are told of changes. A name that nobody holds or
/// waits for takes no memory; one whose leases ran out and that nobody came by is forgotten as the
/// store is used. Time is
/// `tokio`'s, so tests may pause it.
pub struct MemoryBackend {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    tokens: AtomicU64,
}

impl MemoryBackend {
    /// A store without locks.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            tokens: AtomicU64::new(1),
        }
    }

    /// How many names are held or waited for, or were when their leases ran out and the store has
    /// not come by since. For tests and metrics; O(1).
    #[must_use]
    pub fn names(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Takes a step on the lock of this name, as it is now.
    fn step<R>(&self, name: &LockName, step: impl FnOnce(&mut Lock, Instant) -> R) -> R {
        let [first, ..] = &self.shards;
        let hash = self.hasher.hash_one(name);
        // The table takes the low bits for places and the high ones for tags.
        let at = usize::try_from(hash >> 32).unwrap_or_default() % SHARDS;
        let shard = self.shards.get(at).unwrap_or(first);
        shard.lock().step(hash, name, step)
    }

    /// Called within a step, so tokens rise with the grants of a name.
    fn token(&self) -> FencingToken {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        if token.is_multiple_of(CREDIT) {
            self.credit(token / CREDIT);
        }
        FencingToken::new(token)
    }

    /// Lets each shard in turn come nearer to its sweep, be it that nobody uses its locks.
    fn credit(&self, turn: u64) {
        let at = usize::try_from(turn).unwrap_or_default() % SHARDS;
        // The one that is locked is in use.
        if let Some(mut shard) = self.shards.get(at).and_then(Mutex::try_lock) {
            shard.credit(CREDIT, Instant::now());
        }
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend")
            .field("names", &self.names())
            .finish_non_exhaustive()
    }
}

impl LockBackend for MemoryBackend {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        Box::pin(async move {
            self.step(request.entry().name(), |lock, now| {
                lock.enqueue(request, || self.token(), now)
            })
        })
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let look = |lock: &mut Lock, _| lock.changed(entry.holder());
            if let Some(told) = self.step(entry.name(), look) {
                told.await;
            }
            Ok(())
        })
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        Box::pin(async move {
            let claim = |lock: &mut Lock, now| lock.claim(entry.holder(), || self.token(), now);
            Ok(self.step(entry.name(), claim))
        })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(async move {
            let renew = |entry: &Entry| {
                self.step(entry.name(), |lock, now| lock.renew(entry.holder(), now))
            };
            entries.iter().map(|entry| Ok(renew(entry))).collect()
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move { Ok(self.step(entry.name(), |lock, _| lock.release(entry.holder()))) })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            self.step(entry.name(), |lock, _| lock.leave(entry.holder()));
            Ok(())
        })
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        Box::pin(async move { Ok(self.step(name, |lock, now| lock.inspect(now))) })
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move { Ok(self.step(name, |lock, _| lock.force_release(token))) })
    }
}
