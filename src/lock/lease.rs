//! How long a lease may be believed.
//!
//! Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest TTL: a third of it must leave time for a renewal, and the deadline is 2 ms early.
pub const TTL_MIN: Duration = Duration::from_millis(30);

/// The longest TTL: a day. A store that lost its holder would keep others waiting for longer.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What is proved of a lease: it was alive when a certain request was sent, and lives for a TTL
/// from then. The request is the last one whose answer proved it: the grant where the store
/// begins a TTL then, else the last renewal of the lease or session that the grant shares.
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

    /// When to renew: between a quarter and a third of the TTL after the request was sent, the
    /// earlier the larger `spread`, which is to be chosen at random, so that leases taken together
    /// are renewed one after another. A renewal that fails can be tried again as much later.
    #[must_use]
    pub fn renew_at(self, spread: u16) -> Instant {
        let window = self.ttl / 12;
        self.sent + self.ttl / 3 - window * u32::from(spread) / u32::from(u16::MAX)
    }
}
