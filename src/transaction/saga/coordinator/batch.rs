//! What is told to the log at once.

use std::sync::Arc;

use super::case::Word;
use super::codec::Finished;
use crate::transaction::log::AppendError;
use crate::transaction::saga::event::Action;
use crate::transaction::saga::fact::Fact;

/// What follows once these facts are durable.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) facts: Vec<Fact>,
    pub(super) actions: Vec<Action>,
    /// Who waits for it, and what to say.
    pub(super) words: Vec<Word>,
    /// When they were handed to the log, in milliseconds since 1970.
    pub(super) at: u64,
    /// What is remembered of the saga, if this ends it.
    pub(super) finished: Option<Arc<Finished>>,
}

/// What came of an append.
pub(super) type Appended = (Batch, Result<(), AppendError>);
