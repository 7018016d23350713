//! Effects that are one, however often a message comes.

mod memory;
#[cfg(feature = "postgres")]
mod postgres;

use std::error::Error;

pub use memory::MemoryInbox;
#[cfg(feature = "postgres")]
pub use postgres::{Entered, Inbox};

use super::step::StepReply;

/// A message that did not come in. Roll the transaction back, if there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The key was used before, for something else: another payload.
    #[error("the key was used for another payload")]
    Conflict,
    /// A compensation comes so late that its action may have had its effect and been forgotten:
    /// it is older than the inbox's retention. Somebody has to see what is so.
    #[error("the action may have been done and forgotten")]
    Forgotten,
    /// The statement failed, or its answer was lost.
    #[error("the inbox could not be asked")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// A reply to a step, as it was kept.
fn kept(reply: &[u8]) -> Result<StepReply, InboxError> {
    let none = || InboxError::Failed("what was kept is no reply to a step".into());
    StepReply::from_bytes(reply).ok_or_else(none)
}
