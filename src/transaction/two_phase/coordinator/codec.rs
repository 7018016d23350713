//! Records as the log keeps them. Version 1: a version (1), a kind (1), then by kind.

use std::sync::Arc;

use crate::transaction::id::TransactionId;
use crate::transaction::log::{self, Reader, RecordError, Subject, SubjectKey};
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::Outcome;
use crate::transaction::two_phase::book::Entry;
use crate::transaction::two_phase::record::{Deed, NamedBranch, Record};

const VERSION: u8 = 1;

const ENLISTED: u8 = 1;
const COMMITTED: u8 = 2;
const ABORTED: u8 = 3;
const HEURISTIC: u8 = 4;
const RESOLVED: u8 = 5;

/// Before a participant's name, as a fact of the log.
const PARTICIPANT: &[u8] = b"participant/";

/// The most that one branch adds to a decision's record: number, mark, name's length and name.
const BRANCH_LEN_MAX: usize = 2 + 1 + 1 + ParticipantName::LEN_MAX;

/// A decision's record without its branches.
const DECISION_LEN: usize = 1 + 1 + 2;

/// So many branches have their space set aside as their transaction begins.
pub(super) const BRANCHES_EXPECTED: usize = 4;

/// What a transaction takes of the log for its decision and its end, in bytes.
pub(super) fn space(id: TransactionId) -> u64 {
    let subject = Subject::Transaction(id);
    let decision = DECISION_LEN + BRANCHES_EXPECTED * BRANCH_LEN_MAX;
    let decision = log::Record::space_for(&subject, decision);
    decision.saturating_add(log::Record::space_for(&subject, 0))
}

/// What a further branch takes; `logged` is one with a record of its own.
pub(super) fn branch_space(id: TransactionId, logged: bool) -> u64 {
    let subject = Subject::Transaction(id);
    let named = log::Record::space_for(&subject, DECISION_LEN + BRANCH_LEN_MAX);
    if logged {
        named.saturating_mul(2)
    } else {
        named
    }
}

/// What a live record of the log is to a coordinator.
#[derive(Debug)]
pub(super) enum Found {
    Entry(Entry),
    /// Of a transaction, and of a later version, or damaged by whoever wrote it.
    Unreadable(TransactionId),
    /// Somebody else's.
    Foreign,
}

/// What the log keeps of this record.
pub(super) fn encode(id: TransactionId, record: &Record) -> Result<log::Record, RecordError> {
    let subject = Subject::Transaction(id);
    // Room for what most take.
    let mut out = Vec::with_capacity(64);
    out.push(VERSION);
    match record {
        Record::Enlisted {
            branch,
            participant,
        } => {
            out.push(ENLISTED);
            out.extend(branch.to_be_bytes());
            put_name(&mut out, participant);
        }
        Record::Committed { branches } => put_branches(&mut out, COMMITTED, branches),
        Record::Aborted { branches } => put_branches(&mut out, ABORTED, branches),
        Record::Heuristic(deed) => put_deed(&mut out, HEURISTIC, deed),
        Record::Resolved(deed) => put_deed(&mut out, RESOLVED, deed),
        Record::Ended => return Ok(log::Record::end(subject)),
    }
    log::Record::new(subject, out)
}

/// The fact that a participant of this name may have branches.
pub(super) fn fact(participant: &ParticipantName) -> Result<Subject, RecordError> {
    let key = [PARTICIPANT, participant.as_str().as_bytes()].concat();
    SubjectKey::new(key).map(Subject::Fact)
}

/// Reads what [`encode`] and [`fact`] wrote.
pub(super) fn decode(record: &log::Record) -> Found {
    match record.subject() {
        Subject::Transaction(id) => match read(record.payload()) {
            Some(read) => Found::Entry(Entry::Of(*id, read)),
            None => Found::Unreadable(*id),
        },
        Subject::Fact(key) => {
            let name = key.as_bytes().strip_prefix(PARTICIPANT);
            let name = name.and_then(|name| std::str::from_utf8(name).ok());
            match name.and_then(|name| ParticipantName::new(name).ok()) {
                Some(name) => Found::Entry(Entry::Named(name)),
                None => Found::Foreign,
            }
        }
        Subject::Saga(_) => Found::Foreign,
    }
}

fn put_name(out: &mut Vec<u8>, name: &ParticipantName) {
    let name = name.as_str().as_bytes();
    // A name has at most 64 bytes.
    out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.extend(name);
}

fn put_branches(out: &mut Vec<u8>, kind: u8, branches: &[NamedBranch]) {
    out.push(kind);
    // There are as many as a number of 16 bits can tell apart, less one.
    out.extend(
        u16::try_from(branches.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
    for branch in branches {
        out.extend(branch.number.to_be_bytes());
        out.push(u8::from(branch.read_only));
        put_name(out, &branch.participant);
    }
}

fn put_deed(out: &mut Vec<u8>, kind: u8, deed: &Deed) {
    out.push(kind);
    out.extend(deed.branch.to_be_bytes());
    put_name(out, &deed.participant);
    out.push(outcome_byte(deed.decided));
    out.push(outcome_byte(deed.did));
}

fn outcome_byte(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Committed => 1,
        Outcome::Aborted => 2,
    }
}

fn read(payload: &[u8]) -> Option<Record> {
    let mut reader = Reader::new(payload);
    if reader.u8()? != VERSION {
        return None;
    }
    let record = match reader.u8()? {
        ENLISTED => Record::Enlisted {
            branch: reader.u16()?,
            participant: read_name(&mut reader)?,
        },
        COMMITTED => Record::Committed {
            branches: read_branches(&mut reader)?,
        },
        ABORTED => Record::Aborted {
            branches: read_branches(&mut reader)?,
        },
        HEURISTIC => Record::Heuristic(read_deed(&mut reader)?),
        RESOLVED => Record::Resolved(read_deed(&mut reader)?),
        _ => return None,
    };
    reader.is_empty().then_some(record)
}

fn read_name(reader: &mut Reader<'_>) -> Option<ParticipantName> {
    let name = std::str::from_utf8(reader.bytes_u8()?).ok()?;
    ParticipantName::new(name).ok()
}

fn read_branches(reader: &mut Reader<'_>) -> Option<Arc<[NamedBranch]>> {
    let count = reader.u16()?;
    let mut branches: Vec<NamedBranch> = Vec::new();
    for _ in 0..count {
        let number = reader.u16()?;
        if branches.last().is_some_and(|last| last.number >= number) {
            return None;
        }
        let read_only = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        branches.push(NamedBranch {
            number,
            participant: read_name(reader)?,
            read_only,
        });
    }
    Some(branches.into())
}

fn read_deed(reader: &mut Reader<'_>) -> Option<Deed> {
    Some(Deed {
        branch: reader.u16()?,
        participant: read_name(reader)?,
        decided: read_outcome(reader)?,
        did: read_outcome(reader)?,
    })
}

fn read_outcome(reader: &mut Reader<'_>) -> Option<Outcome> {
    match reader.u8()? {
        1 => Some(Outcome::Committed),
        2 => Some(Outcome::Aborted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transaction::id::{CoordinatorId, Epoch};

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![Just(Outcome::Committed), Just(Outcome::Aborted)]
    }

    fn any_name() -> impl Strategy<Value = ParticipantName> {
        "[A-Za-z0-9_.-]{1,64}".prop_filter_map("a name", |name| ParticipantName::new(&name).ok())
    }

    fn any_deed() -> impl Strategy<Value = Deed> {
        (any::<u16>(), any_name(), any_outcome(), any_outcome()).prop_map(
            |(branch, participant, decided, did)| Deed {
                branch,
                participant,
                decided,
                did,
            },
        )
    }

    fn any_branches() -> impl Strategy<Value = Arc<[NamedBranch]>> {
        let branch = (any_name(), any::<bool>());
        proptest::collection::btree_map(any::<u16>(), branch, 0..20).prop_map(|branches| {
            let branches = branches.into_iter();
            let named = branches.map(|(number, (participant, read_only))| NamedBranch {
                number,
                participant,
                read_only,
            });
            named.collect()
        })
    }

    fn any_record() -> impl Strategy<Value = Record> {
        prop_oneof![
            (any::<u16>(), any_name()).prop_map(|(branch, participant)| Record::Enlisted {
                branch,
                participant
            }),
            any_branches().prop_map(|branches| Record::Committed { branches }),
            any_branches().prop_map(|branches| Record::Aborted { branches }),
            any_deed().prop_map(Record::Heuristic),
            any_deed().prop_map(Record::Resolved),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(record in any_record()) {
            let id = TransactionId::new(CoordinatorId::from_u128(7), Epoch::new(3).ok_or(TestCaseError::fail("3"))?, 9);
            let kept = encode(id, &record).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let Found::Entry(Entry::Of(_, found)) = decode(&kept) else {
                return Err(TestCaseError::fail("unreadable"));
            };
            prop_assert_eq!(found, record);
        }

        #[test]
        fn cut_records_are_unreadable(record in any_record(), cut in any::<proptest::sample::Index>()) {
            let id = TransactionId::new(CoordinatorId::from_u128(7), Epoch::new(3).ok_or(TestCaseError::fail("3"))?, 9);
            let kept = encode(id, &record).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let cut = cut.index(kept.payload().len());
            prop_assert!(read(kept.payload().get(..cut).unwrap_or_default()).is_none());
        }

        #[test]
        fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
