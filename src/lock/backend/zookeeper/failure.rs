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
    match error {
        Error::NoNode => Ok(Refusal::Missing),
        Error::BadVersion | Error::NodeExists | Error::NotEmpty => Ok(Refusal::Changed),
        error => Err(error),
    }
}

/// An error of a step. Where it `may_have_changed` something, little is definite.
pub(super) fn failure(error: Error, verb: Verb, may_have_changed: bool) -> BackendError {
    BackendError::new(kind(&error, may_have_changed), verb).with_source(error)
}

/// A failure to connect, which changes nothing.
pub(super) fn unconnected(error: Error) -> BackendError {
    let kind = match kind(&error, false) {
        // What the client says of options that it does not take.
        BackendErrorKind::Unavailable if matches!(error, Error::BadArguments(_)) => {
            BackendErrorKind::Rejected
        }
        kind => kind,
    };
    BackendError::new(kind, Verb::Connect).with_source(error)
}

fn kind(error: &Error, may_have_changed: bool) -> BackendErrorKind {
    match error {
        // Told by the server of a request that it did not do. What was done before stays.
        Error::NoAuth | Error::QuotaExceeded | Error::InvalidAcl | Error::Unimplemented
            if !may_have_changed =>
        {
            BackendErrorKind::Rejected
        }
        Error::AuthFailed if !may_have_changed => BackendErrorKind::Rejected,
        Error::UnmarshalError { .. } => BackendErrorKind::Corrupt,
        _ if may_have_changed => BackendErrorKind::Indeterminate,
        _ => BackendErrorKind::Unavailable,
    }
}
