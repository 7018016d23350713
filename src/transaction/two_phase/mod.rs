//! Two-phase commit: what it decides, without I/O, clock or randomness.
//!
//! Several participants are to commit all, or abort all, and any of them, their coordinator and
//! everything between them may fail in the middle. So each participant first *prepares* its
//! branch, which makes both outcomes possible and durable, and votes; the coordinator decides,
//! writes that down, and tells it until everybody has acknowledged.
//!
//! [`Transaction::step`] is the protocol: an event in, actions out. A coordinator performs the
//! actions and brings back what came of them. Recovery gives the same function the records of the
//! log as events, and goes on with what it returns. [`Book`] holds the transactions of one
//! coordinator; [`Ledger`] is what a participant has to remember.
//!
//! ```
//! use tripod::transaction::two_phase::{Action, Event, Request, Transaction, Vote};
//! use tripod::transaction::{CoordinatorId, Epoch, ParticipantName, TransactionId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let epoch = Epoch::new(1).ok_or("epochs begin at 1")?;
//! let id = TransactionId::new(CoordinatorId::from_u128(7), epoch, 0);
//! let mut transfer = Transaction::begin(id);
//! for name in ["orders", "billing"] {
//!     let participant = ParticipantName::new(name)?;
//!     transfer.step(Event::Enlist { participant, lists: true })?;
//! }
//! let request = Request::Prepare;
//! let prepare = [0, 1].map(|branch| Action::Send { branch, request });
//! assert_eq!(transfer.step(Event::Commit)?, prepare);
//! transfer.step(Event::Voted { branch: 0, vote: Vote::Prepared })?;
//! let no = Vote::No("out of stock".into());
//! let actions = transfer.step(Event::Voted { branch: 1, vote: no })?;
//! let request = Request::Abort;
//! assert_eq!(actions[0], Action::Send { branch: 0, request });
//! # Ok(())
//! # }
//! ```
//!
//! # What is written when: presumed abort
//!
//! Without a commit record a transaction is aborted, so an abort needs no record at all (Mohan,
//! Lindsay and Obermarck: *Transaction management in the R\* distributed database management
//! system*, 1986, section 3). *Forced* means that the protocol waits until the record is durable.
//!
//! | Transaction | Records | Forced |
//! |---|---|---|
//! | commits, some branch prepared | [`Committed`](Record::Committed), then [`Ended`](Record::Ended) | 1 |
//! | commits, all branches read-only | none | 0 |
//! | commits or aborts, one branch was enlisted: one-phase commit | none; the participant's outcome row | 0 |
//! | aborts | none | 0 |
//! | is aborted by an operator | [`Aborted`](Record::Aborted), then `Ended` | 0 |
//! | a branch did something else than was decided | [`Heuristic`](Record::Heuristic), after an `Aborted` where abort was decided | 0 more |
//! | an operator says what a branch did | [`Resolved`](Record::Resolved) | 1 more |
//! | has a branch of a participant that cannot list its branches | [`Enlisted`](Record::Enlisted) before its first effect, and an `Ended` | 1 more for each |
//!
//! A transaction with an `Enlisted` branch commits by a commit record only, be it the only branch or
//! all of them read-only: with a record of it in the log, the absence of that one speaks for abort. Beside these, the name of each participant is forced once
//! in each epoch, [`Entry::Named`].
//!
//! # Guarantees
//!
//! - A decision never flips, nor does a definite answer. What comes late, twice or out of order is
//!   absorbed. What cannot happen is an error, and changes nothing.
//! - Nothing commits without every vote, and nobody is told before the commit record, which names
//!   every branch, is durable. It is kept until all have acknowledged, whatever its age.
//! - An error that tells nothing is never taken for a failure: before the commit record is handed
//!   to the log it leads to abort, from then on to another try. From then on no deadline applies,
//!   and whoever drops the future only stops waiting.
//! - If writing the commit record fails, the transaction is in doubt until the log is opened again.
//!   If the record was never written, the transaction aborts.
//! - A branch that is not found is not done: it has to prove what it did, by the outcome row that
//!   it wrote in its own transaction or by a tombstone in that row's place. So also a one-phase
//!   commit whose answer was lost.
//! - Of the branches that a scan finds, only those of earlier epochs of the own coordinator are
//!   touched. No commit record of theirs can be appended any more. The scan has to be repeated: a
//!   late request to prepare lands after any scan.
//! - Absence means abort to a branch that is still prepared, and nothing to anyone else.
//!
//! They are checked in every state that small systems can reach, with crashes, zombies, lost and
//! late messages and failing logs, by `tests/transaction/two_phase/model`.
//!
//! # What it does not give
//!
//! - **Isolation.** Between the first branch's commit and the last one's, readers see some of it.
//! - **Non-blocking.** A prepared branch holds its locks until its coordinator is back.
//! - **The truth of an operator's word.** A branch that is said to have aborted is not asked.
//!
//! # Cost
//!
//! A step is O(branches), and mostly allocates what it returns. A round of messages is parallel:
//! prepare, write, commit.
//!
//! # Sources
//!
//! Gray and Lamport: *Consensus on transaction commit*, 2006, for the model; Mohan, Lindsay and
//! Obermarck, as above, for presumed abort; Bernstein, Hadzilacos and Goodman: *Concurrency control
//! and recovery in database systems*, 1987, chapter 7.

mod book;
mod branch;
mod coordinator;
mod event;
mod phase;
mod record;
mod replay;
mod settle;
mod state;
mod table;

pub use super::participant::{
    Ledger, Outcome, Reply, Report, Request, Row, Settled, StaleLog, Vote,
};
pub use book::{Book, Entry, Inquirer, Recovered, Standing};
pub use branch::{Branch, ParkReason, Progress};
pub use coordinator::{
    ActiveTransaction, BRANCHES_MAX, BeginError, BranchStatus, CommitOutcome, Coordinator,
    CoordinatorStats, EnlistError, Filter, OpenCoordinator, OpenError, ParticipantStatus,
    ResolveError, RetireError, Shutdown, TransactionStatus,
};
pub use event::{Action, Answer, Event, Impossible, Refusal, Resolution};
pub use phase::AbortReason;
pub use phase::{Decision, Phase};
pub use record::{Deed, NamedBranch, Record, RecordKind};
pub use state::Transaction;
