//! All transactions of a coordinator: who is named, who inquires, what a scan finds.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Action, Event, Impossible};
use super::phase::{Decision, Phase};
use super::record::Record;
use super::state::Transaction;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch, TransactionId};
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::{Outcome, Request};

/// The transactions of a coordinator that are not over.
///
/// There is no book but one that was recovered: before its log has been replayed, a coordinator
/// has nothing to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Book {
    coordinator: CoordinatorId,
    epoch: Epoch,
    /// Begun in this epoch.
    begun: u64,
    transactions: BTreeMap<TransactionId, Transaction>,
    /// Whose records contradict each other. Nothing is said or done about them.
    broken: BTreeSet<TransactionId>,
    /// Every participant that any record names.
    names: BTreeSet<ParticipantName>,
    /// Those that may have branches in this epoch.
    named: BTreeSet<ParticipantName>,
}

/// What the log holds, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A participant of this name may have branches. Forced before its first one in an epoch, so
    /// that recovery knows whom to scan.
    Named(ParticipantName),
    /// A record of a transaction.
    Of(TransactionId, Record),
    /// A record of a transaction that cannot be read: a later version has written it.
    Unreadable(TransactionId),
}

/// What replay has found.
#[derive(Debug)]
#[must_use = "what is in doubt waits for these actions"]
#[non_exhaustive]
pub struct Recovered {
    /// The book to go on with.
    pub book: Book,
    /// What is to be done for each transaction that is not over.
    pub actions: Vec<(TransactionId, Vec<Action>)>,
    /// What could not be replayed: records that contradict each other, or that are of another
    /// coordinator, or of an epoch that has not been. These transactions are left alone; the others are not.
    pub broken: Vec<Impossible>,
    /// Those of which a record cannot be read. They are left alone too.
    pub unreadable: Vec<TransactionId>,
}

/// The answer to an inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is not decided.
    Active,
    /// It is decided, for good.
    Decided(Outcome),
    /// It cannot be said here and now: ask again later.
    Unknown,
    /// It is over, or never was. Nothing follows from this.
    Forgotten,
}

/// Who inquires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inquirer {
    /// Somebody who wants to know.
    Anyone,
    /// A participant, for a branch that is prepared as it asks. Should the branch be settled by
    /// the time of the answer, the answer must change nothing.
    Prepared,
}

impl Book {
    /// Replays the log. Before this, `epoch` has to be durable in the log, and appends of earlier
    /// ones refused: what an earlier coordinator appended after replay would go unseen.
    pub fn recover(
        coordinator: CoordinatorId,
        epoch: Epoch,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Recovered {
        let mut recovered = Recovered {
            book: Self::empty(coordinator, epoch),
            actions: Vec::new(),
            broken: Vec::new(),
            unreadable: Vec::new(),
        };
        for entry in entries {
            recovered.read(entry);
        }
        recovered.take_over();
        recovered
    }

    fn empty(coordinator: CoordinatorId, epoch: Epoch) -> Self {
        Self {
            coordinator,
            epoch,
            begun: 0,
            transactions: BTreeMap::new(),
            broken: BTreeSet::new(),
            names: BTreeSet::new(),
            named: BTreeSet::new(),
        }
    }

    /// Begins a transaction.
    pub fn begin(&mut self) -> TransactionId {
        let id = TransactionId::new(self.coordinator, self.epoch, self.begun);
        self.begun = self.begun.saturating_add(1);
        self.transactions.insert(id, Transaction::begin(id));
        id
    }

    /// What has to be durable before this participant is first enlisted in this epoch, if it is
    /// not: then say [`named`](Self::named).
    #[must_use]
    pub fn name(&self, participant: &ParticipantName) -> Option<Entry> {
        let known = self.named.contains(participant);
        (!known).then(|| Entry::Named(participant.clone()))
    }

    /// The participant's name is durable.
    pub fn named(&mut self, participant: ParticipantName) {
        self.names.insert(participant.clone());
        self.named.insert(participant);
    }

    /// The participant's name is no longer in the log: nobody looks after it any more.
    pub fn retire(&mut self, participant: &ParticipantName) {
        self.names.remove(participant);
        self.named.remove(participant);
    }

    /// Whom to scan for orphans.
    pub fn names(&self) -> impl Iterator<Item = &ParticipantName> {
        self.names.iter()
    }

    /// Takes what happened to a transaction, as [`Transaction::step`]. What comes for one that is
    /// over is absorbed; but a caller who has not asked for its commit yet will be answered.
    ///
    /// # Errors
    /// [`Impossible`], as there.
    pub fn step(&mut self, id: TransactionId, event: Event) -> Result<Vec<Action>, Impossible> {
        let Some(transaction) = self.transactions.get_mut(&id) else {
            return Ok(Vec::new());
        };
        let actions = transaction.step(event)?;
        if transaction.is_over() && !transaction.has_caller() {
            self.transactions.remove(&id);
        }
        Ok(actions)
    }

    /// A transaction that is not over, or whose caller has not asked for its end.
    #[must_use]
    pub fn transaction(&self, id: TransactionId) -> Option<&Transaction> {
        self.transactions.get(&id)
    }

    /// Those that are not over, the oldest first.
    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        let open = self.transactions.values();
        open.filter(|transaction| !transaction.is_over())
    }

    /// What can be said about a transaction.
    ///
    /// Absence means abort to a branch that is still prepared, and to nobody else: a transaction
    /// that has ended is absent too, and so is one that was committed in one phase.
    #[must_use]
    pub fn inquire(&self, id: TransactionId, inquirer: Inquirer) -> Standing {
        let foreign = id.coordinator() != self.coordinator;
        if foreign || id.epoch() > self.epoch || self.broken.contains(&id) {
            return Standing::Unknown;
        }
        if let Some(transaction) = self.transactions.get(&id) {
            return match transaction.phase() {
                Phase::Working | Phase::Preparing | Phase::Logging => Standing::Active,
                Phase::OnePhase | Phase::InDoubt => Standing::Unknown,
                Phase::Settling(decision) | Phase::Ending(decision) | Phase::Ended(decision) => {
                    Standing::Decided(decision.outcome())
                }
            };
        }
        match inquirer {
            Inquirer::Prepared => Standing::Decided(Outcome::Aborted),
            Inquirer::Anyone => Standing::Forgotten,
        }
    }

    /// What to do about a prepared branch that a scan has found; nothing, mostly.
    ///
    /// Only branches of earlier epochs of this coordinator are touched. If no commit record names
    /// such a branch, none ever will, for the log takes nothing of its epoch any more.
    #[must_use]
    pub fn adopt(&self, found: BranchId) -> Option<Request> {
        let id = found.transaction();
        let foreign = id.coordinator() != self.coordinator;
        if foreign || id.epoch() >= self.epoch || self.broken.contains(&id) {
            return None;
        }
        let Some(transaction) = self.transactions.get(&id) else {
            return Some(Request::Abort);
        };
        let outcome = transaction.decision().map(Decision::outcome);
        match (outcome, transaction.branch(found.number())) {
            (Some(_), Some(branch)) if branch.is_parked() => None,
            (Some(Outcome::Committed), Some(_)) => Some(Request::Commit),
            (Some(Outcome::Committed), None) | (Some(Outcome::Aborted), _) => Some(Request::Abort),
            (None, _) => None,
        }
    }

    /// The epoch and sequence below which every transaction is over: what participants remember
    /// of those may go.
    #[must_use]
    pub fn watermark(&self) -> (Epoch, u64) {
        // The first is the oldest: all are of one coordinator.
        let open = self.transactions().next().map(Transaction::id);
        let open = open.into_iter().chain(self.broken());
        let oldest = open.map(|id| (id.epoch(), id.sequence())).min();
        oldest.unwrap_or((self.epoch, self.begun))
    }

    /// Those of which nothing is said and nothing done: their records contradict each other, or
    /// cannot be read.
    pub fn broken(&self) -> impl Iterator<Item = TransactionId> {
        self.broken.iter().copied()
    }

    /// The records of a broken transaction are no longer in the log.
    pub fn discard(&mut self, id: TransactionId) {
        self.broken.remove(&id);
    }
}

impl Recovered {
    fn read(&mut self, entry: Entry) {
        let book = &mut self.book;
        let (id, record) = match entry {
            Entry::Named(participant) => {
                book.names.insert(participant);
                return;
            }
            Entry::Of(id, record) => (id, record),
            Entry::Unreadable(id) => {
                book.transactions.remove(&id);
                book.broken.insert(id);
                self.unreadable.push(id);
                return;
            }
        };
        if book.broken.contains(&id) {
            return;
        }
        book.names.extend(record.participants().cloned());
        if id.coordinator() != book.coordinator || id.epoch() >= book.epoch {
            let transaction = Transaction::replay(id);
            return self.give_up(transaction.refuse(Event::Durable(record)));
        }
        let transaction = book.transactions.entry(id);
        let transaction = transaction.or_insert_with(|| Transaction::replay(id));
        if let Err(impossible) = transaction.step(Event::Durable(record)) {
            self.give_up(impossible);
        }
    }

    fn take_over(&mut self) {
        let ids: Vec<_> = self.book.transactions.keys().copied().collect();
        for id in ids {
            match self.book.step(id, Event::Recover) {
                Ok(actions) if self.book.transaction(id).is_some() => {
                    self.actions.push((id, actions));
                }
                Ok(_) => {}
                Err(impossible) => self.give_up(impossible),
            }
        }
    }

    fn give_up(&mut self, impossible: Impossible) {
        let id = impossible.transaction;
        self.book.transactions.remove(&id);
        self.book.broken.insert(id);
        self.broken.push(impossible);
    }
}
