//! Several locks as one.

use std::sync::Arc;

use futures_util::future::{join_all, select_all};
use tokio::time::timeout;

use super::attempt::Attempt;
use super::backend::BackendError;
use super::error::{AcquireError, Loss};
use super::guard::LockGuard;
use super::keeper::Keeper;
use super::name::{LockName, NameError};
use super::options::{Options, Wait};

/// How often all are acquired anew. A TTL that does not last for all is too short.
const TRIES_MAX: u32 = 3;

/// Several locks, all or none. Awaits as `Result<LockSet, AcquireError>`.
#[derive(Clone, Debug)]
pub struct All {
    names: Vec<Result<LockName, NameError>>,
    wait: Wait,
}

impl All {
    pub(super) fn new(names: Vec<Result<LockName, NameError>>) -> Self {
        let wait = Wait::Forever;
        Self { names, wait }
    }

    pub(super) fn with_wait(self, wait: Wait) -> Self {
        Self { wait, ..self }
    }

    pub(super) async fn acquire(
        self,
        keeper: Arc<Keeper>,
        options: Options,
    ) -> Result<LockSet, AcquireError> {
        let names: Result<Vec<LockName>, NameError> = self.names.into_iter().collect();
        let mut names = names?;
        // Everybody takes them in this order, so no two wait for each other.
        names.sort();
        let twice = names.iter().zip(names.iter().skip(1));
        if let Some((name, _)) = twice.into_iter().find(|(one, next)| one == next) {
            return Err(AcquireError::Duplicate(name.clone()));
        }
        let acquired = acquire_in_order(&keeper, &names, &options);
        match self.wait {
            Wait::Forever => acquired.await,
            Wait::AtMost(waited) => {
                let acquired = timeout(waited, acquired).await;
                acquired.unwrap_or(Err(AcquireError::TimedOut { waited }))
            }
        }
    }
}

/// Acquires one after the other; all anew, if one was lost while others were waited for.
async fn acquire_in_order(
    keeper: &Arc<Keeper>,
    names: &[LockName],
    options: &Options,
) -> Result<LockSet, AcquireError> {
    let mut tries = 1;
    loop {
        let mut guards = Vec::with_capacity(names.len());
        for name in names {
            let attempt = Attempt::new(Arc::clone(keeper), name.clone(), options.clone())?;
            guards.push(attempt.wait(Wait::Forever).await?);
        }
        let set = LockSet { guards };
        match set.check() {
            Ok(()) => return Ok(set),
            Err(loss) if tries == TRIES_MAX => return Err(AcquireError::Lost(loss)),
            Err(_) => tries += 1,
        }
    }
}

/// Several locks that are held together: lost when any of them is.
///
/// Dropping it releases them in the background.
#[derive(Debug)]
#[must_use = "a set that is dropped releases its locks"]
pub struct LockSet {
    guards: Vec<LockGuard>,
}

impl LockSet {
    /// The locks, in the order of their names, each with its own fencing token.
    pub fn guards(&self) -> &[LockGuard] {
        &self.guards
    }

    /// Whether all are held, by the clock of this machine. Sends nothing.
    ///
    /// # Errors
    /// [`Loss`] says how the first of them was lost.
    pub fn check(&self) -> Result<(), Loss> {
        self.guards.iter().try_for_each(LockGuard::check)
    }

    /// Returns when any is lost, and how. Never, if there are none.
    ///
    /// # Cancel safety
    /// Safe: it may be called again, and by several.
    pub async fn lost(&self) -> Loss {
        if self.guards.is_empty() {
            return std::future::pending().await;
        }
        let losses = self.guards.iter().map(|guard| Box::pin(guard.lost()));
        select_all(losses).await.0
    }

    /// Releases all, and answers whether all were held up to this moment.
    ///
    /// # Errors
    /// The first [`BackendError`]; all were tried, and those that failed are tried again in the
    /// background until their leases are over.
    ///
    /// # Cancel safety
    /// Safe: if it is dropped, what is left is released in the background.
    pub async fn release(self) -> Result<bool, BackendError> {
        let released = join_all(self.guards.into_iter().map(LockGuard::release)).await;
        let held: Result<Vec<bool>, BackendError> = released.into_iter().collect();
        Ok(held?.into_iter().all(|held| held))
    }
}
