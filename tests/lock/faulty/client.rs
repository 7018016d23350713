//! Clients of the reference store.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tripod::BoxFuture;
use tripod::lock::conformance::Fixture;
use tripod::lock::{
    BackendError, Claimed, Enqueued, Entry, FencingToken, Grant, Inspection, Lease, LockBackend,
    LockName, Renewed, Request, Verdict,
};

use super::fault::Fault;
use super::store::{Heard, Store};

/// The store as the suite wants it.
pub(super) struct Faulty {
    store: Arc<Store>,
    clients: Mutex<Vec<(Arc<dyn LockBackend>, u64)>>,
}

impl Faulty {
    pub(super) fn new(fault: Fault) -> Self {
        let store = Arc::new(Store::new(fault));
        let clients = Mutex::default();
        Self { store, clients }
    }
}

impl Fixture for Faulty {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
        let session = self.store.session();
        let client: Arc<dyn LockBackend> = Arc::new(Client {
            store: Arc::clone(&self.store),
            session,
        });
        self.clients.lock().push((Arc::clone(&client), session));
        Box::pin(async { Ok(client) })
    }

    fn ttl_min(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn slack(&self) -> Duration {
        Duration::ZERO
    }

    fn sever<'a>(&'a self, client: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
        let clients = self.clients.lock();
        let found = clients.iter().find(|(other, _)| Arc::ptr_eq(other, client));
        self.store.sever(found.unwrap().1);
        Box::pin(async {})
    }
}

/// A client of it.
#[derive(Clone, Debug)]
struct Client {
    store: Arc<Store>,
    session: u64,
}

impl Client {
    async fn enqueue(&self, request: &Request) -> Result<Enqueued, BackendError> {
        let answer = self.store.enqueue(request, self.session);
        if !self.store.is(Fault::LeaseProvedLate) {
            return answer;
        }
        sleep(Duration::from_millis(200)).await;
        let late = |ttl| Lease::new(Instant::now(), ttl);
        Ok(match answer? {
            Enqueued::Granted(grant) => {
                Enqueued::Granted(Grant::new(grant.pass(), late(grant.lease().ttl())))
            }
            answer => answer,
        })
    }

    /// An enqueue that lands later, even if its future is dropped.
    async fn enqueue_late(&self, request: &Request) -> Result<Enqueued, BackendError> {
        let (client, request) = (self.clone(), request.clone());
        let landing = tokio::spawn(async move {
            sleep(Duration::from_millis(20)).await;
            client.enqueue(&request).await
        });
        landing.await.unwrap()
    }

    /// Judges in one step, and grants in another.
    async fn enqueue_twice(&self, request: &Request) -> Result<Enqueued, BackendError> {
        let name = request.entry().name();
        let free = self.store.step(name, false, |lock, _| lock.rows.is_empty());
        tokio::task::yield_now().await;
        if !free {
            return self.enqueue(request).await;
        }
        let granted = self.store.step(name, false, |lock, now| {
            let row = lock.arrive(request, self.session, now);
            lock.hold(row, now)
        });
        Ok(Enqueued::Granted(granted))
    }

    /// Takes a waiter out of the queue in one step, and grants in another.
    async fn claim_twice(&self, entry: &Entry) -> Option<Claimed> {
        let name = entry.name();
        let row = self.store.step(name, false, |lock, _| {
            let at = lock.at(entry.holder())?;
            let row = &lock.rows[at];
            let admitted = row.pass.is_none() && lock.judge(row, true) == Verdict::Admit;
            admitted.then(|| lock.rows.remove(at))
        });
        let mut row = row?;
        tokio::task::yield_now().await;
        Some(self.store.step(name, true, |lock, now| {
            lock.begin(&mut row, now);
            Claimed::Granted(lock.hold(row, now))
        }))
    }

    fn renew_all(&self, entries: &[Entry]) -> Vec<Renewed> {
        let store = &self.store;
        let renewed = entries.iter().enumerate().map(|(at, entry)| {
            store.step(entry.name(), false, |lock, now| {
                if store.is(Fault::RenewCreates) && lock.at(entry.holder()).is_none() {
                    let request = Request::new(entry.clone(), Duration::from_secs(1)).unwrap();
                    let row = lock.arrive(&request, self.session, now);
                    let _ = lock.enter(row, now);
                }
                let kept = (store.is(Fault::RenewProlongsTheFirstOnly) && at > 0)
                    .then(|| lock.at(entry.holder()))
                    .flatten();
                let until = kept.map(|at| lock.rows[at].until);
                let answer = lock.renew(entry.holder(), now);
                if let (Some(at), Some(until)) = (kept, until) {
                    lock.rows[at].until = until;
                }
                answer
            })
        });
        let mut renewed: Vec<_> = renewed.collect();
        if store.is(Fault::RenewAnswersOutOfOrder) {
            renewed.reverse();
        }
        if store.is(Fault::RenewAllOrNothing) && renewed.contains(&Renewed::Gone) {
            renewed.fill(Renewed::Gone);
        }
        if store.is(Fault::SessionKeepsAll) {
            self.keep_all();
        }
        renewed
    }

    fn keep_all(&self) {
        for lock in self.store.locks().values_mut() {
            for row in lock
                .rows
                .iter_mut()
                .filter(|row| row.session == self.session)
            {
                row.until = Some(Instant::now() + row.ttl);
            }
        }
    }
}

impl LockBackend for Client {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        match self.store.fault() {
            Fault::LeaveMissesLateEnqueue => Box::pin(self.enqueue_late(request)),
            Fault::EnqueueIsTwoSteps => Box::pin(self.enqueue_twice(request)),
            _ => Box::pin(self.enqueue(request)),
        }
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            while let Heard::Later(told) = self.store.changed(entry) {
                let mut hears = std::pin::pin!(told.notified());
                hears.as_mut().enable();
                hears.await;
                if self.store.is(Fault::PastNotTold) {
                    return Ok(());
                }
            }
            match self.store.changed(entry) {
                Heard::Never => std::future::pending().await,
                Heard::Now | Heard::Later(_) => Ok(()),
            }
        })
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        let store = &self.store;
        let tells = !matches!(store.fault(), Fault::GrantTellsNobody | Fault::OnlyHeadTold);
        Box::pin(async move {
            if store.is(Fault::ClaimIsTwoSteps)
                && let Some(claimed) = self.claim_twice(entry).await
            {
                return Ok(claimed);
            }
            Ok(store.step(entry.name(), tells, |lock, now| {
                lock.expire(now);
                let answer = lock.claim(entry.holder(), now);
                if answer == Claimed::Gone && store.is(Fault::ClaimCreates) {
                    let request = Request::new(entry.clone(), Duration::from_secs(1)).unwrap();
                    let row = lock.arrive(&request, self.session, now);
                    return Claimed::Granted(lock.hold(row, now));
                }
                answer
            }))
        })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(async move { self.renew_all(entries).into_iter().map(Ok).collect() })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move { Ok(self.store.release(entry)) })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            self.store.leave(entry);
            Ok(())
        })
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        let store = &self.store;
        Box::pin(async move {
            let waiters = store.step(name, false, |lock, now| lock.inspect(now));
            if store.is(Fault::InspectIsTwoSteps) {
                tokio::task::yield_now().await;
                let holders = store.step(name, false, |lock, now| lock.inspect(now));
                let (holders, waiters) = (holders.holders(), waiters.waiters());
                return Ok(Inspection::new(holders.to_vec(), waiters.to_vec()));
            }
            Ok(store.step(name, false, |lock, now| {
                if store.is(Fault::InspectProlongs) {
                    let rows = lock.rows.iter_mut();
                    rows.for_each(|row| row.until = Some(now + row.ttl));
                }
                lock.inspect(now)
            }))
        })
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move { Ok(self.store.force_release(name, token)) })
    }
}
