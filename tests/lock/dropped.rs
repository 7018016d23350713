//! Every future, dropped at each of its await points, leaves nothing behind.
#![expect(
    clippy::async_yields_async,
    reason = "the futures that are made are to be dropped half-way"
)]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;
use tripod::lock::{Election, Locks, Verb};

use crate::scripted::{Fate, Scripted};

const TRIP: Duration = Duration::from_millis(3);

/// Polls a future so often, and then drops it where it awaits.
struct Cut<F> {
    future: Option<Pin<Box<F>>>,
    polls: usize,
}

impl<F: Future> Future for Cut<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            self.future = None;
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self
            .future
            .as_mut()
            .map(|future| future.as_mut().poll(context))
        {
            Some(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Some(Poll::Pending) if self.polls == 0 => {
                self.future = None;
                Poll::Ready(None)
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

/// Runs what `make` makes, dropped after one poll, after two, and so on until it ends by itself;
/// after each, the store must come to be empty. Returns how many points there were.
async fn cut_everywhere<F: Future>(
    locks: &Locks,
    store: &Scripted,
    make: impl AsyncFn() -> F,
) -> usize {
    for polls in 1..1_000 {
        let future = Some(Box::pin(make().await));
        let ended = Cut { future, polls }.await.is_some();
        // What is under way lands, and is removed.
        sleep(4 * TRIP).await;
        locks.flush().await.unwrap();
        for name in ["a", "b", "c"] {
            assert!(store.is_empty(name).await, "{name} after {polls} polls");
        }
        assert_eq!((locks.stats().held, locks.stats().waiting), (0, 0));
        if ended {
            return polls;
        }
    }
    panic!("it does not end");
}

/// A network that takes its time with every call, so that each is an await point.
fn slow() -> (Scripted, Locks) {
    let store = Scripted::default();
    store.slow(TRIP, TRIP);
    // A late request is the subject of a test of its own: here what was sent has arrived.
    store.on(Verb::Enqueue, Fate::Answer(Duration::ZERO, 2 * TRIP));
    (store.clone(), Locks::new(store))
}

/// Holds `name` for a while from another handle.
async fn held_for(store: &Scripted, name: &'static str, time: Duration) {
    let other = Locks::new(Arc::clone(&store.store));
    let guard = other.acquire(name).await.unwrap();
    tokio::spawn(async move {
        sleep(time).await;
        guard.release().await.unwrap();
        drop(other);
    });
}

#[tokio::test(start_paused = true)]
async fn acquire_of_a_free_lock() {
    let (store, locks) = slow();
    let points = cut_everywhere(&locks, &store, async || locks.acquire("a").into_future()).await;
    assert!(points >= 2, "{points}");
}

#[tokio::test(start_paused = true)]
async fn acquire_of_a_lock_that_is_held() {
    let (store, locks) = slow();
    let points = cut_everywhere(&locks, &store, async || {
        held_for(&store, "a", 3 * TRIP).await;
        locks.acquire("a").into_future()
    });
    let points = points.await;
    assert!(points >= 4, "request, notification, claim: {points}");
}

#[tokio::test(start_paused = true)]
async fn acquire_within_a_bound() {
    let (store, locks) = slow();
    cut_everywhere(&locks, &store, async || {
        held_for(&store, "a", 3 * TRIP).await;
        locks.acquire("a").wait(4 * TRIP).into_future()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn acquire_that_claims_again() {
    let (store, locks) = slow();
    store.on(
        Verb::Claim,
        Fate::FailAfter(tripod::lock::BackendErrorKind::Indeterminate),
    );
    cut_everywhere(&locks, &store, async || {
        held_for(&store, "a", TRIP).await;
        locks
            .acquire("a")
            .ttl(Duration::from_millis(100))
            .into_future()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn try_acquire() {
    let (store, locks) = slow();
    cut_everywhere(&locks, &store, async || {
        locks.try_acquire("a").into_future()
    })
    .await;
    cut_everywhere(&locks, &store, async || {
        held_for(&store, "a", TRIP).await;
        locks.try_acquire("a").into_future()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn acquire_all() {
    let (store, locks) = slow();
    let points = cut_everywhere(&locks, &store, async || {
        held_for(&store, "b", 3 * TRIP).await;
        locks.acquire_all(["c", "a", "b"]).into_future()
    });
    let points = points.await;
    assert!(points >= 5, "{points}");
}

#[tokio::test(start_paused = true)]
async fn release() {
    let (store, locks) = slow();
    let points = cut_everywhere(&locks, &store, async || {
        let guard = locks.acquire("a").await.unwrap();
        guard.release()
    });
    assert!(points.await >= 2);
    let points = cut_everywhere(&locks, &store, async || {
        let set = locks.acquire_all(["a", "b"]).await.unwrap();
        set.release()
    });
    assert!(points.await >= 2);
}

#[tokio::test(start_paused = true)]
async fn run() {
    let (store, locks) = slow();
    let under_way = Arc::new(AtomicBool::new(false));
    let points = cut_everywhere(&locks, &store, async || {
        assert!(
            !under_way.load(Ordering::Relaxed),
            "the work was dropped with it"
        );
        let under_way = Arc::clone(&under_way);
        locks.acquire("a").run(async move |_| {
            struct Work(Arc<AtomicBool>);
            impl Drop for Work {
                fn drop(&mut self) {
                    self.0.store(false, Ordering::Relaxed);
                }
            }
            under_way.store(true, Ordering::Relaxed);
            let _work = Work(under_way);
            sleep(TRIP).await;
            sleep(TRIP).await;
        })
    });
    let points = points.await;
    assert!(points >= 5, "acquire, twice the work, release: {points}");
}

#[tokio::test(start_paused = true)]
async fn campaign_and_resign() {
    let (store, locks) = slow();
    let election = Election::new(&locks, "a").unwrap();
    cut_everywhere(&locks, &store, async || {
        held_for(&store, "a", 3 * TRIP).await;
        let election = election.clone();
        async move { election.campaign("me").await }
    })
    .await;
    cut_everywhere(&locks, &store, async || {
        election.campaign("me").await.unwrap().resign()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn lost_and_flush_and_observe() {
    let (store, locks) = slow();
    let election = Election::new(&locks, "a").unwrap();
    for polls in 1..4 {
        let guard = locks.acquire("a").await.unwrap();
        let future = Some(Box::pin(guard.lost()));
        assert!(Cut { future, polls }.await.is_none());
        guard.check().unwrap();
        drop(guard);
        let future = Some(Box::pin(locks.flush()));
        let _ = Cut { future, polls }.await;
        let mut observer = election.observe();
        let future = Some(Box::pin(observer.changed()));
        let _ = Cut { future, polls }.await;
        locks.flush().await.unwrap();
        assert!(store.is_empty("a").await);
    }
}

/// A renewal is a future inside of the task, which goes with its runtime.
#[test]
fn a_renewal_under_way_when_its_runtime_ends() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    for steps in 0..40_u32 {
        let (store, locks) = slow();
        let first = runtime();
        let guard = first.block_on(async {
            let guard = locks
                .acquire("a")
                .ttl(Duration::from_millis(300))
                .await
                .unwrap();
            // The renewal is sent between 75 and 100 ms after the request.
            sleep(Duration::from_millis(65) + steps * Duration::from_millis(1)).await;
            guard
        });
        drop(first);
        let second = runtime();
        second.block_on(async {
            // Whoever acquires next begins the task anew, and it finds what was under way.
            locks.try_acquire("b").await.unwrap();
            sleep(Duration::from_secs(1)).await;
            guard.check().unwrap();
            drop(guard);
            locks.flush().await.unwrap();
            // What was under way cleaning up when the runtime ended, ends with its lease.
            sleep(Duration::from_secs(1)).await;
            assert!(store.is_empty("a").await);
            let next = locks
                .acquire("a")
                .ttl(Duration::from_millis(300))
                .await
                .unwrap();
            sleep(Duration::from_secs(1)).await;
            next.check().unwrap();
        });
    }
}
