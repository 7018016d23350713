//! Claiming: from the queue to a grant.

use std::sync::Arc;

use etcd_client::{Txn, TxnOp};
use tokio::time::Instant;

use crate::lock::backend::{Claimed, Entry, Grant};
use crate::lock::queue::Verdict;

use super::lease::Lease;
use super::link::TIMEOUT;
use super::snapshot::{Answer, Seen, Snapshot};
use super::store::Store;
use super::table::{Naming, Stage};
use super::tend;
use super::trouble::Trouble;

/// How often a grant is tried that others were faster than. Whoever is in line may wait on.
const TRIES: usize = 32;

/// What a look for a waiter found.
enum Found {
    /// It was granted, at this revision, and alone.
    Granted(i64),
    Lock(Snapshot),
    /// A holder, or none.
    Holder(Option<Seen>),
}

impl Store {
    pub(super) async fn claim(self: &Arc<Self>, entry: &Entry) -> Result<Claimed, Trouble> {
        let until = Instant::now() + TIMEOUT;
        let Some(naming) = self.table.name(entry) else {
            return Ok(Claimed::Gone);
        };
        if let Some(lease) = naming.lease() {
            tend::ensure(self, &lease);
            let lately = lease.proved_lately(until).await;
            if let Some(trouble) = lately.err().filter(|trouble| !trouble.is_lease_gone()) {
                return Err(trouble);
            }
        }
        self.pursue(&naming, None, until).await
    }

    /// Grants an entry if it may hold, beginning with what was just read of the lock, if it was.
    pub(super) async fn pursue(
        &self,
        naming: &Naming<'_>,
        read: Option<Snapshot>,
        until: Instant,
    ) -> Result<Claimed, Trouble> {
        if let Some(lease) = naming.lease() {
            match self.pursue_under(naming, &lease, read, until).await {
                Err(trouble) if trouble.is_lease_gone() => self.retire(&lease),
                Err(trouble) if trouble.is_outlived() => {}
                claimed => return claimed,
            }
        }
        // Nothing was sent yet, or all of it ended with its lease or is being removed.
        naming.ring();
        Ok(Claimed::Gone)
    }

    async fn pursue_under(
        &self,
        naming: &Naming<'_>,
        lease: &Lease,
        mut read: Option<Snapshot>,
        until: Instant,
    ) -> Result<Claimed, Trouble> {
        let mut turn = naming.turn();
        for _ in 0..TRIES {
            let found = match read.take() {
                Some(snapshot) => Found::Lock(snapshot),
                None => self.find(naming, lease, until).await?,
            };
            let snapshot = match found {
                Found::Granted(revision) => return naming.now_holds(lease, revision, 0),
                Found::Holder(seen) => return naming.is_holder(lease, seen.as_ref(), turn),
                Found::Lock(snapshot) => snapshot,
            };
            let own = snapshot.of(naming.wish.holder);
            let Some(waiting) = own.filter(|own| !own.is_holder() && own.lease == lease.id())
            else {
                return naming.is_holder(lease, own, turn);
            };
            let (waiter, arrival) = (waiting.waiter(), waiting.revision);
            match snapshot.judge(&waiter, true) {
                Verdict::Wait => {
                    let blockers = snapshot.blockers(&naming.wish.keys, &waiter);
                    let blockers = Some(Arc::new(blockers));
                    naming.settle(Stage::Waiting { arrival, blockers })?;
                    return Ok(Claimed::Waiting(naming.waits(lease)?));
                }
                Verdict::Admit => {
                    let blockers = None;
                    naming.settle(Stage::Waiting { arrival, blockers })?;
                    let (floor, _) = snapshot.floor(&naming.wish.keys);
                    turn = naming.turn();
                    let txn = naming.wish.claim_by(lease.terms(), arrival, &snapshot);
                    let answer = self.take(txn, until).await?;
                    if answer.held() {
                        return naming.now_holds(lease, answer.revision, floor);
                    }
                    read = Some(answer.snapshot(&naming.wish.keys)?);
                }
                // Nobody enters beside entries of another family.
                Verdict::Foreign(_) => return Err(Trouble::corrupt()),
            }
        }
        Ok(Claimed::Waiting(naming.waits(lease)?))
    }

    /// Looks, in the way that costs least for what is known.
    async fn find(
        &self,
        naming: &Naming<'_>,
        lease: &Lease,
        until: Instant,
    ) -> Result<Found, Trouble> {
        let wish = &naming.wish;
        let (txn, stage) = match naming.stage() {
            stage @ Stage::Holding => {
                let get = TxnOp::get(wish.held.as_str(), None);
                (Txn::new().and_then([get]), stage)
            }
            stage @ Stage::Waiting { arrival, .. } => (wish.claim(lease.terms(), arrival), stage),
            stage @ (Stage::Unknown | Stage::Leaving | Stage::Left { .. }) => (wish.read(), stage),
        };
        let answer: Answer = self.take(txn, until).await?;
        Ok(match stage {
            Stage::Holding => {
                let seen = answer.got(0).first().map(|kv| Seen::read(&wish.keys, kv));
                Found::Holder(seen.transpose()?)
            }
            Stage::Waiting { .. } if answer.held() => Found::Granted(answer.revision),
            Stage::Waiting { .. } | Stage::Unknown | Stage::Leaving | Stage::Left { .. } => {
                Found::Lock(answer.snapshot(&wish.keys)?)
            }
        })
    }
}

impl Naming<'_> {
    fn now_holds(&self, lease: &Lease, revision: i64, floor: i64) -> Result<Claimed, Trouble> {
        let grant = self.granted(lease, revision, floor)?;
        // Others of this process may listen for the same entry.
        self.ring();
        Ok(Claimed::Granted(grant))
    }

    /// What was found at a holder's key, or nothing, by who began to look at this turn.
    fn is_holder(&self, lease: &Lease, seen: Option<&Seen>, turn: u64) -> Result<Claimed, Trouble> {
        let Some(seen) = seen.filter(|seen| seen.is_holder() && seen.lease == lease.id()) else {
            self.gone(turn);
            return Ok(Claimed::Gone);
        };
        let grant = Grant::new(seen.pass()?, lease.proved()?);
        self.settle(Stage::Holding)?;
        self.ring();
        Ok(Claimed::Granted(grant))
    }
}
