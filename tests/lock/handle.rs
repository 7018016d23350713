//! The handle: acquiring, waiting, releasing.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use tripod::lock::{
    AcquireError, BackendErrorKind, Family, FencingToken, LockName, Locks, MemoryBackend, Mode,
    Verb,
};

use crate::scripted::{Fate, Scripted};

const SECOND: Duration = Duration::from_secs(1);

fn scripted() -> (Scripted, Locks) {
    let store = Scripted::default();
    (store.clone(), Locks::new(store))
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_held_until_it_is_released() {
    let (store, locks) = scripted();
    let guard = locks.acquire("a").metadata("me").await.unwrap();
    let inspection = store.look("a").await;
    let [held] = inspection.holders() else {
        panic!("{inspection:?}")
    };
    assert_eq!((held.holder(), held.pass()), (guard.holder(), guard.pass()));
    assert_eq!(
        (held.metadata().as_str(), held.mode()),
        ("me", Mode::Exclusive)
    );
    assert!(locks.try_acquire("a").await.unwrap().is_none());
    let first = guard.fencing_token();
    assert!(guard.release().await.unwrap());
    let next = locks.try_acquire("a").await.unwrap().unwrap();
    assert!(next.fencing_token() > first);
}

#[tokio::test(start_paused = true)]
async fn readers_hold_together_and_writers_alone() {
    let (_, locks) = scripted();
    let readers = [
        locks.acquire("a").shared().await.unwrap(),
        locks.acquire("a").shared().await.unwrap(),
    ];
    assert_eq!(readers[1].pass().floor(), readers[0].fencing_token());
    assert!(locks.try_acquire("a").await.unwrap().is_none());
    let writer = tokio::spawn(locks.acquire("a").into_future());
    sleep(SECOND).await;
    // No reader passes the writer that waits.
    assert!(locks.try_acquire("a").shared().await.unwrap().is_none());
    drop(readers);
    let writer = writer.await.unwrap().unwrap();
    assert_eq!(writer.pass().floor(), writer.fencing_token());
}

#[tokio::test(start_paused = true)]
async fn permits_are_counted_and_families_do_not_mix() {
    let (_, locks) = scripted();
    let two = locks.acquire("a").permits(2, 3).await.unwrap();
    let one = locks.try_acquire("a").permits(1, 3).await.unwrap().unwrap();
    assert!(
        locks
            .try_acquire("a")
            .permits(1, 3)
            .await
            .unwrap()
            .is_none()
    );
    for foreign in [locks.acquire("a"), locks.acquire("a").permits(1, 4)] {
        let error = foreign.await.unwrap_err();
        let of = 3.try_into().unwrap();
        assert!(matches!(error, AcquireError::Foreign(Family::Permits { of: used }) if used == of));
    }
    two.release().await.unwrap();
    one.release().await.unwrap();
    drop(locks.acquire("a").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_indeterminate_acquire_is_cleaned_up() {
    let (store, locks) = scripted();
    for fate in [
        Fate::FailAfter(BackendErrorKind::Indeterminate),
        Fate::HangAfter,
        Fate::Answer(Duration::ZERO, 31 * SECOND),
    ] {
        store.on(Verb::Enqueue, fate);
        for acquired in [
            locks.acquire("a").await.map(Some),
            locks.try_acquire("a").await,
        ] {
            let Err(AcquireError::Store(error)) = acquired else {
                panic!("{fate:?}: {acquired:?}");
            };
            assert_eq!(error.kind(), BackendErrorKind::Indeterminate);
            locks.flush().await.unwrap();
            assert!(store.is_empty("a").await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_lands_after_its_clean_up_ends_with_its_lease() {
    let (store, locks) = scripted();
    store.on(Verb::Enqueue, Fate::Answer(5 * SECOND, Duration::ZERO));
    let acquire = locks.acquire("a").ttl(10 * SECOND).into_future();
    assert!(tokio::time::timeout(SECOND, acquire).await.is_err());
    locks.flush().await.unwrap();
    sleep(5 * SECOND).await;
    assert_eq!(store.look("a").await.holders().len(), 1, "it has landed");
    sleep(10 * SECOND).await;
    assert!(store.is_empty("a").await);
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_that_fails_is_tried_again() {
    let (store, locks) = scripted();
    let guard = locks.acquire("a").await.unwrap();
    store.on(Verb::Leave, Fate::Fail(BackendErrorKind::Unavailable));
    drop(guard);
    sleep(10 * SECOND).await;
    assert!(!store.is_empty("a").await);
    store.on(Verb::Leave, crate::scripted::AT_ONCE);
    locks.flush().await.unwrap();
    assert!(store.is_empty("a").await);
    assert_eq!(locks.stats().abandoned, 0);
    // One that never succeeds is given up when the lease is over.
    store.on(Verb::Leave, Fate::Hang);
    drop(locks.acquire("a").await.unwrap());
    let began = Instant::now();
    locks.flush().await.unwrap();
    assert!(began.elapsed() <= 61 * SECOND);
    assert_eq!(locks.stats().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_comes_after_its_deadline_is_claimed_anew() {
    let (store, locks) = scripted();
    store.on(Verb::Enqueue, Fate::Answer(Duration::ZERO, 5 * SECOND));
    let waiter = tokio::spawn(locks.acquire("a").ttl(10 * SECOND).into_future());
    let eager = tokio::spawn(locks.try_acquire("b").ttl(10 * SECOND).into_future());
    tokio::task::yield_now().await;
    // As if the process were paused: both the answer and the end of the wait for it are there.
    advance(11 * SECOND).await;
    let guard = waiter.await.unwrap().unwrap();
    guard.check().unwrap();
    assert_eq!(guard.remaining(), Duration::from_millis(10_000 - 102));
    assert!(
        eager.await.unwrap().is_err(),
        "one that does not wait has nothing to claim"
    );
}

#[tokio::test(start_paused = true)]
async fn bad_options_are_refused_before_anything_is_sent() {
    let (store, locks) = scripted();
    let refusals = [
        locks.acquire("").await.unwrap_err(),
        locks
            .acquire("a")
            .ttl(Duration::from_millis(1))
            .await
            .unwrap_err(),
        locks.acquire("a").permits(0, 3).await.unwrap_err(),
        locks.acquire("a").permits(4, 3).await.unwrap_err(),
        locks
            .acquire("a")
            .metadata("x".repeat(1025))
            .await
            .unwrap_err(),
        locks.acquire_all(["b", "a", "b"]).await.unwrap_err(),
    ];
    let texts = refusals.map(|error| error.to_string());
    assert_eq!(
        texts,
        [
            "the lock's name is not valid",
            "the TTL is not valid",
            "the permits are not valid",
            "the permits are not valid",
            "the metadata is not valid",
            "the lock b was named twice",
        ]
    );
    assert_eq!(store.calls(Verb::Enqueue), []);
}

#[tokio::test(start_paused = true)]
async fn a_forced_release_takes_the_token_that_was_seen() {
    let (_, locks) = scripted();
    let name = LockName::new("a").unwrap();
    let guard = locks.acquire(&name).await.unwrap();
    let seen = locks.inspect(&name).await.unwrap().holders()[0]
        .pass()
        .token();
    assert!(
        !locks
            .force_release(&name, FencingToken::new(seen.as_u64() + 1))
            .await
            .unwrap()
    );
    assert!(locks.force_release(&name, seen).await.unwrap());
    let next = locks.acquire(&name).await.unwrap();
    assert!(!locks.force_release(&name, seen).await.unwrap());
    assert!(!guard.release().await.unwrap(), "it was not held any more");
    assert!(next.release().await.unwrap());
}

#[test]
fn outside_a_runtime_nothing_panics() {
    let locks = Locks::new(MemoryBackend::new());
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let mut outside = Box::pin(locks.acquire("a").into_future());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = outside.as_mut().poll(&mut context);
    assert!(matches!(
        polled,
        std::task::Poll::Ready(Err(AcquireError::NoRuntime))
    ));
    let first = runtime();
    let guard = first.block_on(locks.acquire("a").into_future()).unwrap();
    drop(guard);
    let kept = first.block_on(locks.acquire("b").into_future()).unwrap();
    // The tasks end with their runtime, and are begun anew in the next.
    drop(first);
    drop(kept);
    let second = runtime();
    second.block_on(async {
        locks.flush().await.unwrap();
        assert!(locks.try_acquire("a").await.unwrap().is_some());
        assert!(locks.try_acquire("b").await.unwrap().is_some());
        let guard = locks
            .acquire("c")
            .ttl(Duration::from_millis(30))
            .await
            .unwrap();
        sleep(Duration::from_millis(100)).await;
        guard.check().unwrap();
    });
}

#[test]
fn handles_and_futures_move_between_threads() {
    fn is_sendable<T: Send + 'static>(_: &T) {}
    fn is_handle<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn is_send_and_sync<T: Send + Sync + 'static>() {}
    let locks = Locks::new(MemoryBackend::new());
    is_handle(&locks);
    is_handle(&locks.acquire("a"));
    is_sendable(&locks.acquire("a").into_future());
    is_sendable(&locks.acquire("a").run(async |_| ()));
    is_sendable(&locks.acquire_all(["a"]).into_future());
    is_send_and_sync::<tripod::lock::LockGuard>();
    is_send_and_sync::<tripod::lock::LockSet>();
    is_send_and_sync::<tripod::lock::Election>();
    is_send_and_sync::<tripod::lock::Leadership>();
    is_send_and_sync::<AcquireError>();
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
