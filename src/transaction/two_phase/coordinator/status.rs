//! What an operator sees.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use crate::transaction::id::{Epoch, TransactionId};
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::ParticipantError;
use crate::transaction::two_phase::branch::{Branch, Progress};
use crate::transaction::two_phase::phase::Phase;

/// Which transactions to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filter {
    /// All that are not over.
    All,
    /// Those that are decided, or may be, and not over.
    InDoubt,
    /// Those with a branch that waits for an operator.
    Parked,
}

/// A transaction that is not over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TransactionStatus {
    /// Which.
    pub id: TransactionId,
    /// How far it is.
    pub phase: Phase,
    /// For how long it has been under way here; since it was recovered, if it was.
    pub age: Duration,
    /// Its branches by number.
    pub branches: Vec<BranchStatus>,
}

/// A branch of a transaction that is not over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BranchStatus {
    /// Which.
    pub number: u16,
    /// Whose.
    pub participant: ParticipantName,
    /// How far it is.
    pub progress: Progress,
    /// What came last instead of an answer, if anything did.
    pub error: Option<Arc<ParticipantError>>,
}

/// A participant, as its coordinator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParticipantStatus {
    /// Which.
    pub name: ParticipantName,
    /// Whether it was registered. If not, a log of earlier days names it, and what it may have in
    /// doubt is not looked after: register it, or [`retire`](super::Coordinator::retire) it.
    pub registered: bool,
    /// Whether it has been reached since the log was opened.
    pub reached: bool,
}

/// What has happened since the coordinator was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CoordinatorStats {
    /// The epoch in which it acts.
    pub epoch: Option<Epoch>,
    /// Transactions that were begun.
    pub begun: u64,
    /// Callers told that theirs is committed.
    pub committed: u64,
    /// Callers told that theirs is aborted.
    pub aborted: u64,
    /// Callers told that it cannot be said.
    pub unknown: u64,
    /// Records that the protocol waited for until they were durable.
    pub forced_writes: u64,
    /// Times that a branch began to wait for an operator.
    pub parked: u64,
    /// Branches of earlier epochs that were found by a scan, and aborted.
    pub orphans: u64,
    /// Times that the log was opened again after a failure.
    pub reopened: u64,
    /// Events that cannot happen: defects of this crate. Please report any.
    pub impossible: u64,
}

pub(super) fn list(engine: &Engine, filter: Filter) -> Vec<TransactionStatus> {
    let state = engine.state.lock();
    let open = state
        .book
        .transactions()
        .filter(|transaction| match filter {
            Filter::All => true,
            Filter::InDoubt => !matches!(transaction.phase(), Phase::Working | Phase::Preparing),
            Filter::Parked => transaction.branches().iter().any(Branch::is_parked),
        });
    let listed = open.map(|transaction| {
        let run = state.runs.get(&transaction.id());
        let branches = transaction.branches().iter().map(|branch| BranchStatus {
            number: branch.number(),
            participant: branch.participant().clone(),
            progress: branch.progress(),
            error: run.and_then(|run| run.error(branch.number())),
        });
        TransactionStatus {
            id: transaction.id(),
            phase: transaction.phase().clone(),
            age: run.map(|run| run.began.elapsed()).unwrap_or_default(),
            branches: branches.collect(),
        }
    });
    listed.collect()
}

pub(super) fn participants(engine: &Engine) -> Vec<ParticipantStatus> {
    let state = engine.state.lock();
    let named = state.book.names().map(|name| {
        let member = engine.members.get(name);
        ParticipantStatus {
            name: name.clone(),
            registered: member.is_some(),
            reached: member.is_some_and(|member| member.is_open()),
        }
    });
    named.collect()
}
