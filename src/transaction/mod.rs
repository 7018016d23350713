//! Transactions over several participants: what is to happen in all of them, or in none.
//!
//! Under construction: so far there are the ids, the [`log`], what a [`participant`] promises, and
//! what two-phase commit decides ([`two_phase`]).

mod id;
pub mod log;
mod name;
pub mod participant;
pub mod two_phase;

pub use id::{BranchId, BranchIdError, CoordinatorId, Epoch, TransactionId};
pub use name::{ParticipantName, ParticipantNameError};
