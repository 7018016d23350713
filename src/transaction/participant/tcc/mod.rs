//! Try, confirm, cancel: participants made of services.
//!
//! A service that cannot prepare a transaction can often *reserve*: hold a seat, set money aside.
//! What was tried is later confirmed, or cancelled, and the [coordinator](crate::transaction::two_phase)
//! sees to it that all services do the one or all the other. Between them requests are lost, come
//! twice, and overtake each other: a cancel comes before its try, and the try after it would hold
//! the seat for ever. A **barrier**, rows that each request writes first in its own transaction,
//! keeps that from happening.
//!
//! ```
//! use tripod::BoxFuture;
//! use tripod::transaction::BranchId;
//! use tripod::transaction::log::MemoryLog;
//! use tripod::transaction::participant::ParticipantError;
//! use tripod::transaction::participant::tcc::{MemoryBarrier, Tcc, TccService};
//! use tripod::transaction::two_phase::Coordinator;
//! # use std::sync::{Arc, Mutex};
//!
//! #[derive(Clone, Debug)]
//! struct Hall {
//!     barrier: MemoryBarrier,
//!     /// Free, held and booked.
//!     seats: Arc<Mutex<[u32; 3]>>,
//! }
//!
//! impl Hall {
//!     fn moves(&self, from: usize, to: usize) -> Result<(), ParticipantError> {
//!         let mut seats = self.seats.lock().map_err(|_| ParticipantError::unknown("poisoned"))?;
//!         let left = seats[from].checked_sub(1);
//!         seats[from] = left.ok_or_else(|| ParticipantError::refused("sold out"))?;
//!         seats[to] += 1;
//!         Ok(())
//!     }
//! }
//!
//! impl TccService for Hall {
//!     type Request = ();
//!     type Answer = ();
//!
//!     fn try_(&self, branch: BranchId, (): ()) -> BoxFuture<'_, Result<(), ParticipantError>> {
//!         Box::pin(async move {
//!             self.barrier.try_(branch, b"", || self.moves(0, 1)).map(drop)
//!         })
//!     }
//!
//!     fn confirm(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
//!         Box::pin(async move { self.barrier.confirm(branch, |_| self.moves(1, 2)).map(drop) })
//!     }
//!
//!     fn cancel(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
//!         Box::pin(async move { self.barrier.cancel(branch, |_| self.moves(1, 0)).map(drop) })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let barrier = MemoryBarrier::new();
//! let hall = Hall { barrier: barrier.clone(), seats: Arc::new(Mutex::new([2, 0, 0])) };
//! let hall = Tcc::new("hall", hall, barrier)?;
//! let coordinator = Coordinator::open(MemoryLog::new()).participant(hall.clone()).await?;
//!
//! let mut evening = coordinator.begin().await?;
//! evening.enlist(&hall).await?.try_(()).await?;
//! assert!(evening.commit().await.is_committed());
//! assert_eq!(*hall.service().seats.lock().unwrap(), [1, 0, 1]);
//! # Ok(())
//! # }
//! ```
//!
//! # The barrier
//!
//! `PostgresBarrier` and `MysqlBarrier` take the service's own transaction, before its first
//! statement:
//!
//! ```no_run
//! # #[cfg(feature = "postgres")]
//! # async fn cancel(
//! #     client: &mut tokio_postgres::Client,
//! #     barrier: &tripod::transaction::participant::tcc::PostgresBarrier,
//! #     branch: tripod::transaction::BranchId,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let transaction = client.transaction().await?;
//! if let Some(note) = barrier.cancel(&transaction, branch).await?.first() {
//!     let free = "UPDATE seat SET holder = NULL WHERE name = convert_from($1, 'UTF8')";
//!     transaction.execute(free, &[&note]).await?;
//! }
//! // In either case: what the barrier wrote has to stay.
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A branch has up to three rows, each inserted once and never changed: *begun* (tried, or never to
//! be), *promised*, and *ended* (confirmed or cancelled). Whoever inserts one that is there already
//! waits for its writer, and then learns what it was:
//!
//! | | nothing | tried | confirmed | cancelled |
//! |---|---|---|---|---|
//! | try | **work** | again | again | late: error |
//! | confirm | error | **work** | again | late: error |
//! | cancel | *empty*: no work | **work** | late: error | again |
//!
//! A repeat gets the note that the try left, and so do confirm and cancel: nothing else of the try
//! is handed to them, so they may come after a restart. A try that comes again with another note is
//! not the same: an error.
//!
//! Where a try has effects outside of the database, an empty cancel may have something to undo: use
//! `cancel_always` for such a branch. Pass the barrier before such an effect and commit after it, so
//! that a cancel waits meanwhile, and let the effect be one that is found by the branch's id.
//!
//! # Guarantees
//!
//! - Each of try, confirm and cancel has its effect at most once for each branch, whatever is
//!   repeated, lost, late or at the same time, for its row commits with its effect.
//! - Never both confirm and cancel. No try has an effect after the cancel, or after the branch is
//!   forgotten; none is left behind without a confirm or cancel.
//! - A branch is confirmed or cancelled for as long as it takes. What is reported to the coordinator
//!   is what the rows say, not what the service answered.
//! - The coordinator keeps a forced record of each branch before it is tried, for rows of what was
//!   tried and never prepared are not listed.
//!
//! # What it does not guarantee
//!
//! - **Isolation.** Others see what is reserved while it is reserved: that a seat is taken which
//!   will be free again. Confirm has to succeed, so nobody else may take what was tried.
//! - **Anything of a service that passes its barrier by**: in another transaction than its effect's,
//!   in a savepoint that is rolled back without the effect, after another statement that had an
//!   effect, or on a connection that commits by itself. A service that answers and left no row is
//!   noticed, and waits for an operator: asked again at once, it might do it twice.
//! - **Time.** What was tried is held until the coordinator, or its successor, has decided and is
//!   heard. A service that gives up reservations by age has to do so by a cancel of its own through
//!   the barrier; a confirm that was decided then is a heuristic outcome.
//!
//! # Cost
//!
//! Two transactions of the service's for each branch, in which the barrier takes one round trip on
//! `PostgreSQL`, two or three on `MariaDB`. The participant adds a short transaction of its own for
//! the promise, and looks at the rows when a branch begins, and before and after it ends. One forced
//! write of the coordinator's log for each branch, and one for the decision. The rows of what is
//! over are dropped as the coordinator's watermark rises.
//!
//! # Sources
//!
//! Helland: *Life beyond distributed transactions: an apostate's opinion*, 2007, on tentative
//! operations, confirmation and cancellation; Pardon and Pautasso: *Atomic distributed
//! transactions: a `RESTful` design*, 2014, on try, confirm and cancel over a coordinator.

mod barrier;
mod branch;
mod live;
mod memory;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod service;
mod steps;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Enlist, Opening, Participant, ParticipantError, ParticipantOpenError, Report, Vote, requests,
};
use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;
use crate::transaction::name::{ParticipantName, ParticipantNameError};
use live::Live;

pub use barrier::{Barrier, BarrierError, Entry, NOTE_MAX, Sight, Standing};
pub use branch::{TccBranch, TryError};
pub use memory::MemoryBarrier;
#[cfg(feature = "mysql")]
pub use mysql::{ConnectMysqlBarrier, MigrateMysqlBarrier, MysqlBarrier};
#[cfg(feature = "postgres")]
pub use postgres::{ConnectPostgresBarrier, MigratePostgresBarrier, PostgresBarrier};
pub use service::TccService;

/// A participant whose branches are tried, confirmed and cancelled. Cheap to clone: clones share
/// branches.
pub struct Tcc<S>(Arc<Inner<S>>);

struct Inner<S> {
    name: ParticipantName,
    service: Arc<S>,
    barrier: Arc<dyn Barrier>,
    live: Live,
    limit: Duration,
}

impl<S: TccService> Tcc<S> {
    /// How long a try, confirm or cancel may take, unless told otherwise.
    pub const LIMIT: Duration = Duration::from_secs(30);

    /// A participant of this name over this service and the barrier that it uses.
    ///
    /// # Errors
    /// [`ParticipantNameError`] where the name is none.
    pub fn new(
        name: &str,
        service: S,
        barrier: impl Barrier,
    ) -> Result<Self, ParticipantNameError> {
        Self::with_limit(name, service, barrier, Self::LIMIT)
    }

    /// As [`new`](Self::new). A try, confirm or cancel that takes longer than this is given up: a
    /// try has failed then, the others come again. It may still have its effect. Any duration will
    /// do; longer than a busy service takes, and than its transactions wait for locks.
    ///
    /// # Errors
    /// As there.
    pub fn with_limit(
        name: &str,
        service: S,
        barrier: impl Barrier,
        limit: Duration,
    ) -> Result<Self, ParticipantNameError> {
        Ok(Self(Arc::new(Inner {
            name: ParticipantName::new(name)?,
            service: Arc::new(service),
            barrier: Arc::new(barrier),
            live: Live::default(),
            limit,
        })))
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &S {
        &self.0.service
    }
}

impl<S: TccService> Inner<S> {
    async fn open(&self, opening: Opening) -> Result<(), ParticipantOpenError> {
        self.barrier.open(opening).await?;
        self.live.end_all(|branch| {
            let id = branch.transaction();
            id.coordinator() == opening.coordinator() && id.epoch() < opening.epoch()
        });
        Ok(())
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        self.barrier.in_doubt(coordinator, before)
    }

    async fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), ParticipantError> {
        self.barrier.forget(coordinator, watermark).await?;
        self.live.end_all(|branch| {
            let id = branch.transaction();
            id.coordinator() == coordinator && (id.epoch(), id.sequence()) < watermark
        });
        Ok(())
    }
}

impl<S: TccService> Participant for Tcc<S> {
    fn name(&self) -> &ParticipantName {
        &self.0.name
    }

    fn persistence(&self) -> Persistence {
        self.0.barrier.persistence()
    }

    /// What was tried and is not prepared has to be cancelled too.
    fn lists(&self) -> bool {
        false
    }

    requests!(self, self.0, Box::pin);
}

impl<S: TccService> Enlist for Tcc<S> {
    type Branch = TccBranch<S>;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<TccBranch<S>, ParticipantError>> {
        Box::pin(self.0.work(branch))
    }
}

impl<S> Clone for Tcc<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Tcc<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcc")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}
