//! Locks on etcd.

mod changed;
mod claim;
mod connect;
mod end;
mod enter;
mod keys;
mod lease;
mod leases;
mod link;
mod renew;
mod snapshot;
mod steps;
mod store;
mod table;
mod tend;
mod trouble;
mod wish;

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::future::BoxFuture;
use crate::lock::fence::FencingToken;
use crate::lock::name::LockName;

use super::{
    BackendError, Claimed, Enqueued, Entry, Inspection, LockBackend, Renewed, Request, Verb,
};
use store::Store;

pub use connect::ConnectEtcd;

/// Locks on etcd, version 3.4 or later.
///
/// Where nobody is in the way, an acquisition is one transaction, and a release another. The
/// fencing token is the revision of the transaction that grants. Waiters watch the one entry that
/// is in their way.
///
/// All entries of one TTL share one lease of the server, which is kept alive while this value
/// lives, and for a minute after the last use. TTLs are whole seconds, rounded up, and no shorter
/// than the server grants: two seconds with its default settings. An entry that nobody renews is
/// removed by this value; if the process dies, it is gone within the TTL.
///
/// When the last clone of this value's handle is dropped within a runtime, its leases are revoked,
/// and nothing is left in the server.
///
/// # Building
/// The client is generated from etcd's protocol as it is built, by `protoc` with its standard
/// files: `apt-get install protobuf-compiler libprotobuf-dev` on Debian, or any `protoc` that the
/// variable `PROTOC` names.
pub struct EtcdBackend {
    store: Arc<Store>,
    /// Ends the tasks.
    _closes: DropGuard,
}

impl EtcdBackend {
    /// Connects to the servers of these URLs: `http://host:port`, or `https://` for TLS; several
    /// of one cluster separated by commas. One is in use until it fails.
    ///
    /// # Errors
    /// *Unavailable* if none can be reached; *rejected* if a URL is wrong, or the server refuses
    /// the user or is older than 3.4.
    ///
    /// # Cancel safety
    /// Safe: nothing is stored.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use tripod::lock::{EtcdBackend, Locks, Tls};
    ///
    /// let store = EtcdBackend::connect("https://etcd-1:2379,https://etcd-2:2379")
    ///     .tls(Tls::new().with_roots(std::fs::read("ca.pem")?))
    ///     .user("printer", std::env::var("ETCD_PASSWORD")?)
    ///     .await?;
    /// let guard = Locks::new(store).acquire("printer").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(urls: impl Into<String>) -> ConnectEtcd {
        ConnectEtcd::new(&urls.into())
    }

    fn new(store: Store, closed: CancellationToken) -> Self {
        Self {
            store: Arc::new(store),
            _closes: closed.drop_guard(),
        }
    }
}

impl fmt::Debug for EtcdBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdBackend").finish_non_exhaustive()
    }
}

impl LockBackend for EtcdBackend {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        Box::pin(async move {
            let enqueued = self.store.enqueue(request).await;
            enqueued.map_err(|trouble| trouble.at(Verb::Enqueue))
        })
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let changed = self.store.changed(entry).await;
            changed.map_err(|trouble| trouble.at(Verb::Changed))
        })
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        Box::pin(async move {
            let claimed = self.store.claim(entry).await;
            claimed.map_err(|trouble| trouble.at(Verb::Claim))
        })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(async move {
            let renewed = self.store.renew(entries).await.into_iter();
            let told = renewed.map(|one| one.map_err(|trouble| trouble.at(Verb::Renew)));
            told.collect()
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let released = self.store.release(entry).await;
            released.map_err(|trouble| trouble.at(Verb::Release))
        })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let left = self.store.leave(entry).await;
            left.map_err(|trouble| trouble.at(Verb::Leave))
        })
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        Box::pin(async move {
            let inspection = self.store.inspect(name).await;
            inspection.map_err(|trouble| trouble.at(Verb::Inspect))
        })
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let released = self.store.force_release(name, token).await;
            released.map_err(|trouble| trouble.at(Verb::ForceRelease))
        })
    }
}
