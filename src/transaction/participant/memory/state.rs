//! Entries, branches, and the memory of branches: all that one mutex guards.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::entry::{Entry, Wait};
use super::error::MemoryError;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::participant::{
    Ledger, Opening, Outcome, Reply, Report, Request, Settled, StaleLog, Vote,
};

pub(super) struct State<V> {
    ledger: Ledger,
    /// Those with a value, a holder or somebody who waits.
    entries: HashMap<Arc<str>, Entry<V>>,
    /// Those that work or are prepared.
    branches: HashMap<BranchId, Work<V>>,
}

/// A branch's work.
struct Work<V> {
    /// The keys that it holds, and what is to become of them.
    held: BTreeMap<Arc<str>, Change<V>>,
    /// The keys that it has waited for, each once.
    awaited: Vec<Arc<str>>,
    read_only: bool,
    prepared: bool,
}

enum Change<V> {
    None,
    Set(V),
    Remove,
}

impl<V> State<V> {
    pub(super) fn holding<K: AsRef<str>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| (key.as_ref().into(), Entry::new(Some(value))));
        Self {
            ledger: Ledger::default(),
            entries: entries.collect(),
            branches: HashMap::new(),
        }
    }

    pub(super) fn open(&mut self, opening: Opening) -> Result<(), StaleLog> {
        let (coordinator, epoch) = (opening.coordinator(), opening.epoch());
        self.ledger.open(coordinator, epoch, opening.nonce())?;
        for branch in self.working() {
            let id = branch.transaction();
            if id.coordinator() == coordinator && id.epoch() < epoch {
                self.answer(branch, Request::Abort);
            }
        }
        Ok(())
    }

    /// Begins a branch. Again, it is the same.
    pub(super) fn work(&mut self, branch: BranchId) -> Result<(), Settled> {
        let known = self.branches.get(&branch);
        if known.is_some_and(|work| !work.prepared) {
            return Ok(());
        }
        self.ledger.work(branch, true)?;
        self.branches.insert(branch, Work::default());
        Ok(())
    }

    /// Locks a key for a branch, or lets it wait.
    pub(super) fn lock(
        &mut self,
        branch: BranchId,
        key: &str,
    ) -> Result<Option<Wait>, MemoryError> {
        let work = working(&mut self.branches, branch)?;
        if work.held.contains_key(key) {
            return Ok(None);
        }
        let key = match self.entries.get_key_value(key) {
            Some((key, _)) => Arc::clone(key),
            None => key.into(),
        };
        let entry = self.entries.entry(Arc::clone(&key));
        let wait = entry.or_insert_with(|| Entry::new(None)).lock(branch);
        if wait.is_none() {
            work.held.insert(key, Change::None);
        } else if !work.awaited.contains(&key) {
            work.awaited.push(key);
        }
        Ok(wait)
    }

    /// What the branch sees under a key that it holds.
    pub(super) fn read(&mut self, branch: BranchId, key: &str) -> Result<Option<V>, MemoryError>
    where
        V: Clone,
    {
        let work = working(&mut self.branches, branch)?;
        match work.held.get(key) {
            Some(Change::Set(value)) => Ok(Some(value.clone())),
            Some(Change::Remove) => Ok(None),
            Some(Change::None) | None => Ok(self.committed(key)),
        }
    }

    /// Remembers a change of a key that the branch holds, until it commits.
    pub(super) fn write(
        &mut self,
        branch: BranchId,
        key: &str,
        value: Option<V>,
    ) -> Result<(), MemoryError> {
        let work = working(&mut self.branches, branch)?;
        if work.read_only {
            self.ledger.change(branch);
            work.read_only = false;
        }
        // Whoever is here holds it; a change elsewhere would be another's.
        if let Some(change) = work.held.get_mut(key) {
            *change = value.map_or(Change::Remove, Change::Set);
        }
        Ok(())
    }

    /// Does what a coordinator asks for, and answers.
    pub(super) fn answer(&mut self, branch: BranchId, request: Request) -> Reply {
        let reply = self.ledger.answer(branch, request);
        match &reply {
            Reply::Vote(Vote::Prepared) => self.close(branch),
            Reply::Vote(Vote::ReadOnly | Vote::No(_))
            | Reply::Report(Report::Did(Outcome::Aborted)) => self.end(branch, Outcome::Aborted),
            Reply::Report(Report::Did(Outcome::Committed)) => self.end(branch, Outcome::Committed),
            Reply::Vote(Vote::Unknown)
            | Reply::Report(Report::Prepared | Report::Missing | Report::Unknown) => {}
        }
        reply
    }

    pub(super) fn in_doubt(&self, coordinator: CoordinatorId, before: Epoch) -> Vec<BranchId> {
        self.ledger.in_doubt(coordinator, before)
    }

    pub(super) fn forget(&mut self, coordinator: CoordinatorId, watermark: (Epoch, u64)) {
        self.ledger.forget(coordinator, watermark);
        // A late repeat began it again after it had voted that it is over.
        for branch in self.working() {
            let id = branch.transaction();
            let over = (id.epoch(), id.sequence()) < watermark;
            if id.coordinator() == coordinator && over {
                self.answer(branch, Request::Abort);
            }
        }
    }

    pub(super) fn crash(&mut self) {
        for branch in self.working() {
            self.ledger.lose(branch);
            self.end(branch, Outcome::Aborted);
        }
    }

    pub(super) fn committed(&self, key: &str) -> Option<V>
    where
        V: Clone,
    {
        self.entries.get(key).and_then(|entry| entry.value.clone())
    }

    pub(super) fn snapshot(&self) -> BTreeMap<String, V>
    where
        V: Clone,
    {
        let values = self.entries.iter().filter_map(|(key, entry)| {
            let value = entry.value.clone()?;
            Some((key.as_ref().to_owned(), value))
        });
        values.collect()
    }

    /// The branches that are not prepared, in an order that a simulation can repeat.
    fn working(&self) -> Vec<BranchId> {
        let branches = self.branches.iter();
        let working = branches.filter(|(_, work)| !work.prepared);
        let mut working: Vec<_> = working.map(|(branch, _)| *branch).collect();
        working.sort_unstable();
        working
    }

    /// Takes nothing more from a branch: it is prepared.
    fn close(&mut self, branch: BranchId) {
        if let Some(work) = self.branches.get_mut(&branch) {
            work.prepared = true;
            leave(&mut self.entries, branch, &mut work.awaited);
        }
    }

    /// Ends a branch that works or is prepared, and passes its keys on.
    fn end(&mut self, branch: BranchId, outcome: Outcome) {
        let Some(mut work) = self.branches.remove(&branch) else {
            return;
        };
        leave(&mut self.entries, branch, &mut work.awaited);
        for (key, change) in work.held {
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            if outcome == Outcome::Committed {
                change.apply(&mut entry.value);
            }
            let next = entry.pass_on();
            if entry.is_idle() {
                self.entries.remove(&key);
            }
            if let Some(next) = next.and_then(|next| self.branches.get_mut(&next)) {
                next.held.insert(key, Change::None);
            }
        }
    }
}

impl<V> Default for Work<V> {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
            awaited: Vec::new(),
            read_only: true,
            prepared: false,
        }
    }
}

impl<V> Change<V> {
    fn apply(self, value: &mut Option<V>) {
        match self {
            Self::None => {}
            Self::Set(new) => *value = Some(new),
            Self::Remove => *value = None,
        }
    }
}

/// The work of a branch that is not prepared and has not ended.
fn working<V>(
    branches: &mut HashMap<BranchId, Work<V>>,
    branch: BranchId,
) -> Result<&mut Work<V>, MemoryError> {
    let work = branches.get_mut(&branch).filter(|work| !work.prepared);
    work.ok_or(MemoryError::Ended(branch))
}

/// Sends a branch out of every queue, so that who waits for its sake learns that it works no more.
fn leave<V>(
    entries: &mut HashMap<Arc<str>, Entry<V>>,
    branch: BranchId,
    awaited: &mut Vec<Arc<str>>,
) {
    for key in awaited.drain(..) {
        if let Some(entry) = entries.get_mut(&key) {
            entry.leave(branch);
        }
    }
}
