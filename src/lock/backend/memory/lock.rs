//! One lock: who holds and who waits, as a value that steps change.
//!
//! Pure: the time and the tokens are arguments; only waiters are told, through their `Notify`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lock::backend::{
    Claimed, Enqueued, Grant, Held, Inspection, Metadata, Queued, Renewed, Request, Standing,
};
use crate::lock::fence::{FencePass, FencingToken};
use crate::lock::lease::TTL_MAX;
use crate::lock::name::HolderId;
use crate::lock::queue::{Mode, Verdict, Waiter, judge};

#[derive(Debug, Default)]
pub(super) struct Lock {
    /// In the order of their grants.
    holders: Vec<Holding>,
    /// In the order of the queue.
    waiters: Vec<Waiting>,
    arrivals: u64,
}

#[derive(Debug)]
struct Holding {
    holder: HolderId,
    mode: Mode,
    pass: FencePass,
    ttl: Duration,
    expires: Instant,
    metadata: Metadata,
}

#[derive(Debug)]
struct Waiting {
    waiter: Waiter,
    ttl: Duration,
    expires: Instant,
    metadata: Metadata,
    changed: Arc<Notify>,
}

impl Lock {
    pub(super) fn expire(&mut self, now: Instant) {
        self.holders.retain(|holding| holding.expires > now);
        self.waiters.retain(|waiting| {
            let lives = waiting.expires > now;
            if !lives {
                // Whoever waits for news of it learns that it is gone.
                waiting.changed.notify_one();
            }
            lives
        });
    }

    /// Tells every waiter that may hold now.
    pub(super) fn tell(&self) {
        for waiting in &self.waiters {
            if self.judge(&waiting.waiter) == Verdict::Admit {
                waiting.changed.notify_one();
            }
        }
    }

    fn judge(&self, candidate: &Waiter) -> Verdict {
        let holders = self.holders.iter().map(|holding| holding.mode);
        judge(
            candidate,
            holders,
            self.waiters.iter().map(|waiting| waiting.waiter),
        )
    }

    fn standing(&self, now: Instant) -> Standing {
        let holders = self.holders.iter().map(|holding| holding.expires);
        let waiters = self.waiters.iter().map(|waiting| waiting.expires);
        let soonest = holders.chain(waiters).min().unwrap_or(now);
        Standing {
            recheck: soonest.saturating_duration_since(now),
        }
    }

    fn grant(&self, holder: HolderId) -> Option<Grant> {
        let holding = self
            .holders
            .iter()
            .find(|holding| holding.holder == holder)?;
        Some(Grant {
            pass: holding.pass,
            ttl: holding.ttl,
        })
    }

    fn hold(&mut self, waiting: Waiting, token: FencingToken, now: Instant) -> Grant {
        let tokens = self.holders.iter().map(|holding| holding.pass.token());
        let pass = FencePass::new(token, tokens.min().unwrap_or(token));
        let Waiting {
            waiter,
            ttl,
            metadata,
            ..
        } = waiting;
        let Waiter { holder, mode, .. } = waiter;
        self.holders.push(Holding {
            holder,
            mode,
            pass,
            ttl,
            expires: now + ttl,
            metadata,
        });
        Grant { pass, ttl }
    }

    fn remove_waiter(&mut self, holder: HolderId) -> Option<Waiting> {
        let mut waiters = self.waiters.iter();
        let at = waiters.position(|waiting| waiting.waiter.holder == holder)?;
        Some(self.waiters.remove(at))
    }

    fn remove_holder(&mut self, goes: impl Fn(&Holding) -> bool) -> bool {
        let before = self.holders.len();
        self.holders.retain(|holding| !goes(holding));
        self.holders.len() < before
    }

    pub(super) fn is_idle(&self) -> bool {
        self.holders.is_empty() && self.waiters.is_empty()
    }

    pub(super) fn release(&mut self, holder: HolderId) -> bool {
        self.remove_holder(|holding| holding.holder == holder)
    }

    pub(super) fn force_release(&mut self, token: FencingToken) -> bool {
        self.remove_holder(|holding| holding.pass.token() == token)
    }

    pub(super) fn leave(&mut self, holder: HolderId) {
        if let Some(waiting) = self.remove_waiter(holder) {
            // Whoever waits for news of it learns that it is gone.
            waiting.changed.notify_one();
        }
        self.release(holder);
    }

    /// What a waiter is told by.
    pub(super) fn changed(&self, holder: HolderId) -> Option<Arc<Notify>> {
        let mut waiters = self.waiters.iter();
        let waiting = waiters.find(|waiting| waiting.waiter.holder == holder)?;
        Some(Arc::clone(&waiting.changed))
    }

    pub(super) fn enqueue(
        &mut self,
        request: &Request,
        token: impl FnOnce() -> FencingToken,
        now: Instant,
    ) -> Enqueued {
        let Request {
            entry,
            mode,
            metadata,
            ..
        } = request;
        match self.claim(entry.holder, now, || None) {
            Claimed::Granted(grant) => return Enqueued::Granted(grant),
            Claimed::Waiting(standing) => return Enqueued::Waiting(standing),
            Claimed::Gone => {}
        }
        // An instant that far away can be reckoned with.
        let ttl = entry.ttl.min(TTL_MAX);
        self.arrivals += 1;
        // One that will not wait goes behind everybody.
        let priority = if request.waits { request.priority } else { 0 };
        let waiter = Waiter {
            holder: entry.holder,
            mode: *mode,
            priority,
            arrival: self.arrivals,
        };
        let verdict = self.judge(&waiter);
        let waiting = Waiting {
            waiter,
            ttl,
            expires: now + ttl,
            metadata: metadata.clone(),
            changed: Arc::default(),
        };
        match verdict {
            Verdict::Admit => Enqueued::Granted(self.hold(waiting, token(), now)),
            Verdict::Foreign(family) => Enqueued::Foreign(family),
            Verdict::Wait if !request.waits => Enqueued::Held(self.standing(now)),
            Verdict::Wait => {
                let standing = self.standing(now);
                let behind = |other: &Waiting| other.waiter.order() < waiter.order();
                let at = self.waiters.partition_point(behind);
                self.waiters.insert(at, waiting);
                Enqueued::Waiting(standing)
            }
        }
    }

    /// Grants a waiter if it may hold, where `token` gives one.
    pub(super) fn claim(
        &mut self,
        holder: HolderId,
        now: Instant,
        token: impl FnOnce() -> Option<FencingToken>,
    ) -> Claimed {
        if let Some(grant) = self.grant(holder) {
            return Claimed::Granted(grant);
        }
        let mut waiters = self.waiters.iter().map(|waiting| waiting.waiter);
        let Some(waiter) = waiters.find(|waiter| waiter.holder == holder) else {
            return Claimed::Gone;
        };
        let token = if self.judge(&waiter) == Verdict::Admit {
            token()
        } else {
            None
        };
        match token.and_then(|token| Some((token, self.remove_waiter(holder)?))) {
            Some((token, waiting)) => Claimed::Granted(self.hold(waiting, token, now)),
            None => Claimed::Waiting(self.standing(now)),
        }
    }

    pub(super) fn renew(&mut self, holder: HolderId, now: Instant) -> Renewed {
        let holdings = self
            .holders
            .iter_mut()
            .map(|holding| (holding.holder, holding.ttl, &mut holding.expires));
        let waitings = self.waiters.iter_mut();
        let waitings =
            waitings.map(|waiting| (waiting.waiter.holder, waiting.ttl, &mut waiting.expires));
        match holdings
            .chain(waitings)
            .find(|(other, ..)| *other == holder)
        {
            Some((_, ttl, expires)) => {
                *expires = now + ttl;
                Renewed::Alive { ttl }
            }
            None => Renewed::Gone,
        }
    }

    pub(super) fn inspect(&self, now: Instant) -> Inspection {
        let holders = self.holders.iter().map(|holding| Held {
            holder: holding.holder,
            mode: holding.mode,
            pass: holding.pass,
            remaining: holding.expires.saturating_duration_since(now),
            metadata: holding.metadata.clone(),
        });
        let waiters = self.waiters.iter().map(|waiting| Queued {
            waiter: waiting.waiter,
            remaining: waiting.expires.saturating_duration_since(now),
            metadata: waiting.metadata.clone(),
        });
        Inspection {
            holders: holders.collect(),
            waiters: waiters.collect(),
        }
    }
}
