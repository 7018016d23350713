//! What a store is to answer: one lock, with nothing to decide but what `judge` says.

use crate::conformance::{Outcome, ensure};
use crate::lock::backend::{Claimed, Enqueued, Inspection};
use crate::lock::fence::{FencePass, FencingToken};
use crate::lock::name::HolderId;
use crate::lock::queue::{Mode, Verdict, Waiter, judge};

use super::party::Party;

#[derive(Default)]
pub(super) struct Model {
    holders: Vec<(HolderId, Mode, FencePass)>,
    /// In the order of the queue.
    waiters: Vec<Waiter>,
    arrivals: u64,
    last: Option<FencingToken>,
}

impl Model {
    pub(super) fn holds(&self, party: &Party) -> Option<FencePass> {
        let mut holders = self.holders.iter();
        let found = holders.find(|(holder, ..)| *holder == party.holder());
        found.map(|(_, _, pass)| *pass)
    }

    pub(super) fn waits(&self, party: &Party) -> Option<Waiter> {
        let mut waiters = self.waiters.iter();
        let found = waiters.find(|waiter| waiter.holder() == party.holder());
        found.copied()
    }

    fn judge(&self, waiter: &Waiter, waits: bool) -> Verdict {
        let holders = self.holders.iter().map(|(_, mode, _)| *mode);
        judge(waiter, waits, holders, self.waiters.iter().copied())
    }

    /// One that is not there enqueued, and this was answered.
    pub(super) fn enqueued(&mut self, party: &Party, answer: Enqueued) -> Outcome {
        self.arrivals += 1;
        let request = party.request();
        let (mode, priority) = (request.mode(), request.priority());
        let waiter = Waiter::new(party.holder(), mode, priority, self.arrivals);
        match (self.judge(&waiter, request.waits()), answer) {
            (Verdict::Admit, Enqueued::Granted(grant)) => self.hold(&waiter, grant.pass()),
            (Verdict::Wait, Enqueued::Waiting(_)) if request.waits() => {
                self.waiters.push(waiter);
                self.waiters.sort_by_key(Waiter::order);
                Ok(())
            }
            (Verdict::Wait, Enqueued::Held) if !request.waits() => Ok(()),
            (verdict, answer) => self.differs(verdict, answer),
        }
    }

    /// One that waits claimed or enqueued again, and this was answered.
    pub(super) fn claimed(&mut self, waiter: &Waiter, answer: Claimed) -> Outcome {
        match (self.judge(waiter, true), answer) {
            (Verdict::Admit, Claimed::Granted(grant)) => {
                self.ended(waiter.holder());
                self.hold(waiter, grant.pass())
            }
            (Verdict::Wait, Claimed::Waiting(_)) => Ok(()),
            (verdict, answer) => self.differs(verdict, answer),
        }
    }

    fn differs(&self, verdict: Verdict, answer: impl std::fmt::Debug) -> Outcome {
        let (holders, waiters) = (&self.holders, &self.waiters);
        ensure!(
            false,
            "judge says {verdict:?}, the store {answer:?}, with {holders:?} and {waiters:?}"
        );
        Ok(())
    }

    fn hold(&mut self, waiter: &Waiter, pass: FencePass) -> Outcome {
        let token = Some(pass.token());
        ensure!(token > self.last, "{token:?} follows {:?}", self.last);
        self.last = token;
        self.holders.push((waiter.holder(), waiter.mode(), pass));
        let lowest = self.holders.iter().map(|(_, _, pass)| pass.token()).min();
        ensure!(
            Some(pass.floor()) == lowest,
            "{lowest:?} holds, beside {pass:?}"
        );
        Ok(())
    }

    /// One's entry ended.
    pub(super) fn ended(&mut self, id: HolderId) {
        self.holders.retain(|(holder, ..)| *holder != id);
        self.waiters.retain(|waiter| waiter.holder() != id);
    }

    /// The lock was seen like this.
    pub(super) fn seen(&self, seen: &Inspection) -> Outcome {
        let held = seen
            .holders()
            .iter()
            .map(|h| (h.holder(), h.mode(), h.pass()));
        ensure!(
            held.eq(self.holders.iter().copied()),
            "the holders {:?} are seen as {seen:?}",
            self.holders
        );
        let order = |waiter: Waiter| (waiter.holder(), waiter.mode(), waiter.order().0);
        let queued = seen.waiters().iter().map(|queued| order(queued.waiter()));
        ensure!(
            queued.eq(self.waiters.iter().copied().map(order)),
            "the waiters {:?} are seen as {seen:?}",
            self.waiters
        );
        Ok(())
    }
}
