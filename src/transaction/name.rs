//! What participants are called.

use std::fmt;
use std::sync::Arc;

use crate::text::checked_text;

/// A participant, as its coordinator knows it for as long as their logs and rows live: recovery
/// finds it by this name.
///
/// From 1 to 64 of `A` to `Z`, `a` to `z`, `0` to `9`, `_`, `-` and `.`: what any store and log
/// line takes as it is. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantName(Arc<str>);

impl ParticipantName {
    /// Bytes in the longest name.
    pub const LEN_MAX: usize = 64;

    /// This name.
    ///
    /// # Errors
    /// [`ParticipantNameError`] for one that is empty, too long or has other characters.
    pub fn new(name: &str) -> Result<Self, ParticipantNameError> {
        if !is_plain(name, Self::LEN_MAX) {
            return Err(ParticipantNameError);
        }
        Ok(Self(name.into()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

checked_text!(ParticipantName, ParticipantNameError);

impl fmt::Display for ParticipantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether it has at least one byte, at most so many, and only such as any store takes as they are.
pub(super) fn is_plain(name: &str, length_max: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !name.is_empty() && name.len() <= length_max && name.bytes().all(plain)
}

/// No name for a participant. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a participant's name has 1 to 64 of A-Z, a-z, 0-9, _, - and .")]
pub struct ParticipantNameError;
