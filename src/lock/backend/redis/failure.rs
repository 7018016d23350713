//! Why a server did not do what was asked, and what may be concluded.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError};

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
        let kind = match error.code() {
            Some(
                "ASK" | "BUSY" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "MISCONF" | "MOVED"
                | "NOAUTH" | "NOREPLICAS" | "READONLY" | "TRYAGAIN",
            ) => Unavailable,
            // Within a script it would be an ERR.
            Some("NOPERM") => Rejected,
            Some("WRONGTYPE") => Corrupt,
            _ if is_of(&error, &[ErrorKind::Parse, ErrorKind::UnexpectedReturnType]) => Corrupt,
            _ => Indeterminate,
        };
        let cause = Cause::Client(error);
        Self { kind, cause }
    }

    /// Of an attempt to connect, which changes nothing in the store.
    pub(super) fn of_connecting(error: RedisError) -> Self {
        let is_for_good = match error.code() {
            Some("CLUSTERDOWN" | "LOADING" | "MASTERDOWN") => false,
            _ if is_of(&error, &[ErrorKind::Io]) => is_about_certificates(&error),
            _ => !error
                .detail()
                .is_some_and(|why| why.contains("number of clients")),
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
        match error.code() {
            Some("MOVED") => there().map(Redirect::Moved),
            Some("ASK") => there().map(Redirect::Ask),
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
    error.is_unrecoverable_error() || matches!(error.code(), Some("NOAUTH" | "READONLY"))
}

fn is_of(error: &RedisError, kinds: &[ErrorKind]) -> bool {
    kinds.contains(&error.kind())
}

fn is_about_certificates(error: &RedisError) -> bool {
    // The client keeps what was the matter behind such a pointer.
    let source: Option<&Arc<dyn Error + Send + Sync>> =
        error.source().and_then(|source| source.downcast_ref());
    let io = source.and_then(|source| source.downcast_ref());
    let inner = io.and_then(io::Error::get_ref);
    inner.is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>)
}
