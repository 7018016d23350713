//! What goes wrong with a transport, and what may be concluded from it.

use std::error::Error;

/// What a client, a driver or a network said.
type Source = Box<dyn Error + Send + Sync>;

/// A request to a transport that was not answered as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// It cannot be said whether anything happened: a lost connection, a time-out, an error that
    /// nobody has classified. Ask again: what then happens twice is a duplicate.
    #[error("the transport gave no answer to rely on")]
    Unknown(#[source] Source),
    /// Nothing happened: the transport was not reached, or is not ready. Ask again later.
    #[error("the transport is not available")]
    Unavailable(#[source] Source),
    /// Nothing was sent: the queue, with its dead letters, is as long as it may get. Consume it,
    /// or redrive or discard its dead letters; then ask again.
    #[error("the queue is full")]
    Full,
    /// Nothing happened, and nothing will until somebody changes something: a right is missing, a
    /// setting is wrong. Asked again, it says the same.
    #[error("the transport refuses")]
    Refused(#[source] Source),
}

impl TransportError {
    /// [`Unknown`](Self::Unknown), for this reason.
    pub fn unknown(source: impl Into<Source>) -> Self {
        Self::Unknown(source.into())
    }

    /// [`Unavailable`](Self::Unavailable), for this reason.
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }

    /// [`Refused`](Self::Refused), for this reason.
    pub fn refused(source: impl Into<Source>) -> Self {
        Self::Refused(source.into())
    }

    /// Whether it is known that nothing happened.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Unavailable(_) | Self::Full | Self::Refused(_) => true,
        }
    }
}
