//! Transactions over several participants: what is to happen in all of them, or in none.
//!
//! Under construction: so far there are the ids, the [`log`], and what two-phase commit decides
//! ([`two_phase`]).

mod id;
pub mod log;
mod name;
pub mod two_phase;

pub use id::{BranchId, CoordinatorId, Epoch, TransactionId};
pub use name::{ParticipantName, ParticipantNameError};
