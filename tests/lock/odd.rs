//! Stores that obey the law in their own ways: late, talkative, with leases of their own length.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use tripod::BoxFuture;
use tripod::lock::{
    AcquireError, BackendError, BackendErrorKind, Claimed, Enqueued, Entry, FencingToken, Grant,
    Inspection, Lease, LockBackend, LockName, Locks, MemoryBackend, Renewed, Request, Standing,
    Verb,
};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Forwards to memory, but rewrites answers.
#[derive(Debug)]
struct Odd {
    store: Arc<MemoryBackend>,
    age: Duration,
    ttl: Option<Duration>,
    spurious: bool,
    recheck: Option<Duration>,
    claims: AtomicUsize,
    enqueues: AtomicUsize,
    leave_fails: AtomicBool,
}
impl Odd {
    fn new() -> Self {
        Odd {
            store: Arc::new(MemoryBackend::new()),
            age: Duration::ZERO,
            ttl: None,
            spurious: false,
            recheck: None,
            claims: 0.into(),
            enqueues: 0.into(),
            leave_fails: false.into(),
        }
    }
    fn lease(&self, l: Lease) -> Lease {
        Lease::new(Instant::now() - self.age, self.ttl.unwrap_or(l.ttl()))
    }
    fn st(&self, s: Standing) -> Standing {
        Standing::new(self.lease(s.lease()), self.recheck.unwrap_or(s.recheck()))
    }
}
impl LockBackend for Odd {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        Box::pin(async move {
            self.enqueues.fetch_add(1, Ordering::Relaxed);
            sleep(MS).await;
            let r = match self.ttl {
                Some(t) => Request::new(request.entry().clone(), t.max(request.ttl())).unwrap(),
                None => request.clone(),
            };
            Ok(match self.store.enqueue(&r).await? {
                Enqueued::Granted(g) => {
                    Enqueued::Granted(Grant::new(g.pass(), self.lease(g.lease())))
                }
                Enqueued::Waiting(s) => Enqueued::Waiting(self.st(s)),
                other @ (Enqueued::Held | Enqueued::Foreign(_)) => other,
            })
        })
    }
    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            if self.spurious {
                return Ok(());
            }
            self.store.changed(entry).await
        })
    }
    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        Box::pin(async move {
            self.claims.fetch_add(1, Ordering::Relaxed);
            sleep(MS).await;
            Ok(match self.store.claim(entry).await? {
                Claimed::Granted(g) => {
                    Claimed::Granted(Grant::new(g.pass(), self.lease(g.lease())))
                }
                Claimed::Waiting(s) => Claimed::Waiting(self.st(s)),
                other @ (Claimed::Foreign(_) | Claimed::Gone) => other,
            })
        })
    }
    fn renew<'a>(&'a self, e: &'a [Entry]) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        self.store.renew(e)
    }
    fn release<'a>(&'a self, e: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.store.release(e)
    }
    fn leave<'a>(&'a self, e: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            if self.leave_fails.load(Ordering::Relaxed) {
                return Err(BackendError::new(
                    BackendErrorKind::Unavailable,
                    Verb::Leave,
                ));
            }
            self.store.leave(e).await
        })
    }
    fn inspect<'a>(&'a self, n: &'a LockName) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        self.store.inspect(n)
    }
    fn force_release<'a>(
        &'a self,
        n: &'a LockName,
        t: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.store.force_release(n, t)
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_lease_was_proved_long_ago_does_not_spin() {
    let odd = Arc::new(Odd {
        age: 4 * S,
        ..Odd::new()
    });
    let locks = Locks::new(odd.clone());
    let plain = Locks::new(odd.store.clone());
    let held = plain.acquire("a").await.unwrap();
    let _ = locks.acquire("a").ttl(10 * S).wait(60 * S).await;
    drop(held);
    let n = odd.claims.load(Ordering::Relaxed);
    assert!(n < 200, "{n} claims in 60 s of waiting");
}

#[tokio::test(start_paused = true)]
async fn grants_that_always_come_too_late_are_an_error() {
    let odd = Arc::new(Odd {
        age: 11 * S,
        ..Odd::new()
    });
    let locks = Locks::new(odd.clone());
    let _ = locks.acquire("a").ttl(10 * S).wait(60 * S).await;
    let n = odd.claims.load(Ordering::Relaxed);
    assert!(n < 2000, "{n} claims in 60 s");
}

#[tokio::test(start_paused = true)]
async fn notifications_without_reason_do_not_cost_the_place() {
    let odd = Arc::new(Odd {
        spurious: true,
        ..Odd::new()
    });
    let locks = Locks::new(odd.clone());
    let plain = Locks::new(odd.store.clone());
    let held = plain.acquire("a").await.unwrap();
    let _ = locks.acquire("a").ttl(200 * MS).wait(20 * S).await;
    drop(held);
    let n = odd.enqueues.load(Ordering::Relaxed);
    assert_eq!(n, 1, "entered the queue anew {n} times: its place was lost");
}

#[tokio::test(start_paused = true)]
async fn a_recheck_without_end_is_bounded() {
    let odd = Arc::new(Odd {
        recheck: Some(Duration::MAX),
        ..Odd::new()
    });
    let locks = Locks::new(odd.clone());
    let plain = Locks::new(odd.store.clone());
    let _held = plain.acquire("a").await.unwrap();
    assert!(matches!(
        locks.acquire("a").wait(S).await,
        Err(AcquireError::TimedOut { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn cleaning_up_goes_on_for_the_ttl_in_force() {
    let odd = Arc::new(Odd {
        ttl: Some(60 * S),
        ..Odd::new()
    });
    let locks = Locks::new(odd.clone());
    let plain = Locks::new(odd.store.clone());
    let held = plain.acquire("a").await.unwrap();
    odd.leave_fails.store(true, Ordering::Relaxed);
    let _ = locks.acquire("a").ttl(100 * MS).wait(S).await; // waits under a lease of 60 s in force
    sleep(S).await; // a second's outage
    odd.leave_fails.store(false, Ordering::Relaxed);
    locks.flush().await.unwrap();
    let n = LockName::new("a").unwrap();
    let w = odd.store.inspect(&n).await.unwrap().waiters().len();
    drop(held);
    assert_eq!(
        (w, locks.stats().abandoned),
        (0, 0),
        "abandoned though the entry blocks for another minute"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_races_the_deadline_revives_nothing() {
    // The answer and the deadline are ready in one poll of the task: its own futures, no spawn.
    #[derive(Debug)]
    struct Late(Arc<MemoryBackend>);
    impl LockBackend for Late {
        fn enqueue<'a>(&'a self, r: &'a Request) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
            self.0.enqueue(r)
        }
        fn changed<'a>(&'a self, e: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
            self.0.changed(e)
        }
        fn claim<'a>(&'a self, e: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
            self.0.claim(e)
        }
        fn renew<'a>(
            &'a self,
            e: &'a [Entry],
        ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
            Box::pin(async move {
                let a = self.0.renew(e).await;
                sleep(2 * S).await;
                a
            })
        }
        fn release<'a>(&'a self, e: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
            self.0.release(e)
        }
        fn leave<'a>(&'a self, e: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
            self.0.leave(e)
        }
        fn inspect<'a>(
            &'a self,
            n: &'a LockName,
        ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
            self.0.inspect(n)
        }
        fn force_release<'a>(
            &'a self,
            n: &'a LockName,
            t: FencingToken,
        ) -> BoxFuture<'a, Result<bool, BackendError>> {
            self.0.force_release(n, t)
        }
    }
    for i in 0..50 {
        let locks = Locks::new(Late(Arc::new(MemoryBackend::new())));
        let guard = locks.acquire("a").ttl(10 * S).await.unwrap();
        sleep(3500 * MS).await; // the renewal is under way, its answer on the way back
        advance(7 * S).await;
        let first = guard.check();
        sleep(S).await;
        assert!(
            guard.check().is_err(),
            "revived in round {i}: was {first:?}"
        );
    }
}
