//! What became of transactions whose callers do not know.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use crate::transaction::id::TransactionId;
use crate::transaction::participant::Outcome;

/// So many are remembered: a few megabytes, and minutes of callers that time out at a high rate.
const OUTCOMES_MAX: usize = 65_536;

/// What became of the last transactions whose callers left before they were told, or were told that
/// it cannot be said.
#[derive(Debug, Default)]
pub(super) struct Lately {
    outcomes: BTreeMap<TransactionId, Outcome>,
    order: VecDeque<TransactionId>,
}

impl Lately {
    /// The first word counts.
    pub(super) fn remember(&mut self, id: TransactionId, outcome: Outcome) {
        if let Entry::Vacant(vacant) = self.outcomes.entry(id) {
            vacant.insert(outcome);
            self.order.push_back(id);
        }
        if self.order.len() > OUTCOMES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.outcomes.remove(&oldest);
        }
    }

    pub(super) fn get(&self, id: TransactionId) -> Option<Outcome> {
        self.outcomes.get(&id).copied()
    }
}
