//! The transactions of a schedule, and what was said about them.

use std::collections::{BTreeMap, BTreeSet};

use tripod::transaction::TransactionId;
use tripod::transaction::two_phase::Outcome;

/// A transaction.
#[derive(Clone, Debug)]
pub struct Deal {
    pub id: TransactionId,
    /// The participants whose branches have written.
    pub writes: BTreeSet<usize>,
    pub branches: usize,
    /// Whether its commit was asked for.
    pub asked: bool,
    /// What its caller, an operator or an inquiry was told for good.
    pub told: Option<Outcome>,
    /// Whether its caller was told that it cannot be said.
    pub unknown: bool,
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
            branches: 0,
            asked: false,
            told: None,
            unknown: false,
        });
        Some(number)
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
