//! The crates beside ours, each as its users would have it.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ash_lock::{LockClient, LockConfig};
use lockable::{AsyncLimit, LockPool, LockableHashMap};
use rslock::LockManager;
use tokio::runtime::Runtime;
use tripod::lock::{LockName, Locks, MemoryBackend, RedisBackend};

const NAME: &str = "orders/17";
/// Our default.
const TTL: Duration = Duration::from_secs(30);

/// A lock of a certain name, to be acquired and released.
pub(crate) trait Peer: Clone + Send + Sync + 'static {
    /// Acquires, does `held`, releases.
    fn cycle(&self, held: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send;
}

#[derive(Clone)]
pub(crate) struct Ours {
    locks: Locks,
    name: LockName,
}

impl Peer for Ours {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let guard = self.locks.acquire(black_box(&self.name)).await;
        let guard = guard.expect("a lock");
        held.await;
        assert!(guard.release().await.expect("a release"));
    }
}

/// The same by `&str`.
#[derive(Clone)]
pub(crate) struct OursByStr(Locks);

impl Peer for OursByStr {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let guard = self.0.acquire(black_box(NAME)).await.expect("a lock");
        held.await;
        assert!(guard.release().await.expect("a release"));
    }
}

/// A pool, the key made anew as its methods want to own one.
#[derive(Clone)]
pub(crate) struct Lockable(Arc<LockPool<String>>);

impl Peer for Lockable {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let guard = self.0.async_lock(black_box(NAME).to_owned()).await;
        held.await;
        drop(guard);
    }
}

/// A pool of the cheapest keys, those that ours has.
#[derive(Clone)]
pub(crate) struct LockableArc {
    pool: Arc<LockPool<Arc<str>>>,
    name: Arc<str>,
}

impl Peer for LockableArc {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let guard = self
            .pool
            .async_lock(Arc::clone(black_box(&self.name)))
            .await;
        held.await;
        drop(guard);
    }
}

/// A map, whose guards may outlive the call, as ours may.
#[derive(Clone)]
pub(crate) struct LockableOwned(Arc<LockableHashMap<String, ()>>);

impl Peer for LockableOwned {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let key = black_box(NAME).to_owned();
        let guard = self.0.async_lock_owned(key, AsyncLimit::no_limit()).await;
        held.await;
        drop(guard);
    }
}

/// Locks of another crate on Redis: a key that is set if it is not there, removed by a script; no
/// fencing token, no queue, no renewal.
#[derive(Clone)]
pub(crate) struct Rslock(LockManager);

impl Peer for Rslock {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let lock = self.0.lock(black_box(NAME), TTL).await.expect("a lock");
        held.await;
        self.0.unlock(&lock).await;
    }
}

#[derive(Clone)]
pub(crate) struct Ash(LockClient);

impl Peer for Ash {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let guard = self.0.lock(black_box(NAME)).await.acquire().await;
        let guard = guard.expect("a lock");
        held.await;
        guard.unlock().await.expect("a release");
    }
}

pub(crate) fn ours() -> Ours {
    Ours {
        locks: Locks::new(MemoryBackend::new()),
        name: LockName::new(NAME).expect("a name"),
    }
}

pub(crate) async fn ours_on_redis(url: &str) -> Ours {
    let store = RedisBackend::connect(url).await.expect("a store");
    Ours {
        locks: Locks::new(store),
        name: LockName::new(NAME).expect("a name"),
    }
}

pub(crate) fn rslock(url: &str) -> Rslock {
    Rslock(LockManager::new(vec![url.to_owned()]))
}

pub(crate) fn by_str() -> OursByStr {
    OursByStr(Locks::new(MemoryBackend::new()))
}

pub(crate) fn lockable() -> Lockable {
    Lockable(Arc::new(LockPool::new()))
}

pub(crate) fn lockable_arc() -> LockableArc {
    LockableArc {
        pool: Arc::new(LockPool::new()),
        name: Arc::from(NAME),
    }
}

pub(crate) fn lockable_owned() -> LockableOwned {
    LockableOwned(Arc::new(LockableHashMap::new()))
}

pub(crate) fn ash(runtime: &Runtime) -> Ash {
    let client = LockClient::connect(LockConfig::default());
    Ash(runtime.block_on(client).expect("a client"))
}
