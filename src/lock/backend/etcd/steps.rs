//! The transactions: what is compared, what is put, what is read.
//!
//! A lock is of one family at a time because nobody enters it but beside entries of their own
//! family, or where there are none. A comparison does not see what went away; so what grants
//! compares what may not have come, and the one holder whose token is the floor.

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};

use crate::lock::queue::{Mode, Waiter};

use super::keys::is_of;
use super::lease::Terms;
use super::snapshot::{Note, Snapshot};
use super::wish::Wish;

impl Wish {
    /// Grants at once if nobody holds or waits. Else reads the lock, and whether the id has left.
    /// It is short, for it is written to the server's log as it is.
    pub(super) fn enqueue(&self, lease: Terms) -> Txn {
        let alone = [self.keys.all().is_empty(), is_of(&self.left, 0)];
        let txn = Txn::new().when(alone).and_then([self.put_held(lease, 0)]);
        txn.or_else(self.look())
    }

    /// Enters the queue if these entries are there still; and reads the lock.
    pub(super) fn enter(&self, lease: Terms, beside: impl IntoIterator<Item = Compare>) -> Txn {
        let mut enters = self.is_new().to_vec();
        enters.extend(beside);
        let entered = [vec![self.put_waiting(lease)], self.look()].concat();
        Txn::new()
            .when(enters)
            .and_then(entered)
            .or_else(self.look())
    }

    /// Grants one who is not in the queue and may hold by this snapshot, if nobody came since.
    pub(super) fn grant(&self, lease: Terms, snapshot: &Snapshot) -> Txn {
        let (floor, floor_holds) = snapshot.floor(&self.keys);
        let mut grants = self.is_new().to_vec();
        grants.push(floor_holds);
        if self.mode == Mode::Shared && floor != 0 {
            // Others who read may come meanwhile, and nobody else: one of them is there.
            grants.extend(self.keys.unshared().map(|span| span.is_empty()));
            grants.push(self.keys.waiters().nothing_new_since(snapshot.revision));
        } else {
            grants.push(self.keys.all().nothing_new_since(snapshot.revision));
        }
        let held = [self.put_held(lease, floor)];
        Txn::new().when(grants).and_then(held).or_else(self.look())
    }

    /// Grants a waiter if nobody holds and nobody is ahead: in any mode, it may hold then. Else
    /// reads the lock.
    pub(super) fn claim(&self, lease: Terms, arrival: i64) -> Txn {
        let first = [
            is_of(&self.waiting, arrival),
            self.keys.holders().is_empty(),
            self.keys.more_urgent(self.priority).is_empty(),
            // It is among them itself, so they are not none.
            self.keys.as_urgent(self.priority).came_after(arrival - 1),
        ];
        let txn = Txn::new().when(first).and_then(self.hold(lease, 0));
        txn.or_else([self.keys.all().get()])
    }

    /// Grants a waiter that may hold by this snapshot, if nobody came since whom it has to wait
    /// for; else reads the lock.
    pub(super) fn claim_by(&self, lease: Terms, arrival: i64, snapshot: &Snapshot) -> Txn {
        let (floor, floor_holds) = snapshot.floor(&self.keys);
        let more_urgent = self.keys.more_urgent(self.priority);
        let mut grants = vec![
            is_of(&self.waiting, arrival),
            // Whoever came later and is as urgent is behind.
            more_urgent.nothing_new_since(snapshot.revision),
            floor_holds,
        ];
        match self.mode {
            // Others who read may come meanwhile.
            Mode::Shared => grants.extend(self.keys.unshared().map(|span| span.is_empty())),
            Mode::Exclusive | Mode::Permits(_) => {
                grants.push(self.keys.holders().nothing_new_since(snapshot.revision));
            }
        }
        let txn = Txn::new().when(grants).and_then(self.hold(lease, floor));
        txn.or_else([self.keys.all().get()])
    }

    /// Reads the lock.
    pub(super) fn read(&self) -> Txn {
        Txn::new().and_then([self.keys.all().get()])
    }

    /// Reads the entry as a holder and as a waiter.
    pub(super) fn get(&self) -> [TxnOp; 2] {
        [&self.held, &self.waiting].map(|key| TxnOp::get(key.as_str(), None))
    }

    /// Ends a holder. One that may yet enter again is kept from it.
    pub(super) fn release(&self, lease: Option<Terms>) -> Txn {
        match lease {
            None => Txn::new().and_then([delete(&self.held)]),
            Some(lease) => {
                let holds = Compare::create_revision(self.held.as_str(), CompareOp::Greater, 0);
                let ended = [delete(&self.held), self.put_left(lease)];
                Txn::new().when([holds]).and_then(ended)
            }
        }
    }

    /// Ends holder and waiter. One that may yet enter is kept from it.
    pub(super) fn leave(&self, lease: Option<Terms>) -> Txn {
        let mut ended = self.remove().to_vec();
        ended.extend(lease.map(|lease| self.put_left(lease)));
        Txn::new().and_then(ended)
    }

    pub(super) fn remove(&self) -> [TxnOp; 2] {
        [delete(&self.held), delete(&self.waiting)]
    }

    pub(super) fn forget(&self) -> TxnOp {
        delete(&self.left)
    }

    /// The id has no entry and has not left.
    fn is_new(&self) -> [Compare; 3] {
        [&self.held, &self.waiting, &self.left].map(|key| is_of(key, 0))
    }

    fn look(&self) -> Vec<TxnOp> {
        let left = TxnOp::get(self.left.as_str(), None);
        vec![self.keys.all().get(), left]
    }

    fn hold(&self, lease: Terms, floor: i64) -> [TxnOp; 2] {
        [self.put_held(lease, floor), delete(&self.waiting)]
    }

    fn put_held(&self, lease: Terms, floor: i64) -> TxnOp {
        put(&self.held, &self.note(lease, floor), lease)
    }

    fn put_waiting(&self, lease: Terms) -> TxnOp {
        put(&self.waiting, &self.note(lease, 0), lease)
    }

    fn put_left(&self, lease: Terms) -> TxnOp {
        let options = PutOptions::new().with_lease(lease.id);
        TxnOp::put(self.left.as_str(), Vec::new(), Some(options))
    }

    fn note(&self, lease: Terms, floor: i64) -> Note {
        Note {
            ttl_secs: lease.ttl_secs,
            floor,
            metadata: self.metadata.clone(),
        }
    }

    /// Where this wish would stand in the queue if it arrived now.
    pub(super) fn candidate(&self) -> Waiter {
        Waiter::new(self.holder, self.mode, self.priority, u64::MAX)
    }
}

fn put(key: &str, note: &Note, lease: Terms) -> TxnOp {
    let options = PutOptions::new().with_lease(lease.id);
    TxnOp::put(key, note.write(), Some(options))
}

pub(super) fn delete(key: &str) -> TxnOp {
    TxnOp::delete(key, None)
}
