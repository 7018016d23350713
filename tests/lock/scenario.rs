//! What a user does with a lock, from end to end.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tripod::lock::{
    AcquireError, BackendError, BackendErrorKind, LockGuard, LockName, Locks, Loss,
};

/// One of two handles of a store acquires a lock, the other contends for it; the first loses it to
/// an operator, and the other gets it by that, releases it, and leaves it free.
pub(crate) async fn acquire_contend_lose_release(one: &Locks, other: &Locks) {
    let name = LockName::new("scenario").unwrap();
    let ttl = Duration::from_secs(6);
    let held = one.acquire(&name).ttl(ttl).metadata("one").await.unwrap();
    assert!(other.try_acquire(&name).await.unwrap().is_none());
    let waiter = other.acquire(&name).ttl(ttl).wait(5 * ttl);
    let waiter = tokio::spawn(waiter.into_future());
    while one.inspect(&name).await.unwrap().waiters().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    let token = held.fencing_token();
    assert!(other.force_release(&name, token).await.unwrap());
    let next = waiter.await.unwrap().unwrap();
    assert!(next.fencing_token() > token);
    let lost = timeout(ttl, held.lost()).await;
    assert_eq!(lost.unwrap(), Loss::Removed);
    assert!(!held.release().await.unwrap());
    assert!(next.release().await.unwrap());
    let again = one.try_acquire(&name).await.unwrap().unwrap();
    assert!(again.release().await.unwrap());
}

/// Acquires as soon as the store can: until then it fails, but not for good. A minute is more than
/// any server takes to come back, and any lease here to be over.
pub(crate) async fn acquire_at_last<A>(acquire: impl Fn() -> A) -> LockGuard
where
    A: IntoFuture<Output = Result<LockGuard, AcquireError>>,
{
    let trying = async {
        loop {
            match acquire().await {
                Ok(guard) => return guard,
                Err(AcquireError::Store(error)) => assert!(is_transient(&error), "{error:?}"),
                Err(error) => panic!("{error:?}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let acquired = timeout(Duration::from_secs(60), trying).await;
    acquired.expect("it works again")
}

/// A store that is down says so, and that it may be asked again.
pub(crate) async fn is_down(locks: &Locks) {
    let error = locks.try_acquire("other").await.unwrap_err();
    let AcquireError::Store(error) = error else {
        panic!("{error:?}")
    };
    assert!(is_transient(&error), "{error:?}");
}

pub(crate) fn is_transient(error: &BackendError) -> bool {
    matches!(
        error.kind(),
        BackendErrorKind::Unavailable | BackendErrorKind::Indeterminate
    )
}
