//! The transactions of a schedule, and what was said about them.

use std::collections::{BTreeMap, BTreeSet};

use tripod::transaction::two_phase::Outcome;
use tripod::transaction::{BranchId, TransactionId};

/// A transaction.
#[derive(Clone, Debug)]
pub struct Deal {
    pub id: TransactionId,
    /// The participants whose branches have written.
    pub writes: BTreeSet<usize>,
    /// What these have put into their pots, if they commit.
    pub moves: BTreeMap<usize, i64>,
    /// What somebody made of branches by hand.
    pub forced: BTreeMap<usize, Forced>,
    /// Branches that an operator was shown because they did otherwise, or knew of before.
    pub shown: BTreeSet<BranchId>,
    pub branches: usize,
    /// Whether its commit was asked for.
    pub asked: bool,
    /// What its caller, an operator or an inquiry was told for good.
    pub told: Option<Outcome>,
    /// Whether its caller was told that it cannot be said.
    pub unknown: bool,
}

/// A prepared branch that somebody has ended by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forced {
    pub branch: BranchId,
    pub did: Outcome,
}

#[derive(Debug, Default)]
pub struct Deals {
    pub all: Vec<Deal>,
    numbers: BTreeMap<TransactionId, usize>,
}

impl Deals {
    /// Its number, unless its id was there before.
    pub fn begin(&mut self, id: TransactionId) -> Option<usize> {
        let number = self.all.len();
        if self.numbers.insert(id, number).is_some() {
            return None;
        }
        self.all.push(Deal {
            id,
            writes: BTreeSet::new(),
            moves: BTreeMap::new(),
            forced: BTreeMap::new(),
            shown: BTreeSet::new(),
            branches: 0,
            asked: false,
            told: None,
            unknown: false,
        });
        Some(number)
    }

    /// Notes that a branch at this participant was ended by hand.
    pub fn force(&mut self, index: usize, forced: Forced) {
        let number = self.numbers[&forced.branch.transaction()];
        self.all[number].forced.insert(index, forced);
    }

    /// An operator knows what became of this branch. Says whether that is new.
    pub fn show(&mut self, branch: BranchId) -> bool {
        let number = self.numbers[&branch.transaction()];
        self.all[number].shown.insert(branch)
    }

    /// His word was not wanted.
    pub fn hide(&mut self, branch: BranchId) {
        let number = self.numbers[&branch.transaction()];
        self.all[number].shown.remove(&branch);
    }

    /// What somebody made of a branch by hand.
    pub fn forced(&self, id: TransactionId, branch: u16) -> Option<Forced> {
        let deal = &self.all[*self.numbers.get(&id)?];
        let mut forced = deal.forced.values().copied();
        forced.find(|it| it.branch.number() == branch)
    }

    /// Takes a definite answer; says what is wrong with it.
    pub fn tell(&mut self, number: usize, outcome: Outcome, by: &str) -> Option<String> {
        let deal = &mut self.all[number];
        let before = deal.told.replace(outcome);
        let flips = before.is_some_and(|before| before != outcome);
        flips.then(|| {
            format!(
                "t{number} {}: {before:?}, and then {outcome:?} by {by}",
                deal.id
            )
        })
    }
}

/// The key that a transaction writes at each of its participants.
pub fn key(number: usize) -> String {
    format!("t{number}")
}
