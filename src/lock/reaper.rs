//! The one task that removes what dropped futures and guards left in the store.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::backend::{Entry, LockBackend};
use super::event;

/// Calls under way at a time.
const CALLS_MAX: usize = 64;

/// How long a call may take before it is tried again: its answer may be lost.
const CALL_TIME_MAX: Duration = Duration::from_secs(2);

/// Entries to remove. Past that, which takes a store that has been out of reach while so many were
/// dropped, entries are left to end with their lease.
const CHORES_MAX: usize = 1 << 16;

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// An entry is tried for so long even if its TTL is shorter: the store may have put a longer one in
/// force.
const EFFORT_MIN: Duration = Duration::from_secs(10);

/// The entries to remove.
#[derive(Default)]
pub(super) struct Reaper {
    chores: Mutex<Chores>,
    wake: Notify,
    settled: Notify,
    running: AtomicBool,
}

#[derive(Default)]
struct Chores {
    /// By number, in the order in which they were dropped.
    all: BTreeMap<u64, Chore>,
    /// Those whose turn it is. The others are under way, or pause.
    ready: VecDeque<u64>,
    count: u64,
    abandoned: u64,
    closed: bool,
}

/// An entry to remove.
struct Chore {
    entry: Entry,
    /// When its lease has ended even if it began after the drop.
    until: Instant,
    failures: u32,
}

impl Reaper {
    /// Removes an entry in the background. Never blocks; needs no runtime.
    pub(super) fn remove(&self, entry: Entry, ttl: Duration) {
        let until = Instant::now() + (2 * ttl).max(EFFORT_MIN);
        let mut chores = self.chores.lock();
        if chores.all.len() >= CHORES_MAX {
            chores.abandoned += 1;
            drop(chores);
            abandon(&entry);
            return;
        }
        let number = chores.count;
        chores.count += 1;
        let failures = 0;
        let chore = Chore {
            entry,
            until,
            failures,
        };
        chores.all.insert(number, chore);
        chores.ready.push_back(number);
        drop(chores);
        self.wake.notify_one();
    }

    /// How many entries were ever to be removed.
    pub(super) fn count(&self) -> u64 {
        self.chores.lock().count
    }

    /// Returns once all of the first `count` entries are settled, or the task has ended. Says
    /// which.
    pub(super) async fn settled(&self, count: u64) -> bool {
        loop {
            let settled = self.settled.notified();
            let first = self.chores.lock().all.keys().next().copied();
            if first.is_none_or(|first| first >= count) {
                return true;
            }
            if !self.runs() {
                return false;
            }
            settled.await;
        }
    }

    pub(super) fn abandoned(&self) -> u64 {
        self.chores.lock().abandoned
    }

    /// Ends the task once nothing is left to remove.
    pub(super) fn close(&self) {
        self.chores.lock().closed = true;
        self.wake.notify_one();
    }

    /// Whether the task runs.
    pub(super) fn runs(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// The task, unless it runs already.
    pub(super) fn task(
        self: &Arc<Self>,
        backend: &Arc<dyn LockBackend>,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        if self.running.swap(true, Ordering::AcqRel) {
            return None;
        }
        let running = Running(Arc::clone(self));
        let backend = Arc::clone(backend);
        Some(async move { running.0.run(&backend).await })
    }

    async fn run(&self, backend: &Arc<dyn LockBackend>) {
        self.chores.lock().begin_anew();
        let (mut calls, mut pauses) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            while calls.len() < CALLS_MAX {
                let Some((number, entry, limit)) = self.next() else {
                    break;
                };
                calls.push(leave(Arc::clone(backend), number, entry, limit));
            }
            if self.chores.lock().are_over() {
                return;
            }
            tokio::select! {
                Some((number, left)) = calls.next() => {
                    if let Some(time) = self.take(number, left) {
                        pauses.push(pause(number, time));
                    }
                }
                Some(number) = pauses.next() => self.chores.lock().ready.push_back(number),
                () = self.wake.notified() => {}
            }
        }
    }

    /// The next to remove, and how long that may take.
    fn next(&self) -> Option<(u64, Entry, Duration)> {
        let mut chores = self.chores.lock();
        let number = chores.ready.pop_front()?;
        let chore = chores.all.get(&number)?;
        let left = chore.until.saturating_duration_since(Instant::now());
        Some((number, chore.entry.clone(), left.min(CALL_TIME_MAX)))
    }

    /// Takes what became of a try. Returns how long to pause before the next, if there is to be
    /// one.
    fn take(&self, number: u64, left: bool) -> Option<Duration> {
        let mut chores = self.chores.lock();
        let chore = chores.all.get_mut(&number)?;
        if !left && Instant::now() < chore.until {
            let pause = Duration::from_millis(10) * 2_u32.pow(chore.failures.min(8));
            chore.failures += 1;
            return Some(pause.min(PAUSE_MAX));
        }
        let chore = chores.all.remove(&number)?;
        chores.abandoned += u64::from(!left);
        drop(chores);
        if left {
            event::cleaned(&chore.entry);
        } else {
            abandon(&chore.entry);
        }
        self.settled.notify_waiters();
        None
    }
}

impl Chores {
    /// What was under way, or paused, ended with the task before.
    fn begin_anew(&mut self) {
        self.ready = self.all.keys().copied().collect();
    }

    fn are_over(&self) -> bool {
        self.closed && self.all.is_empty()
    }
}

/// Lets another task be begun when this one ends, be it that its runtime does.
struct Running(Arc<Reaper>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
        self.0.settled.notify_waiters();
    }
}

/// Tells that it is left to end with its lease.
fn abandon(entry: &Entry) {
    #[cfg(feature = "metrics")]
    crate::metrics::LOCK_ABANDONED.add(1);
    event::abandoned(entry);
}

/// Tries once. Says whether the entry is gone.
async fn leave(
    backend: Arc<dyn LockBackend>,
    number: u64,
    entry: Entry,
    limit: Duration,
) -> (u64, bool) {
    let left = timeout(limit, backend.leave(&entry)).await;
    (number, matches!(left, Ok(Ok(()))))
}

async fn pause(number: u64, time: Duration) -> u64 {
    sleep(time).await;
    number
}
