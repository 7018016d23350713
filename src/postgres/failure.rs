//! What an error of the client lets one conclude.

use std::error::Error;
use std::io;

use tokio_postgres::error::{DbError, Severity, SqlState};

/// Whether connecting failed in a way that it would fail again: the server, or we, refused.
pub(crate) fn is_refused(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(answer) => refuses(answer),
        None => is_of_tls(error) || is_of_settings(error),
    }
}

/// Whether the connection is as good as before: the server refused the statement, no more.
pub(crate) fn is_undone(error: &tokio_postgres::Error) -> bool {
    // The server says so of a transaction that it has undone; of one that is committed it says
    // nothing worse than a warning. Before it ends a connection it says FATAL, and that may come
    // after the commit; and what a pooler says of a connection that it lost has class 08.
    error.as_db_error().is_some_and(|answer| {
        answer.parsed_severity() == Some(Severity::Error) && class(answer) != "08"
    })
}

/// Whether the server would refuse the same again: a wrong user, database, privilege, setting or
/// schema. All else passes, a lock that was not had, a full disk, a server that takes no writes.
pub(crate) fn refuses(answer: &DbError) -> bool {
    let refusals = ["0A", "22", "23", "25", "28", "3D", "3F", "42", "P0"];
    *answer.code() != SqlState::READ_ONLY_SQL_TRANSACTION && refusals.contains(&class(answer))
}

/// Whether the server is a replica now, or was made to take no writes.
pub(crate) fn takes_no_writes(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// What says most: the client's own errors name only the kind of their cause.
pub(crate) fn cause(error: tokio_postgres::Error) -> Box<dyn Error + Send + Sync> {
    let text = error.to_string();
    error.into_source().unwrap_or_else(|| text.into())
}

/// Whether the server offered TLS, and what it showed was not accepted.
pub(super) fn is_of_tls(error: &tokio_postgres::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    let inner = cause.and_then(|cause: &io::Error| cause.get_ref());
    inner.is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>)
}

/// Whether it is of what the URL says: no password, an authentication that the client does not know,
/// TLS where the server has none. The client tells these apart by its words alone.
fn is_of_settings(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    let broken = error.source().is_some_and(<dyn Error>::is::<io::Error>);
    text.starts_with("authentication error")
        || text.starts_with("invalid configuration")
        || text.starts_with("error performing TLS handshake") && !broken
}

fn class(answer: &DbError) -> &str {
    answer.code().code().get(..2).unwrap_or_default()
}
