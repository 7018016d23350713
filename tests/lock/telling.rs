//! What the handle tells of itself.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tripod::lock::{BackendErrorKind, LockName, Locks, Verb};

use crate::scripted::{AT_ONCE, Fate, Scripted};

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

#[tokio::test(start_paused = true)]
async fn the_counters_tell_what_happened() {
    let store = Scripted::default();
    let locks = Locks::new(store.clone());
    let guard = locks.acquire("a").ttl(9 * SECOND).await.unwrap();
    let waiter = tokio::spawn(locks.acquire("a").ttl(9 * SECOND).into_future());
    sleep(10 * SECOND).await;
    let stats = locks.stats();
    assert_eq!((stats.held, stats.waiting, stats.granted), (1, 1, 1));
    assert!((3..=4).contains(&stats.renewed), "{stats:?}");
    guard.release().await.unwrap();
    let guard = waiter.await.unwrap().unwrap();
    let name = LockName::new("a").unwrap();
    locks
        .force_release(&name, guard.fencing_token())
        .await
        .unwrap();
    guard.lost().await;
    let stats = locks.stats();
    assert_eq!((stats.held, stats.waiting, stats.granted), (0, 0, 2));
    assert_eq!((stats.released, stats.removed, stats.expired), (1, 1, 0));
    assert_eq!(
        (stats.wait_time, stats.hold_time),
        (10 * SECOND, 10 * SECOND)
    );
    drop(guard);
    assert_eq!(locks.stats().released, 2);
}
