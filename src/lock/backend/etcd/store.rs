//! What the verbs share: the way to the store, what is there of ours, and the leases.

use std::collections::HashMap;

use etcd_client::Txn;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Race, MutexGuard, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::keys::Prefix;
use super::lease::{Granting, Lease};
use super::link::{Link, TIMEOUT};
use super::snapshot::Answer;
use super::table::{Naming, Table};
use super::trouble::Trouble;
use super::wish::Wish;

pub(super) struct Store {
    pub(super) prefix: Prefix,
    pub(super) link: Link,
    pub(super) table: Table,
    /// By the TTL asked for, in seconds.
    pub(super) leases: Mutex<HashMap<u64, watch::Receiver<Granting>>>,
    pub(super) closed: CancellationToken,
    /// One for each of some groups of locks.
    races: [Race<()>; RACES],
}

/// Locks of one group seldom are raced for at a time.
const RACES: usize = 32;

impl Store {
    pub(super) fn new(prefix: Prefix, link: Link, closed: CancellationToken) -> Self {
        Self {
            prefix,
            link,
            table: Table::default(),
            leases: Mutex::default(),
            closed,
            races: Default::default(),
        }
    }

    /// One's turn, among those of this process who race for a lock.
    pub(super) async fn turn(&self, wish: &Wish, until: Instant) -> Option<MutexGuard<'_, ()>> {
        let sum: usize = wish.name.as_str().bytes().map(usize::from).sum();
        let race = self.races.get(sum % RACES)?;
        timeout_at(until, race.lock()).await.ok()
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
    ) -> Result<Answer, Trouble> {
        naming.goes_out()?;
        let answer = self.take(txn, Instant::now() + TIMEOUT).await;
        if let (Err(_), Some(lease)) = (&answer, naming.lease()) {
            // Whatever it says: should something stand there nevertheless, it is found.
            lease.suspect();
        }
        if answer.as_ref().map_or_else(Trouble::is_definite, |_| true) {
            naming.answered();
        }
        answer
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
