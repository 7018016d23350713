//! What went wrong, and what may be concluded.

use std::sync::Arc;

use crate::lock::backend::{BackendError, BackendErrorKind, Verb};

/// A request that was not confirmed. Cloned where several wait for one answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Trouble {
    kind: BackendErrorKind,
    cause: Cause,
    text: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The lease is not there; nothing was done.
    LeaseGone,
    /// The way to the store: another connection, or proof of who we are, may help.
    Way,
    /// The entry was removed before its answer was taken.
    Outlived,
    Other,
}

/// gRPC's numbers of the codes that matter here.
const INVALID_ARGUMENT: i32 = 3;
const PERMISSION_DENIED: i32 = 7;
const FAILED_PRECONDITION: i32 = 9;
const UNIMPLEMENTED: i32 = 12;
const UNAUTHENTICATED: i32 = 16;

impl Trouble {
    pub(super) fn unavailable(text: &str) -> Self {
        Self::new(BackendErrorKind::Unavailable, Cause::Other, text)
    }

    pub(super) fn rejected(text: &str) -> Self {
        Self::new(BackendErrorKind::Rejected, Cause::Other, text)
    }

    pub(super) fn corrupt() -> Self {
        let text = "an entry that was not understood";
        Self::new(BackendErrorKind::Corrupt, Cause::Other, text)
    }

    pub(super) fn no_answer() -> Self {
        let text = "no answer came in time";
        Self::new(BackendErrorKind::Indeterminate, Cause::Way, text)
    }

    /// What came after the entry's time was over: an answer, or a request that was not sent.
    pub(super) fn outlived() -> Self {
        let text = "the entry's time was over";
        Self::new(BackendErrorKind::Indeterminate, Cause::Outlived, text)
    }

    pub(super) fn lease_gone() -> Self {
        let text = "the lease is gone";
        Self::new(BackendErrorKind::Unavailable, Cause::LeaseGone, text)
    }

    /// The same, where what failed came before the request that matters.
    pub(super) fn before_it_went_out(mut self) -> Self {
        if self.kind == BackendErrorKind::Indeterminate {
            self.kind = BackendErrorKind::Unavailable;
        }
        self
    }

    /// The same, where an entry was there before the request that failed.
    pub(super) fn after_it_entered(mut self) -> Self {
        if self.is_definite() {
            self.kind = BackendErrorKind::Indeterminate;
        }
        self
    }

    fn new(kind: BackendErrorKind, cause: Cause, text: &str) -> Self {
        let text = text.into();
        Self { kind, cause, text }
    }

    /// What an error of the client says.
    pub(super) fn of(error: &etcd_client::Error) -> Self {
        use etcd_client::Error;
        match error {
            Error::GRpcStatus(status) => {
                let mut text = status.message().to_owned();
                let refused = connecting(status, &mut text);
                Self::of_status(status.code() as i32, status.message(), refused, &text)
            }
            Error::InvalidArgs(_)
            | Error::InvalidUri(_)
            | Error::InvalidMetadataValue(_)
            | Error::Utf8Error(_) => Self::rejected(&error.to_string()),
            Error::TransportError(transport) => {
                let mut text = transport.to_string();
                let kind = match connecting(transport, &mut text) {
                    Some(Refused::Connection) => BackendErrorKind::Unavailable,
                    // Said of settings, before anything is sent.
                    Some(Refused::Certificate) | None => BackendErrorKind::Rejected,
                };
                Self::new(kind, Cause::Way, &text)
            }
            Error::IoError(_)
            | Error::WatchError(_)
            | Error::LeaseKeepAliveError(_)
            | Error::ElectError(_)
            | Error::EndpointError(_)
            | Error::EndpointsNotManaged
            | Error::Internal(_) => Self::new(
                BackendErrorKind::Indeterminate,
                Cause::Way,
                &error.to_string(),
            ),
        }
    }

    fn of_status(code: i32, message: &str, refused: Option<Refused>, text: &str) -> Self {
        use BackendErrorKind::{Indeterminate, Rejected, Unavailable};
        let says = |what: &str| message.starts_with("etcdserver:") && message.contains(what);
        let (kind, cause) = match (refused, code) {
            (Some(Refused::Connection), _) => (Unavailable, Cause::Way),
            (Some(Refused::Certificate), _) => (Rejected, Cause::Way),
            _ if says("requested lease not found") => (Unavailable, Cause::LeaseGone),
            // Said before anything is done. Another proof of who we are is fetched.
            (None, UNAUTHENTICATED) => (Unavailable, Cause::Way),
            _ if says("revision of auth store is old") => (Unavailable, Cause::Way),
            _ if says("too many requests") => (Unavailable, Cause::Other),
            // Said after it was done as well as instead.
            _ if says("database space exceeded") => (Indeterminate, Cause::Other),
            (None, INVALID_ARGUMENT | PERMISSION_DENIED | FAILED_PRECONDITION | UNIMPLEMENTED)
                if says("") =>
            {
                (Rejected, Cause::Other)
            }
            (None, _) => (Indeterminate, Cause::Way),
        };
        Self::new(kind, cause, text)
    }

    pub(super) fn is_lease_gone(&self) -> bool {
        self.cause == Cause::LeaseGone
    }

    /// Whether the entry was removed meanwhile.
    pub(super) fn is_outlived(&self) -> bool {
        self.cause == Cause::Outlived
    }

    /// Whether another connection may help.
    pub(super) fn is_of_the_way(&self) -> bool {
        self.cause == Cause::Way
    }

    /// Whether nothing came of the request, nor will.
    pub(super) fn is_definite(&self) -> bool {
        self.kind.is_definite()
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.kind == BackendErrorKind::Rejected
    }

    /// As the trait tells it.
    pub(super) fn at(self, verb: Verb) -> BackendError {
        BackendError::new(self.kind, verb).with_source(self)
    }

    /// As the constructor tells it: whatever became of it, nothing is stored.
    pub(super) fn at_connect(self) -> BackendError {
        self.before_it_went_out().at(Verb::Connect)
    }
}

/// What ended before a request could be sent.
enum Refused {
    Connection,
    Certificate,
}

/// Whether this came of connecting, so that nothing was sent; and the causes, appended to `text`.
fn connecting(error: &(dyn std::error::Error + 'static), text: &mut String) -> Option<Refused> {
    // No chain of causes is that long; one that goes round would be.
    const CAUSES_MAX: usize = 16;
    let mut cause = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(error) = cause else { break };
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        if let Some(refused) = refused(error) {
            return Some(refused);
        }
        cause = error.source();
    }
    None
}

fn refused(error: &(dyn std::error::Error + 'static)) -> Option<Refused> {
    use std::io::ErrorKind::{AddrNotAvailable, ConnectionRefused};
    let io = error.downcast_ref::<std::io::Error>()?;
    if let Some(rustls::Error::InvalidCertificate(_)) = io.get_ref().and_then(|e| e.downcast_ref())
    {
        return Some(Refused::Certificate);
    }
    // Only a connection that is being made ends so. One that is made may find no way later.
    let made = matches!(io.kind(), ConnectionRefused | AddrNotAvailable);
    made.then_some(Refused::Connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_certainly_did_nothing_is_definite() {
        const RESOURCE_EXHAUSTED: i32 = 8;
        let told = |text: &str| Trouble::of_status(RESOURCE_EXHAUSTED, text, None, text);
        assert!(told("etcdserver: too many requests").is_definite());
        let full = told("etcdserver: mvcc: database space exceeded");
        assert!(!full.is_definite());
        let made = |kind: std::io::ErrorKind| refused(&std::io::Error::from(kind)).is_some();
        assert!(made(std::io::ErrorKind::ConnectionRefused));
        assert!(!made(std::io::ErrorKind::HostUnreachable));
        assert!(!made(std::io::ErrorKind::NetworkUnreachable));
    }
}
