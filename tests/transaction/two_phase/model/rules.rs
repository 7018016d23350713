//! The functions under check, one by one, so that each can be put wrong.

use tripod::transaction::two_phase::{
    Action, Book, Entry, Event, Inquirer, Ledger, Outcome, Recovered, Reply, Request, Standing,
};
use tripod::transaction::{BranchId, Epoch, TransactionId};

use crate::two_phase::coordinator;

/// What is checked: the real functions, or some of them with a flaw.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// What the coordinator does. Nothing, if the event is impossible.
    pub(super) step: fn(&mut Book, TransactionId, Event) -> Option<Vec<Action>>,
    pub(super) recover: fn(Epoch, Vec<Entry>) -> Recovered,
    pub(super) adopt: fn(&Book, BranchId) -> Option<Request>,
    /// Whether a coordinator scans again a participant that it has scanned.
    pub(super) scans_again: bool,
    pub(super) inquire: fn(&Book, TransactionId, Inquirer) -> Standing,
    pub(super) answer: fn(&mut Ledger, BranchId, Request) -> Reply,
    pub(super) told: fn(&mut Ledger, BranchId, Outcome),
    /// Whether the log of this epoch takes an append of that one.
    pub(super) accepts: fn(u64, u64) -> bool,
}

pub(super) const REAL: Rules = Rules {
    step: |book, id, event| book.step(id, event).ok(),
    recover: |epoch, entries| Book::recover(coordinator(), epoch, entries),
    adopt: Book::adopt,
    scans_again: true,
    inquire: Book::inquire,
    answer: Ledger::answer,
    told: Ledger::told,
    accepts: |log, append| log == append,
};
