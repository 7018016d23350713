//! The law of participants, and the participants of this crate.

#[cfg(feature = "conformance")]
mod blocking;
#[cfg(feature = "conformance")]
mod conformance;
#[cfg(feature = "conformance")]
mod faulty;
mod memory;
#[cfg(feature = "conformance")]
mod sheet;

use tripod::transaction::{BranchId, CoordinatorId, Epoch, TransactionId};

fn epoch(number: u64) -> Epoch {
    Epoch::new(number).unwrap()
}

fn branch(begun_in: u64, sequence: u64) -> BranchId {
    let coordinator = CoordinatorId::from_u128(1);
    BranchId::new(
        TransactionId::new(coordinator, epoch(begun_in), sequence),
        0,
    )
}
