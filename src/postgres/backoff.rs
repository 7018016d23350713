//! Pauses between tries to connect.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The longest pause after the first failure.
const FIRST: Duration = Duration::from_millis(20);

/// Doublings after which pauses get no longer: about a second and a quarter, so that a server that
/// is back is found soon, and not by all at once.
const DOUBLINGS_MAX: u32 = 6;

/// How often in a row it failed. Cloning shares the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff(Arc<AtomicU32>);

impl Backoff {
    /// A part of the longest pause, at random; none where nothing failed.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let failures = self.0.load(Ordering::Relaxed);
        let doublings = failures.checked_sub(1)?.min(DOUBLINGS_MAX);
        Some(part(FIRST * 2_u32.pow(doublings)))
    }

    pub(crate) fn failed(&self) {
        // Beyond this nothing changes, and the count must not wrap.
        let count = |failures: u32| Some(failures.saturating_add(1).min(DOUBLINGS_MAX + 1));
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Between half of this time and all of it, at random.
pub(crate) fn part(time: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1024;
    let share = u32::try_from(random).unwrap_or_default();
    time / 2 + time / 2 * share / 1024
}
