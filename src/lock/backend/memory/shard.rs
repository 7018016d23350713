//! A map of locks that forgets those that nobody holds or waits for.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::lock::name::LockName;

use super::lock::Lock;

/// The fewest steps between two sweeps.
const SWEEP_MIN: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Shard {
    locks: HashMap<LockName, Lock>,
    steps_to_sweep: usize,
    /// An idle lock, kept for the buffers it has.
    spare: Option<Lock>,
}

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.locks.len()
    }

    /// Takes a step on the lock of this name, as it is now, and forgets it if nobody is left.
    pub(super) fn step<R>(
        &mut self,
        name: &LockName,
        step: impl FnOnce(&mut Lock, Instant) -> R,
    ) -> R {
        let now = Instant::now();
        self.sweep(now);
        if let Some(lock) = self.locks.get_mut(name) {
            let answer = lock.step(now, step);
            if lock.is_idle() {
                self.spare = self.locks.remove(name);
                self.shrink();
            }
            return answer;
        }
        let mut lock = self.spare.take().unwrap_or_default();
        let answer = lock.step(now, step);
        if lock.is_idle() {
            self.spare = Some(lock);
        } else {
            self.locks.insert(name.clone(), lock);
        }
        answer
    }

    /// Every so many steps as there are locks, forgets those whose leases all ran out: amortised,
    /// a step looks at one other lock.
    fn sweep(&mut self, now: Instant) {
        if let Some(steps) = self.steps_to_sweep.checked_sub(1) {
            self.steps_to_sweep = steps;
            return;
        }
        self.locks.retain(|_, lock| {
            lock.step(now, |_, _| ());
            !lock.is_idle()
        });
        self.steps_to_sweep = self.locks.len().max(SWEEP_MIN);
        self.shrink();
    }

    /// Gives memory back when most of it is unused. Amortised O(1): half of it was in use once.
    fn shrink(&mut self) {
        let len = self.locks.len().max(SWEEP_MIN);
        if self.locks.capacity() > 4 * len {
            self.locks.shrink_to(2 * len);
        }
    }
}
