//! What a transport keeps to.

use std::time::Duration;

/// What a transport keeps to. All who use one store keep to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    lease: Duration,
    deliveries_max: u32,
    length_max: u32,
}

impl Terms {
    /// A lease of 30 s, 16 deliveries, and 100,000 messages a queue.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lease: Duration::from_secs(30),
            deliveries_max: 16,
            length_max: 100_000,
        }
    }

    /// For how long a delivered message is kept from others, in whole milliseconds: from 10 ms to
    /// a day; what is outside is moved to the nearest. 30 s at first. So long a message is stuck
    /// where its consumer died; a [`Server`](super::super::Server) extends it for one that works.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        let lease = lease.clamp(Duration::from_millis(10), Duration::from_secs(86_400));
        self.lease = Duration::from_millis(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// How often a message is delivered before it is a dead letter: 1 or more, 16 at first. Enough
    /// to outlast what passes; each delivery whose consumer dies counts.
    #[must_use]
    pub fn with_deliveries_max(mut self, deliveries: u32) -> Self {
        self.deliveries_max = deliveries.max(1);
        self
    }

    /// How many messages a queue has at most, dead letters included: 1 or more, 100,000 at first.
    /// As many as its store has room for, for nothing is ever dropped to make some.
    #[must_use]
    pub fn with_length_max(mut self, messages: u32) -> Self {
        self.length_max = messages.max(1);
        self
    }

    /// For how long a delivered message is kept from others.
    #[must_use]
    pub fn lease(self) -> Duration {
        self.lease
    }

    /// How often a message is delivered before it is a dead letter.
    #[must_use]
    pub fn deliveries_max(self) -> u32 {
        self.deliveries_max
    }

    /// How many messages a queue has at most, dead letters included.
    #[must_use]
    pub fn length_max(self) -> u32 {
        self.length_max
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self::new()
    }
}
