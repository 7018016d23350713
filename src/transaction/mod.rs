//! Transactions over several participants: what is to happen in all of them, or in none.
//!
//! Under construction: so far there are the ids and the [`log`].

mod id;
pub mod log;

pub use id::{BranchId, CoordinatorId, Epoch, TransactionId};
