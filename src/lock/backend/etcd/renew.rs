//! Renewing: the shared leases, and a look at each entry.

use std::collections::HashMap;
use std::sync::Arc;

use etcd_client::{Txn, TxnOp};
use futures_util::future::{join, join_all};
use tokio::time::Instant;

use crate::lock::backend::{Entry, Renewed};
use crate::lock::lease::Lease as Proved;

use super::lease::Lease;
use super::link::TIMEOUT;
use super::store::Store;
use super::table::Naming;
use super::tend;
use super::trouble::Trouble;

/// Entries in one look: each is looked for at two keys, and servers allow 128 operations.
const LOOK_MAX: usize = 64;

/// An entry that there may be, and the lease that it stands under.
struct Renewing<'a> {
    naming: Naming<'a>,
    lease: Arc<Lease>,
    /// When it was looked for.
    turn: u64,
}

impl Store {
    pub(super) async fn renew(
        self: &Arc<Self>,
        entries: &[Entry],
    ) -> Vec<Result<Renewed, Trouble>> {
        let (asked, until) = (Instant::now(), Instant::now() + TIMEOUT);
        let renewing = entries.iter().map(|entry| {
            let naming = self.table.name(entry)?;
            let turn = naming.turn();
            let lease = naming.lease()?;
            tend::ensure(self, &lease);
            Some(Renewing {
                naming,
                lease,
                turn,
            })
        });
        let renewing: Vec<_> = renewing.collect();
        let there: Vec<_> = renewing.iter().flatten().collect();
        let looks = there.chunks(LOOK_MAX).map(|some| self.look_at(some, until));
        let (proofs, looked) = join(proofs(&there, asked, until), join_all(looks)).await;
        let mut looked = looked.into_iter().flatten();
        let answers = renewing.iter().map(|entry| match entry {
            None => Ok(Renewed::Gone),
            Some(entry) => {
                let look = looked.next().unwrap_or_else(|| Err(Trouble::no_answer()));
                entry.answer(look, proofs.get(&entry.lease.id()))
            }
        });
        answers.collect()
    }

    /// Which of these are there, under their lease.
    async fn look_at(&self, some: &[&Renewing<'_>], until: Instant) -> Vec<Result<bool, Trouble>> {
        let gets = some.iter().flat_map(|entry| entry.naming.wish.get());
        let gets: Vec<TxnOp> = gets.collect();
        let answer = match self.take(Txn::new().and_then(gets), until).await {
            Ok(answer) => answer,
            Err(trouble) => return vec![Err(trouble); some.len()],
        };
        let mut gets = answer.gets();
        let mut is_under = |lease: &Lease| {
            let mut kvs = gets.next().into_iter().flatten();
            kvs.any(|kv| kv.lease() == lease.id())
        };
        let found = some.iter().map(|entry| {
            let (held, waiting) = (is_under(&entry.lease), is_under(&entry.lease));
            Ok(held || waiting)
        });
        found.collect()
    }
}

/// What a renewal sent from now on proves of each of the leases.
async fn proofs(
    entries: &[&Renewing<'_>],
    asked: Instant,
    until: Instant,
) -> HashMap<i64, Result<Proved, Trouble>> {
    let leases = entries.iter().map(|entry| (entry.lease.id(), &entry.lease));
    let leases: HashMap<i64, &Arc<Lease>> = leases.collect();
    let proofs = leases
        .into_iter()
        .map(|(id, lease)| async move { (id, lease.proved_since(asked, until).await) });
    join_all(proofs).await.into_iter().collect()
}

impl Renewing<'_> {
    fn answer(
        &self,
        found: Result<bool, Trouble>,
        proof: Option<&Result<Proved, Trouble>>,
    ) -> Result<Renewed, Trouble> {
        if !found? {
            self.naming.gone(self.turn);
            return Ok(Renewed::Gone);
        }
        if self.naming.confirm().is_err() {
            return Ok(Renewed::Gone);
        }
        match proof.cloned().unwrap_or_else(|| Err(Trouble::no_answer())) {
            Ok(lease) => Ok(Renewed::Alive(lease)),
            Err(trouble) if trouble.is_lease_gone() => Ok(Renewed::Gone),
            Err(trouble) => Err(trouble),
        }
    }
}
