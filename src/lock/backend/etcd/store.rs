//! What the verbs share: the way to the store, what is there of ours, and the leases.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use etcd_client::{LeaseGrantOptions, Txn};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::keys::Prefix;
use super::lease::{Granting, Lease, Terms};
use super::link::{Link, TIMEOUT};
use super::snapshot::Answer;
use super::table::{Naming, Table};
use super::tend;
use super::trouble::Trouble;

pub(super) struct Store {
    pub(super) prefix: Prefix,
    pub(super) link: Link,
    pub(super) table: Table,
    /// By the TTL asked for, in seconds.
    leases: Mutex<HashMap<u64, watch::Receiver<Granting>>>,
    pub(super) closed: CancellationToken,
}

impl Store {
    pub(super) fn new(prefix: Prefix, link: Link, closed: CancellationToken) -> Self {
        Self {
            prefix,
            link,
            table: Table::default(),
            leases: Mutex::default(),
            closed,
        }
    }

    /// Takes a transaction.
    pub(super) async fn take(&self, txn: Txn, until: Instant) -> Result<Answer, Trouble> {
        let response = self.link.txn(txn, until).await?;
        Answer::read(&response)
    }

    /// Takes a transaction that may enter this id. One whose future is dropped stays unanswered.
    pub(super) async fn take_to_enter(
        &self,
        naming: &Naming<'_>,
        txn: Txn,
        until: Instant,
    ) -> Result<Answer, Trouble> {
        naming.goes_out()?;
        let answer = self.take(txn, until).await;
        if answer.as_ref().map_or_else(Trouble::is_definite, |_| true) {
            naming.answered();
        }
        answer
    }

    /// The lease that an entry stands under, or from now on does. Granted if there is none of its
    /// TTL.
    pub(super) async fn lease_of(
        self: &Arc<Self>,
        naming: &Naming<'_>,
        until: Instant,
    ) -> Result<Arc<Lease>, Trouble> {
        let lease = if let Some(lease) = naming.lease() {
            lease
        } else {
            let lease = self.lease(naming.wish.ttl_secs, until).await?;
            naming.put_under(&lease);
            lease
        };
        tend::ensure(self, &lease);
        lease.proved_lately(until).await?;
        Ok(lease)
    }

    async fn lease(self: &Arc<Self>, ttl_secs: u64, until: Instant) -> Result<Arc<Lease>, Trouble> {
        let mut granting = self.granting(ttl_secs);
        let settled = |granting: &Granting| !matches!(granting, Granting::UnderWay);
        let settled = timeout_at(until, granting.wait_for(settled)).await;
        match settled.map(|granting| granting.map(|granting| granting.clone())) {
            Ok(Ok(Granting::Granted(lease))) => Ok(lease),
            Ok(Ok(Granting::Failed(trouble))) => Err(trouble.before_it_went_out()),
            Ok(Ok(Granting::UnderWay) | Err(_)) => {
                Err(Trouble::unavailable("no lease was granted"))
            }
            Err(_) => Err(Trouble::unavailable("no lease was granted in time")),
        }
    }

    /// What becomes of the lease of this TTL: asked for once, by a task, whoever waits for it.
    fn granting(self: &Arc<Self>, ttl_secs: u64) -> watch::Receiver<Granting> {
        let mut leases = self.leases.lock();
        if let Some(granting) = leases.get(&ttl_secs) {
            let usable = match &*granting.borrow() {
                // A task that ended with its runtime has let go of it.
                Granting::UnderWay => granting.has_changed().is_ok(),
                Granting::Granted(lease) => !lease.is_lost(),
                Granting::Failed(_) => false,
            };
            if usable {
                return granting.clone();
            }
        }
        let (grants, granting) = watch::channel(Granting::UnderWay);
        leases.insert(ttl_secs, granting.clone());
        drop(leases);
        let store = Arc::clone(self);
        tokio::spawn(async move {
            let granted = store.grant(ttl_secs).await;
            grants.send_replace(match granted {
                Ok(lease) => Granting::Granted(lease),
                Err(trouble) => {
                    store.leases.lock().remove(&ttl_secs);
                    Granting::Failed(trouble)
                }
            });
        });
        granting
    }

    async fn grant(self: &Arc<Self>, ttl_secs: u64) -> Result<Arc<Lease>, Trouble> {
        let until = Instant::now() + TIMEOUT;
        let used = self.link.used(until).await?;
        let mut client = used.lease();
        // Chosen here, so that what a lost answer left can be named.
        let id = RandomState::new().hash_one(ttl_secs) >> 1;
        let id = i64::try_from(id).unwrap_or(i64::MAX).max(1);
        let asked = i64::try_from(ttl_secs).unwrap_or(i64::MAX);
        let sent = Instant::now();
        let options = LeaseGrantOptions::new().with_id(id);
        let granted = client.grant(asked, Some(options));
        let granted = match self.link.ask(&used, until, granted).await {
            Ok(granted) => granted,
            Err(trouble) => {
                if !trouble.is_definite() {
                    self.revoke(id).await;
                }
                return Err(trouble);
            }
        };
        let ttl_secs = u64::try_from(granted.ttl()).map_err(|_| Trouble::corrupt())?;
        let terms = Terms {
            id: granted.id(),
            ttl_secs,
        };
        let lease = Arc::new(Lease::new(terms, sent));
        tend::ensure(self, &lease);
        Ok(lease)
    }

    /// Ends a lease, and with it all that stands under it. If that fails, it ends by itself.
    pub(super) async fn revoke(&self, id: i64) {
        let until = Instant::now() + TIMEOUT;
        if let Ok(used) = self.link.used(until).await {
            let mut client = used.lease();
            drop(self.link.ask(&used, until, client.revoke(id)).await);
        }
    }

    /// Takes a lease out of use.
    pub(super) fn retire(&self, lease: &Lease) {
        self.leases
            .lock()
            .retain(|_, granting| match &*granting.borrow() {
                Granting::Granted(other) => other.id() != lease.id(),
                Granting::UnderWay | Granting::Failed(_) => true,
            });
        lease.lose();
        self.table.forget_all(lease);
    }
}
