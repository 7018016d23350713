//! Two-phase commit: its pure core.

mod book;
mod ledger;
mod model;
mod pairs;
mod protocol;
mod replay;

use tripod::transaction::{CoordinatorId, Epoch, ParticipantName, TransactionId};

fn coordinator() -> CoordinatorId {
    CoordinatorId::from_u128(1)
}

fn epoch(epoch: u64) -> Epoch {
    Epoch::new(epoch).unwrap()
}

fn transaction(begun_in: u64) -> TransactionId {
    TransactionId::new(coordinator(), epoch(begun_in), 0)
}

fn participant(number: u16) -> ParticipantName {
    ParticipantName::new(&format!("p{number}")).unwrap()
}
