//! A table of locks that forgets those that nobody holds or waits for.

use hashbrown::HashTable;
use tokio::time::Instant;

use crate::lock::name::LockName;

use super::lock::Lock;

/// The fewest steps between two sweeps.
const SWEEP_MIN: u64 = 16;

/// Room for so many locks is kept though there are none.
const CAPACITY_KEPT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Shard {
    locks: HashTable<Slot>,
    steps_to_sweep: u64,
    /// An idle lock, kept for the buffers it has.
    spare: Option<Lock>,
}

/// A lock that is in use. Its hash is kept: a step hashes the name once.
#[derive(Debug)]
struct Slot {
    hash: u64,
    name: LockName,
    lock: Lock,
}

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.locks.len()
    }

    /// Takes a step on the lock of this name and hash, as it is now, and forgets it if nobody is
    /// left.
    pub(super) fn step<R>(
        &mut self,
        hash: u64,
        name: &LockName,
        step: impl FnOnce(&mut Lock, Instant) -> R,
    ) -> R {
        let now = Instant::now();
        self.credit(1, now);
        if let Ok(mut slot) = self.locks.find_entry(hash, |slot| slot.name == *name) {
            let answer = slot.get_mut().lock.step(now, step);
            if slot.get().lock.is_idle() {
                self.spare = Some(slot.remove().0.lock);
                self.shrink();
            }
            return answer;
        }
        let mut lock = self.spare.take().unwrap_or_default();
        let answer = lock.step(now, step);
        if lock.is_idle() {
            self.spare = Some(lock);
        } else {
            let name = name.clone();
            let slot = Slot { hash, name, lock };
            self.locks.insert_unique(hash, slot, |slot| slot.hash);
        }
        answer
    }

    /// Counts steps. Every so many as there are locks, forgets those whose leases all ran out:
    /// amortised, a step looks at one other lock.
    pub(super) fn credit(&mut self, steps: u64, now: Instant) {
        if let Some(left) = self.steps_to_sweep.checked_sub(steps) {
            self.steps_to_sweep = left;
            return;
        }
        self.locks.retain(|slot| {
            slot.lock.step(now, |_, _| ());
            !slot.lock.is_idle()
        });
        self.steps_to_sweep = SWEEP_MIN.max(self.locks.len() as u64);
        self.shrink();
    }

    /// Gives memory back when most of it is unused. Amortised O(1): half of it was in use once.
    fn shrink(&mut self) {
        let len = self.locks.len().max(CAPACITY_KEPT);
        if self.locks.capacity() > 4 * len {
            self.locks.shrink_to(2 * len, |slot| slot.hash);
        }
    }
}
