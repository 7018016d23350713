//! The proof of a lock, for as long as its lease lives.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::backend::{BackendError, Verb};
use super::error::Loss;
use super::event;
use super::fence::{FencePass, FencingToken};
use super::keeper::Keeper;
use super::leases::Kept;
use super::limit::within;
use super::name::{HolderId, LockName};

/// A lock that is held, until it is released, dropped, or lost.
///
/// A lease can be lost at any time: look at [`check`](Self::check) before each step, or listen by
/// [`lost`](Self::lost) or the [cancellation token](Self::cancellation_token). None of them can
/// stop a process that is paused between the look and the step: show the resource the
/// [`pass`](Self::pass), and let it refuse the late.
///
/// Dropping it releases the lock in the background, from any thread, inside a runtime or not.
#[must_use = "a guard that is dropped releases its lock"]
pub struct LockGuard {
    keeper: Arc<Keeper>,
    kept: Kept,
    pass: FencePass,
    granted: Instant,
    /// Whether the lease is kept alive.
    kept_alive: bool,
    /// Whether the store may still have the entry.
    entered: bool,
}

impl LockGuard {
    pub(super) fn new(keeper: Arc<Keeper>, kept: Kept, pass: FencePass, granted: Instant) -> Self {
        Self {
            keeper,
            kept,
            pass,
            granted,
            kept_alive: true,
            entered: true,
        }
    }

    /// The lock.
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.kept.tenure.entry().name()
    }

    /// The id of this acquisition, as [`inspect`](super::Locks::inspect) shows it.
    #[must_use]
    pub fn holder(&self) -> HolderId {
        self.kept.tenure.entry().holder()
    }

    /// The number that this grant is later than all earlier ones by.
    #[must_use]
    pub fn fencing_token(&self) -> FencingToken {
        self.pass.token()
    }

    /// What to show to a resource that fences: the token, and the floor that lets readers in
    /// together.
    #[must_use]
    pub fn pass(&self) -> FencePass {
        self.pass
    }

    /// The TTL in force, which a store may have rounded up.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.kept.tenure.lease().ttl()
    }

    /// How long it may still be believed in without another renewal; zero once it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let now = Instant::now();
        match self.kept.tenure.check(now) {
            Ok(()) => self.kept.tenure.lease().remaining(now),
            Err(_) => Duration::ZERO,
        }
    }

    /// Whether it is held, by the clock of this machine. Sends nothing.
    ///
    /// # Errors
    /// [`Loss`] says how it was lost. It stays lost.
    pub fn check(&self) -> Result<(), Loss> {
        self.kept.tenure.check(Instant::now())
    }

    /// Returns when it is lost, and how: at its deadline at the latest.
    ///
    /// # Cancel safety
    /// Safe: it may be called again, and by several.
    pub async fn lost(&self) -> Loss {
        let cancelled = self.kept.tenure.cancelled();
        loop {
            // The deadline is watched here as well, for the renewal task ends with its runtime.
            let deadline = self.kept.tenure.lease().deadline();
            let mut told = pin!(async {
                tokio::select! {
                    () = cancelled.cancelled() => {}
                    () = sleep_until(deadline) => {}
                }
            });
            let looked = poll_fn(|context| match self.check() {
                // A timer may fire after whatever else wakes the task; the clock is not late.
                Err(loss) => Poll::Ready(Some(loss)),
                Ok(()) => told.as_mut().poll(context).map(|()| None),
            });
            if let Some(loss) = looked.await {
                return loss;
            }
        }
    }

    /// A token that is cancelled when the lease is lost; not when the guard is released. It needs
    /// the runtime in which the handle first acquired. It is new each time, and yours to cancel.
    #[must_use]
    pub fn cancellation_token(&self) -> CancellationToken {
        self.kept.tenure.cancelled().child_token()
    }

    /// Releases the lock, and answers whether it was held up to this moment: `true` means that
    /// nobody else can have held it since the grant.
    ///
    /// # Errors
    /// [`BackendError`] if the store did not confirm; the release is then tried again in the
    /// background until the lease is over.
    ///
    /// # Cancel safety
    /// Safe: if it is dropped, the lock is released in the background.
    pub async fn release(mut self) -> Result<bool, BackendError> {
        self.let_go();
        let entry = self.kept.tenure.entry();
        let call = self.keeper.backend.release(entry);
        let held = within(|| self.ttl(), Verb::Release, call).await?;
        event::released(entry, held);
        self.entered = false;
        Ok(held)
    }

    /// Leaves the lease to itself.
    fn let_go(&mut self) {
        if std::mem::take(&mut self.kept_alive) {
            self.keeper.renewal.let_go(&self.kept, self.granted);
        }
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("name", self.name())
            .field("holder", &self.holder())
            .field("pass", &self.pass)
            .field("check", &self.check())
            .finish_non_exhaustive()
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        if self.entered {
            self.let_go();
            let entry = self.kept.tenure.entry().clone();
            self.keeper.reaper.remove(entry, self.ttl());
        }
    }
}
