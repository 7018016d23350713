//! Pauses between tries to connect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::chance::pause;

/// The longest pause after the first failure.
const FIRST: Duration = Duration::from_millis(20);

/// The longest pause of all: a server that is back is to be found soon.
const LONGEST: Duration = Duration::from_millis(1280);

/// How often in a row it failed. Cloning shares the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff(Arc<AtomicU32>);

impl Backoff {
    /// A part of the longest pause, at random; none where nothing failed.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let failures = self.0.load(Ordering::Relaxed);
        Some(pause(FIRST, failures.checked_sub(1)?, LONGEST))
    }

    pub(crate) fn failed(&self) {
        // It must not wrap.
        let count = |failures: u32| Some(failures.saturating_add(1));
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
