//! One lock: who holds and who waits, as a value that steps change.
//!
//! Pure: the time and the tokens are arguments; only waiters are told, through their `Notify`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use crate::lock::backend::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Grant, Held, Inspection, Metadata, Queued,
    Renewed, Request, Standing, Verb,
};
use crate::lock::fence::{FencePass, FencingToken};
use crate::lock::lease::Lease;
use crate::lock::name::HolderId;
use crate::lock::queue::{Mode, Verdict, Waiter, heirs, judge};

#[derive(Debug, Default)]
pub(super) struct Lock {
    /// In the order of their grants.
    holders: Vec<Holding>,
    /// In the order of the queue.
    waiters: VecDeque<Waiting>,
    arrivals: u64,
    /// Whether a step has let go of something that waiters may hold now.
    freed: bool,
}

#[derive(Debug)]
struct Holding {
    holder: HolderId,
    mode: Mode,
    pass: FencePass,
    term: Term,
    metadata: Metadata,
}

#[derive(Debug)]
struct Waiting {
    waiter: Waiter,
    term: Term,
    metadata: Metadata,
    changed: Arc<Notify>,
}

/// The lease of an entry.
#[derive(Clone, Copy, Debug)]
struct Term {
    began: Instant,
    ttl: Duration,
}

impl Term {
    fn expires(self) -> Instant {
        self.began + self.ttl
    }

    fn lease(self) -> Lease {
        Lease::new(self.began, self.ttl)
    }

    fn renew(&mut self, now: Instant) -> Lease {
        self.began = now;
        self.lease()
    }

    fn remaining(self, now: Instant) -> Duration {
        self.expires().saturating_duration_since(now)
    }
}

impl Lock {
    /// Takes a step on the lock as it is now, and tells the waiters that may hold after it.
    pub(super) fn step<R>(
        &mut self,
        now: Instant,
        step: impl FnOnce(&mut Self, Instant) -> R,
    ) -> R {
        self.expire(now);
        let answer = step(self, now);
        if std::mem::take(&mut self.freed) && !self.waiters.is_empty() {
            let heirs = heirs(&self.modes(), self.waiters.iter().map(|w| w.waiter));
            for waiting in self.waiters.iter().take(heirs) {
                waiting.changed.notify_waiters();
            }
        }
        answer
    }

    pub(super) fn is_idle(&self) -> bool {
        self.holders.is_empty() && self.waiters.is_empty()
    }

    pub(super) fn enqueue(
        &mut self,
        request: &Request,
        token: impl FnOnce() -> FencingToken,
        now: Instant,
    ) -> Result<Enqueued, BackendError> {
        let holder = request.entry().holder();
        if let Some(mode) = self.mode(holder) {
            if mode != request.mode() {
                return Err(BackendError::new(BackendErrorKind::Rejected, Verb::Enqueue)
                    .with_source("the id has an entry in another mode"));
            }
            return Ok(match self.claim(holder, token, now) {
                Claimed::Granted(grant) => Enqueued::Granted(grant),
                Claimed::Waiting(standing) => Enqueued::Waiting(standing),
                Claimed::Foreign(family) => Enqueued::Foreign(family),
                Claimed::Gone => Enqueued::Held,
            });
        }
        self.arrivals += 1;
        let waiter = Waiter::new(holder, request.mode(), request.priority(), self.arrivals);
        let term = Term {
            began: now,
            ttl: request.ttl(),
        };
        let metadata = request.metadata().clone();
        Ok(match self.judge(&waiter, request.waits()) {
            Verdict::Admit => Enqueued::Granted(self.hold(&waiter, term, metadata, token())),
            Verdict::Foreign(family) => Enqueued::Foreign(family),
            Verdict::Wait if !request.waits() => Enqueued::Held,
            Verdict::Wait => {
                let ahead = |other: &Waiting| other.waiter.order() < waiter.order();
                let at = self.waiters.partition_point(ahead);
                let waiting = Waiting {
                    waiter,
                    term,
                    metadata,
                    changed: Arc::default(),
                };
                self.waiters.insert(at, waiting);
                Enqueued::Waiting(self.standing(at, term, now))
            }
        })
    }

    pub(super) fn claim(
        &mut self,
        holder: HolderId,
        token: impl FnOnce() -> FencingToken,
        now: Instant,
    ) -> Claimed {
        let mut holders = self.holders.iter_mut();
        if let Some(holding) = holders.find(|holding| holding.holder == holder) {
            return Claimed::Granted(Grant::new(holding.pass, holding.term.renew(now)));
        }
        let mut waiters = self.waiters.iter_mut().enumerate();
        let Some((at, waiting)) = waiters.find(|(_, w)| w.waiter.holder() == holder) else {
            return Claimed::Gone;
        };
        waiting.term.renew(now);
        let (waiter, term) = (waiting.waiter, waiting.term);
        match self.judge(&waiter, true) {
            Verdict::Admit => match self.waiters.remove(at) {
                Some(waiting) => {
                    // The next in line for permits may fit too.
                    self.freed |= matches!(waiter.mode(), Mode::Permits(_));
                    waiting.changed.notify_waiters();
                    Claimed::Granted(self.hold(&waiter, term, waiting.metadata, token()))
                }
                None => Claimed::Gone,
            },
            Verdict::Wait | Verdict::Foreign(_) => Claimed::Waiting(self.standing(at, term, now)),
        }
    }

    pub(super) fn renew(&mut self, holder: HolderId, now: Instant) -> Renewed {
        match self.term(holder) {
            Some(term) => Renewed::Alive(term.renew(now)),
            None => Renewed::Gone,
        }
    }

    pub(super) fn release(&mut self, holder: HolderId) -> bool {
        self.end(|holding| holding.holder == holder)
    }

    pub(super) fn force_release(&mut self, token: FencingToken) -> bool {
        self.end(|holding| holding.pass.token() == token)
    }

    pub(super) fn leave(&mut self, holder: HolderId) {
        self.withdraw(|waiting| waiting.waiter.holder() == holder);
        self.release(holder);
    }

    /// What tells a waiter of a change from now on, unless it need not wait for one.
    pub(super) fn changed(&self, holder: HolderId) -> Option<OwnedNotified> {
        let mut waiters = self.waiters.iter();
        let waiting = waiters.find(|waiting| waiting.waiter.holder() == holder)?;
        let waits = self.judge(&waiting.waiter, true) == Verdict::Wait;
        waits.then(|| Arc::clone(&waiting.changed).notified_owned())
    }

    pub(super) fn inspect(&self, now: Instant) -> Inspection {
        let holders = self.holders.iter().map(|holding| {
            let Holding {
                holder,
                mode,
                pass,
                term,
                ref metadata,
            } = *holding;
            Held::new(holder, mode, pass, term.remaining(now), metadata.clone())
        });
        let waiters = self.waiters.iter().map(|waiting| {
            let remaining = waiting.term.remaining(now);
            Queued::new(waiting.waiter, remaining, waiting.metadata.clone())
        });
        Inspection::new(holders.collect(), waiters.collect())
    }

    fn expire(&mut self, now: Instant) {
        self.end(|holding| holding.term.expires() <= now);
        self.withdraw(|waiting| waiting.term.expires() <= now);
    }

    /// Ends the holders of which `ends` says so, and answers whether there were any.
    fn end(&mut self, ends: impl Fn(&Holding) -> bool) -> bool {
        let before = self.holders.len();
        self.holders.retain(|holding| !ends(holding));
        let ended = self.holders.len() < before;
        self.freed |= ended;
        ended
    }

    /// Removes the waiters of which `goes` says so, and tells them.
    fn withdraw(&mut self, goes: impl Fn(&Waiting) -> bool) {
        let before = self.waiters.len();
        self.waiters.retain(|waiting| {
            let goes = goes(waiting);
            if goes {
                waiting.changed.notify_waiters();
            }
            !goes
        });
        self.freed |= self.waiters.len() < before;
    }

    fn hold(
        &mut self,
        waiter: &Waiter,
        term: Term,
        metadata: Metadata,
        token: FencingToken,
    ) -> Grant {
        // Tokens rise with the grants, so the lowest is the first.
        let floor = self.holders.first();
        let floor = floor.map_or(token, |holding| holding.pass.token());
        let pass = FencePass::shared(token, floor).unwrap_or(FencePass::exclusive(token));
        self.holders.push(Holding {
            holder: waiter.holder(),
            mode: waiter.mode(),
            pass,
            term,
            metadata,
        });
        Grant::new(pass, term.lease())
    }

    fn modes(&self) -> impl Iterator<Item = Mode> + Clone {
        self.holders.iter().map(|holding| holding.mode)
    }

    fn judge(&self, candidate: &Waiter, waits: bool) -> Verdict {
        let waiters = self.waiters.iter().map(|waiting| waiting.waiter);
        judge(candidate, waits, self.modes(), waiters)
    }

    /// A place in the queue with so many ahead.
    fn standing(&self, ahead: usize, term: Term, now: Instant) -> Standing {
        let holders = self.holders.iter().map(|holding| holding.term);
        let waiters = self.waiters.iter().take(ahead).map(|w| w.term);
        let first = holders.chain(waiters).map(Term::expires).min();
        let recheck = first.map_or(term.ttl, |first| first.saturating_duration_since(now));
        Standing::new(term.lease(), recheck)
    }

    fn mode(&self, holder: HolderId) -> Option<Mode> {
        let waiters = self.waiters.iter();
        let mut waiting = waiters.map(|waiting| (waiting.waiter.holder(), waiting.waiter.mode()));
        let mut holding = self.holders.iter().map(|held| (held.holder, held.mode));
        let found = holding.find(|(other, _)| *other == holder);
        let found = found.or_else(|| waiting.find(|(other, _)| *other == holder));
        found.map(|(_, mode)| mode)
    }

    fn term(&mut self, holder: HolderId) -> Option<&mut Term> {
        let mut holders = self.holders.iter_mut();
        if let Some(holding) = holders.find(|holding| holding.holder == holder) {
            return Some(&mut holding.term);
        }
        let mut waiters = self.waiters.iter_mut();
        let waiting = waiters.find(|waiting| waiting.waiter.holder() == holder)?;
        Some(&mut waiting.term)
    }
}
