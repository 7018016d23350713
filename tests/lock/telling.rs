//! What the handle tells of itself. Alone in its program: while `tracing` learns of a new place that
//! tells something, on one thread, it may miss that another begins to listen.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "a failed assertion is how a test speaks; the store has other users"
)]

mod scripted;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tripod::lock::{BackendErrorKind, Locks, Verb};

use scripted::{AT_ONCE, Fate, Scripted};

const SECOND: Duration = Duration::from_secs(1);

/// Remembers the names of spans and events, and every value.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(Vec<&'static str>, String)>>);

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0.lock().1, "{}={value:?} ", field.name());
    }
}

impl Subscriber for Told {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.lock().0.push(span.metadata().name());
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        assert_eq!(event.metadata().target(), "tripod::lock");
        self.0.lock().0.push(event.metadata().name());
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn events_have_stable_names_and_never_tell_metadata() {
    let told = Told::default();
    let _default = tracing::subscriber::set_default(told.clone());
    let store = Scripted::default();
    let locks = Locks::new(store.clone());
    let acquire = |name| locks.acquire(name).ttl(10 * SECOND).metadata("canary");
    let guard = acquire("a").await.unwrap();
    let waiter = tokio::spawn(acquire("a").into_future());
    sleep(8 * SECOND).await;
    guard.release().await.unwrap();
    drop(waiter.await.unwrap().unwrap());
    locks.flush().await.unwrap();
    store.on(Verb::Renew, Fate::Fail(BackendErrorKind::Unavailable));
    store.on(Verb::Leave, Fate::Hang);
    acquire("b").await.unwrap().lost().await;
    locks.flush().await.unwrap();
    store.on(Verb::Changed, Fate::Fail(BackendErrorKind::Unavailable));
    store.on(Verb::Leave, AT_ONCE);
    let held = acquire("c").await.unwrap();
    acquire("c").wait(SECOND).await.unwrap_err();
    let (mut names, values) = std::mem::take(&mut *told.0.lock());
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "lock.abandoned",
            "lock.acquire",
            "lock.cleaned",
            "lock.granted",
            "lock.lost",
            "lock.released",
            "lock.renewal_failed",
            "lock.renewed",
            "lock.store_failed",
            "lock.waiting",
        ]
    );
    assert!(
        values.contains("lock=a") && values.contains("fencing_token=1"),
        "{values}"
    );
    assert!(!values.contains("canary"));
    assert!(!format!("{locks:?} {held:?}").contains("canary"));
}
