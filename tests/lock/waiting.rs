//! Waiting for a lock.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tripod::lock::{AcquireError, BackendErrorKind, LockName, Locks, Verb};

use crate::scripted::{Fate, Scripted};

const SECOND: Duration = Duration::from_secs(1);

fn scripted() -> (Scripted, Locks) {
    let store = Scripted::default();
    (store.clone(), Locks::new(store))
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_by_the_release_and_not_by_the_clock() {
    let (_, locks) = scripted();
    let guard = locks.acquire("a").await.unwrap();
    let waiter = tokio::spawn(locks.acquire("a").into_future());
    sleep(SECOND).await;
    let released = Instant::now();
    drop(guard);
    drop(waiter.await.unwrap().unwrap());
    assert!(released.elapsed() < Duration::from_millis(2));
}

#[tokio::test(start_paused = true)]
async fn waiters_go_by_priority_and_then_arrival() {
    let (_, locks) = scripted();
    let guard = locks.acquire("a").await.unwrap();
    let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
    for (at, priority) in [0, 7, 0, 255, 7].into_iter().enumerate() {
        let (acquire, done) = (locks.acquire("a").priority(priority), done.clone());
        tokio::spawn(async move {
            let guard = acquire.await.unwrap();
            done.send(at).unwrap();
            guard.release().await.unwrap();
        });
        sleep(Duration::from_millis(1)).await;
    }
    drop((guard, done));
    let mut seen = Vec::new();
    while let Some(at) = order.recv().await {
        seen.push(at);
    }
    assert_eq!(seen, [3, 1, 4, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_bounded_wait_ends_at_its_bound_and_leaves_nothing() {
    let (store, locks) = scripted();
    let guard = locks.acquire("a").await.unwrap();
    let began = Instant::now();
    let error = locks.acquire("a").wait(5 * SECOND).await.unwrap_err();
    assert!(matches!(error, AcquireError::TimedOut { waited } if waited == 5 * SECOND));
    assert_eq!(began.elapsed(), 5 * SECOND);
    guard.release().await.unwrap();
    locks.flush().await.unwrap();
    assert!(store.is_empty("a").await);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_longer_than_the_ttl_keeps_the_place() {
    let (store, locks) = scripted();
    let guard = locks.acquire("a").await.unwrap();
    let first = tokio::spawn(locks.acquire("a").ttl(SECOND).into_future());
    sleep(Duration::from_millis(1)).await;
    let before = store.look("a").await.waiters()[0].waiter().holder();
    let second = tokio::spawn(locks.acquire("a").ttl(SECOND).into_future());
    sleep(60 * SECOND).await;
    assert_eq!(store.look("a").await.waiters()[0].waiter().holder(), before);
    drop(guard);
    let first = first.await.unwrap().unwrap();
    assert_eq!(first.holder(), before);
    drop(first);
    drop(second.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_not_polled_loses_its_place_and_blocks_nobody() {
    let (_, locks) = scripted();
    let guard = locks.acquire("a").await.unwrap();
    let mut idle = locks.acquire("a").ttl(SECOND).into_future();
    assert!(
        tokio::time::timeout(Duration::from_millis(1), &mut idle)
            .await
            .is_err()
    );
    drop(guard);
    let began = Instant::now();
    let next = locks.acquire("a").await.unwrap();
    assert!(began.elapsed() <= 2 * SECOND, "{:?}", began.elapsed());
    // Polled again, it enters the queue anew.
    drop(next);
    drop(idle.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_entry_is_gone_enters_anew_within_the_same_bound() {
    let (store, locks) = scripted();
    let guard = locks.acquire("a").await.unwrap();
    let waiter = tokio::spawn(locks.acquire("a").wait(60 * SECOND).into_future());
    sleep(SECOND).await;
    let lost = store.look("a").await.waiters()[0].waiter().holder();
    let entry = tripod::lock::Entry::new(LockName::new("a").unwrap(), lost);
    tripod::lock::LockBackend::leave(&*store.store, &entry)
        .await
        .unwrap();
    sleep(SECOND).await;
    assert_ne!(store.look("a").await.waiters()[0].waiter().holder(), lost);
    drop(guard);
    drop(waiter.await.unwrap().unwrap());
    let guard = locks.acquire("a").await.unwrap();
    let began = Instant::now();
    let waiter = tokio::spawn(locks.acquire("a").wait(5 * SECOND).into_future());
    sleep(SECOND).await;
    let lost = store.look("a").await.waiters()[0].waiter().holder();
    let entry = tripod::lock::Entry::new(LockName::new("a").unwrap(), lost);
    tripod::lock::LockBackend::leave(&*store.store, &entry)
        .await
        .unwrap();
    assert!(waiter.await.unwrap().is_err());
    assert_eq!(began.elapsed(), 5 * SECOND);
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn an_expired_holder_is_followed_though_nobody_tells() {
    let (_, locks) = scripted();
    let dead = locks
        .acquire("a")
        .ttl(10 * SECOND)
        .renew(false)
        .await
        .unwrap();
    let began = Instant::now();
    let next = locks.acquire("a").await.unwrap();
    assert!(dead.check().is_err());
    // The holder's own handle frees it at its deadline, before the store would.
    assert!(began.elapsed() <= 10 * SECOND);
    assert!(next.fencing_token() > dead.fencing_token());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_notify_is_polled() {
    let (store, locks) = scripted();
    for fate in [Fate::Hang, Fate::Fail(BackendErrorKind::Unavailable)] {
        store.on(Verb::Changed, fate);
        let guard = locks.acquire("a").ttl(3 * SECOND).await.unwrap();
        let waiter = tokio::spawn(locks.acquire("a").into_future());
        sleep(SECOND).await;
        let released = Instant::now();
        guard.release().await.unwrap();
        drop(waiter.await.unwrap().unwrap());
        assert!(released.elapsed() <= 4 * SECOND, "{:?}", released.elapsed());
        locks.flush().await.unwrap();
    }
    // A holder that blocks for long is not asked for without pause.
    assert!(store.calls(Verb::Claim).len() < 100);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_fails_is_tried_again_while_the_place_lives() {
    let (store, locks) = scripted();
    let guard = locks.acquire("a").await.unwrap();
    let waiter = tokio::spawn(locks.acquire("a").ttl(30 * SECOND).into_future());
    sleep(SECOND).await;
    store.on(
        Verb::Claim,
        Fate::FailAfter(BackendErrorKind::Indeterminate),
    );
    guard.release().await.unwrap();
    sleep(5 * SECOND).await;
    store.on(Verb::Claim, crate::scripted::AT_ONCE);
    let guard = waiter.await.unwrap().unwrap();
    guard.check().unwrap();

    let waiter = tokio::spawn(locks.acquire("a").ttl(30 * SECOND).into_future());
    sleep(SECOND).await;
    store.on(Verb::Claim, Fate::Fail(BackendErrorKind::Unavailable));
    let error = waiter.await.unwrap().unwrap_err();
    assert!(matches!(error, AcquireError::Store(error) if error.verb() == Verb::Claim));
    drop(guard);
    locks.flush().await.unwrap();
    assert!(store.is_empty("a").await);
}
