//! Space that a log keeps for records to come.

use std::fmt;
use std::ptr;
use std::sync::Arc;

/// Who gave reservations out, and takes back what was not used: an implementor's part.
pub trait SpaceKeeper: fmt::Debug + Send + Sync {
    /// So many bytes, reserved before, are free again.
    fn give_back(&self, bytes: u64);
}

/// Space in a log, for records that must not fail for want of it. What is not used is given back
/// when this is dropped.
#[must_use = "the space is given back when this is dropped"]
pub struct Reservation {
    bytes: u64,
    keeper: Arc<dyn SpaceKeeper>,
}

impl Reservation {
    /// For implementors of logs: `bytes` that this keeper has set aside.
    pub fn new(bytes: u64, keeper: Arc<dyn SpaceKeeper>) -> Self {
        Self { bytes, keeper }
    }

    /// How many bytes of [space](super::Record::space) it covers.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes so many bytes off it, or all that there are if there are fewer: what to hand to an
    /// append that comes before the last.
    pub fn split(&mut self, bytes: u64) -> Self {
        let part = bytes.min(self.bytes);
        self.bytes = self.bytes.saturating_sub(part);
        Self::new(part, Arc::clone(&self.keeper))
    }

    /// Adds another one to it. One of another log, or of an earlier opening, adds nothing and is
    /// given back there.
    pub fn absorb(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.take(&self.keeper));
    }

    /// For implementors of logs: how many bytes this keeper had set aside, which are its own
    /// business from now on. None, if it was another keeper; that one gets them back.
    #[must_use]
    pub fn take(mut self, keeper: &Arc<dyn SpaceKeeper>) -> u64 {
        let own = ptr::addr_eq(Arc::as_ptr(keeper), Arc::as_ptr(&self.keeper));
        if own {
            std::mem::take(&mut self.bytes)
        } else {
            0
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.keeper.give_back(self.bytes);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
