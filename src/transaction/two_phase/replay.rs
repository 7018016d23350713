//! What records say, whether they were just written or are read again, and the take-over.

use super::branch::{Branch, ParkReason, Progress};
use super::event::{Action, Answer};
use super::phase::AbortReason;
use super::phase::{Decision, Phase};
use super::record::{NamedBranch, Record, RecordKind};
use super::state::Transaction;
use crate::transaction::name::ParticipantName;

impl Transaction {
    /// Changes the state to what a durable record says; live and in replay.
    pub(super) fn apply(&mut self, record: &Record) {
        self.note(record);
        match record {
            Record::Enlisted {
                branch,
                participant,
            } => {
                self.know(*branch, participant, |known| match known {
                    None | Some(Progress::Enlisting) => Progress::Working,
                    Some(known) => known,
                });
            }
            Record::Committed { branches } => {
                self.phase = Phase::Settling(Decision::Commit);
                branches.iter().for_each(|named| self.name(named));
            }
            Record::Aborted { branches } => {
                if self.decision().is_none() {
                    self.phase = Phase::Settling(Decision::Abort(AbortReason::Logged));
                    branches.iter().for_each(|named| self.name(named));
                }
            }
            Record::Heuristic(deed) => {
                let parked = Progress::Parked(ParkReason::Heuristic(deed.did));
                self.know(deed.branch, &deed.participant, |known| match known {
                    Some(Progress::Did(did)) => Progress::Did(did),
                    Some(_) | None => parked,
                });
            }
            Record::Resolved(deed) => {
                if self.decision().is_none() {
                    self.phase = Phase::Settling(Decision::of(deed.decided, AbortReason::Logged));
                }
                let did = Progress::Did(deed.did);
                self.know(deed.branch, &deed.participant, |_| did);
            }
            Record::Ended => {
                let presumed = Decision::Abort(AbortReason::Presumed);
                let decision = self.decision().cloned().unwrap_or(presumed);
                self.end(decision);
            }
        }
    }

    /// The log holds something of it, or was given it.
    pub(super) fn note(&mut self, record: &Record) {
        self.logged = true;
        self.noted |= matches!(record, Record::Committed { .. } | Record::Aborted { .. });
    }

    fn name(&mut self, named: &NamedBranch) {
        let progress = if named.read_only {
            Progress::ReadOnly
        } else {
            Progress::Prepared
        };
        self.know(named.number, &named.participant, |_| progress);
    }

    /// Takes note that a record of a running transaction is durable, and goes on.
    pub(super) fn confirm(&mut self, record: &Record) -> Vec<Action> {
        let kind = record.kind();
        self.appended.retain(|appended| *appended != kind);
        self.apply(record);
        match kind {
            RecordKind::Enlisted(branch) if self.phase == Phase::Working => {
                vec![Action::Work { branch }]
            }
            RecordKind::Committed => self.decide(Decision::Commit),
            RecordKind::Resolved(_) => self.finish(),
            RecordKind::Ended => vec![Action::Forget],
            RecordKind::Enlisted(_) | RecordKind::Aborted | RecordKind::Heuristic(_) => Vec::new(),
        }
    }

    /// Takes note that a record was not written, or that it is `unknown` whether it was.
    pub(super) fn miss(&mut self, kind: RecordKind, unknown: bool) -> Vec<Action> {
        self.appended.retain(|appended| *appended != kind);
        match kind {
            RecordKind::Committed if unknown => {
                self.phase = Phase::InDoubt;
                self.answer(Answer::Unknown)
            }
            RecordKind::Committed => self.decide(Decision::Abort(AbortReason::Log)),
            RecordKind::Enlisted(_) if self.phase == Phase::Working => {
                self.decide(Decision::Abort(AbortReason::Log))
            }
            RecordKind::Resolved(branch) => {
                self.advance(branch, Progress::Waiting);
                vec![Action::BackOff { branch }]
            }
            RecordKind::Aborted => {
                // What stands beside it needs it before.
                self.noted = false;
                Vec::new()
            }
            // Nothing depends on these: the log has to be opened again, and they come again.
            RecordKind::Enlisted(_) | RecordKind::Heuristic(_) | RecordKind::Ended => Vec::new(),
        }
    }

    /// The log has been read: what it does not say to be committed is aborted.
    pub(super) fn recover(&mut self) -> Vec<Action> {
        self.live = true;
        match self.decision().cloned() {
            Some(_) if self.is_over() => vec![Action::Forget],
            Some(decision) => self.decide(decision),
            None => self.decide(Decision::Abort(AbortReason::Presumed)),
        }
    }

    /// Sets how far a branch is, given how far it was, where it was known.
    fn know(
        &mut self,
        number: u16,
        whose: &ParticipantName,
        progress: impl FnOnce(Option<Progress>) -> Progress,
    ) {
        let known = self.branch(number).map(Branch::progress);
        let progress = progress(known);
        if known.is_some() {
            return self.advance(number, progress);
        }
        self.branches.push(Branch {
            number,
            participant: whose.clone(),
            progress,
        });
        self.branches.sort_by_key(Branch::number);
    }
}
