//! The records that live. Pure.

use std::collections::{BTreeMap, HashMap};

use crate::transaction::id::Epoch;

use super::record::{LiveRecord, Record, Subject};
use super::seeded::{self, Seeded};

/// Records that none has ended, in the order in which they were appended.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    /// By their number of arrival.
    records: BTreeMap<u64, LiveRecord>,
    subjects: HashMap<Subject, Vec<u64>>,
    arrived: u64,
    space: u64,
}

impl Live {
    /// Takes a record as an epoch appended it.
    pub(super) fn apply(&mut self, epoch: Epoch, record: Record) {
        if record.ends() {
            if !seeded::has(Seeded::ForgetsEnds) {
                self.end(record.subject());
            }
        } else {
            self.carry(LiveRecord::new(epoch, record));
        }
    }

    /// Takes a record that lived already.
    pub(super) fn carry(&mut self, live: LiveRecord) {
        self.arrived = self.arrived.saturating_add(1);
        self.space = self.space.saturating_add(live.record().space());
        let numbers = self.subjects.entry(live.record().subject().clone());
        numbers.or_default().push(self.arrived);
        self.records.insert(self.arrived, live);
    }

    fn end(&mut self, subject: &Subject) {
        for number in self.subjects.remove(subject).unwrap_or_default() {
            if let Some(live) = self.records.remove(&number) {
                self.space = self.space.saturating_sub(live.record().space());
            }
        }
    }

    /// What it takes to copy them, in bytes.
    pub(super) fn space(&self) -> u64 {
        self.space
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LiveRecord> {
        self.records.values()
    }
}
