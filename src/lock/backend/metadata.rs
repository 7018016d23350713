//! What a holder says of itself.

use std::fmt;
use std::sync::Arc;

/// Up to 1 KiB of text that a holder shows to whoever inspects the lock: a host, a job, an
/// address to reach a leader at. `Debug` tells its length only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Metadata(Option<Arc<str>>);

impl Metadata {
    /// The longest, in bytes: small enough to stand in every store beside the entry.
    pub const LEN_MAX: usize = 1024;

    /// Checks and wraps `text`.
    ///
    /// # Errors
    /// [`MetadataError`] if it is longer than [`Metadata::LEN_MAX`].
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, MetadataError> {
        let text = text.into();
        match text.len() {
            0 => Ok(Self(None)),
            len if len > Self::LEN_MAX => Err(MetadataError { len }),
            _ => Ok(Self(Some(text))),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} bytes)", self.as_str().len())
    }
}

/// Metadata that is too long. Nothing was created; shorten it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata of {len} bytes is longer than {} bytes", Metadata::LEN_MAX)]
pub struct MetadataError {
    len: usize,
}
