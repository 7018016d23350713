//! What an error of the client lets the caller conclude.

use tokio_postgres::error::SqlState;

use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::postgres::{NoWay, cause, is_refused, is_undone, refuses};

/// A URL, or certificates, by which nothing can be reached.
pub(super) fn no_way(error: NoWay) -> BackendError {
    BackendError::new(BackendErrorKind::Rejected, Verb::Connect).with_source(error)
}

/// A failure to connect, after which nothing was asked.
pub(super) fn unreached(error: tokio_postgres::Error, verb: Verb) -> BackendError {
    use BackendErrorKind::{Rejected, Unavailable};
    let kind = if is_refused(&error) {
        Rejected
    } else {
        Unavailable
    };
    BackendError::new(kind, verb).with_source(cause(error))
}

/// A failure of a statement that was sent.
pub(super) fn unanswered(error: tokio_postgres::Error, verb: Verb) -> BackendError {
    BackendError::new(conclude(&error), verb).with_source(cause(error))
}

/// A failure of a question that is part of connecting, and stores nothing.
pub(super) fn unconnected(error: tokio_postgres::Error) -> BackendError {
    use BackendErrorKind::{Corrupt, Indeterminate, Rejected, Unavailable};
    let kind = match conclude(&error) {
        Indeterminate | Unavailable => Unavailable,
        Rejected => Rejected,
        Corrupt => Corrupt,
    };
    BackendError::new(kind, Verb::Connect).with_source(cause(error))
}

/// Whether a statement's name is not known any more, or means what it no longer can: nothing was
/// done. A pooler that shares out its connections may have come in between, or another schema.
pub(super) fn is_stale(error: &tokio_postgres::Error) -> bool {
    let stale = [
        SqlState::INVALID_SQL_STATEMENT_NAME,
        SqlState::DUPLICATE_PSTATEMENT,
        SqlState::FEATURE_NOT_SUPPORTED,
    ];
    error.code().is_some_and(|code| stale.contains(code))
}

fn conclude(error: &tokio_postgres::Error) -> BackendErrorKind {
    match error.as_db_error() {
        Some(answer) if !is_undone(error) => {
            // A pooler or a server that is full, or was starting, has not run anything.
            let before = [SqlState::TOO_MANY_CONNECTIONS, SqlState::CANNOT_CONNECT_NOW];
            if before.contains(answer.code()) {
                BackendErrorKind::Unavailable
            } else {
                BackendErrorKind::Indeterminate
            }
        }
        Some(answer) if refuses(answer) => BackendErrorKind::Rejected,
        Some(_) => BackendErrorKind::Unavailable,
        None => BackendErrorKind::Indeterminate,
    }
}
