//! Transactions over several participants: what is to happen in all of them, or in none.
//!
//! Money leaves one database and arrives in another. Between the two writes a process can die, a
//! network can fail, a disk can be full; and then the money is in neither, or in both. A
//! [`Coordinator`](two_phase::Coordinator) sees to it that both writes happen, or none:
//!
//! ```
//! use tripod::transaction::log::MemoryLog;
//! use tripod::transaction::participant::MemoryParticipant;
//! use tripod::transaction::two_phase::{CommitOutcome, Coordinator};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let savings = MemoryParticipant::with("savings", [("ada", 100)])?;
//! let current = MemoryParticipant::with("current", [("ada", 0)])?;
//! // `FileLog` keeps decisions in a directory. This one forgets them with the process.
//! let coordinator = Coordinator::open(MemoryLog::new())
//!     .participant(savings.clone())
//!     .participant(current.clone())
//!     .await?;
//!
//! let mut transfer = coordinator.begin().await?;
//! let from = transfer.enlist(&savings).await?;
//! let to = transfer.enlist(&current).await?;
//! from.update("ada", |money| money.map(|money| money - 30)).await?;
//! to.update("ada", |money| money.map(|money| money + 30)).await?;
//! match transfer.commit().await {
//!     CommitOutcome::Committed { .. } => {}
//!     CommitOutcome::Aborted { reason, .. } => println!("nothing happened: {reason:?}"),
//!     CommitOutcome::Unknown(id) => println!("ask later: {:?}", coordinator.inquire(id)),
//! }
//! assert_eq!((savings.get("ada"), current.get("ada")), (Some(70), Some(30)));
//! # Ok(())
//! # }
//! ```
//!
//! # The parts
//!
//! - A **[`log`]** keeps decisions: [`FileLog`](log::FileLog) in a directory of this machine, one
//!   write and one sync shared by all who commit at the time; `PostgresLog`, behind the feature
//!   `postgres`, in a database, where another machine can take it over;
//!   [`MemoryLog`](log::MemoryLog) for tests.
//! - A **[`participant`]** keeps branches: a database, a file, whatever can promise to commit later
//!   and keep the promise. `PostgresParticipant` and `MysqlParticipant` are behind the features
//!   `postgres` and `mysql`; [`MemoryParticipant`](participant::MemoryParticipant) is for tests and
//!   examples; [`Blocking`](participant::Blocking) adapts what blocks; the example `bank_transfer`
//!   writes one by hand.
//! - **[`two_phase`]** decides, and is where it stands what is written when.
//! - **[`saga`]** runs steps that are compensated, over a log of its own.
//! - **[`message`]** carries requests to participants and services through queues.
//!
//! # Guarantees
//!
//! - All branches commit, or none, whatever dies and comes back: coordinator, participants, both,
//!   again during recovery.
//! - Nobody is told that a transaction committed before the decision is durable. It never changes.
//! - What is not known is not taken for a failure: it is asked for again, or waits visibly, with
//!   its age and its reason ([`list`](two_phase::Coordinator::list)), and is never forgotten by age.
//! - A copy of the log from the past, or a coordinator that another has replaced, decides nothing:
//!   participants and log refuse it.
//! - A future that is dropped, at any await, strands nothing.
//!
//! # What it does not guarantee
//!
//! - **Isolation.** Between the first branch's commit and the last one's, a reader of both sees one
//!   of them only. Each database isolates its own branch, and no more.
//! - **Progress without the coordinator.** A branch that has voted yes holds its locks until its
//!   coordinator, or the next process that opens the log, tells it what was decided. Lose the log,
//!   and a human decides ([`participant`] says how to find such branches).
//! - **Effects outside of participants.** A mail that was sent is not taken back.
//! - **Anything against an operator** who commits or rolls back a prepared branch by hand. It is
//!   noticed, recorded and shown, and not undone.
//!
//! # Which one
//!
//! | | [two-phase commit](two_phase) | [try, confirm, cancel](participant::tcc) | [`saga`] |
//! |---|---|---|---|
//! | for | a few writes of milliseconds | services that can reserve | work of seconds or days |
//! | who takes part | databases that can prepare | services with a barrier in their database | whoever remembers a key |
//! | until the end, others see | nothing, and wait for locks | what is held | what was done, and may be undone |
//! | a failure | nothing happened | what was held is free again | what was done is compensated |
//! | after the decision | it commits, whatever it takes | it is confirmed, whatever it takes | past the pivot, it is done, whatever it takes |
//!
//! Where one database holds all of it, its own transaction is better than any of them. What is asked
//! of others goes by [messages](message) where nobody may be there to answer.
//!
//! # Operating
//!
//! - Open the coordinator with every participant that its log has ever named, also when little is
//!   to be done: recovery runs by itself then, and scans go on for as long as it lives.
//!   [`participants`](two_phase::Coordinator::participants) tells whom it misses.
//! - Keep the log on a disk of its own if commits should be fast, and never on one that forgets
//!   what was synced. [`FileLog`](log::FileLog) says how to back it up. It does not grow with
//!   time, only with what is unfinished.
//! - Watch [`list`](two_phase::Coordinator::list) with
//!   [`Filter::InDoubt`](two_phase::Filter::InDoubt), and
//!   [`stats`](two_phase::Coordinator::stats). What is parked needs somebody: look at the branch's
//!   error, mend its cause, and [`retry`](two_phase::Coordinator::retry); or do by hand what has to
//!   be done, and say so by [`resolve`](two_phase::Coordinator::resolve).
//! - Sagas have the same verbs: [`list`](saga::Sagas::list) with
//!   [`SagaFilter::Parked`](saga::SagaFilter::Parked), then [`retry`](saga::Sagas::retry),
//!   [`skip`](saga::Sagas::skip) or [`abandon`](saga::Sagas::abandon).
//! - Alert on: anything in doubt for longer than a few minutes; anything parked; a participant that
//!   [is not registered or was not reached](two_phase::ParticipantStatus); a log that was opened
//!   again; dead letters of queues. With the feature `metrics` most of it is told as numbers.
//! - After a crash nothing has to be done but to open the log again: on this machine, or, with
//!   `PostgresLog`, on any. Of two that open it, the later one goes on, and the earlier one is
//!   refused by log and participants.
//! - A transaction whose records cannot be read is left alone, and stops no other:
//!   [`broken`](two_phase::Coordinator::broken) lists them.
//!
//! # Cost
//!
//! One forced write a transaction, shared by those who commit at the same time; two rounds of
//! requests, each to all participants at once. None of either for a transaction that only read, and
//! no forced write where one participant was enlisted. `cargo bench --bench transaction` measures it.
//!
//! # Sources
//!
//! Gray and Reuter: *Transaction processing: concepts and techniques*, 1993, chapters 10 to 12;
//! and those at [`two_phase`].

mod health;
mod id;
mod jobs;
pub mod log;
pub mod message;
mod name;
pub mod participant;
#[cfg(feature = "postgres")]
mod postgres;
pub mod saga;
pub mod two_phase;

pub use id::{
    BranchId, BranchIdError, CoordinatorId, CoordinatorIdError, Epoch, TransactionId,
    TransactionIdError,
};
pub use name::{ParticipantName, ParticipantNameError};
