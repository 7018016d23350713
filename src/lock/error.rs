//! What a store's failure lets the caller conclude.

/// A step that a store did not confirm.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {kind}")]
pub struct BackendError {
    kind: BackendErrorKind,
    operation: &'static str,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What the caller may conclude from a [`BackendError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The step was not taken. Try again later.
    #[error("the store is unavailable")]
    Unavailable,
    /// The step may have been taken.
    #[error("the store's answer was lost")]
    Indeterminate,
    /// The step was not taken, and will not be if tried again.
    #[error("the store refused")]
    Rejected,
    /// The store holds what this crate cannot have written.
    #[error("the store's data is damaged")]
    Corrupt,
}

impl BackendError {
    /// An error of the step that `operation` names.
    #[must_use]
    pub fn new(
        kind: BackendErrorKind,
        operation: &'static str,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            operation,
            source,
        }
    }

    /// What may be concluded.
    #[must_use]
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }

    /// The step that failed: the name of the trait's method.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }
}
