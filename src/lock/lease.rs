//! How long a lease may be believed.
//!
//! Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest TTL: a renewal takes a third of it, and a deadline is 2 ms early.
pub const TTL_MIN: Duration = Duration::from_millis(30);

/// The longest TTL: a day. A store that lost its holder would keep others waiting for longer.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a store's answer proves of a lease: it was alive when the request was sent, and lives for
/// a TTL from then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    sent: Instant,
    ttl: Duration,
}

impl Lease {
    /// A lease proved alive by the answer to a request that was sent at `sent`, with this TTL in
    /// force. Of more than [`TTL_MAX`], only that much is believed.
    #[must_use]
    pub fn new(sent: Instant, ttl: Duration) -> Self {
        Self {
            sent,
            ttl: ttl.min(TTL_MAX),
        }
    }

    /// The TTL in force.
    #[must_use]
    pub fn ttl(self) -> Duration {
        self.ttl
    }

    /// Until when the holder may believe in it: TTL after the request was sent, less 1 % of the
    /// TTL for a clock that runs slow, and 2 ms for the time that it takes to notice.
    #[must_use]
    pub fn deadline(self) -> Instant {
        let margin = self.ttl / 100 + Duration::from_millis(2);
        self.sent + self.ttl.saturating_sub(margin)
    }

    /// How long it may still be believed.
    #[must_use]
    pub fn remaining(self, now: Instant) -> Duration {
        self.deadline().saturating_duration_since(now)
    }

    /// When to renew: after a third of the TTL, less up to a tenth of that by `spread`, so that
    /// leases taken together are not renewed together.
    #[must_use]
    pub fn renew_at(self, spread: u8) -> Instant {
        let third = self.ttl / 3;
        self.sent + third - third * u32::from(spread) / (10 * 256)
    }
}
