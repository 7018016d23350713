//! Locks within one process.

mod lock;

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry as Slot};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::future::BoxFuture;
use crate::lock::error::BackendError;
use crate::lock::fence::FencingToken;
use crate::lock::name::LockName;

use super::{Claimed, Enqueued, Entry, Inspection, LockBackend, Renewed, Request, Standing};
use lock::Lock;

/// Maps of locks, so that threads on different locks seldom meet: a few times the cores of a
/// large machine.
const SHARDS: usize = 64;

/// Locks in the memory of this process: for its tasks, for tests and examples.
///
/// Nothing fails here and no step takes time, so the errors of the trait do not occur. Fencing
/// tokens come from one counter and never repeat in the life of this value. Waiters are told of
/// changes; names that nobody holds or waits for take no memory. Time is `tokio`'s, so tests may
/// pause it.
#[derive(Debug)]
pub struct MemoryBackend {
    shards: Vec<Mutex<HashMap<LockName, Lock>>>,
    tokens: AtomicU64,
}

impl MemoryBackend {
    /// A store without locks.
    #[must_use]
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            shards,
            tokens: AtomicU64::new(1),
        }
    }

    /// Takes a step on the lock of this name, as it is now, and forgets it if nobody is left.
    fn step<R>(&self, name: &LockName, step: impl FnOnce(&mut Lock, Instant) -> R) -> Option<R> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let shard = self
            .shards
            .get(usize::try_from(hasher.finish() % SHARDS as u64).ok()?)?;
        let mut locks = shard.lock();
        let now = Instant::now();
        let mut slot = match locks.entry(name.clone()) {
            Slot::Occupied(slot) => slot,
            Slot::Vacant(slot) => slot.insert_entry(Lock::default()),
        };
        let lock = slot.get_mut();
        lock.expire(now);
        let answer = step(lock, now);
        lock.tell();
        if lock.is_idle() {
            slot.remove();
        }
        Some(answer)
    }

    /// Called within a step, so tokens rise with the grants of a name.
    fn token(&self) -> FencingToken {
        FencingToken::new(self.tokens.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl LockBackend for MemoryBackend {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        Box::pin(async move {
            let step = |lock: &mut Lock, now| lock.enqueue(request, || self.token(), now);
            let held = || {
                Enqueued::Held(Standing {
                    recheck: Duration::ZERO,
                })
            };
            Ok(self.step(&request.entry.name, step).unwrap_or_else(held))
        })
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let changed = self.step(&entry.name, |lock, _| lock.changed(entry.holder));
            if let Some(changed) = changed.flatten() {
                changed.notified().await;
            }
            Ok(())
        })
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        Box::pin(async move {
            let step = |lock: &mut Lock, now| lock.claim(entry.holder, now, || Some(self.token()));
            Ok(self.step(&entry.name, step).unwrap_or(Claimed::Gone))
        })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Result<Vec<Renewed>, BackendError>> {
        Box::pin(async move {
            let renew = |entry: &Entry| {
                let renewed = self.step(&entry.name, |lock, now| lock.renew(entry.holder, now));
                renewed.unwrap_or(Renewed::Gone)
            };
            Ok(entries.iter().map(renew).collect())
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let released = self.step(&entry.name, |lock, _| lock.release(entry.holder));
            Ok(released.unwrap_or(false))
        })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            self.step(&entry.name, |lock, _| lock.leave(entry.holder));
            Ok(())
        })
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        Box::pin(async move {
            let inspection = self.step(name, |lock, now| lock.inspect(now));
            Ok(inspection.unwrap_or_default())
        })
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let released = self.step(name, |lock, _| lock.force_release(token));
            Ok(released.unwrap_or(false))
        })
    }
}
