//! Transactions over several participants: what is to happen in all of them, or in none.
//!
//! Under construction: so far there are the ids.

mod id;

pub use id::{BranchId, CoordinatorId, Epoch, TransactionId};
