//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has happened so far, over all epochs of this handle.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) begun: Counter,
    pub(super) committed: Counter,
    pub(super) aborted: Counter,
    pub(super) unknown: Counter,
    pub(super) forced_writes: Counter,
    pub(super) parked: Counter,
    pub(super) orphans: Counter,
    pub(super) reopened: Counter,
    pub(super) impossible: Counter,
}

/// Counted here, and told to `metrics` by the feature of that name.
#[derive(Debug)]
pub(super) struct Counter {
    count: AtomicU64,
    #[cfg(feature = "metrics")]
    metric: &'static crate::metrics::Counter,
}

pub(super) fn count(counter: &Counter) {
    counter.count.fetch_add(1, Ordering::Relaxed);
    #[cfg(feature = "metrics")]
    counter.metric.add(1);
}

impl Counter {
    pub(super) fn read(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

macro_rules! counter {
    ($metric:ident) => {
        Counter {
            count: AtomicU64::new(0),
            #[cfg(feature = "metrics")]
            metric: &crate::metrics::$metric,
        }
    };
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            begun: counter!(TRANSACTION_BEGUN),
            committed: counter!(TRANSACTION_COMMITTED),
            aborted: counter!(TRANSACTION_ABORTED),
            unknown: counter!(TRANSACTION_UNKNOWN),
            forced_writes: counter!(TRANSACTION_FORCED_WRITES),
            parked: counter!(TRANSACTION_PARKED),
            orphans: counter!(TRANSACTION_ORPHANS),
            reopened: counter!(TRANSACTION_REOPENED),
            impossible: counter!(TRANSACTION_IMPOSSIBLE),
        }
    }
}
