//! What the client's errors let the caller conclude.

use zookeeper_client::Error;

use crate::lock::backend::{BackendError, BackendErrorKind, Verb};

/// What a request met in the store. It changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A node that it names is not there.
    Missing,
    /// The lock has changed since it was looked at.
    Changed,
}

/// Tells what was refused from what failed.
pub(super) fn refusal(error: Error) -> Result<Refusal, Error> {
    if error == Error::NoNode {
        return Ok(Refusal::Missing);
    }
    let changed = [Error::BadVersion, Error::NodeExists, Error::NotEmpty];
    if changed.contains(&error) {
        return Ok(Refusal::Changed);
    }
    Err(error)
}

/// An error of a step. Where it `may_have_changed` something, little is definite.
pub(super) fn failure(error: Error, verb: Verb, may_have_changed: bool) -> BackendError {
    let kind = if matches!(error, Error::UnmarshalError { .. }) {
        BackendErrorKind::Corrupt
    } else if may_have_changed {
        BackendErrorKind::Indeterminate
    } else if is_final(&error) {
        BackendErrorKind::Rejected
    } else {
        BackendErrorKind::Unavailable
    };
    BackendError::new(kind, verb).with_source(error)
}

/// What the server, or the client, will not do at another time either.
fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::NoAuth
            | Error::AuthFailed
            | Error::InvalidAcl
            | Error::QuotaExceeded
            | Error::Unimplemented
            | Error::BadArguments(_)
    )
}
