//! What a caller calls a saga.

use std::fmt;
use std::sync::Arc;

use crate::text::checked_text;
use crate::transaction::log::{RecordError, Subject, SubjectKey};

/// What a caller calls a saga: the number of an order, the id of a request. Whoever starts a saga
/// again under the same key gets the one that there is. 1 to 255 bytes of text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SagaKey(Arc<str>);

/// No key for a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a saga's key has 1 to {} bytes", SagaKey::LEN_MAX)]
pub struct SagaKeyError;

impl SagaKey {
    /// The most bytes of a key.
    pub const LEN_MAX: usize = 255;

    /// This key.
    ///
    /// # Errors
    /// [`SagaKeyError`].
    pub fn new(key: impl AsRef<str>) -> Result<Self, SagaKeyError> {
        let key = key.as_ref();
        if key.is_empty() || key.len() > Self::LEN_MAX {
            return Err(SagaKeyError);
        }
        Ok(Self(key.into()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn subject(&self) -> Result<Subject, RecordError> {
        SubjectKey::shared(Arc::clone(&self.0).into()).map(Subject::Saga)
    }

    pub(super) fn read(key: &SubjectKey) -> Option<Self> {
        let text = std::str::from_utf8(key.as_bytes()).ok()?;
        Self::new(text).ok()
    }
}

checked_text!(SagaKey, SagaKeyError);

/// Control characters are escaped: a key may have any, and a log's line may not.
impl fmt::Display for SagaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_debug())
    }
}
