//! The one task that renews the leases of a handle and tells of those that are lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::future::BoxFuture;

use super::backend::{Entry, LockBackend, Renewed};
use super::error::Loss;
use super::event;
use super::lease::{Lease, TTL_MAX};
use super::reaper::Reaper;
use super::stats::LockStats;
use super::tenure::Tenure;

/// Entries in one call: a store that runs a batch in one go keeps nobody else waiting for long.
const BATCH_MAX: usize = 128;

/// Calls under way at a time.
const CALLS_MAX: usize = 16;

/// Renewals due within this time go in one batch.
const COALESCE: Duration = Duration::from_millis(2);

/// The leases that are held, and what was counted of them.
#[derive(Default)]
pub(super) struct Renewal {
    held: Mutex<Leases>,
    wake: Notify,
    running: AtomicBool,
}

#[derive(Default)]
struct Leases {
    slots: Slab<Slot>,
    /// When the task looks next, if it sleeps until a certain time.
    wake_at: Option<Instant>,
    closed: bool,
    stats: LockStats,
}

struct Slot {
    tenure: Arc<Tenure>,
    renewal: Next,
    deadline: Instant,
}

/// The next renewal of a lease.
enum Next {
    At(Instant),
    UnderWay,
    Never,
}

/// A lease in care: what it is, and where it is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) tenure: Arc<Tenure>,
    key: usize,
}

/// What is to be done now.
struct Due {
    lost: Vec<Arc<Tenure>>,
    renewals: Vec<Kept>,
    wake_at: Option<Instant>,
    closed: bool,
}

/// A batch, and what the store said of it: nothing, if it did not answer in time.
type Answer = (Vec<Kept>, Vec<Option<Renewed>>);

impl Renewal {
    /// Takes a lease into care.
    pub(super) fn keep(&self, tenure: Tenure, renews: bool, waited: Duration) -> Kept {
        let tenure = Arc::new(tenure);
        let lease = tenure.lease();
        let deadline = lease.deadline();
        let renew_at = lease.renew_at(tenure.spread());
        let (renewal, next) = if renews {
            (Next::At(renew_at), renew_at.min(deadline))
        } else {
            (Next::Never, deadline)
        };
        let mut held = self.held.lock();
        held.stats.granted += 1;
        held.stats.wait_time += waited;
        let key = held.slots.insert(Slot {
            tenure: Arc::clone(&tenure),
            renewal,
            deadline,
        });
        if held.wake_at.is_none_or(|at| next < at) {
            held.wake_at = Some(next);
            self.wake.notify_one();
        }
        Kept { tenure, key }
    }

    /// Leaves a lease to itself.
    pub(super) fn let_go(&self, kept: &Kept, granted: Instant, now: Instant) {
        let mut held = self.held.lock();
        held.stats.released += 1;
        held.stats.hold_time += now.saturating_duration_since(granted);
        if held.remove(kept) && kept.tenure.check(now).is_err() {
            // Its holder was faster than the task.
            held.stats.expired += 1;
            drop(held);
            event::lost(kept.tenure.entry(), Loss::Expired);
            kept.tenure.lose(Loss::Expired);
        }
    }

    pub(super) fn stats(&self) -> LockStats {
        let held = self.held.lock();
        LockStats {
            held: held.slots.len() as u64,
            ..held.stats
        }
    }

    /// Ends the task once nothing is held.
    pub(super) fn close(&self) {
        self.held.lock().closed = true;
        self.wake.notify_one();
    }

    /// The task, unless it runs already.
    pub(super) fn task(
        self: &Arc<Self>,
        backend: &Arc<dyn LockBackend>,
        reaper: &Arc<Reaper>,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        if self.running.load(Ordering::Acquire) || self.running.swap(true, Ordering::AcqRel) {
            return None;
        }
        let running = Running(Arc::clone(self));
        let (backend, reaper) = (Arc::clone(backend), Arc::clone(reaper));
        Some(async move { running.0.run(&backend, &reaper).await })
    }

    async fn run(&self, backend: &Arc<dyn LockBackend>, reaper: &Reaper) {
        let mut calls = FuturesUnordered::new();
        self.held.lock().begin_anew(Instant::now());
        loop {
            let due = self.due(Instant::now(), (CALLS_MAX - calls.len()) * BATCH_MAX);
            for tenure in due.lost {
                self.lose(&tenure, Loss::Expired, reaper);
            }
            for alike in due.renewals.chunk_by(|one, other| ttl(one) == ttl(other)) {
                for batch in alike.chunks(BATCH_MAX) {
                    calls.push(renew(Arc::clone(backend), batch.to_vec()));
                }
            }
            if due.closed {
                return;
            }
            let wake_at = due.wake_at.unwrap_or_else(|| Instant::now() + TTL_MAX);
            tokio::select! {
                Some(answer) = calls.next() => self.take(answer, reaper),
                () = self.wake.notified() => {}
                () = sleep_until(wake_at) => {}
            }
        }
    }

    /// Finds the leases that are lost, and up to `room` of those that are to be renewed, alike
    /// TTLs together. O(leases).
    fn due(&self, now: Instant, room: usize) -> Due {
        let mut held = self.held.lock();
        let mut due = Due {
            lost: Vec::new(),
            renewals: Vec::new(),
            wake_at: None,
            closed: held.closed && held.slots.is_empty(),
        };
        held.slots.retain(|key, slot| {
            if slot.deadline <= now {
                due.lost.push(Arc::clone(&slot.tenure));
                return false;
            }
            let mut next = slot.deadline;
            match slot.renewal {
                Next::At(at) if at > now + COALESCE => next = next.min(at),
                Next::At(_) if due.renewals.len() < room => {
                    slot.renewal = Next::UnderWay;
                    let tenure = Arc::clone(&slot.tenure);
                    due.renewals.push(Kept { tenure, key });
                }
                // No room: the end of a call makes some.
                Next::At(_) | Next::UnderWay | Next::Never => {}
            }
            due.wake_at = Some(due.wake_at.map_or(next, |at| at.min(next)));
            true
        });
        due.renewals.sort_by_key(ttl);
        held.wake_at = due.wake_at;
        due
    }

    /// Takes what the store said of a batch.
    fn take(&self, (batch, answers): Answer, reaper: &Reaper) {
        let now = Instant::now();
        for (kept, answer) in batch.iter().zip(answers) {
            let tenure = &kept.tenure;
            let proved = match answer {
                Some(Renewed::Alive(lease)) => tenure.extend(lease, now),
                Some(Renewed::Gone) => Err(Loss::Removed),
                None => tenure.extend(tenure.lease(), now),
            };
            match proved {
                Ok(lease) => self.go_on(kept, lease, answer.is_some(), now),
                // Unless it was released or lost meanwhile.
                Err(loss) if self.held.lock().remove(kept) => self.lose(tenure, loss, reaper),
                Err(_) => {}
            }
        }
    }

    fn go_on(&self, kept: &Kept, lease: Lease, renewed: bool, now: Instant) {
        // A store may prove a lease that it shares by an older request than this one; and one that
        // fails is to be given time.
        let pause = lease.ttl() / 16;
        let renew_at = if renewed {
            lease.renew_at(kept.tenure.spread()).max(now + pause)
        } else {
            now + pause
        };
        let mut held = self.held.lock();
        if renewed {
            held.stats.renewed += 1;
        } else {
            held.stats.renewals_failed += 1;
        }
        if let Some(slot) = held.slot(kept) {
            slot.renewal = Next::At(renew_at);
            slot.deadline = lease.deadline();
        }
        drop(held);
        event::renewed(kept.tenure.entry(), renewed);
    }

    fn lose(&self, tenure: &Tenure, loss: Loss, reaper: &Reaper) {
        let mut held = self.held.lock();
        match loss {
            Loss::Expired => held.stats.expired += 1,
            Loss::Removed => held.stats.removed += 1,
        }
        drop(held);
        event::lost(tenure.entry(), loss);
        tenure.lose(loss);
        if loss == Loss::Expired {
            reaper.remove(tenure.entry().clone(), tenure.lease().ttl());
        }
    }
}

impl Leases {
    /// Where it is kept. A lease that was lost or let go is kept no more, and its place may be
    /// another's.
    fn slot(&mut self, kept: &Kept) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(kept.key)?;
        Arc::ptr_eq(&slot.tenure, &kept.tenure).then_some(slot)
    }

    /// What was under way ended with the task before.
    fn begin_anew(&mut self, now: Instant) {
        for (_, slot) in &mut self.slots {
            if matches!(slot.renewal, Next::UnderWay) {
                slot.renewal = Next::At(now);
            }
        }
    }

    fn remove(&mut self, kept: &Kept) -> bool {
        let found = self.slot(kept).is_some();
        if found {
            self.slots.remove(kept.key);
        }
        found
    }
}

/// Lets another task be begun when this one ends, be it that its runtime does.
struct Running(Arc<Renewal>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

fn ttl(kept: &Kept) -> Duration {
    kept.tenure.lease().ttl()
}

/// Renews a batch. A call that takes longer than a quarter of the TTL is given up, so that there
/// is time for another.
fn renew(backend: Arc<dyn LockBackend>, batch: Vec<Kept>) -> BoxFuture<'static, Answer> {
    Box::pin(async move {
        let entries: Vec<Entry> = batch
            .iter()
            .map(|kept| kept.tenure.entry().clone())
            .collect();
        let limit = batch.first().map_or(Duration::ZERO, |first| ttl(first) / 4);
        let answers = timeout(limit, backend.renew(&entries)).await;
        let answers = answers.unwrap_or_default().into_iter().map(Result::ok);
        // A store that answers for fewer has not answered for the others.
        let answers = answers.chain(std::iter::repeat(None));
        let answers = answers.take(batch.len()).collect();
        (batch, answers)
    })
}
