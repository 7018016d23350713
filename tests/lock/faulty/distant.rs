//! A store at the other end of a network: steps are taken some time after they were asked for,
//! answers come some time later, and a step whose caller has gone is taken all the same.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tripod::BoxFuture;
use tripod::lock::conformance::Fixture;
use tripod::lock::{
    BackendError, Claimed, Enqueued, Entry, FencingToken, Grant, Inspection, Lease, LockBackend,
    LockName, MemoryBackend, Renewed, Request, Standing,
};

/// The longest way, in microseconds: two of them are well below the shortest TTL, and above the
/// margin of a deadline.
const WAY_MAX_US: u64 = 25_000;

#[derive(Clone, Debug)]
pub(super) struct Distant {
    store: Arc<MemoryBackend>,
    /// Whether leases count from the answer, which is wrong.
    boasts: bool,
    random: RandomState,
    steps: Arc<AtomicU64>,
}

impl Distant {
    pub(super) fn honest() -> Self {
        Self {
            store: Arc::default(),
            boasts: false,
            random: RandomState::new(),
            steps: Arc::default(),
        }
    }

    pub(super) fn boasting() -> Self {
        let honest = Self::honest();
        Self {
            boasts: true,
            ..honest
        }
    }

    async fn way(&self) {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        // What a boast hides is as long as the way.
        let near = if self.boasts { 0 } else { WAY_MAX_US };
        let way = WAY_MAX_US - self.random.hash_one(step) % near.max(1);
        sleep(Duration::from_micros(way)).await;
    }

    /// Takes a step over there, and tells when it was asked for: or when it was answered, if this
    /// one boasts.
    async fn step<R: Send + 'static>(
        &self,
        step: impl FnOnce(Arc<MemoryBackend>) -> BoxFuture<'static, R> + Send + 'static,
    ) -> (R, Instant) {
        let sent = Instant::now();
        let there = self.clone();
        let taken = tokio::spawn(async move {
            there.way().await;
            let answer = step(Arc::clone(&there.store)).await;
            there.way().await;
            answer
        });
        let answer = taken.await.unwrap();
        let answered = Instant::now();
        (answer, if self.boasts { answered } else { sent })
    }
}

fn lease(of: Lease, proved: Instant) -> Lease {
    Lease::new(proved, of.ttl())
}

fn grant(of: Grant, proved: Instant) -> Grant {
    Grant::new(of.pass(), lease(of.lease(), proved))
}

fn standing(of: Standing, proved: Instant) -> Standing {
    Standing::new(lease(of.lease(), proved), of.recheck())
}

impl LockBackend for Distant {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        let request = request.clone();
        let step = |store: Arc<MemoryBackend>| -> BoxFuture<'static, _> {
            Box::pin(async move { store.enqueue(&request).await })
        };
        Box::pin(async move {
            let (answer, proved) = self.step(step).await;
            Ok(match answer? {
                Enqueued::Granted(of) => Enqueued::Granted(grant(of, proved)),
                Enqueued::Waiting(of) => Enqueued::Waiting(standing(of, proved)),
                answer @ (Enqueued::Held | Enqueued::Foreign(_)) => answer,
            })
        })
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            self.way().await;
            self.store.changed(entry).await?;
            self.way().await;
            Ok(())
        })
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        let entry = entry.clone();
        let step = |store: Arc<MemoryBackend>| -> BoxFuture<'static, _> {
            Box::pin(async move { store.claim(&entry).await })
        };
        Box::pin(async move {
            let (answer, proved) = self.step(step).await;
            Ok(match answer? {
                Claimed::Granted(of) => Claimed::Granted(grant(of, proved)),
                Claimed::Waiting(of) => Claimed::Waiting(standing(of, proved)),
                answer @ (Claimed::Gone | Claimed::Foreign(_)) => answer,
            })
        })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        let entries = entries.to_vec();
        let step = |store: Arc<MemoryBackend>| -> BoxFuture<'static, _> {
            Box::pin(async move { store.renew(&entries).await })
        };
        Box::pin(async move {
            let (answers, proved) = self.step(step).await;
            let answers = answers.into_iter().map(|answer| {
                Ok(match answer? {
                    Renewed::Alive(of) => Renewed::Alive(lease(of, proved)),
                    Renewed::Gone => Renewed::Gone,
                })
            });
            answers.collect()
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        let entry = entry.clone();
        let step = |store: Arc<MemoryBackend>| -> BoxFuture<'static, _> {
            Box::pin(async move { store.release(&entry).await })
        };
        Box::pin(async move { self.step(step).await.0 })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        let entry = entry.clone();
        let step = |store: Arc<MemoryBackend>| -> BoxFuture<'static, _> {
            Box::pin(async move { store.leave(&entry).await })
        };
        Box::pin(async move { self.step(step).await.0 })
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        let name = name.clone();
        let step = |store: Arc<MemoryBackend>| -> BoxFuture<'static, _> {
            Box::pin(async move { store.inspect(&name).await })
        };
        Box::pin(async move { self.step(step).await.0 })
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        let name = name.clone();
        let step = move |store: Arc<MemoryBackend>| -> BoxFuture<'static, _> {
            Box::pin(async move { store.force_release(&name, token).await })
        };
        Box::pin(async move { self.step(step).await.0 })
    }
}

impl Fixture for Distant {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
        Box::pin(async { Ok(Arc::new(self.clone()) as Arc<dyn LockBackend>) })
    }

    fn ttl_min(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn slack(&self) -> Duration {
        Duration::ZERO
    }

    fn sever<'a>(&'a self, _client: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}
