//! Leader election: a lock whose holder leads.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::backend::{BackendError, Metadata, TtlError};
use super::error::{AcquireError, Loss};
use super::fence::{FencePass, FencingToken};
use super::guard::LockGuard;
use super::locks::Locks;
use super::name::{LockName, NameError};

/// An office that one candidate at a time holds.
///
/// The term is the fencing token of the grant: greater with each leader. A leader that is paused
/// past its lease does not know that it is deposed, so what it commands must carry the term, and
/// be refused where a later one has been seen.
#[derive(Clone, Debug)]
pub struct Election {
    locks: Locks,
    name: LockName,
    ttl: Duration,
}

impl Election {
    /// The election to the office of this name. It is a lock: its name should be used for nothing
    /// else.
    ///
    /// # Errors
    /// [`NameError`] if the name is no lock name.
    pub fn new<N>(locks: &Locks, name: N) -> Result<Self, NameError>
    where
        N: TryInto<LockName>,
        N::Error: Into<NameError>,
    {
        Ok(Self {
            locks: locks.clone(),
            name: name.try_into().map_err(Into::into)?,
            ttl: Duration::from_secs(15),
        })
    }

    /// How long the office stays vacant when a leader dies: 15 s unless said otherwise. All
    /// candidates and observers should say alike.
    ///
    /// # Errors
    /// [`TtlError`] for a TTL out of range.
    pub fn with_ttl(self, ttl: Duration) -> Result<Self, TtlError> {
        let ttl = TtlError::check(ttl)?;
        Ok(Self { ttl, ..self })
    }

    /// Waits until elected. Candidates are elected in the order of their coming. The proposal is
    /// what observers see of the leader, an address say: up to [`Metadata::LEN_MAX`] bytes.
    ///
    /// # Errors
    /// [`AcquireError`], as for any lock.
    ///
    /// # Cancel safety
    /// Safe: dropped, it withdraws in the background.
    pub async fn campaign(
        &self,
        proposal: impl Into<Arc<str>>,
    ) -> Result<Leadership, AcquireError> {
        let acquire = self.locks.acquire(&self.name).ttl(self.ttl);
        let guard = acquire.metadata(proposal).await?;
        Ok(Leadership { guard })
    }

    /// Who leads, if anyone, as of one instant.
    ///
    /// # Errors
    /// [`BackendError`]: nothing was learned.
    ///
    /// # Cancel safety
    /// Safe: it changes nothing.
    pub async fn leader(&self) -> Result<Option<Leader>, BackendError> {
        let inspection = self.locks.inspect(&self.name).await?;
        Ok(inspection.holders().first().map(|held| Leader {
            term: held.pass().token(),
            proposal: held.metadata().clone(),
        }))
    }

    /// An observer that has seen nothing yet.
    #[must_use]
    pub fn observe(&self) -> Observer {
        Observer {
            election: self.clone(),
            seen: None,
            next_look: Instant::now(),
        }
    }
}

/// A leader, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    term: FencingToken,
    proposal: Metadata,
}

impl Leader {
    /// The term: greater than that of any earlier leader.
    #[must_use]
    pub fn term(&self) -> FencingToken {
        self.term
    }

    /// What it said of itself.
    #[must_use]
    pub fn proposal(&self) -> &str {
        self.proposal.as_str()
    }
}

/// The office, held until it is resigned, dropped, or lost like a lease.
#[derive(Debug)]
#[must_use = "a leadership that is dropped is resigned"]
pub struct Leadership {
    guard: LockGuard,
}

impl Leadership {
    /// The term: greater than that of any earlier leader.
    #[must_use]
    pub fn term(&self) -> FencingToken {
        self.guard.fencing_token()
    }

    /// What to show to a resource that fences.
    #[must_use]
    pub fn pass(&self) -> FencePass {
        self.guard.pass()
    }

    /// Whether the office is held, by the clock of this machine. Sends nothing.
    ///
    /// # Errors
    /// [`Loss`] says how it was lost. It stays lost.
    pub fn check(&self) -> Result<(), Loss> {
        self.guard.check()
    }

    /// Returns when the office is lost, and how.
    ///
    /// # Cancel safety
    /// Safe: it may be called again, and by several.
    pub async fn lost(&self) -> Loss {
        self.guard.lost().await
    }

    /// The guard, for its cancellation token and its remaining time.
    pub fn guard(&self) -> &LockGuard {
        &self.guard
    }

    /// Makes way for the next candidate, and answers whether the office was held up to this moment.
    ///
    /// # Errors
    /// [`BackendError`], as for [`LockGuard::release`].
    ///
    /// # Cancel safety
    /// Safe: dropped, it resigns in the background.
    pub async fn resign(self) -> Result<bool, BackendError> {
        self.guard.release().await
    }
}

/// Whose term it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    Vacant,
    Of(FencingToken),
}

/// Sees leaders come and go.
///
/// It looks at the store every tenth of the election's TTL, for a store tells only those who wait
/// for the lock; a leader whose whole term lies between two looks is not seen.
#[derive(Clone, Debug)]
pub struct Observer {
    election: Election,
    /// None before the first look.
    seen: Option<Term>,
    next_look: Instant,
}

impl Observer {
    /// Returns the leader, or that there is none, once that is other than it returned before; the
    /// first time at once.
    ///
    /// # Errors
    /// [`BackendError`]: nothing was learned. Call again; it waits before it looks again.
    ///
    /// # Cancel safety
    /// Safe: what was not returned is returned by the next call.
    pub async fn changed(&mut self) -> Result<Option<Leader>, BackendError> {
        loop {
            sleep_until(self.next_look).await;
            self.next_look = Instant::now() + self.election.ttl / 10;
            let leader = self.election.leader().await?;
            let term = leader
                .as_ref()
                .map_or(Term::Vacant, |leader| Term::Of(leader.term()));
            if self.seen != Some(term) {
                self.seen = Some(term);
                return Ok(leader);
            }
        }
    }
}
