//! What an error of the client lets one conclude.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError};

use crate::transaction::message::error::TransportError;

/// Of a call that may have reached the server. A script that fails half-way is not undone, so what
/// is not known to be said before anything is written is not definite.
pub(super) fn of_call(error: RedisError) -> TransportError {
    match error.code() {
        Some(
            "BUSY" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "MISCONF" | "NOAUTH" | "NOREPLICAS"
            | "OOM" | "READONLY",
        ) => TransportError::unavailable(error),
        Some("CROSSSLOT" | "MOVED" | "NOPERM" | "WRONGTYPE") => TransportError::refused(error),
        _ => TransportError::unknown(error),
    }
}

/// Of an attempt to connect, which sends no messages.
pub(super) fn of_connecting(error: RedisError) -> TransportError {
    let is_for_good = match error.code() {
        Some("CLUSTERDOWN" | "LOADING" | "MASTERDOWN") => false,
        _ if error.kind() == ErrorKind::Io => is_about_certificates(&error),
        _ => !error
            .detail()
            .is_some_and(|why| why.contains("number of clients")),
    };
    if is_for_good {
        TransportError::refused(error)
    } else {
        TransportError::unavailable(error)
    }
}

/// Whether a connection on which this was said is of no more use: it is broken, or leads to a
/// server that no longer is what it was.
pub(super) fn ends_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || matches!(error.code(), Some("NOAUTH" | "READONLY"))
}

/// Whether the group or the stream went while a read blocked: it is created anew.
pub(super) fn is_lost_group(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED"))
}

fn is_about_certificates(error: &RedisError) -> bool {
    // The client keeps what was the matter behind such a pointer.
    let source: Option<&Arc<dyn Error + Send + Sync>> =
        error.source().and_then(|source| source.downcast_ref());
    let io = source.and_then(|source| source.downcast_ref());
    let inner = io.and_then(io::Error::get_ref);
    inner.is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>)
}
