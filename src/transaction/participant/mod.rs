//! The trait that every participant implements, and the participants of this crate.
//!
//! # Writing one
//!
//! Ask three things of what is to take part. Can it promise to commit, and keep the promise through a
//! crash? If it cannot, it can be a [service that reserves](tcc), or a step of a
//! [saga](super::saga), and no participant. Can it write a row of yours in the transaction of the
//! branch? That row is what proves, later, what the branch did. Can it list what it has prepared? If
//! not, say so by [`lists`](Participant::lists), and pay a forced record for each branch.
//!
//! 1. Keep a row for each branch, by its [`BranchId`], and one for each coordinator, with its highest
//!    epoch and its watermark. [`Ledger`] says which row turns into which, and what is answered.
//! 2. Take every answer from the store as it is. What times out, breaks off or is not known is
//!    [`ParticipantError::Unknown`], and never a no: the coordinator asks again.
//! 3. Give each call a time of its own, and let it be dropped at any await.
//! 4. What blocks is adapted by [`Blocking`]; the example `bank_transfer` writes one over files.
//! 5. Run the suite of the feature `conformance` over it, then kill it at every step.

mod blocking;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod connection;
mod error;
mod forward;
mod ledger;
mod memory;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
pub mod tcc;
mod vote;

use std::fmt;

use crate::future::BoxFuture;

use super::id::{BranchId, CoordinatorId, Epoch};
use super::log::Persistence;
use super::name::ParticipantName;

#[cfg(any(feature = "mysql", feature = "postgres"))]
pub use crate::tls::Tls;
pub use blocking::{Blocking, BlockingEnlist, BlockingParticipant};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub use connection::SqlConnection;
pub use error::{ParticipantError, ParticipantOpenError};
pub(in crate::transaction) use forward::requests;
pub use ledger::{Ledger, Reply, Row, Settled, StaleLog};
pub use memory::{MemoryBranch, MemoryError, MemoryParticipant};
#[cfg(feature = "mysql")]
pub use mysql::{
    ConnectMysql, MigrateMysql, MysqlBranch, MysqlError, MysqlParticipant, MysqlUnfit,
};
#[cfg(feature = "postgres")]
pub use postgres::{
    BranchError, ConnectPostgres, ConnectionBranch, ConnectionGuard, MigratePostgres,
    PostgresBranch, PostgresParticipant, WithConnection,
};
pub use vote::{Outcome, Report, Request, Vote};

/// Takes part in transactions with branches of its own: the contract between a
/// [`Coordinator`](super::two_phase::Coordinator) and a database, a queue, or whatever can keep a
/// promise.
///
/// # The law
///
/// An implementor obeys every sentence here and at the methods; the feature `conformance` has a
/// test for each. [`Ledger`] is the law as a small program: one that answers as it does, durably,
/// obeys.
///
/// **Branches.** A branch works, may be prepared, and is settled as committed or aborted, once and
/// for good: all of it happens, or nothing. Until it is prepared it may be lost at any time, and
/// then nothing of it happens. Prepared, it waits for the decision, however long that takes and
/// whatever fails. Branches of other coordinators, and whatever else is prepared in the same store,
/// are never touched.
///
/// **Durable** is what outlives what [`persistence`](Self::persistence) says. A vote of yes, and
/// every report of what a branch did, is durable before it is given.
///
/// **Proof.** What a branch did is remembered until [`forget`](Self::forget) allows to drop it, in
/// a row that is written by the branch's own transaction. Where there is no row, nothing is
/// concluded: [`settle`](Self::settle) puts a tombstone in its place, which waits for a writer in
/// flight, and then loses to it or keeps it out for ever.
///
/// **Repeats.** Every request may come again, late, twice at once, and after its transaction is
/// over. It then changes nothing, and its answer is the present one.
///
/// **Errors.** What an error lets the caller conclude stands at [`ParticipantError`]. Anything that
/// was not classified is *unknown*.
///
/// **Dropped futures.** A future that is dropped may have had its effect, may not have, and may
/// still have it later, whole. Every call ends by itself.
///
/// Use it through `Arc<dyn Participant>`, `Box<dyn Participant>` or by value: all forward.
pub trait Participant: fmt::Debug + Send + Sync + 'static {
    /// What its coordinator calls it, for as long as their logs and rows live.
    fn name(&self) -> &ParticipantName;

    /// What its promises outlive.
    fn persistence(&self) -> Persistence;

    /// Whether [`in_doubt`](Self::in_doubt) tells every branch that may be prepared. If it does
    /// not, the coordinator forces a record of each of its branches before the branch may work.
    /// Always the same.
    fn lists(&self) -> bool;

    /// Takes note that a coordinator's log was opened: the highest epoch seen of each is
    /// remembered. From here on, one-phase commits of earlier epochs abort. The same opening may
    /// say so again.
    ///
    /// # Errors
    /// [`ParticipantOpenError::Stale`] at an epoch below the highest seen, or at the same in
    /// another opening: nothing changes.
    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>>;

    /// Makes a branch so durable that both outcomes stay possible, and votes. A prepared branch
    /// votes yes again. One that has changed nothing may vote read-only: it is over, and its locks
    /// are gone. One that does not work, or ended by itself, votes no.
    ///
    /// # Errors
    /// It may be prepared.
    fn prepare(&self, branch: BranchId) -> BoxFuture<'_, Result<Vote, ParticipantError>>;

    /// Commits a branch that works or is prepared, together with its row; or aborts it, if its
    /// coordinator was opened in a later epoch. Reports what it did. Where there is no such branch
    /// and no row, it is missing.
    ///
    /// # Errors
    /// It may have committed, or may yet.
    fn commit_one_phase(&self, branch: BranchId)
    -> BoxFuture<'_, Result<Report, ParticipantError>>;

    /// Commits a prepared branch, and reports what it did. Where there is no such branch and no
    /// row: below the coordinator's watermark it reports that the branch committed, for only a
    /// repeat can ask; else it is missing.
    ///
    /// # Errors
    /// It may have committed, or may yet.
    fn commit(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>>;

    /// Aborts a branch that works or is prepared, and reports what it did: committed, if it had
    /// been. Leaves a tombstone but below the coordinator's watermark, so that the branch can never
    /// be prepared or committed, whatever of it is still under way.
    ///
    /// # Errors
    /// It may have aborted, or may yet.
    fn abort(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>>;

    /// Says what a branch did, and proves it: by its row, or by a tombstone in the row's place,
    /// which ends a branch that works. A prepared branch is only reported. Below the coordinator's
    /// watermark, where there is no row, it says that it cannot be said.
    ///
    /// # Errors
    /// Nothing was learned. There may be a tombstone.
    fn settle(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>>;

    /// The prepared branches of this coordinator's epochs before this one, and of nobody else.
    ///
    /// # Errors
    /// Nothing was learned.
    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>>;

    /// Every transaction of this coordinator below this epoch and sequence is over: the rows of
    /// its settled branches may be dropped. Never lowers the watermark. Prepared branches stand.
    ///
    /// # Errors
    /// Some rows may be gone, and some may not. The watermark stands in either case, or does not.
    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>>;
}

/// A participant whose branches do work for the caller.
pub trait Enlist: Participant {
    /// The caller's handle of a branch. It ends with the branch: what is asked of it once the
    /// commit was asked for is refused, and nothing comes of it.
    type Branch: Send;

    /// Begins a branch. One that is settled, or below the watermark, is refused. So is one of an
    /// epoch before the highest seen of its coordinator: nobody is left who would end it.
    ///
    /// # Errors
    /// The branch may work; it is aborted.
    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<Self::Branch, ParticipantError>>;
}

/// A coordinator's log was opened: whose, in which epoch, and by which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Opening {
    coordinator: CoordinatorId,
    epoch: Epoch,
    nonce: u128,
}

impl Opening {
    /// An opening of this coordinator's log in this epoch. `nonce` is drawn at random for each
    /// call, and tells a repeat from a copy of the log that was opened at the same epoch.
    #[must_use]
    pub fn new(coordinator: CoordinatorId, epoch: Epoch, nonce: u128) -> Self {
        Self {
            coordinator,
            epoch,
            nonce,
        }
    }

    /// Whose log it is.
    #[must_use]
    pub fn coordinator(self) -> CoordinatorId {
        self.coordinator
    }

    /// The epoch in which it acts from now on.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        self.epoch
    }

    /// Which call it was.
    #[must_use]
    pub fn nonce(self) -> u128 {
        self.nonce
    }
}
