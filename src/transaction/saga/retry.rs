//! How often something is tried, and when again.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::chance::{doubled, part_by};

/// How often an action or a compensation is tried, and with what pauses.
///
/// The pauses are doubled each time from the first to the longest, and each is somewhere between a
/// half and the whole of that, so that those who failed together do not return together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Retry {
    attempts_max: NonZeroU32,
    pause_first: Duration,
    pause_max: Duration,
    within: Option<Duration>,
}

impl Retry {
    /// So many tries at most; pauses from 20 ms to 30 s.
    pub const fn attempts(max: NonZeroU32) -> Self {
        Self {
            attempts_max: max,
            pause_first: Duration::from_millis(20),
            pause_max: Duration::from_secs(30),
            within: None,
        }
    }

    /// One try.
    pub const fn never() -> Self {
        Self::attempts(NonZeroU32::MIN)
    }

    /// Tries that do not end. They should be visible: look at the list of sagas.
    pub const fn forever() -> Self {
        Self::attempts(NonZeroU32::MAX)
    }

    /// The first pause and the longest one.
    pub const fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        (self.pause_first, self.pause_max) = (first, longest);
        self
    }

    /// A try that ends later than this after the first, since the last restart, is the last one.
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// Whether the time since the first try matters.
    pub(super) fn is_timed(&self) -> bool {
        self.within.is_some()
    }

    /// Whether this try was the last one.
    pub(super) fn is_last(&self, attempt: u32, since_first: Duration) -> bool {
        let late = self.within.is_some_and(|within| since_first >= within);
        attempt >= self.attempts_max.get() || late
    }

    /// The pause after so many tries of something. How long exactly, is drawn from what it is: so
    /// a simulation repeats.
    pub(super) fn pause(&self, of: impl Hash, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1);
        let whole = doubled(self.pause_first, doublings, self.pause_max);
        part_by((of, attempts), whole)
    }
}

/// What a step does unless told otherwise: a minute or so in all.
impl Default for Retry {
    fn default() -> Self {
        const MAX: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
        Self::attempts(MAX)
    }
}
