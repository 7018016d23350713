//! The one task that renews the leases of a handle and tells of those that are lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::future::BoxFuture;

use super::backend::{Entry, LockBackend, Renewed};
use super::error::Loss;
use super::event;
use super::lease::{Lease, TTL_MAX};
use super::leases::{Kept, Leases};
use super::reaper::Reaper;
use super::stats::LockStats;
use super::tenure::Tenure;
#[cfg(feature = "metrics")]
use crate::metrics;

/// Entries in one call: a store that runs a batch in one go keeps nobody else waiting for long.
const BATCH_MAX: usize = 128;

/// Calls under way at a time.
const CALLS_MAX: usize = 64;

/// How long a call may take before it is tried again: its answer may be lost, and it keeps others
/// from being sent.
const CALL_TIME_MAX: Duration = Duration::from_secs(3);

/// The leases that are held, and what was counted of them.
#[derive(Default)]
pub(super) struct Renewal {
    held: Mutex<Held>,
    wake: Notify,
    running: AtomicBool,
}

#[derive(Default)]
struct Held {
    leases: Leases,
    stats: LockStats,
    closed: bool,
}

/// A batch, and what the store said of it: nothing, if it did not answer in time.
type Answer = (Vec<Kept>, Vec<Option<Renewed>>);

impl Renewal {
    /// Takes a lease into care.
    pub(super) fn keep(
        &self,
        tenure: Tenure,
        lease: Lease,
        renews: bool,
        waited: Duration,
    ) -> Kept {
        let mut held = self.held.lock();
        held.stats.granted += 1;
        held.stats.wait_time += waited;
        let (kept, sooner) = held.leases.keep(tenure, lease, renews);
        drop(held);
        #[cfg(feature = "metrics")]
        {
            metrics::LOCK_GRANTED.add(1);
            metrics::LOCK_WAIT.record(waited);
            metrics::LOCK_HELD.up();
        }
        if sooner {
            self.wake.notify_one();
        }
        kept
    }

    /// Leaves a lease to itself.
    pub(super) fn let_go(&self, kept: &Kept, granted: Instant) {
        let now = Instant::now();
        let mut held = self.held.lock();
        held.stats.released += 1;
        let time = now.saturating_duration_since(granted);
        held.stats.hold_time += time;
        let deadline = held.leases.remove(kept);
        let is_over = deadline.is_some_and(|deadline| deadline <= now);
        // Its holder was faster than the task.
        let expired = is_over && kept.tenure.check(now).is_err();
        held.stats.expired += u64::from(expired);
        drop(held);
        #[cfg(feature = "metrics")]
        {
            metrics::LOCK_RELEASED.add(1);
            metrics::LOCK_HOLD.record(time);
            if deadline.is_some() {
                metrics::LOCK_HELD.down();
            }
        }
        if expired {
            #[cfg(feature = "metrics")]
            metrics::LOCK_EXPIRED.add(1);
            event::lost(kept.tenure.entry(), Loss::Expired);
            kept.tenure.lose(Loss::Expired);
        }
    }

    pub(super) fn stats(&self) -> LockStats {
        let held = self.held.lock();
        LockStats {
            held: held.leases.len() as u64,
            ..held.stats
        }
    }

    /// Ends the task once nothing is held.
    pub(super) fn close(&self) {
        self.held.lock().closed = true;
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
        reaper: &Arc<Reaper>,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        if self.running.swap(true, Ordering::AcqRel) {
            return None;
        }
        let running = Running(Arc::clone(self));
        let (backend, reaper) = (Arc::clone(backend), Arc::clone(reaper));
        Some(async move { running.0.run(&backend, &reaper).await })
    }

    async fn run(&self, backend: &Arc<dyn LockBackend>, reaper: &Reaper) {
        let mut calls = FuturesUnordered::new();
        self.held.lock().leases.begin_anew(Instant::now());
        loop {
            let room = CALLS_MAX.saturating_sub(calls.len()) * BATCH_MAX;
            let due = self.held.lock().leases.due(Instant::now(), room);
            for tenure in due.lost {
                self.lose(&tenure, Loss::Expired, reaper);
            }
            for batch in due.renewals.chunks(BATCH_MAX) {
                calls.push(renew(Arc::clone(backend), batch.to_vec()));
            }
            if self.is_over() {
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

    fn is_over(&self) -> bool {
        let held = self.held.lock();
        held.closed && held.leases.len() == 0
    }

    /// Takes what the store said of a batch.
    fn take(&self, (batch, answers): Answer, reaper: &Reaper) {
        let now = Instant::now();
        for (kept, answer) in batch.iter().zip(answers) {
            let tenure = &kept.tenure;
            let proved = match answer {
                Some(Renewed::Alive(lease)) => tenure.extend(lease),
                Some(Renewed::Gone) => tenure.check(now).and(Err(Loss::Removed)),
                None => tenure.check(now).map(|()| tenure.lease()),
            };
            match proved {
                Ok(lease) => self.go_on(kept, lease, answer.is_some(), now),
                // Unless it was released or lost meanwhile.
                Err(loss) if self.held.lock().leases.remove(kept).is_some() => {
                    self.lose(tenure, loss, reaper);
                }
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
        held.leases.renew_again(kept, renew_at, lease.deadline());
        drop(held);
        #[cfg(feature = "metrics")]
        if renewed {
            metrics::LOCK_RENEWED.add(1);
        } else {
            metrics::LOCK_RENEWALS_FAILED.add(1);
        }
        event::renewed(kept.tenure.entry(), renewed);
    }

    fn lose(&self, tenure: &Tenure, loss: Loss, reaper: &Reaper) {
        let mut held = self.held.lock();
        match loss {
            Loss::Expired => held.stats.expired += 1,
            Loss::Removed => held.stats.removed += 1,
        }
        drop(held);
        #[cfg(feature = "metrics")]
        {
            metrics::LOCK_HELD.down();
            match loss {
                Loss::Expired => metrics::LOCK_EXPIRED.add(1),
                Loss::Removed => metrics::LOCK_REMOVED.add(1),
            }
        }
        event::lost(tenure.entry(), loss);
        tenure.lose(loss);
        if loss == Loss::Expired {
            reaper.remove(tenure.entry().clone(), tenure.lease().ttl());
        }
    }
}

/// Lets another task be begun when this one ends, be it that its runtime does.
struct Running(Arc<Renewal>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

/// Renews a batch, that of the shortest TTL first. A call that takes longer than a quarter of that
/// is given up, so that there is time for another.
fn renew(backend: Arc<dyn LockBackend>, batch: Vec<Kept>) -> BoxFuture<'static, Answer> {
    Box::pin(async move {
        let entries = batch.iter().map(|kept| kept.tenure.entry().clone());
        let entries: Vec<Entry> = entries.collect();
        let shortest = batch.first().map(|kept| kept.tenure.lease().ttl());
        let limit = shortest.unwrap_or_default() / 4;
        let answers = timeout(limit.min(CALL_TIME_MAX), backend.renew(&entries)).await;
        let answers = answers.unwrap_or_default().into_iter().map(Result::ok);
        // A store that answers for fewer has not answered for the others.
        let answers = answers.chain(std::iter::repeat(None));
        let answers = answers.take(batch.len()).collect();
        (batch, answers)
    })
}
