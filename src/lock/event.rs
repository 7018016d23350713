//! What is told to `tracing`: events of the target `tripod::lock`, with stable names and fields.
//! Metadata is never among them.

use std::time::Duration;

use tracing::{Level, Span, debug_span, event};

use super::backend::{BackendError, Entry};
use super::error::Loss;
use super::fence::FencingToken;
use super::name::LockName;

macro_rules! tell {
    ($level:ident, $name:literal, $entry:expr $(, $($fields:tt)*)?) => {{
        let entry: &Entry = $entry;
        event!(name: $name, target: "tripod::lock", Level::$level,
            lock = %entry.name(), holder = %entry.holder() $(, $($fields)*)?)
    }};
}

/// The span of one acquisition.
pub(super) fn acquire(name: &LockName) -> Span {
    debug_span!(target: "tripod::lock", "lock.acquire", lock = %name)
}

pub(super) fn waiting(entry: &Entry) {
    tell!(DEBUG, "lock.waiting", entry);
}

pub(super) fn granted(entry: &Entry, token: FencingToken, waited: Duration) {
    tell!(DEBUG, "lock.granted", entry, fencing_token = token.as_u64(), waited = ?waited);
}

pub(super) fn renewed(entry: &Entry, renewed: bool) {
    if renewed {
        tell!(TRACE, "lock.renewed", entry);
    } else {
        tell!(WARN, "lock.renewal_failed", entry);
    }
}

pub(super) fn lost(entry: &Entry, loss: Loss) {
    tell!(WARN, "lock.lost", entry, reason = %loss);
}

pub(super) fn released(entry: &Entry, held: bool) {
    tell!(DEBUG, "lock.released", entry, held = held);
}

pub(super) fn cleaned(entry: &Entry) {
    tell!(DEBUG, "lock.cleaned", entry);
}

pub(super) fn abandoned(entry: &Entry) {
    tell!(WARN, "lock.abandoned", entry);
}

pub(super) fn failed(entry: &Entry, error: &BackendError) {
    tell!(DEBUG, "lock.store_failed", entry, error = %error);
}
