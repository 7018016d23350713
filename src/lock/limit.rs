//! A bound on the calls of an acquisition and a release.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

use crate::future::BoxFuture;

use super::backend::{BackendError, BackendErrorKind, Verb};

/// The answer, or *indeterminate* if there is none within the limit, which is asked for only if
/// the answer is not there at once.
pub(super) async fn within<T>(
    limit: impl FnOnce() -> Duration,
    verb: Verb,
    mut call: BoxFuture<'_, Result<T, BackendError>>,
) -> Result<T, BackendError> {
    // A store in memory answers at once, and a timer costs more than its answer.
    let at_once = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
    if let Poll::Ready(answer) = at_once {
        return answer;
    }
    let answer = Box::pin(timeout(limit(), call)).await;
    answer.unwrap_or_else(|elapsed| {
        Err(BackendError::new(BackendErrorKind::Indeterminate, verb).with_source(elapsed))
    })
}
