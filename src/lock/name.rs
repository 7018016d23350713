//! Who locks what: names and ids.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::text::checked_text;

/// The name of a lock: 1 to 200 bytes of UTF-8 without control characters.
///
/// Names may look hierarchical (`orders/17`); that means nothing here: `orders` and `orders/17`
/// are two locks that never meet, in every store. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName(Arc<str>);

impl LockName {
    /// The longest name, in bytes: encoded as hexadecimal it still fits the 512 bytes that stores
    /// allow for a part of a key.
    pub const LEN_MAX: usize = 200;

    /// Checks and wraps `name`.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, NameError> {
        let name = name.into();
        match name.len() {
            0 => return Err(NameError::Empty),
            len if len > Self::LEN_MAX => return Err(NameError::TooLong { len }),
            _ => {}
        }
        match name.find(char::is_control) {
            Some(at) => Err(NameError::Control { at }),
            None => Ok(Self(name)),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

checked_text!(LockName, NameError);

impl fmt::Display for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<&String> for LockName {
    type Error = NameError;

    fn try_from(name: &String) -> Result<Self, NameError> {
        Self::new(name.as_str())
    }
}

impl From<&LockName> for LockName {
    fn from(name: &LockName) -> Self {
        name.clone()
    }
}

/// Who holds or waits: a new one for each acquisition, made before anything is sent, so that what
/// a lost answer left behind can be found and removed.
///
/// 128 bits: 64 at random for each handle, and a count of its acquisitions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderId(u128);

impl HolderId {
    /// The id of acquisition number `count` of the handle that drew `handle` at random.
    #[must_use]
    pub fn new(handle: u64, count: u64) -> Self {
        Self(u128::from(handle) << 64 | u128::from(count))
    }

    /// The id as a number, as a store keeps it.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }

    /// The id that a store kept as this number.
    #[must_use]
    pub fn from_u128(id: u128) -> Self {
        Self(id)
    }
}

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for HolderId {
    type Err = HolderIdError;

    /// Reads what [`Display`](fmt::Display) writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, HolderIdError> {
        let id = u128::from_str_radix(text, 16).map(Self);
        id.ok()
            .filter(|id| id.to_string() == text)
            .ok_or(HolderIdError)
    }
}

impl fmt::Debug for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not the text of a holder's id. Nothing was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a holder's id")]
pub struct HolderIdError;

/// A string that cannot name a lock. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name was empty; give it at least one byte.
    #[error("a lock name must not be empty")]
    Empty,
    /// The name was longer than [`LockName::LEN_MAX`](LockName::LEN_MAX); hash it or
    /// shorten it.
    #[error(
        "a lock name of {len} bytes is longer than {} bytes",
        LockName::LEN_MAX
    )]
    TooLong {
        /// The length that was refused, in bytes.
        len: usize,
    },
    /// The name has a control character, which logs and stores would garble.
    #[error("a lock name must not have control characters (byte {at})")]
    Control {
        /// Where the first one is, in bytes.
        at: usize,
    },
}

impl From<Infallible> for NameError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
