//! The leases that entries stand under: found, or asked for.

use std::sync::Arc;

use etcd_client::LeaseGrantOptions;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::chance::random;

use super::lease::{Granting, Lease, Terms};
use super::link::TIMEOUT;
use super::store::Store;
use super::table::Naming;
use super::tend;
use super::trouble::Trouble;

impl Store {
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
            naming.put_under(&lease)?;
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
        let id = random() >> 1;
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
}
