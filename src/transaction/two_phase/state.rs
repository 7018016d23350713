//! A transaction, as its coordinator keeps it: what happens leads to what is to be done.

use std::sync::Arc;

use super::branch::{Branch, Progress};
use super::event::{Action, Answer, Event, Impossible, Reception, Refusal, Resolution, and_then};
use super::phase::AbortReason;
use super::phase::{Decision, Phase};
use super::record::{NamedBranch, Record, RecordKind};
use crate::transaction::id::TransactionId;
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::{Request, Vote};

/// A transaction, as its coordinator keeps it.
///
/// Pure: no I/O, no clock, no randomness. Whoever runs it performs the actions that
/// [`step`](Self::step) returns, in their order, and tells it what came of them. Requests to
/// several branches may be sent at once; records are appended one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction {
    pub(super) id: TransactionId,
    pub(super) phase: Phase,
    /// By number.
    pub(super) branches: Vec<Branch>,
    /// Those whose fate is not known yet, in order.
    pub(super) appended: Vec<RecordKind>,
    /// Whether the log may hold anything of it, which then needs an end.
    pub(super) logged: bool,
    /// Whether that is true of the decision.
    pub(super) noted: bool,
    pub(super) caller: Caller,
    /// Whether it runs; otherwise it is being replayed.
    pub(super) live: bool,
}

/// Who began the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// Has not asked for the end of it.
    Working,
    /// Waits for the answer.
    Waiting,
    Answered,
    Gone,
}

impl Transaction {
    /// A new one, without branches.
    #[must_use]
    pub fn begin(id: TransactionId) -> Self {
        Self {
            id,
            phase: Phase::Working,
            branches: Vec::new(),
            appended: Vec::new(),
            logged: false,
            noted: false,
            caller: Caller::Working,
            live: true,
        }
    }

    /// One to be replayed: it takes [`Event::Durable`] for each of its records, in the order of
    /// the log, and then [`Event::Recover`]. Records may come again: what they say is known.
    #[must_use]
    pub fn replay(id: TransactionId) -> Self {
        Self {
            caller: Caller::Gone,
            live: false,
            ..Self::begin(id)
        }
    }

    /// Takes what happened, and says what is to be done, in this order. O(branches).
    ///
    /// What comes late, twice or out of order is absorbed: no action, no error.
    ///
    /// # Errors
    /// [`Impossible`] for what cannot happen in this state. Nothing changes.
    pub fn step(&mut self, event: Event) -> Result<Vec<Action>, Impossible> {
        match self.reception(&event) {
            Reception::Taken => Ok(self.take(event)),
            Reception::Absorbed => Ok(Vec::new()),
            Reception::Refused(refusal) => Ok(vec![Action::Refuse(refusal)]),
            Reception::Impossible => Err(self.refuse(event)),
        }
    }

    pub(super) fn refuse(&self, event: Event) -> Impossible {
        Impossible {
            transaction: self.id,
            phase: self.phase.clone(),
            event: Box::new(event),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Its branches by number; none once it has ended.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// What was decided, if it is known.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match &self.phase {
            Phase::Settling(decision) | Phase::Ending(decision) | Phase::Ended(decision) => {
                Some(decision)
            }
            Phase::Working
            | Phase::Preparing
            | Phase::OnePhase
            | Phase::Logging
            | Phase::InDoubt => None,
        }
    }

    /// Whether nothing is left to do, to log or to remember.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether somebody may still ask for its commit, and wants to be answered.
    pub(super) fn has_caller(&self) -> bool {
        self.caller == Caller::Working
    }

    pub(super) fn branch(&self, number: u16) -> Option<&Branch> {
        let at = self.place(number).ok()?;
        self.branches.get(at)
    }

    /// Where a branch is, or would be.
    fn place(&self, number: u16) -> Result<usize, usize> {
        self.branches.binary_search_by_key(&number, Branch::number)
    }

    fn take(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Enlist { participant, lists } => self.enlist(participant, lists),
            Event::Commit => self.commit(),
            Event::Rollback => self.leave(AbortReason::Asked),
            Event::Dropped => self.leave(AbortReason::Dropped),
            Event::Deadline => self.pass_deadline(),
            Event::Voted { branch, vote } => self.count(branch, vote),
            Event::Reported { branch, report } => self.hear(branch, report),
            Event::Retry { branch } => self.ask_again(branch),
            Event::Park { branch, reason } => {
                self.advance(branch, Progress::Parked(reason));
                self.answer_if_stuck()
            }
            Event::Resolve(resolution) => self.resolve(resolution),
            Event::Durable(record) if self.live => self.confirm(&record),
            Event::Durable(record) => {
                self.apply(&record);
                Vec::new()
            }
            Event::NotWritten(kind) => self.miss(kind, false),
            Event::Failed(kind) => self.miss(kind, true),
            Event::Recover => self.recover(),
        }
    }

    fn enlist(&mut self, participant: ParticipantName, lists: bool) -> Vec<Action> {
        let next = self.branches.last().map(|last| last.number.checked_add(1));
        let Some(branch) = next.unwrap_or(Some(0)) else {
            return vec![Action::Refuse(Refusal::Full)];
        };
        let progress = if lists {
            Progress::Working
        } else {
            Progress::Enlisting
        };
        self.branches.push(Branch {
            number: branch,
            participant: participant.clone(),
            progress,
        });
        if lists {
            return vec![Action::Work { branch }];
        }
        self.append(Record::Enlisted {
            branch,
            participant,
        })
    }

    fn commit(&mut self) -> Vec<Action> {
        self.caller = Caller::Waiting;
        if let Some(Decision::Abort(reason)) = self.decision() {
            let answer = Answer::Aborted(reason.clone());
            return self.answer(answer);
        }
        let unfinished = |branch: &&Branch| branch.progress == Progress::Enlisting;
        if let Some(branch) = self.branches.iter().find(unfinished) {
            let branch = branch.number;
            return self.decide(Decision::Abort(AbortReason::Unfinished { branch }));
        }
        let request = match self.branches.len() {
            0 => return self.decide(Decision::Commit),
            // A logged branch could not be told from one that was never prepared.
            1 if !self.logged => Request::CommitOnePhase,
            _ => Request::Prepare,
        };
        let (phase, progress) = match request {
            Request::CommitOnePhase => (Phase::OnePhase, Progress::Told),
            Request::Prepare | Request::Commit | Request::Abort | Request::Settle => {
                (Phase::Preparing, Progress::Preparing)
            }
        };
        self.phase = phase;
        let sent = self.branches.iter_mut().map(|branch| {
            branch.progress = progress;
            let branch = branch.number;
            Action::Send { branch, request }
        });
        sent.collect()
    }

    /// The caller is gone; before the decision, that means abort.
    fn leave(&mut self, reason: AbortReason) -> Vec<Action> {
        self.caller = Caller::Gone;
        match self.phase {
            Phase::Working | Phase::Preparing => self.decide(Decision::Abort(reason)),
            Phase::OnePhase
            | Phase::Logging
            | Phase::InDoubt
            | Phase::Settling(_)
            | Phase::Ending(_)
            | Phase::Ended(_) => Vec::new(),
        }
    }

    fn pass_deadline(&mut self) -> Vec<Action> {
        match self.phase {
            Phase::Working | Phase::Preparing => {
                self.decide(Decision::Abort(AbortReason::Deadline))
            }
            Phase::OnePhase => self.answer(Answer::Unknown),
            Phase::Settling(_) => self.answer_decided(),
            Phase::Logging | Phase::InDoubt | Phase::Ending(_) | Phase::Ended(_) => Vec::new(),
        }
    }

    /// Counts a vote. Of two that contradict each other the graver one counts.
    fn count(&mut self, number: u16, vote: Vote) -> Vec<Action> {
        let before = self.branch(number).map(Branch::progress);
        match (vote, before) {
            (Vote::ReadOnly, Some(Progress::Prepared)) => {}
            (Vote::ReadOnly, _) => self.advance(number, Progress::ReadOnly),
            (Vote::Prepared, _) => self.advance(number, Progress::Prepared),
            (Vote::Unknown, _) => {
                let reason = AbortReason::Unknown { branch: number };
                return self.decide(Decision::Abort(reason));
            }
            (Vote::No(reason), _) => {
                let branch = number;
                let reason = AbortReason::No { branch, reason };
                // It may have been prepared all the same: a repeated request draws a no.
                return self.decide(Decision::Abort(reason));
            }
        }
        let voted = |progress| matches!(progress, Progress::Prepared | Progress::ReadOnly);
        if !self.branches.iter().all(|branch| voted(branch.progress)) {
            return Vec::new();
        }
        // With anything in the log, the absence of a commit record would speak for abort.
        if self.branches.iter().all(Branch::is_done) && !self.logged {
            return self.decide(Decision::Commit);
        }
        self.phase = Phase::Logging;
        let branches = self.named();
        self.append(Record::Committed { branches })
    }

    fn resolve(&mut self, resolution: Resolution) -> Vec<Action> {
        match resolution {
            Resolution::Abort => {
                let branches = self.named();
                let mut actions = self.append(Record::Aborted { branches });
                actions.extend(self.decide(Decision::Abort(AbortReason::Operator)));
                actions
            }
            Resolution::Did { branch, did } => {
                let mut actions = self.note_decision();
                if let Some(deed) = self.deed(branch, did) {
                    actions.extend(self.append(Record::Resolved(deed)));
                }
                actions
            }
        }
    }

    /// Fixes the decision, and tells it.
    pub(super) fn decide(&mut self, decision: Decision) -> Vec<Action> {
        self.phase = Phase::Settling(decision);
        let told = self.tell();
        and_then(told, self.finish())
    }

    /// All branches, as records name them.
    pub(super) fn named(&self) -> Arc<[NamedBranch]> {
        let branches = self.branches.iter().map(|branch| NamedBranch {
            number: branch.number,
            participant: branch.participant.clone(),
            read_only: branch.progress == Progress::ReadOnly,
        });
        branches.collect()
    }

    pub(super) fn append(&mut self, record: Record) -> Vec<Action> {
        self.note(&record);
        let kind = record.kind();
        if let Err(at) = self.appended.binary_search(&kind) {
            self.appended.insert(at, kind);
        }
        vec![Action::Append(record)]
    }

    pub(super) fn advance(&mut self, number: u16, progress: Progress) {
        let at = self.place(number).ok();
        if let Some(branch) = at.and_then(|at| self.branches.get_mut(at)) {
            branch.progress = progress;
        }
    }
}
