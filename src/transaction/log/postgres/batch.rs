//! Appends that become one transaction: what is left of them in the tables. Pure.

use std::collections::{HashMap, HashSet};

use super::super::record::{Record, Subject};
use super::super::reservation::Reservation;

/// Appends, in their order, as if each had been made alone.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Subjects of which nothing lives that was there before.
    ended: HashSet<Subject>,
    /// Records that live, and gaps where one was ended again.
    records: Vec<Option<Record>>,
    /// Where the records of each subject are.
    places: HashMap<Subject, Vec<usize>>,
    /// What was taken, in bytes, whether or not it lives.
    taken: u64,
    reservation: Option<Reservation>,
}

impl Batch {
    pub(super) fn take(&mut self, records: Vec<Record>, len: u64, reservation: Reservation) {
        self.taken = self.taken.saturating_add(len);
        match &mut self.reservation {
            Some(reserved) => reserved.absorb(reservation),
            None => self.reservation = Some(reservation),
        }
        for record in records {
            let places = self.places.entry(record.subject().clone()).or_default();
            if record.ends() {
                for place in places.drain(..) {
                    if let Some(kept) = self.records.get_mut(place) {
                        *kept = None;
                    }
                }
                self.ended.insert(record.subject().clone());
            } else {
                places.push(self.records.len());
                self.records.push(Some(record));
            }
        }
    }

    /// What was taken, in bytes.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// What covers it.
    pub(super) fn into_reservation(self) -> Option<Reservation> {
        self.reservation
    }

    pub(super) fn ended(&self) -> impl Iterator<Item = &Subject> {
        self.ended.iter()
    }

    /// The records that are to be added, in their order.
    pub(super) fn added(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().flatten()
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    reason = "a failed assertion is how a test speaks"
)]
mod tests {
    use std::sync::Arc;

    use super::super::super::ledger::Ledger;
    use super::super::super::record::SubjectKey;
    use super::*;

    fn subject(key: &str) -> Subject {
        Subject::Saga(SubjectKey::new(key).unwrap())
    }

    #[test]
    fn an_end_takes_what_came_before_it_and_not_what_comes_after() {
        let says = |key: &str, text: &str| Record::new(subject(key), text).unwrap();
        let ledger = Arc::new(Ledger::bounded(u64::MAX, 0));
        let mut batch = Batch::default();
        for records in [
            vec![says("a", "1"), says("b", "2")],
            vec![Record::end(subject("a")), says("a", "3"), says("b", "4")],
            vec![Record::end(subject("b")), says("c", "5")],
        ] {
            let covered = ledger.reserve(100).unwrap();
            batch.take(records, 100, covered);
        }
        let added: Vec<_> = batch.added().map(Record::payload).collect();
        assert_eq!(added, [b"3", b"5"]);
        assert_eq!(batch.ended().count(), 2);
        assert_eq!(batch.taken(), 300);
        assert_eq!(batch.into_reservation().map(|all| all.bytes()), Some(300));
    }
}
