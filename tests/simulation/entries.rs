//! Who has an entry: the rule of the queue and of leases once more, written for this purpose and
//! without the crate's own `judge`.

use std::time::Duration;

use tokio::time::Instant;
use tripod::lock::{FencePass, Mode, Permits};

use crate::trace::Who;

/// A holder or a waiter.
#[derive(Clone, Copy)]
pub struct Entry {
    pub who: Who,
    pub mode: Mode,
    pub priority: u8,
    /// The place in the trace.
    pub arrival: usize,
    pub ttl: Duration,
    pub expires: Instant,
    pub holds: Option<FencePass>,
}

/// The entries of each name.
#[derive(Default)]
pub struct Entries([Vec<Entry>; 3]);

/// What is right for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Granted,
    Blocked,
    Foreign,
}

impl Entries {
    pub fn find(&self, name: usize, who: Who) -> Option<Entry> {
        self.0[name].iter().find(|entry| entry.who == who).copied()
    }

    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().flatten()
    }

    /// The passes of those who hold.
    pub fn passes(&self, name: usize) -> impl Iterator<Item = FencePass> {
        self.0[name].iter().filter_map(|entry| entry.holds)
    }

    /// In the place of the one that there is, if there is one.
    pub fn put(&mut self, name: usize, entry: Entry) {
        self.remove(name, |other| other.who == entry.who);
        self.0[name].push(entry);
    }

    pub fn remove(&mut self, name: usize, which: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let all = &mut self.0[name];
        let place = all.iter().position(which)?;
        Some(all.remove(place))
    }

    /// Whether this one is to be granted: it holds already, or nobody holds against it or stands
    /// ahead of it.
    pub fn verdict(&self, name: usize, entry: &Entry, waits: bool) -> Verdict {
        if entry.holds.is_some() {
            return Verdict::Granted;
        }
        let others = || self.0[name].iter().filter(|it| it.who != entry.who);
        if others().any(|it| permits(it.mode).is_some() != permits(entry.mode).is_some()) {
            return Verdict::Foreign;
        }
        let waiters = || others().filter(|it| it.holds.is_none());
        if !waits && waiters().next().is_some() {
            return Verdict::Blocked;
        }
        let mut ahead = waiters().filter(|it| {
            it.priority > entry.priority
                || it.priority == entry.priority && it.arrival < entry.arrival
        });
        let holders = others().filter(|it| it.holds.is_some());
        let blocked = match permits(entry.mode) {
            Some(wanted) => {
                let taken = holders.filter_map(|it| permits(it.mode));
                let taken: u32 = taken.map(|it| it.n().get()).sum();
                taken + wanted.n().get() > wanted.of().get() || ahead.next().is_some()
            }
            None => ahead.chain(holders).any(|it| conflict(it.mode, entry.mode)),
        };
        if blocked {
            Verdict::Blocked
        } else {
            Verdict::Granted
        }
    }
}

/// Whether two may not hold together, permits aside, which are counted.
pub fn conflict(one: Mode, other: Mode) -> bool {
    matches!(one, Mode::Exclusive) || matches!(other, Mode::Exclusive)
}

/// How many permits of how many, if it is about permits.
pub fn permits(mode: Mode) -> Option<Permits> {
    match mode {
        Mode::Permits(permits) => Some(permits),
        Mode::Exclusive | Mode::Shared => None,
    }
}
