//! A lock as an operator sees it.

use std::time::Duration;

use crate::lock::fence::FencePass;
use crate::lock::name::HolderId;
use crate::lock::queue::{Mode, Waiter};

use super::metadata::Metadata;

/// A lock at one instant.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    holders: Vec<Held>,
    waiters: Vec<Queued>,
}

impl Inspection {
    /// A lock with these holders and waiters, in any order.
    #[must_use]
    pub fn new(mut holders: Vec<Held>, mut waiters: Vec<Queued>) -> Self {
        holders.sort_by_key(|held| held.pass.token());
        waiters.sort_by_key(|queued| queued.waiter.order());
        Self { holders, waiters }
    }

    /// Who holds, in the order of their grants.
    #[must_use]
    pub fn holders(&self) -> &[Held] {
        &self.holders
    }

    /// Who waits, the next one first.
    #[must_use]
    pub fn waiters(&self) -> &[Queued] {
        &self.waiters
    }
}

/// A holder.
#[derive(Clone, Debug)]
pub struct Held {
    holder: HolderId,
    mode: Mode,
    pass: FencePass,
    remaining: Duration,
    metadata: Metadata,
}

impl Held {
    /// A holder, with its grant, and how long its lease lives without renewal: an upper bound.
    #[must_use]
    pub fn new(
        holder: HolderId,
        mode: Mode,
        pass: FencePass,
        remaining: Duration,
        metadata: Metadata,
    ) -> Self {
        Self {
            holder,
            mode,
            pass,
            remaining,
            metadata,
        }
    }

    /// Who.
    #[must_use]
    pub fn holder(&self) -> HolderId {
        self.holder
    }

    /// How.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The grant's token and floor.
    #[must_use]
    pub fn pass(&self) -> FencePass {
        self.pass
    }

    /// How long its lease lives without renewal: an upper bound.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.remaining
    }

    /// What it said of itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// A waiter.
#[derive(Clone, Debug)]
pub struct Queued {
    waiter: Waiter,
    remaining: Duration,
    metadata: Metadata,
}

impl Queued {
    /// A waiter, and how long its lease lives without renewal: an upper bound.
    #[must_use]
    pub fn new(waiter: Waiter, remaining: Duration, metadata: Metadata) -> Self {
        Self {
            waiter,
            remaining,
            metadata,
        }
    }

    /// Who, how, and where in the queue.
    #[must_use]
    pub fn waiter(&self) -> Waiter {
        self.waiter
    }

    /// How long its lease lives without renewal: an upper bound.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.remaining
    }

    /// What it said of itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
