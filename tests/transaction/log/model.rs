//! What a log may hold, by what its callers were told.

use tripod::transaction::log::{AppendError, LiveRecord, Opened, Record};
use tripod::transaction::{CoordinatorId, Epoch};

/// What was appended since the last opening that was answered, in the order of the queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    coordinator: Option<CoordinatorId>,
    epoch: u64,
    base: Vec<LiveRecord>,
    appended: Vec<(Epoch, Vec<Record>)>,
    /// So many of them are durable.
    durable: usize,
    pub(super) acknowledged: u64,
}

impl Model {
    /// An append goes to the queue. Answers its number.
    pub(super) fn submit(&mut self, epoch: Epoch, records: &[Record]) -> usize {
        self.appended.push((epoch, records.to_vec()));
        self.appended.len()
    }

    /// A forced append was answered.
    pub(super) fn answer(&mut self, number: usize, answer: &Result<(), AppendError>, forced: bool) {
        match answer {
            Ok(()) if forced => {
                self.durable = self.durable.max(number);
                self.acknowledged += 1;
            }
            // Certainly not there: as if it had been without records.
            Err(error) if error.is_definite() => self.appended[number - 1].1.clear(),
            Ok(()) | Err(_) => {}
        }
    }

    /// The log was closed: all is durable.
    pub(super) fn closed(&mut self) {
        self.durable = self.appended.len();
    }

    /// What the log may hold now: one state for each append that may be the last.
    fn states(&self) -> Vec<Vec<LiveRecord>> {
        let mut state = self.base.clone();
        let mut states = vec![state.clone()];
        for (epoch, records) in &self.appended {
            for record in records {
                if record.ends() {
                    state.retain(|live| live.record().subject() != record.subject());
                } else {
                    state.push(LiveRecord::new(*epoch, record.clone()));
                }
            }
            states.push(state.clone());
        }
        states.split_off(self.durable)
    }

    /// The log was opened: what it gave back must be one of those, and is the truth from now on.
    pub(super) fn opened(&mut self, opened: &Opened, hint: u64) -> Result<(), String> {
        let epoch = opened.epoch().as_u64();
        if epoch <= self.epoch || epoch < hint {
            return Err(format!("epoch {epoch} after {}, hint {hint}", self.epoch));
        }
        let known = *self.coordinator.get_or_insert(opened.coordinator());
        if known != opened.coordinator() {
            return Err(format!("{known} has become {}", opened.coordinator()));
        }
        let states = self.states();
        if !states.iter().any(|state| state == opened.live()) {
            return Err(format!(
                "gave back {:#?}, which is none of {} states, the first of which is {:#?}",
                opened.live(),
                states.len(),
                states.first()
            ));
        }
        self.epoch = epoch;
        self.base = opened.live().to_vec();
        self.appended.clear();
        self.durable = 0;
        Ok(())
    }
}
