//! What is told of locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::lock::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, FencingToken, Inspection,
    LockBackend, LockName, Locks, MemoryBackend, Renewed, Request, Verb,
};

use super::number;
use super::recorder::Recorded;

/// A store that can be out of reach for what keeps and ends leases.
#[derive(Debug)]
struct Deaf {
    store: MemoryBackend,
    deaf: AtomicBool,
}

impl Deaf {
    fn hears(&self, verb: Verb) -> Result<(), BackendError> {
        if self.deaf.load(Ordering::Relaxed) {
            return Err(BackendError::new(BackendErrorKind::Unavailable, verb));
        }
        Ok(())
    }
}

impl LockBackend for Deaf {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        self.store.enqueue(request)
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        self.store.changed(entry)
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        self.store.claim(entry)
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(async move {
            if self.hears(Verb::Renew).is_ok() {
                return self.store.renew(entries).await;
            }
            let failed = entries.iter().map(|_| self.hears(Verb::Renew));
            failed
                .map(|failed| failed.map(|()| Renewed::Gone))
                .collect()
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.store.release(entry)
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            self.hears(Verb::Leave)?;
            self.store.leave(entry).await
        })
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        self.store.inspect(name)
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.store.force_release(name, token)
    }
}

pub(super) async fn locks(told: &Recorded) {
    let store = Arc::new(Deaf {
        store: MemoryBackend::new(),
        deaf: AtomicBool::new(false),
    });
    let locks = Locks::new(Arc::clone(&store));
    let first = locks.acquire("name").await.unwrap();
    let waiter = tokio::spawn({
        let locks = locks.clone();
        async move { locks.acquire("name").await.unwrap() }
    });
    sleep(Duration::from_secs(30)).await;
    assert_eq!(told.value("tripod_lock_waiting"), 1.0);
    assert_eq!(told.value("tripod_lock_held"), 1.0);
    assert!(first.release().await.unwrap());
    let second = waiter.await.unwrap();
    assert_eq!(told.value("tripod_lock_waiting"), 0.0);
    let taken = locks.force_release(second.name(), second.fencing_token());
    assert!(taken.await.unwrap());
    second.lost().await;
    let third = locks.acquire("name").await.unwrap();
    store.deaf.store(true, Ordering::Relaxed);
    third.lost().await;
    drop((second, third));
    // For so long it is tried to end their entries.
    sleep(Duration::from_secs(120)).await;
    let _held = locks.acquire("other").await.unwrap();

    let stats = locks.stats();
    assert!(stats.renewed > 0 && stats.renewals_failed > 0, "{stats:?}");
    assert!(stats.abandoned > 0 && stats.expired > 0, "{stats:?}");
    assert_eq!((stats.granted, stats.removed), (4, 1), "{stats:?}");
    for (name, count) in [
        ("tripod_lock_held", stats.held),
        ("tripod_lock_waiting", stats.waiting),
        ("tripod_lock_granted_total", stats.granted),
        ("tripod_lock_released_total", stats.released),
        ("tripod_lock_renewed_total", stats.renewed),
        ("tripod_lock_renewals_failed_total", stats.renewals_failed),
        ("tripod_lock_lost_total{reason=expired}", stats.expired),
        ("tripod_lock_lost_total{reason=removed}", stats.removed),
        ("tripod_lock_abandoned_total", stats.abandoned),
    ] {
        assert_eq!(told.value(name), number(count), "{name}");
    }
    for (name, count, time) in [
        ("tripod_lock_wait_seconds", stats.granted, stats.wait_time),
        ("tripod_lock_hold_seconds", stats.released, stats.hold_time),
    ] {
        let times = told.times(name);
        assert_eq!(number(times.len() as u64), number(count), "{name}");
        let sum: f64 = times.iter().sum();
        assert!((sum - time.as_secs_f64()).abs() < 1e-6, "{name}: {sum}");
    }
}
