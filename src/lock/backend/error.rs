//! What a store's failure lets the caller conclude.

use std::error::Error;
use std::fmt;

/// A step that a store did not confirm: what may be concluded, which step, and why.
#[derive(Debug, thiserror::Error)]
#[error("{verb}: {kind}")]
pub struct BackendError {
    kind: BackendErrorKind,
    verb: Verb,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl BackendError {
    /// An error of this step.
    #[must_use]
    pub fn new(kind: BackendErrorKind, verb: Verb) -> Self {
        Self {
            kind,
            verb,
            source: None,
        }
    }

    /// With the client's or the driver's own error. It must not tell credentials.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What may be concluded.
    #[must_use]
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }

    /// The step that failed.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }
}

/// What the caller may conclude from a [`BackendError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BackendErrorKind {
    /// The step was not taken, and never will be. Try again later.
    #[error("the store is unavailable")]
    Unavailable,
    /// The step may have been taken, or may yet be.
    #[error("the store's answer was lost")]
    Indeterminate,
    /// The step was not taken, and will not be if tried again.
    #[error("the store refused")]
    Rejected,
    /// The store holds what this crate cannot have written. The step may have been taken.
    #[error("the store's data is damaged")]
    Corrupt,
}

impl BackendErrorKind {
    /// Whether nothing can have come, nor can yet come, of the step.
    #[must_use]
    pub fn is_definite(self) -> bool {
        match self {
            Self::Unavailable | Self::Rejected => true,
            Self::Indeterminate | Self::Corrupt => false,
        }
    }
}

/// A method of [`LockBackend`](super::LockBackend) or the way to it, as an error names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// The constructor of a store.
    Connect,
    /// [`enqueue`](super::LockBackend::enqueue)
    Enqueue,
    /// [`changed`](super::LockBackend::changed)
    Changed,
    /// [`claim`](super::LockBackend::claim)
    Claim,
    /// [`renew`](super::LockBackend::renew)
    Renew,
    /// [`release`](super::LockBackend::release)
    Release,
    /// [`leave`](super::LockBackend::leave)
    Leave,
    /// [`inspect`](super::LockBackend::inspect)
    Inspect,
    /// [`force_release`](super::LockBackend::force_release)
    ForceRelease,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Enqueue => "enqueue",
            Self::Changed => "changed",
            Self::Claim => "claim",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Leave => "leave",
            Self::Inspect => "inspect",
            Self::ForceRelease => "force release",
        })
    }
}
