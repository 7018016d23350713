//! The state of everything: a log, its coordinators, their participants, and what is in flight.

use std::collections::BTreeSet;

use tripod::transaction::two_phase::{
    Book, Entry, Event, Ledger, Outcome, Record, RecordKind, Reply, Request, Row, Transaction,
};
use tripod::transaction::{BranchId, CoordinatorId, TransactionId};

use crate::two_phase::{epoch, transaction};

/// What may happen, and how often.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Faults {
    /// Of coordinators. In flight stays what is.
    pub(super) crashes: u8,
    /// By a successor while the coordinator lives on, a zombie.
    pub(super) take_overs: u8,
    /// Which participants may still crash: a bit for each.
    pub(super) losses: u8,
    /// Messages lost, late (the sender gives up on them, and yet they come) or doubled.
    pub(super) mischief: u8,
    /// Appends that fail, so that nobody knows whether they landed.
    pub(super) failures: u8,
    /// Deadlines, and callers that go away.
    pub(super) impatience: u8,
    /// Prepared participants that ask what was decided.
    pub(super) inquiries: u8,
    /// Branches that an administrator ends by hand.
    pub(super) forces: u8,
    /// Operators who abort what is not decided.
    pub(super) operators: u8,
}

pub(super) const NO_FAULTS: Faults = Faults {
    crashes: 0,
    take_overs: 0,
    losses: 0,
    mischief: 0,
    failures: 0,
    impatience: 0,
    inquiries: 0,
    forces: 0,
    operators: 0,
};

#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct World {
    /// Whether replies and the fates of appends are under way for a while. If not, they are there
    /// at once: whoever sent a request or an append and crashes will still not know of them.
    pub(super) slow: bool,
    /// Whether participants list the branches of the transaction.
    pub(super) lists: bool,
    pub(super) log: Vec<Entry>,
    /// The one that the log takes appends of.
    pub(super) epoch: u64,
    /// Appends of coordinators that are dead, by their epochs. They may land yet.
    pub(super) late: Vec<(u64, Entry)>,
    /// Those that live, by epoch.
    pub(super) coordinators: Vec<Coordinator>,
    pub(super) ledgers: Vec<Ledger>,
    /// In no order.
    pub(super) post: Vec<Message>,
    pub(super) faults: Faults,
    /// What anybody was ever told about the transaction, as far as it is definite.
    pub(super) told: BTreeSet<Outcome>,
    /// Which branches ever voted yes or read-only: a bit for each.
    pub(super) voted: u8,
    /// Whether an administrator ended a branch.
    pub(super) forced: bool,
    /// The law that the last step broke. Nothing happens after that.
    pub(super) broken: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Coordinator {
    pub(super) epoch: u64,
    pub(super) book: Book,
    /// Appends that have not reached the log, in their order.
    pub(super) appends: Vec<Record>,
    /// Of appends, not yet told, in their order.
    pub(super) fates: Vec<Event>,
    /// An append failed: it takes no more of them.
    pub(super) poisoned: bool,
    /// Which participants it has scanned: a bit for each.
    pub(super) scanned: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Message {
    Request(u64, BranchId, Request),
    Reply(u64, BranchId, Reply),
    Inquiry(u64, BranchId),
    Verdict(BranchId, Outcome),
}

/// The transaction that all is about; it begins in the first epoch.
pub(super) fn subject() -> TransactionId {
    transaction(1)
}

pub(super) fn branch(number: u16) -> BranchId {
    BranchId::new(subject(), number)
}

/// A prepared branch that somebody else coordinates, in every participant.
pub(super) fn foreign() -> BranchId {
    let id = TransactionId::new(CoordinatorId::from_u128(2), epoch(1), 0);
    BranchId::new(id, 0)
}

/// A prepared branch of the coordinator of this epoch, which is still about to decide.
pub(super) fn own(begun_in: u64) -> BranchId {
    BranchId::new(transaction(begun_in), 0)
}

impl World {
    /// The one that opened the log last, if it lives.
    pub(super) fn newest(&self) -> Option<usize> {
        let newest = |coordinator: &Coordinator| coordinator.epoch == self.epoch;
        self.coordinators.iter().position(newest)
    }

    pub(super) fn lives(&self, epoch: u64) -> Option<usize> {
        let lives = |coordinator: &Coordinator| coordinator.epoch == epoch;
        self.coordinators.iter().position(lives)
    }

    pub(super) fn post(&mut self, message: Message) {
        let at = self.post.partition_point(|other| *other <= message);
        self.post.insert(at, message);
    }

    /// What the log holds of the transaction.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.log.iter().filter_map(|entry| match entry {
            Entry::Of(id, record) if *id == subject() => Some(record),
            Entry::Of(..) | Entry::Named(_) | Entry::Unreadable(_) => None,
        })
    }

    pub(super) fn has(&self, kind: RecordKind) -> bool {
        self.records().any(|record| record.kind() == kind)
    }

    /// Of the transaction's branches, by number.
    pub(super) fn rows(&self) -> impl Iterator<Item = Option<Row>> {
        let ledgers = self.ledgers.iter().zip(0..);
        ledgers.map(|(ledger, number)| ledger.row(branch(number)))
    }

    pub(super) fn any(&self, row: Row) -> bool {
        self.rows().any(|other| other == Some(row))
    }

    /// A coordinator dies. What it has appended may reach the log yet.
    pub(super) fn crash(&mut self, by: u64) {
        let Some(at) = self.lives(by) else { return };
        let dead = self.coordinators.remove(at);
        if !dead.poisoned {
            let late = dead.appends.into_iter();
            let late = late.map(|record| (by, Entry::Of(subject(), record)));
            self.late.extend(late);
        }
        self.post.retain(|message| match message {
            Message::Reply(to, ..) | Message::Inquiry(to, _) => *to != by,
            Message::Request(..) | Message::Verdict(..) => true,
        });
    }
}

impl Coordinator {
    pub(super) fn subject(&self) -> Option<&Transaction> {
        let subject = self.book.transaction(subject());
        subject.filter(|subject| !subject.is_over())
    }
}
