//! Locks on `ZooKeeper`.
//!
//! # Nodes
//!
//! `/tripod/e<name>` is a lock: a container, which the server removes when it has been empty for a
//! minute. Its children are the entries, all ephemeral; their names tell everything that decides who
//! may hold (`child.rs`), so one list of them is the lock as of one instant (`view.rs`).
//!
//! # Steps
//!
//! A grant is one transaction: it sets the lock's data if its version is that of the list which was
//! judged, creates the holder's node, and deletes the waiter's. Versions tell grants and arrivals, which
//! can make a verdict worse. What ends an entry, a release or a lost session, makes no version: it can
//! only make verdicts better, and a grant judged before it is as good as one that came just before
//! it. The floor alone depends on who has ended: so the holder that it is taken from is checked in
//! the same transaction. A container that was removed and made anew begins its versions anew; so the
//! holder's name tells by which container it was judged, and one that was judged by another counts for
//! nothing.
//!
//! An arrival is one transaction that compares nothing: the server numbers the waiter's node. If the
//! lock is otherwise as it was listed, the waiter's standing is known; else it looks again.
//!
//! The fencing token is the number of the transaction that granted (zxid), which grows for as long as
//! the ensemble keeps its data. The sequence numbers of nodes are the order of arrival and nothing else:
//! they begin anew with the container.
//!
//! # Leases
//!
//! All entries of a backend share its session. What counts for the lease is told in `proof.rs`. Measured
//! on a server that stands alone, with a tick of 0.5 s and sessions of 4 s whose client fell silent:
//! counted from when the last request was sent that the server heard of, a read as good as any, nodes
//! were freed after 4.0 to 4.5 s, for the server rounds up to the next tick. Counted from the moment of
//! silence it is less, by as much as that request was older: an idle client pings after 0.15 of
//! the timeout, so 3.4 s may be all. Its own word that a session has expired comes after 1.4 timeouts.
//! So only requests of our own are counted, from when they were sent.

mod address;
mod call;
mod child;
mod connect;
mod end;
mod enter;
mod failure;
mod grant;
mod keeper;
mod look;
mod ours;
mod proof;
mod session;
mod shared;
mod view;

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::future::BoxFuture;
use crate::lock::fence::FencingToken;
use crate::lock::name::LockName;

use super::{BackendError, Claimed, Enqueued, Entry, Inspection, LockBackend, Renewed, Request};
use session::{Config, Session};
use shared::Shared;

pub use connect::ConnectZooKeeper;

/// Locks on a `ZooKeeper` server or ensemble, version 3.6 or later.
///
/// A backend has one session, and everything that it enters ends with that session: the TTL of all its
/// locks is the session's timeout, as the servers have agreed to it, and a request for a longer one
/// is *rejected*: see [`session_timeout`](ConnectZooKeeper::session_timeout). A shorter one is
/// granted as the session's. If the process dies, its locks are free within that time and one tick.
/// What is not renewed while the process lives is removed by the backend after one TTL.
///
/// The clock is the leader's, monotonic. A restart or an election of a leader loses nothing; sessions
/// are counted anew then, so locks of the dead live longer by as much. The fencing token is the
/// transaction's number (zxid).
///
/// An uncontended acquisition takes two round trips, a list and a transaction; a release takes one.
/// Whoever waits watches the last node that stands in its way, so a release wakes only those that may
/// hold then. In an ensemble, a lease is believed in for up to a third of the TTL less than the server
/// keeps it, for the leader hears late of the requests that others answer.
///
/// Connections are made anew by themselves, and so are sessions; the locks of a session that was lost
/// are lost with it. Dropped, the backend closes its session, which frees all that it holds.
pub struct ZooKeeperBackend {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

impl ZooKeeperBackend {
    /// Connects to the servers of this URL: `zookeeper://host[:port][,host[:port]…][/path]`, or
    /// `zookeeper+tls://` for TLS. The port is 2181 unless said otherwise; everything is under the node
    /// of this path, `/tripod` unless said otherwise, which is made if it is not there. Awaits as
    /// `Result<ZooKeeperBackend, BackendError>`; needs a tokio runtime, in which it runs its tasks.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use tripod::lock::{Locks, ZooKeeperBackend};
    ///
    /// # async fn example() -> Result<(), tripod::lock::BackendError> {
    /// let store = ZooKeeperBackend::connect("zookeeper://a.example,b.example,c.example/locks")
    ///     .session_timeout(Duration::from_secs(20))
    ///     .user("orders", "the password")
    ///     .await?;
    /// let locks = Locks::new(store);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// *Unavailable* if no server can be reached within 5 s, or TLS fails; *rejected* if the URL, an
    /// option or a certificate is none, the user may not use the path, or the server is too old.
    pub fn connect(url: impl Into<String>) -> ConnectZooKeeper {
        ConnectZooKeeper::new(&url.into())
    }

    fn new(config: Config, session: Session, runtime: Handle) -> Self {
        let shared = Arc::new(Shared::new(config, session, runtime));
        let keeper = shared.runtime.spawn(keeper::run(Arc::clone(&shared)));
        Self {
            shared,
            keeper: keeper.abort_handle(),
        }
    }
}

impl Drop for ZooKeeperBackend {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl fmt::Debug for ZooKeeperBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeperBackend").finish_non_exhaustive()
    }
}

impl LockBackend for ZooKeeperBackend {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        Box::pin(enter::enqueue(&self.shared, request))
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(look::changed(&self.shared, entry))
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        Box::pin(enter::claim(&self.shared, entry))
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(look::renew(&self.shared, entries))
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(end::release(&self.shared, entry))
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(end::leave(&self.shared, entry))
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        Box::pin(look::inspect(&self.shared, name))
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(end::force_release(&self.shared, name, token))
    }
}
