//! What is asked of a store.

use std::time::Duration;

use crate::lock::lease::{TTL_MAX, TTL_MIN};
use crate::lock::name::{HolderId, LockName};
use crate::lock::queue::Mode;

use super::metadata::Metadata;

/// What names an entry in a store: a lock, and who holds or waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    name: LockName,
    holder: HolderId,
}

impl Entry {
    /// The entry of this id under this name.
    #[must_use]
    pub fn new(name: LockName, holder: HolderId) -> Self {
        Self { name, holder }
    }

    /// The lock.
    #[must_use]
    pub fn name(&self) -> &LockName {
        &self.name
    }

    /// Who holds or waits.
    #[must_use]
    pub fn holder(&self) -> HolderId {
        self.holder
    }
}

/// A wish to hold. At first: exclusive, of priority 0, willing to wait, without metadata.
#[derive(Clone, Debug)]
pub struct Request {
    entry: Entry,
    ttl: Duration,
    mode: Mode,
    priority: u8,
    waits: bool,
    metadata: Metadata,
}

impl Request {
    /// A wish for this entry, with this TTL.
    ///
    /// # Errors
    /// [`TtlError`] for a TTL outside [`TTL_MIN`] to [`TTL_MAX`].
    pub fn new(entry: Entry, ttl: Duration) -> Result<Self, TtlError> {
        Ok(Self {
            entry,
            ttl: TtlError::check(ttl)?,
            mode: Mode::Exclusive,
            priority: 0,
            waits: true,
            metadata: Metadata::default(),
        })
    }

    /// To hold in this mode.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Larger goes first.
    #[must_use]
    pub fn with_priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// For whoever inspects the lock.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Never to enter the queue.
    #[must_use]
    pub fn without_waiting(mut self) -> Self {
        self.waits = false;
        self
    }

    /// The entry it is to become.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The TTL asked for.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// How to hold.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Larger goes first.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// Whether to wait where it may not hold at once.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// For whoever inspects the lock.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// A TTL outside [`TTL_MIN`] to [`TTL_MAX`]. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a TTL of {ttl:?} is not between {TTL_MIN:?} and {TTL_MAX:?}")]
pub struct TtlError {
    ttl: Duration,
}

impl TtlError {
    pub(in crate::lock) fn check(ttl: Duration) -> Result<Duration, Self> {
        if (TTL_MIN..=TTL_MAX).contains(&ttl) {
            Ok(ttl)
        } else {
            Err(Self { ttl })
        }
    }
}
