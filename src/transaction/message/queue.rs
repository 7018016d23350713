//! What queues are called.

use std::fmt;
use std::sync::Arc;

use crate::text::checked_text;
use crate::transaction::name::is_plain;

/// A queue, as everybody knows it who sends to it or receives from it.
///
/// From 1 to 100 of `A` to `Z`, `a` to `z`, `0` to `9`, `_`, `-` and `.`: what any store and log
/// line takes as it is. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// Bytes in the longest name.
    pub const LEN_MAX: usize = 100;

    /// This name.
    ///
    /// # Errors
    /// [`QueueNameError`] for one that is empty, too long or has other characters.
    pub fn new(name: &str) -> Result<Self, QueueNameError> {
        if !is_plain(name, Self::LEN_MAX) {
            return Err(QueueNameError);
        }
        Ok(Self(name.into()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

checked_text!(QueueName, QueueNameError);

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No name for a queue. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a queue's name has 1 to 100 of A-Z, a-z, 0-9, _, - and .")]
pub struct QueueNameError;
