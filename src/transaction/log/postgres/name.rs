//! What logs in a database are called.

use std::fmt;
use std::sync::Arc;

use crate::text::checked_text;
use crate::transaction::name::is_plain;

/// A log among those of a database.
///
/// From 1 to 64 of `A` to `Z`, `a` to `z`, `0` to `9`, `_`, `-` and `.`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(Arc<str>);

impl LogName {
    /// Bytes in the longest name.
    pub const LEN_MAX: usize = 64;

    /// This name.
    ///
    /// # Errors
    /// [`LogNameError`] for one that is empty, too long or has other characters.
    pub fn new(name: &str) -> Result<Self, LogNameError> {
        if !is_plain(name, Self::LEN_MAX) {
            return Err(LogNameError);
        }
        Ok(Self(name.into()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

checked_text!(LogName, LogNameError);

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No name for a log. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log's name has 1 to 64 of A-Z, a-z, 0-9, _, - and .")]
pub struct LogNameError;
