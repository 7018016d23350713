//! The law of [`Participant`](super::Participant), as a test suite for participants of your own.
//!
//! A participant that breaks a sentence of the law lets half of a transaction happen. Give the
//! suite a [`Fixture`] that starts processes on your store, [`run`] it in a test, and let
//! [`Report::into_result`] fail the test:
//!
//! ```
//! use tripod::BoxFuture;
//! use tripod::transaction::participant::conformance::{self, Fixture};
//! use tripod::transaction::participant::{MemoryBranch, MemoryParticipant, ParticipantError};
//!
//! struct InMemory(MemoryParticipant<()>);
//!
//! impl Fixture for InMemory {
//!     type Participant = MemoryParticipant<()>;
//!
//!     fn start(&self) -> BoxFuture<'_, Result<Self::Participant, ParticipantError>> {
//!         Box::pin(async {
//!             self.0.crash();
//!             Ok(self.0.clone())
//!         })
//!     }
//!
//!     fn write<'a>(
//!         &'a self,
//!         branch: &'a mut MemoryBranch<()>,
//!         mark: u64,
//!     ) -> BoxFuture<'a, Result<(), ParticipantError>> {
//!         Box::pin(async move {
//!             let written = branch.set(&mark.to_string(), ()).await;
//!             written.map_err(ParticipantError::refused)
//!         })
//!     }
//!
//!     fn holds(&self, mark: u64) -> BoxFuture<'_, Result<bool, ParticipantError>> {
//!         Box::pin(async move { Ok(self.0.get(&mark.to_string()).is_some()) })
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let store = InMemory(MemoryParticipant::with::<String>("store", [])?);
//! conformance::run(&store).await.into_result()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it tells, and what it does not
//!
//! Each case names the sentences of the law that it tries. The cases use coordinators and marks of
//! their own that no other run uses, so the store may hold others' branches, and be the same for
//! many runs.
//!
//! Histories at random are played on the participant and on [`Ledger`](super::Ledger) in step. A
//! failure names its seed, but the participant's timing is its own.
//!
//! A participant that passes may still err where the trait does not reach: what it answers when a
//! network or a server fails, two processes that use one store at the same time, what is prepared
//! in the store by others than coordinators, and work that is ended behind its back. Test those
//! beside the suite.
//!
//! # Cost
//!
//! The cases run one after the other, with about a thousand requests in all, at most
//! [`BRANCHES_MAX`] branches at a time, and [`CASE_TIME_MAX`] for each case.

mod branches;
mod doubts;
mod handles;
mod histories;
mod law;
mod model;
mod openings;
mod outcomes;
mod proofs;
mod repeats;
mod scene;
mod stage;
mod watermarks;

use std::time::Duration;

use tokio::time::timeout;

use crate::conformance::{Case as AnyCase, Failure, Outcome};
use crate::future::BoxFuture;

use super::{Enlist, ParticipantError};
use scene::Scene;

pub use crate::conformance::{CaseReport, Report};

/// Branches that a case has at a time, working or prepared. A store needs room for as many.
pub const BRANCHES_MAX: usize = 8;

/// How long a case may last, by `tokio`'s clock. A case takes milliseconds on most stores, so what
/// lasts longer does not end by itself.
pub const CASE_TIME_MAX: Duration = Duration::from_secs(120);

/// What the suite needs of a participant.
pub trait Fixture: Send + Sync {
    /// The participant, by value or behind a pointer.
    type Participant: Enlist;

    /// Starts a process that uses the store, and answers the participant there. Any process that
    /// used the store before has died: what was not prepared is lost. The suite has dropped all
    /// that it had of it.
    fn start(&self) -> BoxFuture<'_, Result<Self::Participant, ParticipantError>>;

    /// Does something in this branch by which it will be known to have committed, such as
    /// inserting `mark` into a table. Each mark is written once, and is less than 2^63.
    fn write<'a>(
        &'a self,
        branch: &'a mut <Self::Participant as Enlist>::Branch,
        mark: u64,
    ) -> BoxFuture<'a, Result<(), ParticipantError>>;

    /// How often one branch may write: once, where it is a reservation. The suite writes twice at
    /// most.
    fn writes_max(&self) -> usize {
        2
    }

    /// Whether a branch has committed that wrote this mark. Waits for no branch.
    fn holds(&self, mark: u64) -> BoxFuture<'_, Result<bool, ParticipantError>>;
}

/// A claim about a participant.
type Case = AnyCase<for<'a> fn(&'a Scene<'a>) -> BoxFuture<'a, Outcome>>;

/// All cases, by what they are about.
const CASES: [&[Case]; 9] = [
    branches::CASES,
    doubts::CASES,
    handles::CASES,
    histories::CASES,
    openings::CASES,
    outcomes::CASES,
    proofs::CASES,
    repeats::CASES,
    watermarks::CASES,
];

/// Runs every case and answers what became of each, within a runtime of `tokio` with time, which
/// must not be paused.
///
/// # Cancel safety
/// Dropped, it leaves marks, rows and branches behind, as each case does.
pub async fn run<F: Fixture>(fixture: &F) -> Report {
    let mut reports = Vec::new();
    for case in CASES.iter().copied().flatten() {
        let scene = Scene::new(&fixture);
        let played = timeout(CASE_TIME_MAX, (case.play)(&scene)).await;
        let ended = played.unwrap_or_else(|_| Err(Failure::new("it did not end")));
        let failure = ended.err().map(Failure::into_text);
        reports.push(CaseReport::new(case.name, case.law, failure));
    }
    Report::new(reports)
}
