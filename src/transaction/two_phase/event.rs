//! What happens to a transaction, and what is to be done about it.

use std::fmt;

use super::branch::ParkReason;
use super::phase::{AbortReason, Phase};
use super::record::{Record, RecordKind};
use crate::transaction::id::TransactionId;
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::{Outcome, Report, Request, Vote};

/// What happens to a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The caller enlists a participant.
    Enlist {
        /// Which.
        participant: ParticipantName,
        /// Whether it can list its prepared branches. If not, the branch has to be logged.
        lists: bool,
    },
    /// The caller asks to commit, and waits for the answer.
    Commit,
    /// The caller asks to abort.
    Rollback,
    /// The caller dropped the transaction, or the future of its commit.
    Dropped,
    /// The time of the present phase is over.
    Deadline,
    /// A participant voted.
    Voted {
        /// On which branch.
        branch: u16,
        /// How.
        vote: Vote,
    },
    /// A participant answered another request.
    Reported {
        /// About which branch.
        branch: u16,
        /// What.
        report: Report,
    },
    /// It is time to ask a branch again: its back-off is over, or an operator says so.
    Retry {
        /// Which.
        branch: u16,
    },
    /// A branch is not to be asked on for now.
    Park {
        /// Which.
        branch: u16,
        /// Why.
        reason: ParkReason,
    },
    /// An operator steps in.
    Resolve(Resolution),
    /// A record is durable. Replay of the log is made of these.
    Durable(Record),
    /// A record was not written, and never will be: it was still queued when the log failed, or
    /// the log belongs to a later epoch.
    NotWritten(RecordKind),
    /// Writing a record failed: only the log, opened again, knows whether it is there.
    Failed(RecordKind),
    /// The log has been replayed: take over.
    Recover,
}

/// An operator's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resolution {
    /// Abort what is not decided.
    Abort,
    /// A branch did this, as the operator has seen or seen to. It is not asked any more, so it has
    /// to be true: were it still prepared, a later scan would take it for an orphan.
    Did {
        /// Which.
        branch: u16,
        /// What.
        did: Outcome,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The branch may work now.
    Work {
        /// Which.
        branch: u16,
    },
    /// Ask a participant.
    Send {
        /// About which branch.
        branch: u16,
        /// What.
        request: Request,
    },
    /// Send [`Event::Retry`] after a while.
    BackOff {
        /// For which branch.
        branch: u16,
    },
    /// Append a record, durably where [`Record::is_forced`]; then tell what became of it.
    Append(Record),
    /// A branch waits for an operator: say so loudly.
    Parked {
        /// Which.
        branch: u16,
        /// Why.
        reason: ParkReason,
    },
    /// Answer who waits for the commit.
    Answer(Answer),
    /// What was just asked for cannot be: nothing changed.
    Refuse(Refusal),
    /// It is over: it may be dropped from memory, and its participants may forget it.
    Forget,
}

/// What became of a commit, for who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is committed for good.
    Committed {
        /// The branches that have not acknowledged. They will, or are parked.
        pending: Vec<u16>,
    },
    /// It is aborted for good.
    Aborted(AbortReason),
    /// It cannot be said yet: inquire later.
    Unknown,
}

/// Why something that was asked for cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There are as many branches as there can be.
    #[error("the transaction has as many branches as it can have")]
    Full,
    /// It has been aborted.
    #[error("the transaction has been aborted")]
    Aborted,
    /// The decision has been made, or may have been.
    #[error("the transaction is decided, or may be")]
    TooLate,
    /// There is no decision beside which to record what a branch did.
    #[error("the transaction is not decided")]
    Undecided,
    /// The branch is done, or its record is under way, or there is none of this number.
    #[error("the transaction has no such branch that is not done")]
    Done,
}

/// An event that cannot happen in this state: a bug, or a damaged log. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot happen to transaction {transaction}, which is {phase}")]
#[non_exhaustive]
pub struct Impossible {
    /// Whose.
    pub transaction: TransactionId,
    /// The state.
    pub phase: Phase,
    /// The event.
    pub event: Box<Event>,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enlist { participant, .. } => write!(f, "enlisting {participant}"),
            Self::Commit => f.write_str("commit"),
            Self::Rollback => f.write_str("rollback"),
            Self::Dropped => f.write_str("being dropped"),
            Self::Deadline => f.write_str("a deadline"),
            // A participant's reason may quote data.
            Self::Voted { branch, vote } => match vote {
                Vote::ReadOnly => write!(f, "a read-only vote of branch {branch}"),
                Vote::Prepared => write!(f, "a yes of branch {branch}"),
                Vote::Unknown => write!(f, "no vote of branch {branch}"),
                Vote::No(_) => write!(f, "a no of branch {branch}"),
            },
            Self::Reported { branch, report } => {
                write!(f, "report {report:?} of branch {branch}")
            }
            Self::Retry { branch } => write!(f, "a retry of branch {branch}"),
            Self::Park { branch, .. } => write!(f, "parking branch {branch}"),
            Self::Resolve(resolution) => write!(f, "resolution {resolution:?}"),
            Self::Durable(record) => write!(f, "durable record {:?}", record.kind()),
            Self::NotWritten(kind) => write!(f, "unwritten record {kind:?}"),
            Self::Failed(kind) => write!(f, "failed record {kind:?}"),
            Self::Recover => f.write_str("recovery"),
        }
    }
}

/// One after the other.
pub(super) fn and_then(mut first: Vec<Action>, then: Vec<Action>) -> Vec<Action> {
    if first.is_empty() {
        return then;
    }
    first.extend(then);
    first
}

/// What comes of an event.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reception {
    Taken,
    Absorbed,
    Refused(Refusal),
    Impossible,
}
