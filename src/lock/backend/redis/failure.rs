//! Why a server did not do what was asked, and what may be concluded.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::lock::backend::{BackendError, BackendErrorKind, Verb};

use BackendErrorKind::{Corrupt, Indeterminate, Rejected, Unavailable};

/// A call or a connection that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    kind: BackendErrorKind,
    cause: Cause,
}

#[derive(Clone, Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Client(RedisError),
    #[error("{0}")]
    Ours(&'static str),
}

/// Where a server of a cluster sends the caller.
pub(super) enum Redirect {
    /// To the server that has the slot from now on.
    Moved(String),
    /// To the server that gets the slot, this time.
    Ask(String),
}

impl Failure {
    pub(super) fn new(kind: BackendErrorKind, why: &'static str) -> Self {
        let cause = Cause::Ours(why);
        Self { kind, cause }
    }

    /// Of a call that may have reached a server. A script that fails half-way is not undone, so what
    /// is not known to be said before it is run is not definite.
    pub(super) fn of_call(error: RedisError) -> Self {
        let kind = match error.kind() {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Corrupt,
            ErrorKind::Server(
                ServerErrorKind::Ask
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::Moved
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::TryAgain,
            ) => Unavailable,
            // Within a script it would be an ERR.
            ErrorKind::Server(ServerErrorKind::NoPerm) => Rejected,
            _ => match error.code() {
                Some("BUSY" | "MISCONF" | "NOAUTH" | "NOREPLICAS") => Unavailable,
                Some("WRONGTYPE") => Corrupt,
                _ => Indeterminate,
            },
        };
        let cause = Cause::Client(error);
        Self { kind, cause }
    }

    /// Of an attempt to connect, which changes nothing in the store.
    pub(super) fn of_connecting(error: RedisError) -> Self {
        let is_full = |error: &RedisError| {
            let why = error.detail().unwrap_or_default();
            why.contains("number of clients")
        };
        let is_for_good = match error.kind() {
            ErrorKind::Io => is_about_certificates(&error),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown,
            ) => false,
            _ => !is_full(&error),
        };
        let kind = if is_for_good { Rejected } else { Unavailable };
        let cause = Cause::Client(error);
        Self { kind, cause }
    }

    /// Nothing was sent, for this reason.
    pub(super) fn unsent(self) -> Self {
        let kind = Unavailable;
        Self { kind, ..self }
    }

    /// Trying again would not help.
    pub(super) fn for_good(self) -> Self {
        let kind = Rejected;
        Self { kind, ..self }
    }

    pub(super) fn kind(&self) -> BackendErrorKind {
        self.kind
    }

    pub(super) fn redirect(&self) -> Option<Redirect> {
        let Cause::Client(error) = &self.cause else {
            return None;
        };
        let there = || Some(error.redirect_node()?.0.to_owned());
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => there().map(Redirect::Moved),
            ErrorKind::Server(ServerErrorKind::Ask) => there().map(Redirect::Ask),
            _ => None,
        }
    }

    pub(super) fn into_error(self, verb: Verb) -> BackendError {
        BackendError::new(self.kind, verb).with_source(self.cause)
    }
}

/// Whether a connection on which this was said is of no more use: it is broken, or leads to a
/// server that no longer is what it was.
pub(super) fn ends_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        || error.code() == Some("NOAUTH")
}

fn is_about_certificates(error: &RedisError) -> bool {
    // The client keeps what was the matter behind such a pointer.
    let source: Option<&Arc<dyn Error + Send + Sync>> =
        error.source().and_then(|source| source.downcast_ref());
    let io = source.and_then(|source| source.downcast_ref());
    io.and_then(io::Error::get_ref)
        .is_some_and(|inner| inner.is::<rustls::Error>())
}
