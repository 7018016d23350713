//! One acquisition, from the request to the guard.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::consume_budget;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::Instrument;

use crate::chance::doubled;

use super::backend::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, Grant, Request, Standing, Verb,
};
use super::error::AcquireError;
use super::event;
use super::guard::LockGuard;
use super::keeper::Keeper;
use super::lease::Lease;
use super::limit::within;
use super::name::LockName;
use super::options::{Options, Wait};
use super::tenure::Tenure;

/// Claims in vain soon after one another, before a pause is made between them: some stores notify
/// several where one can hold, or free an entry later than they say.
const IN_VAIN_MAX: u32 = 3;

/// Grants that come too late in a row, before it is given up: the store takes longer to answer
/// than the TTL allows.
const LATE_MAX: u32 = 3;

/// The longest pause between two claims, and between a notification that failed and the next look.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// An acquisition that has not been sent.
pub(super) struct Attempt {
    keeper: Arc<Keeper>,
    name: LockName,
    options: Options,
}

/// An entry of ours in the store, which is removed in the background unless a guard takes it over
/// or it is known not to exist.
struct Ours<'a> {
    keeper: &'a Arc<Keeper>,
    request: Request,
    /// The longest that was in force.
    ttl: Duration,
    spread: u16,
    exists: bool,
    /// When an answer was first waited for.
    began: Option<Instant>,
}

impl Attempt {
    pub(super) fn new(
        keeper: Arc<Keeper>,
        name: LockName,
        options: Options,
    ) -> Result<Self, AcquireError> {
        keeper.ensure_tasks()?;
        Ok(Self {
            keeper,
            name,
            options,
        })
    }

    pub(super) async fn wait(&self, wait: Wait) -> Result<LockGuard, AcquireError> {
        let span = event::acquire(&self.name);
        let granted = self.until_granted().instrument(span);
        match wait {
            Wait::Forever => granted.await,
            Wait::AtMost(waited) => {
                let granted = Box::pin(timeout(waited, granted)).await;
                granted.unwrap_or(Err(AcquireError::TimedOut { waited }))
            }
        }
    }

    pub(super) async fn if_free(&self) -> Result<Option<LockGuard>, AcquireError> {
        let span = event::acquire(&self.name);
        self.once().instrument(span).await
    }

    /// Enters the queue until it is granted: again, if the entry was gone before its turn came.
    async fn until_granted(&self) -> Result<LockGuard, AcquireError> {
        let mut began = None;
        loop {
            let mut ours = self.ours(began)?;
            let answer = ours.enqueue().await?;
            let now = Instant::now();
            let standing = match answer {
                Enqueued::Granted(grant) if is_timely(grant, now) => {
                    return Ok(self.guard(ours, grant, now));
                }
                // To be claimed anew, with a lease that begins then.
                Enqueued::Granted(late) => Standing::new(late.lease(), Duration::ZERO),
                Enqueued::Waiting(standing) => standing,
                Enqueued::Foreign(family) => return Err(AcquireError::Foreign(family)),
                Enqueued::Held => return Err(unlawful(Verb::Enqueue)),
            };
            // Boxed, so that one who need not wait carries no room for it.
            if let Some((grant, now)) = Box::pin(ours.queue(standing)).await? {
                return Ok(self.guard(ours, grant, now));
            }
            began = ours.began;
        }
    }

    async fn once(&self) -> Result<Option<LockGuard>, AcquireError> {
        let mut ours = self.ours(None)?;
        ours.request = ours.request.clone().without_waiting();
        let answer = ours.enqueue().await?;
        let now = Instant::now();
        match answer {
            Enqueued::Granted(grant) if is_timely(grant, now) => {
                Ok(Some(self.guard(ours, grant, now)))
            }
            Enqueued::Granted(_) => Err(too_late(Verb::Enqueue)),
            Enqueued::Held => Ok(None),
            Enqueued::Foreign(family) => Err(AcquireError::Foreign(family)),
            Enqueued::Waiting(_) => Err(unlawful(Verb::Enqueue)),
        }
    }

    fn ours(&self, began: Option<Instant>) -> Result<Ours<'_>, AcquireError> {
        let (entry, spread) = self.keeper.entry(self.name.clone());
        Ok(Ours {
            keeper: &self.keeper,
            request: self.options.request(entry)?,
            ttl: Duration::ZERO,
            spread,
            exists: false,
            began,
        })
    }

    fn guard(&self, mut ours: Ours<'_>, grant: Grant, now: Instant) -> LockGuard {
        ours.exists = false;
        if ours.began.is_some() {
            // The tasks may have ended with their runtime meanwhile. There is one, for it waited.
            let _ = self.keeper.ensure_tasks();
        }
        let began = ours.began.unwrap_or(now);
        let waited = now.saturating_duration_since(began);
        event::granted(ours.entry(), grant.pass().token(), waited);
        let lease = grant.lease();
        let tenure = Tenure::new(ours.entry().clone(), ours.spread, lease);
        let renewal = &self.keeper.renewal;
        let kept = renewal.keep(tenure, lease, self.options.renews, waited);
        LockGuard::new(Arc::clone(&self.keeper), kept, grant.pass(), now)
    }
}

impl Ours<'_> {
    fn entry(&self) -> &Entry {
        self.request.entry()
    }

    /// Takes note of a lease in force.
    fn saw(&mut self, lease: Lease) {
        self.ttl = self.ttl.max(lease.ttl());
    }

    async fn enqueue(&mut self) -> Result<Enqueued, BackendError> {
        // A store in memory never makes wait; so that others get their turn, this does.
        consume_budget().await;
        self.exists = true;
        let call = self.keeper.backend.enqueue(&self.request);
        let limit = || {
            self.began.get_or_insert_with(Instant::now);
            self.request.ttl()
        };
        let answer = within(limit, Verb::Enqueue, call).await;
        self.exists = match &answer {
            Ok(Enqueued::Granted(_) | Enqueued::Waiting(_)) => true,
            Ok(Enqueued::Held | Enqueued::Foreign(_)) => false,
            Err(error) => !error.kind().is_definite(),
        };
        answer
    }

    /// Waits for its turn: the grant, and when it came. None if the entry is gone.
    async fn queue(
        &mut self,
        mut standing: Standing,
    ) -> Result<Option<(Grant, Instant)>, AcquireError> {
        self.began.get_or_insert_with(Instant::now);
        self.saw(standing.lease());
        let _waiting = Waiting::new(self.keeper);
        event::waiting(self.entry());
        let (mut in_vain, mut late) = (0, 0);
        loop {
            let soon = PAUSE_MAX.min(standing.lease().ttl() / 8);
            let looked = Instant::now();
            self.told(standing).await;
            let claimed = self.claim(standing.lease()).await?;
            let now = Instant::now();
            standing = match claimed {
                Claimed::Granted(grant) if is_timely(grant, now) => return Ok(Some((grant, now))),
                Claimed::Granted(_) if late == LATE_MAX => return Err(too_late(Verb::Claim)),
                // Another claim begins the lease anew.
                Claimed::Granted(grant) => {
                    late += 1;
                    Standing::new(grant.lease(), Duration::ZERO)
                }
                Claimed::Waiting(standing) => standing,
                Claimed::Foreign(family) => {
                    self.exists = false;
                    return Err(AcquireError::Foreign(family));
                }
                Claimed::Gone => {
                    self.exists = false;
                    // Whoever enters anew does not do so without pause.
                    sleep(Duration::from_millis(1)).await;
                    return Ok(None);
                }
            };
            self.saw(standing.lease());
            in_vain = if looked.elapsed() < soon {
                in_vain + 1
            } else {
                0
            };
            if let Some(doublings) = u32::checked_sub(in_vain, IN_VAIN_MAX) {
                sleep(pause(doublings).min(soon)).await;
            }
        }
    }

    /// Waits until it is time to claim: until the store tells of a change, a lease that stands in
    /// the way may be over, or its own has to be renewed.
    async fn told(&self, standing: Standing) {
        let now = Instant::now();
        let (lease, recheck) = (standing.lease(), standing.recheck());
        // Not all who wait for one lease to end look at the same instant.
        let jitter = recheck / 16 * u32::from(self.spread) / u32::from(u16::MAX);
        // A lease that is shared may have been proved long ago.
        let renew_at = lease.renew_at(self.spread).max(now + lease.ttl() / 16);
        let look = renew_at.min(now + recheck + jitter);
        let changed = async {
            if let Err(error) = self.keeper.backend.changed(self.entry()).await {
                event::failed(self.entry(), &error);
                sleep(PAUSE_MAX).await;
            }
        };
        tokio::select! {
            () = changed => {}
            () = sleep_until(look) => {}
        }
    }

    /// Claims, again and again while the waiter's lease may live and the store does not answer.
    async fn claim(&self, lease: Lease) -> Result<Claimed, BackendError> {
        let mut failures = 0;
        loop {
            let call = self.keeper.backend.claim(self.entry());
            let error = match within(|| lease.ttl() / 4, Verb::Claim, call).await {
                Ok(claimed) => return Ok(claimed),
                Err(error) => error,
            };
            event::failed(self.entry(), &error);
            let may_pass = match error.kind() {
                BackendErrorKind::Unavailable | BackendErrorKind::Indeterminate => true,
                BackendErrorKind::Rejected | BackendErrorKind::Corrupt => false,
            };
            if !may_pass || Instant::now() >= lease.deadline() {
                return Err(error);
            }
            sleep(pause(failures).min(lease.ttl() / 8)).await;
            failures += 1;
        }
    }
}

impl Drop for Ours<'_> {
    fn drop(&mut self) {
        if self.exists {
            let ttl = self.ttl.max(self.request.ttl());
            self.keeper.reaper.remove(self.entry().clone(), ttl);
        }
    }
}

/// Counts one that waits.
struct Waiting<'a>(&'a Keeper);

impl<'a> Waiting<'a> {
    fn new(keeper: &'a Keeper) -> Self {
        keeper.waiting.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        crate::metrics::LOCK_WAITING.up();
        Self(keeper)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        crate::metrics::LOCK_WAITING.down();
    }
}

/// Whether a grant may be believed in: the answer may have been long under way, or the process
/// paused.
fn is_timely(grant: Grant, now: Instant) -> bool {
    now < grant.lease().deadline()
}

fn pause(doublings: u32) -> Duration {
    doubled(Duration::from_millis(1), doublings, PAUSE_MAX)
}

fn too_late(verb: Verb) -> AcquireError {
    let error = BackendError::new(BackendErrorKind::Indeterminate, verb);
    error
        .with_source("the grant came after its deadline")
        .into()
}

/// What a store must not answer.
fn unlawful(verb: Verb) -> AcquireError {
    let error = BackendError::new(BackendErrorKind::Corrupt, verb);
    error
        .with_source("the answer does not fit the request")
        .into()
}
