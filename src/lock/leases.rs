//! The leases that a handle holds: which to renew, and which are lost, at what time.
//!
//! Pure: the time is an argument.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use super::lease::Lease;
use super::tenure::Tenure;

/// Renewals due within this time go in one batch.
const COALESCE: Duration = Duration::from_millis(2);

/// What may be noted of leases that are gone, however few there are.
const LOOKS_MIN: usize = 64;

/// Room for so many leases is kept though there are none.
const CAPACITY_KEPT: usize = 1024;

/// Leases in care.
#[derive(Default)]
pub(super) struct Leases {
    slots: Slab<Slot>,
    /// When to look at which slot. What is not a slot's `look` any more is passed over.
    looks: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Renewals that are due, and have had no room.
    overdue: VecDeque<Kept>,
    /// When whoever watches looks next, if there is such a time.
    wake_at: Option<Instant>,
}

struct Slot {
    tenure: Arc<Tenure>,
    renewal: Next,
    deadline: Instant,
    look: Instant,
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
#[derive(Default)]
pub(super) struct Due {
    pub(super) lost: Vec<Arc<Tenure>>,
    pub(super) renewals: Vec<Kept>,
    /// When to look again.
    pub(super) wake_at: Option<Instant>,
}

/// What a look at a slot finds.
enum Look {
    Nothing,
    Again,
    Lost(Arc<Tenure>),
    Renew(Kept),
}

impl Leases {
    /// Takes a lease into care. Says whether whoever watches has to look sooner than it knows.
    pub(super) fn keep(&mut self, tenure: Tenure, lease: Lease, renews: bool) -> (Kept, bool) {
        let renewal = if renews {
            Next::At(lease.renew_at(tenure.spread()))
        } else {
            Next::Never
        };
        let slot = Slot::new(Arc::new(tenure), renewal, lease.deadline());
        let (tenure, look) = (Arc::clone(&slot.tenure), slot.look);
        let key = self.slots.insert(slot);
        self.look_at(look, key);
        let sooner = self.wake_at.is_none_or(|at| look < at);
        if sooner {
            self.wake_at = Some(look);
        }
        (Kept { tenure, key }, sooner)
    }

    /// Leaves a lease to itself. Says its deadline, if it was in care.
    pub(super) fn remove(&mut self, kept: &Kept) -> Option<Instant> {
        let deadline = self.slot(kept)?.deadline;
        self.slots.remove(kept.key);
        self.shrink();
        Some(deadline)
    }

    /// Takes note of a renewal that has come back.
    pub(super) fn renew_again(&mut self, kept: &Kept, at: Instant, deadline: Instant) {
        if let Some(slot) = self.slot(kept) {
            *slot = Slot::new(Arc::clone(&kept.tenure), Next::At(at), deadline);
            let look = slot.look;
            self.look_at(look, kept.key);
        }
    }

    /// Finds the leases that are lost, which are in care no more, and up to `room` of those that
    /// are to be renewed, shorter TTLs first. O(what is due × log leases).
    pub(super) fn due(&mut self, now: Instant, room: usize) -> Due {
        let mut due = Due::default();
        let mut again = Vec::new();
        while let Some((at, key)) = self.next_look(now + COALESCE) {
            match self.look(at, key, now) {
                Look::Nothing => {}
                Look::Again => again.push(Reverse((at, key))),
                Look::Lost(tenure) => due.lost.push(tenure),
                Look::Renew(kept) => self.overdue.push_back(kept),
            }
        }
        self.looks.extend(again);
        while due.renewals.len() < room {
            let Some(kept) = self.overdue.pop_front() else {
                break;
            };
            if self.slot(&kept).is_some() {
                due.renewals.push(kept);
            }
        }
        due.renewals.sort_by_key(|kept| kept.tenure.lease().ttl());
        due.wake_at = self.looks.peek().map(|Reverse((at, _))| *at);
        self.wake_at = due.wake_at;
        self.shrink();
        due
    }

    /// Forgets that renewals are under way: their task has ended.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        for (_, slot) in &mut self.slots {
            if matches!(slot.renewal, Next::UnderWay) {
                *slot = Slot::new(Arc::clone(&slot.tenure), Next::At(now), slot.deadline);
            }
        }
        self.overdue.clear();
        self.note_anew();
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Notes when to look at a slot. Amortised O(log leases): what was noted of leases that are
    /// gone goes as soon as it is the greater part.
    fn look_at(&mut self, at: Instant, key: usize) {
        self.looks.push(Reverse((at, key)));
        if self.looks.len() > 2 * self.slots.len() + LOOKS_MIN {
            self.note_anew();
        }
    }

    fn note_anew(&mut self) {
        let looks = self.slots.iter().map(|(key, slot)| (slot.look, key));
        self.looks = looks.map(Reverse).collect();
    }

    /// The next slot to look at, if it is time.
    fn next_look(&mut self, by: Instant) -> Option<(Instant, usize)> {
        let Reverse((at, _)) = self.looks.peek()?;
        if *at > by {
            return None;
        }
        self.looks.pop().map(|Reverse(look)| look)
    }

    /// Looks at a slot, as was noted for this time. One that is to be renewed is looked at again
    /// at its deadline.
    fn look(&mut self, at: Instant, key: usize, now: Instant) -> Look {
        let slot = self.slots.get_mut(key);
        let Some(slot) = slot.filter(|slot| slot.look == at) else {
            return Look::Nothing;
        };
        if slot.deadline <= now {
            return Look::Lost(self.slots.remove(key).tenure);
        }
        match slot.renewal {
            Next::At(_) => {
                let tenure = Arc::clone(&slot.tenure);
                *slot = Slot::new(Arc::clone(&tenure), Next::UnderWay, slot.deadline);
                let look = slot.look;
                self.look_at(look, key);
                Look::Renew(Kept { tenure, key })
            }
            Next::UnderWay | Next::Never => Look::Again,
        }
    }

    /// Where it is kept. A lease that was lost or let go is kept no more, and its place may be
    /// another's.
    fn slot(&mut self, kept: &Kept) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(kept.key)?;
        Arc::ptr_eq(&slot.tenure, &kept.tenure).then_some(slot)
    }

    /// Gives back the memory of a peak that is over.
    fn shrink(&mut self) {
        if self.slots.is_empty() && self.slots.capacity() > CAPACITY_KEPT {
            self.slots = Slab::new();
            self.looks = BinaryHeap::new();
        }
    }
}

impl Slot {
    fn new(tenure: Arc<Tenure>, renewal: Next, deadline: Instant) -> Self {
        let look = match renewal {
            Next::At(at) => at.min(deadline),
            Next::UnderWay | Next::Never => deadline,
        };
        Self {
            tenure,
            renewal,
            deadline,
            look,
        }
    }
}
