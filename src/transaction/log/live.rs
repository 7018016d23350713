//! The records that live. Pure.

use std::collections::HashMap;

use crate::transaction::id::Epoch;

use super::record::{LiveRecord, Record, Subject};
use super::seeded::{self, Seeded};

/// Records that none has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    subjects: HashMap<Subject, Vec<Kept>>,
    arrived: u64,
    len: usize,
    space: u64,
}

/// A record without its subject.
#[derive(Clone, Debug)]
struct Kept {
    /// The number of its arrival.
    number: u64,
    epoch: Epoch,
    payload: Vec<u8>,
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
        self.len += 1;
        self.space = self.space.saturating_add(live.record().space());
        let epoch = live.epoch();
        let (subject, payload) = live.into_record().into_parts();
        self.subjects.entry(subject).or_default().push(Kept {
            number: self.arrived,
            epoch,
            payload,
        });
    }

    fn end(&mut self, subject: &Subject) {
        for kept in self.subjects.remove(subject).unwrap_or_default() {
            self.len -= 1;
            let space = Record::space_for(subject, kept.payload.len());
            self.space = self.space.saturating_sub(space);
        }
    }

    /// What it takes to copy them, in bytes.
    pub(super) fn space(&self) -> u64 {
        self.space
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Copies of them, in the order in which they were appended. O(n log n).
    pub(super) fn in_order(&self) -> impl Iterator<Item = LiveRecord> {
        let subjects = self.subjects.iter();
        let records = subjects.flat_map(|(subject, kept)| kept.iter().map(move |it| (subject, it)));
        let mut records: Vec<_> = records.collect();
        records.sort_unstable_by_key(|(_, kept)| kept.number);
        records.into_iter().map(|(subject, kept)| {
            let record = Record::of_parts(subject.clone(), kept.payload.clone());
            LiveRecord::new(kept.epoch, record)
        })
    }
}
