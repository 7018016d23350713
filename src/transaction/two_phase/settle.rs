//! After the decision: telling it, hearing what the branches did, and the end.

use super::branch::{Branch, ParkReason, Progress};
use super::event::{Action, Answer};
use super::phase::AbortReason;
use super::phase::{Decision, Phase};
use super::record::{Deed, Record, RecordKind};
use super::state::{Caller, Transaction};
use crate::transaction::participant::{Outcome, Report, Request};

impl Transaction {
    /// Tells the decision to every branch that has still to do its part. A branch that voted no is
    /// told too: its vote may have been drawn by a repeated request.
    pub(super) fn tell(&mut self) -> Vec<Action> {
        let Some(request) = self.request() else {
            return Vec::new();
        };
        let open = self.branches.iter_mut();
        let open = open.filter(|branch| !branch.is_done() && !branch.is_parked());
        let sent = open.map(|branch| {
            branch.progress = Progress::Told;
            let branch = branch.number;
            Action::Send { branch, request }
        });
        sent.collect()
    }

    /// What carries the decision.
    fn request(&self) -> Option<Request> {
        self.decision().map(|decision| match decision {
            Decision::Commit => Request::Commit,
            Decision::Abort(_) => Request::Abort,
        })
    }

    /// Takes a report of a branch that was told to commit or to abort.
    pub(super) fn hear(&mut self, branch: u16, report: Report) -> Vec<Action> {
        let proving = self.branch(branch).map(Branch::progress) == Some(Progress::Proving);
        match report {
            Report::Did(did) => self.hear_deed(branch, did),
            // Proved to be still prepared, it is told again at once. As an answer to being told, it
            // means that the participant could not, and may later.
            Report::Prepared if proving => self.send(branch, self.carrier(), Progress::Told),
            // Absence proves nothing.
            Report::Missing if !proving => self.send(branch, Request::Settle, Progress::Proving),
            Report::Prepared | Report::Missing | Report::Unknown => {
                self.advance(branch, Progress::Waiting);
                vec![Action::BackOff { branch }]
            }
        }
    }

    fn hear_deed(&mut self, branch: u16, did: Outcome) -> Vec<Action> {
        let decided = self.decision().map(Decision::outcome);
        if decided.is_some_and(|decided| decided != did) {
            return self.park_heuristic(branch, did);
        }
        self.advance(branch, Progress::Did(did));
        if decided.is_none() {
            self.phase = Phase::Settling(Decision::of(did, AbortReason::OnePhase));
        }
        self.finish()
    }

    /// It did something else than was decided. That is recorded, and left to an operator.
    fn park_heuristic(&mut self, branch: u16, did: Outcome) -> Vec<Action> {
        let reason = ParkReason::Heuristic(did);
        let mut actions = self.note_decision();
        let pending = self.appended.contains(&RecordKind::Heuristic(branch));
        if let Some(deed) = self.deed(branch, did).filter(|_| !pending) {
            actions.extend(self.append(Record::Heuristic(deed)));
        }
        self.advance(branch, Progress::Parked(reason));
        actions.push(Action::Parked { branch, reason });
        actions.extend(self.answer_if_stuck());
        actions
    }

    /// Logs a decision that was left to be presumed, so that what a branch did stands beside it and
    /// every other branch is known.
    pub(super) fn note_decision(&mut self) -> Vec<Action> {
        match self.decision() {
            Some(Decision::Abort(_)) if !self.noted => {
                let branches = self.named();
                self.append(Record::Aborted { branches })
            }
            Some(Decision::Abort(_) | Decision::Commit) | None => Vec::new(),
        }
    }

    /// What a branch did, beside the decision. Where none is known, the only branch decides.
    pub(super) fn deed(&self, branch: u16, did: Outcome) -> Option<Deed> {
        let participant = self.branch(branch)?.participant.clone();
        let decided = self.decision().map_or(did, Decision::outcome);
        Some(Deed {
            branch,
            participant,
            decided,
            did,
        })
    }

    pub(super) fn ask_again(&mut self, branch: u16) -> Vec<Action> {
        match self.request() {
            Some(request) => self.send(branch, request, Progress::Told),
            // The first request may have been carried out.
            None => self.send(branch, Request::Settle, Progress::Proving),
        }
    }

    /// What makes a prepared branch do its part.
    fn carrier(&self) -> Request {
        self.request().unwrap_or(Request::CommitOnePhase)
    }

    fn send(&mut self, branch: u16, request: Request, progress: Progress) -> Vec<Action> {
        self.advance(branch, progress);
        vec![Action::Send { branch, request }]
    }

    /// Answers where there is something to answer, and ends what has nothing left to do.
    pub(super) fn finish(&mut self) -> Vec<Action> {
        let mut actions = self.answer_if_stuck();
        let Phase::Settling(decision) = &self.phase else {
            return actions;
        };
        if !self.branches.iter().all(Branch::is_done) {
            return actions;
        }
        let decision = decision.clone();
        if self.logged {
            self.phase = Phase::Ending(decision);
            actions.extend(self.append(Record::Ended));
        } else {
            self.end(decision);
            actions.push(Action::Forget);
        }
        actions
    }

    pub(super) fn end(&mut self, decision: Decision) {
        self.phase = Phase::Ended(decision);
        self.branches = Vec::new();
        self.appended = Vec::new();
    }

    /// An abort is answered at once, a commit when waiting on would change nothing.
    pub(super) fn answer_if_stuck(&mut self) -> Vec<Action> {
        let mut branches = self.branches.iter();
        let stuck = branches.all(|branch| branch.is_done() || branch.is_parked());
        match self.decision() {
            Some(Decision::Abort(_)) => self.answer_decided(),
            Some(Decision::Commit) if stuck => self.answer_decided(),
            None if stuck && self.phase == Phase::OnePhase => self.answer(Answer::Unknown),
            Some(Decision::Commit) | None => Vec::new(),
        }
    }

    pub(super) fn answer_decided(&mut self) -> Vec<Action> {
        let answer = match self.decision() {
            Some(Decision::Commit) => {
                let pending = self.branches.iter().filter(|branch| !branch.is_done());
                let pending = pending.map(Branch::number).collect();
                Answer::Committed { pending }
            }
            Some(Decision::Abort(reason)) => Answer::Aborted(reason.clone()),
            None => return Vec::new(),
        };
        self.answer(answer)
    }

    /// Answers whoever still waits, once.
    pub(super) fn answer(&mut self, answer: Answer) -> Vec<Action> {
        if self.caller != Caller::Waiting {
            return Vec::new();
        }
        self.caller = Caller::Answered;
        vec![Action::Answer(answer)]
    }
}
