//! What a review found, and was mended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance, sleep, timeout};
use tripod::lock::{
    AcquireError, Entry, HolderId, LockBackend, LockName, Locks, MemoryBackend, Request, Verb,
};

use crate::scripted::{AT_ONCE, Fate, Scripted};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A runtime whose tasks run though nobody waits in it.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn scripted() -> (Scripted, Locks) {
    let store = Scripted::default();
    (store.clone(), Locks::new(store))
}

#[tokio::test(start_paused = true)]
async fn many_ttls_are_renewed_after_a_pause() {
    let (store, locks) = scripted();
    store.on(Verb::Renew, Fate::Answer(MS, MS));
    let mut guards = vec![];
    for i in 0..18_u32 {
        guards.push(
            locks
                .acquire(format!("n{i}"))
                .ttl(10 * S + i * MS)
                .await
                .unwrap(),
        );
    }
    sleep(MS).await;
    advance(4 * S).await; // a pause of 4 s of 10
    sleep(60 * S).await;
    for g in &guards {
        g.check().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn renewals_that_hang_do_not_keep_others_waiting() {
    let (store, locks) = scripted();
    let mut long = vec![];
    for i in 0..16 {
        long.push(
            locks
                .acquire(format!("long{i}"))
                .ttl(3600 * S)
                .await
                .unwrap(),
        );
    }
    store.on(Verb::Renew, Fate::Hang);
    sleep(1201 * S).await; // all renewals of the long ones are sent, and hang
    store.on(Verb::Renew, AT_ONCE); // the store is well
    let short = locks.acquire("short").ttl(10 * S).await.unwrap();
    sleep(60 * S).await;
    short.check().unwrap();
}

#[test]
fn a_flush_outlives_the_runtime_of_the_tasks() {
    let (store, locks) = scripted();
    let a = runtime();
    let b = runtime();
    // 65 so that one is still queued behind 64 under way
    store.on(Verb::Leave, Fate::Hang);
    let guards: Vec<_> = a.block_on(async {
        let mut v = vec![];
        for i in 0..65 {
            v.push(locks.acquire(format!("x{i}")).await.unwrap());
        }
        v
    });
    drop(guards);
    let l = locks.clone();
    let flush = b.spawn(async move { timeout(5 * S, l.flush()).await.is_ok() });
    std::thread::sleep(100 * MS);
    store.on(Verb::Leave, AT_ONCE);
    drop(a);
    let ok = b.block_on(flush).unwrap();
    assert!(
        ok,
        "flush hangs though the store is well and its own runtime lives"
    );
}

#[test]
fn a_wait_outlives_the_runtime_of_the_tasks() {
    let (store, locks) = scripted();
    let a = runtime();
    let b = runtime();
    a.block_on(async {
        locks.try_acquire("warm").await.unwrap();
    });
    let other = Locks::new(store.store.clone());
    let held = b.block_on(async { other.acquire("x").await.unwrap() });
    let l = locks.clone();
    let waiter = b.spawn(async move { l.acquire("x").ttl(200 * MS).await.unwrap() });
    std::thread::sleep(100 * MS);
    drop(a);
    drop(held);
    let guard = b.block_on(waiter).unwrap();
    b.block_on(async { sleep(S).await });
    guard.check().unwrap(); // granted in B after A ended; nobody renews it
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_whose_answer_is_lost_is_tried_again_soon() {
    let (store, locks) = scripted();
    let g = locks.acquire("a").ttl(60 * S).await.unwrap();
    store.on(Verb::Leave, Fate::Hang); // one packet lost
    drop(g);
    sleep(MS).await;
    store.on(Verb::Leave, AT_ONCE);
    let began = Instant::now();
    let next = locks.acquire("a").await.unwrap();
    drop(next);
    assert!(
        began.elapsed() < 20 * S,
        "freed after {:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn clean_ups_that_hang_do_not_keep_others_waiting() {
    let (store, locks) = scripted();
    let mut v = vec![];
    for i in 0..64 {
        v.push(locks.acquire(format!("x{i}")).ttl(3600 * S).await.unwrap());
    }
    store.on(Verb::Leave, Fate::Hang);
    drop(v);
    sleep(S).await;
    store.on(Verb::Leave, AT_ONCE);
    drop(locks.acquire("b").ttl(3600 * S).await.unwrap());
    sleep(60 * S).await;
    assert!(
        store.is_empty("b").await,
        "b is held by nobody, its store is well, and it is not freed"
    );
}

#[tokio::test(start_paused = true)]
async fn names_that_expired_are_forgotten_as_the_store_is_used() {
    let store = Arc::new(MemoryBackend::new());
    for i in 0..100u64 {
        let e = Entry::new(LockName::new(format!("n{i}")).unwrap(), HolderId::new(1, i));
        let _ = store.enqueue(&Request::new(e, S).unwrap()).await.unwrap();
    }
    sleep(3600 * S).await;
    // A quiet store: one name is locked and released now and then.
    for _ in 0..4_000 {
        let e = Entry::new(LockName::new("other").unwrap(), HolderId::new(2, 0));
        let _ = store
            .enqueue(&Request::new(e.clone(), S).unwrap())
            .await
            .unwrap();
        store.leave(&e).await.unwrap();
    }
    assert_eq!(store.names(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_what_was_dropped_before_only() {
    let (store, locks) = scripted();
    store.on(Verb::Leave, Fate::Answer(MS, MS));
    let l = locks.clone();
    let t = tokio::spawn(async move {
        loop {
            for i in 0..4 {
                drop(l.acquire(format!("n{i}")).await.unwrap());
            }
            sleep(MS).await;
        }
    });
    drop(locks.acquire("mine").await.unwrap());
    assert!(
        timeout(5 * S, locks.flush()).await.is_ok(),
        "what was dropped is long gone, and flush waits for what was dropped since"
    );
    t.abort();
}

#[tokio::test(start_paused = true)]
async fn a_set_whose_ttl_is_too_short_is_an_error() {
    let (store, locks) = scripted();
    store.on(Verb::Enqueue, Fate::Answer(10 * MS, 10 * MS));
    let names = ["a", "b", "c", "d"];
    let r = timeout(
        600 * S,
        locks
            .acquire_all(names)
            .ttl(60 * MS)
            .renew(false)
            .into_future(),
    )
    .await;
    assert!(
        r.is_ok(),
        "{} requests in 600 s, no error, no set",
        store.calls(Verb::Enqueue).len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_loss_keeps_its_reason() {
    let (store, locks) = scripted();
    let guard = locks.acquire("a").ttl(10 * S).await.unwrap();
    let n = LockName::new("a").unwrap();
    store
        .store
        .force_release(&n, guard.fencing_token())
        .await
        .unwrap();
    store.on(Verb::Renew, Fate::Answer(Duration::ZERO, 2 * S));
    while store.calls(Verb::Renew).is_empty() {
        sleep(MS).await;
    }
    advance(10 * S).await;
    let first = guard.check();
    sleep(S).await;
    assert_eq!(first, guard.check());
}

#[test]
fn outside_a_runtime_is_told_though_the_tasks_run_elsewhere() {
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (_, locks) = scripted();
    let _held = rt.block_on(locks.acquire("a").into_future()).unwrap();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut f = Box::pin(locks.acquire("a").wait(S).into_future());
    let p = f.as_mut().poll(&mut context);
    assert!(
        matches!(p, std::task::Poll::Ready(Err(AcquireError::NoRuntime))),
        "{p:?}"
    );
}

#[tokio::test]
async fn a_token_that_a_user_cancels_is_no_loss() {
    let locks = Locks::new(MemoryBackend::new());
    let guard = locks.acquire("a").await.unwrap();
    guard.cancellation_token().cancel();
    assert!(timeout(20 * MS, guard.lost()).await.is_err());
    assert!(!guard.cancellation_token().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_fails_is_tried_again_in_the_background() {
    for fate in [
        Fate::Fail(tripod::lock::BackendErrorKind::Unavailable),
        Fate::Hang,
    ] {
        let (store, locks) = scripted();
        let guard = locks.acquire("a").ttl(10 * S).await.unwrap();
        store.on(Verb::Release, fate);
        guard.release().await.unwrap_err();
        locks.flush().await.unwrap();
        assert_eq!(store.calls(Verb::Leave).len(), 1);
        assert!(store.is_empty("a").await);
        // One that is dropped half-way, too.
        let guard = locks.acquire("a").ttl(10 * S).await.unwrap();
        store.on(Verb::Release, Fate::Hang);
        assert!(timeout(MS, guard.release()).await.is_err());
        locks.flush().await.unwrap();
        assert!(store.is_empty("a").await);
    }
}

#[tokio::test(start_paused = true)]
async fn deadlines_close_to_one_another_are_each_watched() {
    let (_, locks) = scripted();
    let acquire = |name, ttl| locks.acquire(name).ttl(ttl).renew(false);
    let one = acquire("a", S).await.unwrap();
    let other = acquire("b", S + MS).await.unwrap();
    let tokens = [one.cancellation_token(), other.cancellation_token()];
    tokens[0].cancelled().await;
    tokens[1].cancelled().await;
    assert_eq!(locks.stats().expired, 2);
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_lease_that_is_gone_is_not_mistaken() {
    let (store, locks) = scripted();
    store.on(Verb::Renew, Fate::Answer(Duration::ZERO, 2 * S));
    let first = locks.acquire("a").ttl(10 * S).await.unwrap();
    while store.calls(Verb::Renew).is_empty() {
        sleep(10 * MS).await;
    }
    // The renewal of the first comes back, gone, when its place is the second's.
    first.release().await.unwrap();
    let second = locks.acquire("b").ttl(10 * S).await.unwrap();
    store.on(Verb::Renew, AT_ONCE);
    sleep(60 * S).await;
    second.check().unwrap();
}

#[test]
fn a_busy_task_lets_others_have_their_turn() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let locks = Locks::new(MemoryBackend::new());
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let other = Arc::clone(&done);
        tokio::spawn(async move { other.store(true, std::sync::atomic::Ordering::Relaxed) });
        let mut rounds = 0;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            locks.acquire("a").await.unwrap().release().await.unwrap();
            rounds += 1;
            assert!(rounds < 10_000, "the other task had no turn");
        }
    });
}

#[tokio::test(start_paused = true)]
async fn run_does_not_poll_the_work_after_the_deadline_though_no_timer_has_fired() {
    let (_, locks) = scripted();
    let (wake, woken) = tokio::sync::oneshot::channel::<()>();
    let running = locks.acquire("a").ttl(40 * MS).renew(false);
    let mut running = Box::pin(running.run(async |_| woken.await));
    assert!(timeout(MS, &mut running).await.is_err());
    // The clock is past the deadline, and the runtime has not come to look at its timers.
    let mut advance = Box::pin(advance(100 * MS));
    std::future::poll_fn(|context| {
        let _ = advance.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
    wake.send(()).unwrap();
    let error = running.await.unwrap_err();
    assert!(
        matches!(
            error,
            tripod::lock::RunError::Lost {
                finished: false,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_past_the_deadline_is_told_so_though_the_store_still_has_the_entry() {
    let (store, locks) = scripted();
    let error = locks.acquire("a").ttl(10 * S).run(async |_| {
        // The deadline is 102 ms before the end of the TTL; nothing is awaited in between.
        let mut late = Box::pin(advance(9_950 * MS));
        std::future::poll_fn(|context| {
            let _ = late.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    });
    let error = error.await.unwrap_err();
    let tripod::lock::RunError::Lost { loss, finished } = error else {
        panic!("{error:?}");
    };
    assert_eq!((loss, finished), (tripod::lock::Loss::Expired, true));
    assert!(store.calls(Verb::Release).is_empty());
}
