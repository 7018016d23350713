//! The one task that removes what dropped futures and guards left in the store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::future::BoxFuture;

use super::backend::{Entry, LockBackend};
use super::event;

/// Calls under way at a time.
const CALLS_MAX: usize = 64;

/// Entries that wait to be removed. Past that, which takes a store that has been out of reach
/// while so many were dropped, entries are left to end with their lease.
const ENTRIES_MAX: usize = 1 << 16;

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The entries to remove.
#[derive(Default)]
pub(super) struct Reaper {
    chores: Mutex<Chores>,
    wake: Notify,
    idle: Notify,
    running: AtomicBool,
}

#[derive(Default)]
struct Chores {
    queue: VecDeque<Chore>,
    under_way: usize,
    abandoned: u64,
    closed: bool,
}

/// An entry to remove.
#[derive(Clone, Debug)]
struct Chore {
    entry: Entry,
    /// When its lease has ended even if it began after the drop.
    until: Instant,
    failures: u32,
}

impl Reaper {
    /// Removes an entry in the background. Never blocks; needs no runtime.
    pub(super) fn remove(&self, entry: Entry, ttl: Duration) {
        let chore = Chore {
            entry,
            until: Instant::now() + 2 * ttl,
            failures: 0,
        };
        let mut chores = self.chores.lock();
        if chores.queue.len() < ENTRIES_MAX {
            chores.queue.push_back(chore);
        } else {
            chores.abandoned += 1;
        }
        drop(chores);
        self.wake.notify_one();
    }

    /// Returns once nothing is left to remove.
    pub(super) async fn flush(&self) {
        loop {
            let idle = self.idle.notified();
            if self.chores.lock().is_idle() {
                return;
            }
            idle.await;
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
        let mut calls = FuturesUnordered::new();
        loop {
            while calls.len() < CALLS_MAX {
                let Some(chore) = self.next() else { break };
                calls.push(leave(Arc::clone(backend), chore));
            }
            if calls.is_empty() {
                self.idle.notify_waiters();
                if self.chores.lock().is_over() {
                    return;
                }
            }
            tokio::select! {
                Some((chore, left)) = calls.next() => self.take(chore, left),
                () = self.wake.notified() => {}
            }
        }
    }

    fn next(&self) -> Option<Chore> {
        let mut chores = self.chores.lock();
        let chore = chores.queue.pop_front()?;
        chores.under_way += 1;
        Some(chore)
    }

    fn take(&self, chore: Chore, left: bool) {
        let mut chores = self.chores.lock();
        chores.under_way = chores.under_way.saturating_sub(1);
        if left {
            event::cleaned(&chore.entry);
        } else if Instant::now() < chore.until {
            chores.queue.push_back(Chore {
                failures: chore.failures.saturating_add(1),
                ..chore
            });
        } else {
            chores.abandoned += 1;
            event::abandoned(&chore.entry);
        }
    }
}

impl Chores {
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.under_way == 0
    }

    fn is_over(&self) -> bool {
        self.closed && self.is_idle()
    }
}

/// Lets another task be begun when this one ends, be it that its runtime does. What was under way
/// then ends with its lease.
struct Running(Arc<Reaper>);

impl Drop for Running {
    fn drop(&mut self) {
        let Self(reaper) = self;
        let mut chores = reaper.chores.lock();
        chores.abandoned += chores.under_way as u64;
        chores.under_way = 0;
        drop(chores);
        reaper.running.store(false, Ordering::Release);
        reaper.idle.notify_waiters();
    }
}

/// Tries once, after a pause that grows with the failures. Says whether the entry is gone.
fn leave(backend: Arc<dyn LockBackend>, chore: Chore) -> BoxFuture<'static, (Chore, bool)> {
    Box::pin(async move {
        if let Some(doublings) = chore.failures.checked_sub(1) {
            let pause = Duration::from_millis(10) * 2_u32.pow(doublings.min(8));
            sleep(pause.min(PAUSE_MAX)).await;
        }
        let limit = chore.until.saturating_duration_since(Instant::now());
        let left = timeout(limit, backend.leave(&chore.entry)).await;
        let left = matches!(left, Ok(Ok(())));
        (chore, left)
    })
}
