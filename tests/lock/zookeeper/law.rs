//! The conformance suite.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tripod::BoxFuture;
use tripod::lock::conformance::{self, Fixture};
use tripod::lock::{
    BackendError, Claimed, Enqueued, Entry, FencingToken, HolderId, Inspection, LockBackend,
    LockName, Locks, Renewed, Request, ZooKeeperBackend,
};

use crate::scenario::{connected, settled};
use crate::server::wire::Wire;
use crate::server::zookeeper::{ZooKeeperEnsemble, ZooKeeperServer};

/// The suite wants leases of two TTLs from one client, and a backend has one: that of its session. So
/// a client is two backends here, and each request goes to the one whose TTL it asks for.
#[derive(Debug)]
struct TwoSessions {
    brief: ZooKeeperBackend,
    long: ZooKeeperBackend,
    ttl: Duration,
    is_brief: Mutex<HashMap<HolderId, bool>>,
}

impl TwoSessions {
    async fn connect(url: &str, ttl: Duration) -> Result<Self, BackendError> {
        let connect =
            |timeout| settled(move || ZooKeeperBackend::connect(url).session_timeout(timeout));
        Ok(Self {
            brief: connect(ttl).await?,
            long: connect(ttl * 8 + SLACK * 4).await?,
            ttl,
            is_brief: Mutex::default(),
        })
    }

    fn of(&self, entry: &Entry) -> &ZooKeeperBackend {
        match self.is_brief.lock().get(&entry.holder()) {
            Some(true) => &self.brief,
            Some(false) | None => &self.long,
        }
    }
}

impl LockBackend for TwoSessions {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        let holder = request.entry().holder();
        let is_brief = request.ttl() <= self.ttl;
        self.is_brief.lock().entry(holder).or_insert(is_brief);
        self.of(request.entry()).enqueue(request)
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        self.of(entry).changed(entry)
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        self.of(entry).claim(entry)
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(async move {
            let is_brief = |entry: &&Entry| std::ptr::eq(self.of(entry), &raw const self.brief);
            let (brief, long): (Vec<_>, Vec<_>) = entries.iter().partition(is_brief);
            let brief: Vec<Entry> = brief.into_iter().cloned().collect();
            let long: Vec<Entry> = long.into_iter().cloned().collect();
            let mut brief = self.brief.renew(&brief).await.into_iter();
            let mut long = self.long.renew(&long).await.into_iter();
            let answer = |entry: &Entry| {
                if is_brief(&entry) {
                    brief.next().unwrap()
                } else {
                    long.next().unwrap()
                }
            };
            entries.iter().map(answer).collect()
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.of(entry).release(entry)
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        self.of(entry).leave(entry)
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        self.brief.inspect(name)
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.long.force_release(name, token)
    }
}

/// Servers keep less; a busy machine needs more for what comes between.
const TTL: Duration = Duration::from_secs(8);

/// A tick is half of it.
const SLACK: Duration = Duration::from_secs(1);

/// Each client has a way to the server of its own, so that it can be cut.
struct Servers {
    port: u16,
    ttl: Duration,
    proxies: Mutex<Vec<(usize, Wire)>>,
}

impl Servers {
    fn new(port: u16, ttl: Duration) -> Self {
        let proxies = Mutex::default();
        Self { port, ttl, proxies }
    }
}

/// So that what the law says of time is not said of a server that has just begun to learn its own code.
async fn warm_up(port: u16) {
    let url = format!("zookeeper://127.0.0.1:{port}");
    let locks = Locks::new(connected(|| ZooKeeperBackend::connect(&url)).await);
    for round in 0..20 {
        let names = (0..20).map(|name| format!("warm/{round}/{name}"));
        let guards = names.map(|name| locks.acquire(name).into_future());
        for guard in join_all(guards).await {
            guard.unwrap().release().await.unwrap();
        }
    }
}

fn address(client: &Arc<dyn LockBackend>) -> usize {
    Arc::as_ptr(client).cast::<()>().addr()
}

impl Fixture for Servers {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
        Box::pin(async move {
            let proxy = Wire::to(self.port).await;
            let url = format!("zookeeper://127.0.0.1:{}", proxy.port());
            let client: Arc<dyn LockBackend> =
                Arc::new(TwoSessions::connect(&url, self.ttl).await?);
            self.proxies.lock().push((address(&client), proxy));
            Ok(client)
        })
    }

    fn ttl_min(&self) -> Duration {
        self.ttl
    }

    fn slack(&self) -> Duration {
        SLACK
    }

    fn sever<'a>(&'a self, client: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // The session is not closed: the server hears no more of it, and lets it expire.
            let address = address(client);
            let proxies = self.proxies.lock();
            let (_, proxy) = proxies.iter().find(|(of, _)| *of == address).unwrap();
            proxy.cut();
        })
    }
}

/// At the same time, for they mostly wait.
#[tokio::test]
async fn locks_on_zookeeper_and_on_a_follower_of_an_ensemble_obey_the_law() {
    let server = ZooKeeperServer::start().await;
    warm_up(server.port()).await;
    let servers = Servers::new(server.port(), TTL);
    let ensemble = ZooKeeperEnsemble::start().await;
    let port = ensemble.port_of_a_follower().await;
    warm_up(port).await;
    let followers = Servers::new(port, TTL);
    let (one, other) = tokio::join!(conformance::run(&servers), conformance::run(&followers));
    one.into_result().expect("the law, on one server");
    other.into_result().expect("the law, on a follower");
}
