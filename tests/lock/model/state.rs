//! The state of a lock and its clients, and the steps between states.

use tripod::lock::{HolderId, Mode, Waiter};

#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(super) struct State {
    /// In the order of their grants.
    pub(super) holders: Vec<Mode>,
    /// In the queue's order.
    pub(super) waiters: Vec<Waiting>,
    /// The law that the rule's last answer broke. Nothing happens after that.
    pub(super) broken: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Hash)]
pub(super) struct Waiting {
    pub(super) mode: Mode,
    pub(super) priority: u8,
    pub(super) arrival: u64,
    /// Since it last claimed.
    pub(super) told: bool,
}

/// What a store does at once: it drops the entries whose leases are over, then takes a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Action {
    /// A bit for each entry, holders first.
    pub(super) lapsed: u32,
    pub(super) step: Option<Step>,
}

/// Who is given by the place among the waiters, or among the holders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// And waits if it has to.
    Enqueue(Waiting),
    /// And does not wait.
    Try(Waiting),
    /// Told or not.
    Claim(usize),
    Leave(usize),
    Release(usize),
    Force(usize),
}

impl Waiting {
    pub(super) fn waiter(&self) -> Waiter {
        let holder = HolderId::new(0, self.arrival);
        Waiter::new(holder, self.mode, self.priority, self.arrival)
    }

    /// Priority, then arrival: what [`Waiter::order`] must amount to.
    pub(super) fn is_ahead_of(&self, other: &Self) -> bool {
        let same = self.priority == other.priority;
        self.priority > other.priority || same && self.arrival < other.arrival
    }
}

impl State {
    pub(super) fn waiters(&self) -> Vec<Waiter> {
        self.waiters.iter().map(Waiting::waiter).collect()
    }

    pub(super) fn modes(&self) -> impl Iterator<Item = Mode> {
        let waiters = self.waiters.iter().map(|waiting| waiting.mode);
        self.holders.iter().copied().chain(waiters)
    }

    pub(super) fn without(&self, lapsed: u32) -> Self {
        let mut left = self.clone();
        let mut lives = (0..).map(|at| lapsed & 1 << at == 0);
        left.holders.retain(|_| lives.next() == Some(true));
        left.waiters.retain(|_| lives.next() == Some(true));
        left
    }

    pub(super) fn next_arrival(&self) -> u64 {
        let arrivals = self.waiters.iter().map(|waiting| waiting.arrival);
        arrivals.max().map_or(0, |last| last + 1)
    }

    pub(super) fn renumber(&mut self) {
        let arrivals: Vec<u64> = self.waiters.iter().map(|w| w.arrival).collect();
        for waiting in &mut self.waiters {
            let earlier = arrivals.iter().filter(|other| **other < waiting.arrival);
            waiting.arrival = earlier.count() as u64;
        }
    }

    /// At least as many as the fair steps that can follow: up to 2c(c + 1) + c with c clients. Each
    /// entry ends in a release, that of a waiter after its grant, and before each of these steps
    /// everybody may claim in vain.
    pub(super) fn work(&self) -> usize {
        let (holders, waiters) = (self.holders.len(), self.waiters.len());
        let told = self.waiters.iter().filter(|waiting| waiting.told).count();
        (holders + 2 * waiters) * (holders + waiters + 1) + told
    }

    /// What happens if nobody comes, dies or gives up, and nobody claims without being told.
    pub(super) fn fair_steps(&self) -> Vec<Step> {
        let told = |at: &usize| self.waiters[*at].told;
        let claims = (0..self.waiters.len()).filter(told).map(Step::Claim);
        let releases = (0..self.holders.len()).map(Step::Release);
        claims.chain(releases).collect()
    }
}
