//! What a user does with a lock, from end to end.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tripod::lock::{
    AcquireError, BackendError, BackendErrorKind, LockGuard, LockName, Locks, Loss,
};

/// What takes longer hangs: no test says how fast a store or a machine is.
pub(crate) const HANGS: Duration = Duration::from_secs(60);

/// A lease so long that whoever waits for it to end looks by itself, a quarter of it later, only
/// after what was to be told would count as not told.
pub(crate) const FAR: Duration = Duration::from_secs(300);

/// One of two handles of a store acquires a lock, the other contends for it; the first loses it to
/// an operator, and the other gets it by that, releases it, and leaves it free.
pub(crate) async fn acquire_contend_lose_release(one: &Locks, other: &Locks) {
    let name = LockName::new("scenario").unwrap();
    let ttl = Duration::from_secs(9);
    let held = one.acquire(&name).ttl(ttl).metadata("one").await.unwrap();
    assert!(other.try_acquire(&name).await.unwrap().is_none());
    let waiter = other.acquire(&name).ttl(ttl).wait(HANGS);
    let waiter = tokio::spawn(waiter.into_future());
    while one.inspect(&name).await.unwrap().waiters().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    let token = held.fencing_token();
    assert!(other.force_release(&name, token).await.unwrap());
    let next = waiter.await.unwrap().unwrap();
    assert!(next.fencing_token() > token);
    let lost = timeout(HANGS, held.lost()).await;
    assert_eq!(lost.unwrap(), Loss::Removed);
    assert!(!held.release().await.unwrap());
    assert!(next.release().await.unwrap());
    let again = one.try_acquire(&name).await.unwrap().unwrap();
    assert!(again.release().await.unwrap());
}

/// Waits until as many wait for the lock.
pub(crate) async fn until_waiting(locks: &Locks, name: &str, count: usize) {
    let name = LockName::new(name).unwrap();
    let looking = async {
        while locks.inspect(&name).await.unwrap().waiters().len() != count {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(HANGS, looking).await.expect("they wait");
}

/// Waits until something of this handle was renewed as often again.
pub(crate) async fn until_renewed(locks: &Locks, times: u64) {
    let enough = locks.stats().renewed + times;
    let looking = async {
        while locks.stats().renewed < enough {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(HANGS, looking).await.expect("it is renewed");
}

/// Waits for the loss of a lease that can no longer be renewed, and answers until when it was
/// believed in, if it was at all: that is told by its guard, however late it is seen to be lost.
pub(crate) async fn is_lost_at_its_deadline(guard: &LockGuard) -> Option<Instant> {
    let mut believed = None;
    let lost = async {
        while guard.check().is_ok() {
            let (now, remaining) = (Instant::now(), guard.remaining());
            // A renewal that was answered already may make it later yet.
            if !remaining.is_zero() {
                believed = believed.max(Some(now + remaining));
            }
            sleep(Duration::from_millis(5)).await;
        }
        guard.lost().await
    };
    let lost = timeout(2 * HANGS, lost).await;
    assert_eq!(lost.expect("it is lost"), Loss::Expired);
    let now = Some(Instant::now());
    assert!(believed <= now, "it was lost before its deadline");
    believed
}

/// Acquires as soon as the store can: until then it fails, but not for good.
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
    let acquired = timeout(2 * HANGS, trying).await;
    acquired.expect("it works again")
}

/// Connects, however busy the machine is.
pub(crate) async fn connected<T, C>(connect: impl Fn() -> C) -> T
where
    C: IntoFuture<Output = Result<T, BackendError>>,
{
    settled(connect).await.expect("it connects")
}

/// What becomes of connecting, once it is more than that no answer came in time.
pub(crate) async fn settled<T, C>(connect: impl Fn() -> C) -> Result<T, BackendError>
where
    C: IntoFuture<Output = Result<T, BackendError>>,
{
    let trying = async {
        loop {
            match connect().await {
                Err(error) if is_transient(&error) => sleep(Duration::from_millis(50)).await,
                settled => return settled,
            }
        }
    };
    let settled = timeout(HANGS, trying).await;
    settled.expect("there is an answer")
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
