//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has happened so far, over all epochs of this handle.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) begun: AtomicU64,
    pub(super) committed: AtomicU64,
    pub(super) aborted: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) forced_writes: AtomicU64,
    pub(super) parked: AtomicU64,
    pub(super) orphans: AtomicU64,
    pub(super) reopened: AtomicU64,
    pub(super) impossible: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
