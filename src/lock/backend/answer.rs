//! What a store answers.

use std::time::Duration;

use crate::lock::fence::FencePass;
use crate::lock::lease::{Lease, TTL_MAX};
use crate::lock::queue::Family;

/// Held from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pass: FencePass,
    lease: Lease,
}

impl Grant {
    /// A grant with this token and floor, and the lease in force.
    #[must_use]
    pub fn new(pass: FencePass, lease: Lease) -> Self {
        Self { pass, lease }
    }

    /// What to show to the resource.
    #[must_use]
    pub fn pass(&self) -> FencePass {
        self.pass
    }

    /// The lease in force.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.lease
    }
}

/// In the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    lease: Lease,
    recheck: Duration,
}

impl Standing {
    /// A place in the queue, with the lease of the waiter's own entry. `recheck` is raised to a
    /// millisecond, so that nobody looks without pause, and lowered to [`TTL_MAX`].
    #[must_use]
    pub fn new(lease: Lease, recheck: Duration) -> Self {
        Self {
            lease,
            recheck: recheck.clamp(Duration::from_millis(1), TTL_MAX),
        }
    }

    /// The lease of the waiter's own entry.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.lease
    }

    /// After what time to look again even if nothing was heard: when the first of the leases may
    /// be over that stand in the way, holders' and those of waiters ahead. An upper bound.
    #[must_use]
    pub fn recheck(&self) -> Duration {
        self.recheck
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a grant that nobody knows of blocks others"]
pub enum Enqueued {
    /// It holds.
    Granted(Grant),
    /// It is in the queue.
    Waiting(Standing),
    /// It would have had to wait, and does not. Nothing is left of it.
    Held,
    /// The name is used as something else. Nothing is left of it.
    Foreign(Family),
}

/// What became of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a grant that nobody knows of blocks others"]
pub enum Claimed {
    /// It holds.
    Granted(Grant),
    /// It still waits.
    Waiting(Standing),
    /// The name turned out to be used as something else, where the store could not tell by
    /// `enqueue`. Nothing is left of it.
    Foreign(Family),
    /// There is no such entry: its lease was over, or it was removed.
    Gone,
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an entry that is gone must not be believed in"]
pub enum Renewed {
    /// It lives, by this lease.
    Alive(Lease),
    /// There is no such entry.
    Gone,
}
