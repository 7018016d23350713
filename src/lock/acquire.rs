//! The builder that awaits.

use std::future::IntoFuture;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::future::BoxFuture;

use super::attempt::Attempt;
use super::backend::Metadata;
use super::error::{AcquireError, Loss, RunError};
use super::fence::FencePass;
use super::guard::LockGuard;
use super::keeper::Keeper;
use super::name::{LockName, NameError};
use super::options::{Options, Wait};
use super::queue::{Mode, Permits, PermitsError};
use super::set::{All, LockSet};

/// An acquisition to be awaited: of one lock ([`One`]), of one if it is free ([`IfFree`]), or of
/// several ([`All`]).
///
/// Nothing happens until it is awaited.
///
/// # Cancel safety
/// Safe: dropped at any point, it leaves the queue or frees the lock in the background.
#[derive(Clone, Debug)]
#[must_use = "nothing is acquired until it is awaited"]
pub struct Acquire<T> {
    pub(super) keeper: Arc<Keeper>,
    pub(super) target: T,
    pub(super) options: Options,
}

/// One lock, waited for. Awaits as `Result<LockGuard, AcquireError>`.
#[derive(Clone, Debug)]
pub struct One {
    name: Result<LockName, NameError>,
    wait: Wait,
}

/// One lock, if it is free. Awaits as `Result<Option<LockGuard>, AcquireError>`.
#[derive(Clone, Debug)]
pub struct IfFree {
    name: Result<LockName, NameError>,
}

impl<T> Acquire<T> {
    fn new(keeper: Arc<Keeper>, target: T) -> Self {
        Self {
            keeper,
            target,
            options: Options::default(),
        }
    }

    /// How long the lease lives without renewal: 30 s unless said otherwise, from
    /// [`TTL_MIN`](super::TTL_MIN) to [`TTL_MAX`](super::TTL_MAX); a store may round it up. It is
    /// renewed when a third of it has passed, so it bounds how long others wait when this process
    /// dies, not how long the lock may be held. It should be several times the longest pause and
    /// the longest answer of the store that are to be survived.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = ttl;
        self
    }

    /// Together with other shared holders: as a reader. Exclusive unless said otherwise.
    pub fn shared(mut self) -> Self {
        self.options.mode = Ok(Mode::Shared);
        self
    }

    /// Holds `n` permits of the `of` that there are, which everybody who uses the name must say
    /// alike; from 1 to `of`.
    pub fn permits(mut self, n: u32, of: u32) -> Self {
        let checked = match (NonZeroU32::new(n), NonZeroU32::new(of)) {
            (Some(n), Some(of)) => Permits::new(n, of),
            (None, _) | (_, None) => Err(PermitsError { n, of }),
        };
        self.options.mode = checked.map(Mode::Permits);
        self
    }

    /// Larger goes first; 0 unless said otherwise. Lower ones may starve behind higher ones.
    pub fn priority(mut self, priority: u8) -> Self {
        self.options.priority = priority;
        self
    }

    /// Text for whoever inspects the lock, up to [`Metadata::LEN_MAX`] bytes; none unless said
    /// otherwise.
    pub fn metadata(mut self, metadata: impl Into<Arc<str>>) -> Self {
        self.options.metadata = Metadata::new(metadata);
        self
    }

    /// Whether the lease is renewed while the guard lives; it is, unless said otherwise. Without,
    /// the lock is lost when the TTL is over.
    pub fn renew(mut self, renew: bool) -> Self {
        self.options.renews = renew;
        self
    }
}

impl Acquire<One> {
    pub(super) fn one(keeper: Arc<Keeper>, name: Result<LockName, NameError>) -> Self {
        let wait = Wait::Forever;
        Self::new(keeper, One { name, wait })
    }

    /// How long to wait in the queue: a `Duration`, or for ever, which is the default. The bound
    /// covers everything from the first request to the grant.
    pub fn wait(mut self, wait: impl Into<Wait>) -> Self {
        self.target.wait = wait.into();
        self
    }

    /// Acquires, does the work, releases. If the lease is lost, the work is dropped where it
    /// awaits: it must be safe to be dropped there. It is given the pass to show to the resource.
    ///
    /// # Errors
    /// [`RunError`]: the lock was not acquired, or was lost before it was released.
    ///
    /// # Cancel safety
    /// The work is dropped where it awaits, and the lock is released in the background.
    pub async fn run<F, W>(self, work: F) -> Result<W::Output, RunError>
    where
        F: FnOnce(FencePass) -> W,
        W: Future,
    {
        let guard = self.await?;
        let failed = |finished| move |loss| RunError::Lost { loss, finished };
        let output = tokio::select! {
            // The work is not polled again once the lease is lost.
            biased;
            loss = guard.lost() => return Err(failed(false)(loss)),
            output = work(guard.pass()) => output,
        };
        guard.check().map_err(failed(true))?;
        match guard.release().await {
            Ok(false) => Err(failed(true)(Loss::Removed)),
            // It was held when the work ended; the release is tried again in the background.
            Ok(true) | Err(_) => Ok(output),
        }
    }
}

impl Acquire<IfFree> {
    pub(super) fn if_free(keeper: Arc<Keeper>, name: Result<LockName, NameError>) -> Self {
        Self::new(keeper, IfFree { name })
    }
}

impl Acquire<All> {
    pub(super) fn all(keeper: Arc<Keeper>, names: Vec<Result<LockName, NameError>>) -> Self {
        Self::new(keeper, All::new(names))
    }

    /// How long to wait in the queues, all together: a `Duration`, or for ever, which is the
    /// default.
    pub fn wait(mut self, wait: impl Into<Wait>) -> Self {
        self.target = self.target.with_wait(wait.into());
        self
    }
}

impl IntoFuture for Acquire<One> {
    type Output = Result<LockGuard, AcquireError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self {
                keeper,
                target,
                options,
            } = self;
            let attempt = Attempt::new(keeper, target.name?, options)?;
            attempt.wait(target.wait).await
        })
    }
}

impl IntoFuture for Acquire<IfFree> {
    type Output = Result<Option<LockGuard>, AcquireError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self {
                keeper,
                target,
                options,
            } = self;
            Attempt::new(keeper, target.name?, options)?.if_free().await
        })
    }
}

impl IntoFuture for Acquire<All> {
    type Output = Result<LockSet, AcquireError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self {
            keeper,
            target,
            options,
        } = self;
        Box::pin(target.acquire(keeper, options))
    }
}
