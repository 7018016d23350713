//! What is told to the crate `metrics`, where the feature of that name is on. The names are part of
//! the interface: the README has them, and a test compares.

use std::time::Duration;

use ::metrics::{Key, Label, Level, Metadata, with_recorder};

const METADATA: Metadata<'static> = Metadata::new("tripod", Level::INFO, Some("tripod"));

static COMMITTED: [Label; 1] = [Label::from_static_parts("outcome", "committed")];
static ABORTED: [Label; 1] = [Label::from_static_parts("outcome", "aborted")];
static UNKNOWN: [Label; 1] = [Label::from_static_parts("outcome", "unknown")];
static COMPLETED: [Label; 1] = [Label::from_static_parts("outcome", "completed")];
static COMPENSATED: [Label; 1] = [Label::from_static_parts("outcome", "compensated")];
static ABANDONED: [Label; 1] = [Label::from_static_parts("outcome", "abandoned")];
static DONE: [Label; 1] = [Label::from_static_parts("outcome", "done")];
static FAILED: [Label; 1] = [Label::from_static_parts("outcome", "failed")];
static EXPIRED: [Label; 1] = [Label::from_static_parts("reason", "expired")];
static REMOVED: [Label; 1] = [Label::from_static_parts("reason", "removed")];

// Keys are made when this is compiled: to tell of an event allocates nothing here.
macro_rules! metrics {
    ($($kind:ident $metric:ident = $name:literal $($labels:ident)?;)*) => {
        $(pub(crate) static $metric: $kind = $kind(metrics!(@key $name $($labels)?));)*
    };
    (@key $name:literal) => { Key::from_static_name($name) };
    (@key $name:literal $labels:ident) => { Key::from_static_parts($name, &$labels) };
}

metrics! {
    Gauge LOCK_HELD = "tripod_lock_held";
    Gauge LOCK_WAITING = "tripod_lock_waiting";
    Counter LOCK_GRANTED = "tripod_lock_granted_total";
    Histogram LOCK_WAIT = "tripod_lock_wait_seconds";
    Counter LOCK_RELEASED = "tripod_lock_released_total";
    Histogram LOCK_HOLD = "tripod_lock_hold_seconds";
    Counter LOCK_RENEWED = "tripod_lock_renewed_total";
    Counter LOCK_RENEWALS_FAILED = "tripod_lock_renewals_failed_total";
    Counter LOCK_EXPIRED = "tripod_lock_lost_total" EXPIRED;
    Counter LOCK_REMOVED = "tripod_lock_lost_total" REMOVED;
    Counter LOCK_ABANDONED = "tripod_lock_abandoned_total";

    Counter TRANSACTION_BEGUN = "tripod_transaction_begun_total";
    Counter TRANSACTION_COMMITTED = "tripod_transaction_answered_total" COMMITTED;
    Counter TRANSACTION_ABORTED = "tripod_transaction_answered_total" ABORTED;
    Counter TRANSACTION_UNKNOWN = "tripod_transaction_answered_total" UNKNOWN;
    Histogram TRANSACTION_COMMIT = "tripod_transaction_commit_seconds";
    Counter TRANSACTION_FORCED_WRITES = "tripod_transaction_forced_writes_total";
    Counter TRANSACTION_PARKED = "tripod_transaction_parked_total";
    Counter TRANSACTION_ORPHANS = "tripod_transaction_orphans_total";
    Counter TRANSACTION_REOPENED = "tripod_transaction_reopened_total";
    Counter TRANSACTION_IMPOSSIBLE = "tripod_transaction_impossible_total";

    Counter SAGA_STARTED = "tripod_saga_started_total";
    Counter SAGA_COMPLETED = "tripod_saga_ended_total" COMPLETED;
    Counter SAGA_COMPENSATED = "tripod_saga_ended_total" COMPENSATED;
    Counter SAGA_ABANDONED = "tripod_saga_ended_total" ABANDONED;
    Counter SAGA_PARKED = "tripod_saga_parked_total";

    Gauge MESSAGE_WORKING = "tripod_message_working";
    Counter MESSAGE_DONE = "tripod_message_handled_total" DONE;
    Counter MESSAGE_FAILED = "tripod_message_handled_total" FAILED;
}

#[cfg(feature = "postgres")]
metrics! {
    Counter MESSAGE_RELAYED = "tripod_message_relayed_total";
}

/// Only grows.
#[derive(Debug)]
pub(crate) struct Counter(Key);

/// How many there are now.
#[derive(Debug)]
pub(crate) struct Gauge(Key);

/// How long it took, each time.
#[derive(Debug)]
pub(crate) struct Histogram(Key);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        with_recorder(|recorder| {
            let counter = recorder.register_counter(&self.0, &METADATA);
            counter.increment(count);
        });
    }
}

impl Gauge {
    pub(crate) fn up(&self) {
        with_recorder(|recorder| {
            let gauge = recorder.register_gauge(&self.0, &METADATA);
            gauge.increment(1.0);
        });
    }

    pub(crate) fn down(&self) {
        with_recorder(|recorder| {
            let gauge = recorder.register_gauge(&self.0, &METADATA);
            gauge.decrement(1.0);
        });
    }
}

impl Histogram {
    pub(crate) fn record(&self, time: Duration) {
        with_recorder(|recorder| {
            let histogram = recorder.register_histogram(&self.0, &METADATA);
            histogram.record(time);
        });
    }
}
