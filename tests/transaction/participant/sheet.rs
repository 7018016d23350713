//! A participant that is a [`Ledger`] and a set of marks, and may break the law in one way.
#![allow(
    clippy::match_same_arms,
    clippy::similar_names,
    clippy::unnecessary_wraps,
    reason = "each fault has a line of its own; verbs have the types of the trait"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a fault concerns one place, and no other"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use tripod::BoxFuture;
use tripod::transaction::log::Persistence;
use tripod::transaction::participant::conformance::Fixture;
use tripod::transaction::participant::{
    Blocking, BlockingEnlist, BlockingParticipant, Ledger, Opening, Outcome, ParticipantError,
    ParticipantOpenError, Reply, Report, Request, Row, StaleLog, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, ParticipantName};

use super::faulty::Fault;

#[derive(Clone, Debug)]
pub(super) struct Sheet {
    name: ParticipantName,
    fault: Option<Fault>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    written: BTreeMap<BranchId, Vec<u64>>,
    marks: BTreeSet<u64>,
    known: BTreeSet<BranchId>,
    opened: Option<Opening>,
    epochs: BTreeMap<CoordinatorId, Epoch>,
}

/// A handle of a branch.
pub(super) struct Line {
    sheet: Sheet,
    branch: BranchId,
}

impl Sheet {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        Self {
            name: ParticipantName::new("sheet").unwrap(),
            fault,
            state: Arc::default(),
        }
    }

    fn crash(&self) {
        let mut state = self.state.lock().unwrap();
        for branch in state.known.clone() {
            state.ledger.lose(branch);
            if self.fault == Some(Fault::LosesWhatIsPrepared) {
                state.ledger.force(branch, Outcome::Aborted);
            }
            state.tidy(branch, None);
        }
    }

    fn answer(&self, branch: BranchId, request: Request) -> Reply {
        let mut state = self.state.lock().unwrap();
        let row = state.ledger.row(branch);
        if let Some(reply) = self.errs(&mut state, branch, request, row) {
            state.tidy(branch, self.fault);
            return reply;
        }
        let reply = state.ledger.answer(branch, request);
        state.tidy(branch, self.fault);
        reply
    }

    /// What the fault answers.
    fn errs(
        &self,
        state: &mut State,
        branch: BranchId,
        request: Request,
        row: Option<Row>,
    ) -> Option<Reply> {
        use Request::{Abort, Commit, CommitOnePhase, Prepare, Settle};
        let aborted = Some(Reply::Report(Report::Did(Outcome::Aborted)));
        let working = matches!(row, Some(Row::Working { .. }));
        match (self.fault?, request, row) {
            (Fault::HasNoFence, CommitOnePhase, Some(Row::Working { .. } | Row::Prepared)) => {
                state.ledger.answer(branch, Prepare);
                Some(state.ledger.answer(branch, Commit))
            }
            (Fault::CommitsUnprepared, Commit, _) if working => {
                state.ledger.answer(branch, Prepare);
                Some(state.ledger.answer(branch, Commit))
            }
            (Fault::CallsTheMissingDone, Commit | CommitOnePhase, None) => {
                Some(Reply::Report(Report::Did(Outcome::Committed)))
            }
            (Fault::SettlesWithoutTombstone, Settle, None)
            | (Fault::AbortsWithoutTombstone, Abort, None)
            | (Fault::AbortsTheCommitted, Abort, Some(Row::Committed)) => aborted,
            (Fault::AbortsWithoutTombstone, Abort, Some(Row::Working { .. })) => {
                state.ledger.lose(branch);
                aborted
            }
            (Fault::SettlesThePrepared, Settle, Some(Row::Prepared)) => {
                Some(state.ledger.answer(branch, Abort))
            }
            (Fault::VotesYesForNothing, Prepare, None) => Some(Reply::Vote(Vote::Prepared)),
            (Fault::VotesYesWhenSettled, Prepare, Some(Row::Committed | Row::Excluded)) => {
                Some(Reply::Vote(Vote::Prepared))
            }
            (Fault::VotesNoAgain, Prepare, Some(Row::Prepared)) => {
                Some(Reply::Vote(Vote::No("it is prepared".into())))
            }
            (Fault::VotesReadOnly, Prepare, Some(Row::Working { .. })) => {
                state.ledger.lose(branch);
                Some(Reply::Vote(Vote::ReadOnly))
            }
            (Fault::LeavesWhatWorks, Settle, Some(Row::Working { .. })) => aborted,
            (Fault::MissesRepeats, Commit, Some(Row::Committed)) => {
                Some(Reply::Report(Report::Missing))
            }
            (Fault::KnowsTheForgotten, Settle, None) => match state.ledger.answer(branch, Settle) {
                Reply::Report(Report::Unknown) => aborted,
                reply => Some(reply),
            },
            _ => None,
        }
    }
}

impl State {
    /// One that nothing but its epoch keeps from working.
    fn is_of_an_earlier_epoch(&self, branch: BranchId) -> bool {
        let id = branch.transaction();
        let free = self.ledger.row(branch).is_none();
        free && self.epochs.get(&id.coordinator()) > Some(&id.epoch())
    }

    /// Lets what was written follow the ledger.
    fn tidy(&mut self, branch: BranchId, fault: Option<Fault>) {
        match self.ledger.row(branch) {
            Some(Row::Working { .. } | Row::Prepared) => {}
            Some(Row::Committed) => {
                let mut written = self.written.remove(&branch).unwrap_or_default();
                if fault == Some(Fault::CommitsHalf) {
                    written.truncate(1);
                }
                self.marks.extend(written);
            }
            Some(Row::Excluded) | None => {
                self.written.remove(&branch);
            }
        }
    }
}

fn vote(reply: Reply) -> Result<Vote, ParticipantError> {
    match reply {
        Reply::Vote(vote) => Ok(vote),
        Reply::Report(report) => panic!("{report:?}"),
    }
}

fn report(reply: Reply) -> Result<Report, ParticipantError> {
    match reply {
        Reply::Report(report) => Ok(report),
        Reply::Vote(vote) => panic!("{vote:?}"),
    }
}

impl BlockingParticipant for Sheet {
    fn name(&self) -> &ParticipantName {
        &self.name
    }

    fn persistence(&self) -> Persistence {
        Persistence::Process
    }

    fn lists(&self) -> bool {
        true
    }

    fn open(&self, opening: Opening) -> Result<(), ParticipantOpenError> {
        let mut state = self.state.lock().unwrap();
        let (coordinator, epoch) = (opening.coordinator(), opening.epoch());
        if self.fault == Some(Fault::RefusesItsOwnOpening) && state.opened == Some(opening) {
            return Err(ParticipantOpenError::Stale(StaleLog::new(
                coordinator,
                epoch,
                epoch,
            )));
        }
        state.opened = Some(opening);
        let opened = state.ledger.open(coordinator, epoch, opening.nonce());
        match self.fault {
            Some(Fault::TakesAStaleLog) => return Ok(()),
            Some(Fault::TakesAnEpochTwice) => match opened {
                Err(stale) if stale.seen == epoch => return Ok(()),
                _ => {}
            },
            Some(Fault::AbortsAtAnOpening) => {
                for branch in state.ledger.in_doubt(coordinator, epoch) {
                    state.ledger.answer(branch, Request::Abort);
                    state.tidy(branch, None);
                }
            }
            _ => {}
        }
        opened?;
        state.epochs.insert(coordinator, epoch);
        Ok(())
    }

    fn prepare(&self, branch: BranchId) -> Result<Vote, ParticipantError> {
        vote(self.answer(branch, Request::Prepare))
    }

    fn commit_one_phase(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        report(self.answer(branch, Request::CommitOnePhase))
    }

    fn commit(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        report(self.answer(branch, Request::Commit))
    }

    fn abort(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        report(self.answer(branch, Request::Abort))
    }

    fn settle(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        report(self.answer(branch, Request::Settle))
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> Result<Vec<BranchId>, ParticipantError> {
        let state = self.state.lock().unwrap();
        let prepared = |branch: &&BranchId| state.ledger.row(**branch) == Some(Row::Prepared);
        let all = state.known.iter().filter(prepared);
        Ok(match self.fault {
            Some(Fault::ListsNothing) => Vec::new(),
            Some(Fault::ListsForeigners) => all
                .filter(|branch| branch.transaction().epoch() < before)
                .copied()
                .collect(),
            Some(Fault::ListsItsOwnEpoch) => all
                .filter(|branch| branch.transaction().coordinator() == coordinator)
                .copied()
                .collect(),
            _ => state.ledger.in_doubt(coordinator, before),
        })
    }

    fn forget(
        &self,
        coordinator: CoordinatorId,
        (epoch, sequence): (Epoch, u64),
    ) -> Result<(), ParticipantError> {
        let mut state = self.state.lock().unwrap();
        match self.fault {
            Some(Fault::HasNoWatermark) => {}
            Some(Fault::ForgetsOneTooMany) => {
                state.ledger.forget(coordinator, (epoch, sequence + 1));
            }
            _ => state.ledger.forget(coordinator, (epoch, sequence)),
        }
        Ok(())
    }
}

impl BlockingEnlist for Sheet {
    type Branch = Line;

    fn work(&self, branch: BranchId) -> Result<Line, ParticipantError> {
        let mut state = self.state.lock().unwrap();
        state.known.insert(branch);
        let begun = state.ledger.work(branch, true);
        let takes_it = match self.fault {
            Some(Fault::BeginsAgain) => true,
            Some(Fault::BeginsTooLate) => state.is_of_an_earlier_epoch(branch),
            _ => false,
        };
        if !takes_it {
            begun.map_err(ParticipantError::refused)?;
        }
        Ok(Line {
            sheet: self.clone(),
            branch,
        })
    }
}

impl Line {
    fn write(&self, mark: u64) -> Result<(), ParticipantError> {
        let mut state = self.sheet.state.lock().unwrap();
        let works = matches!(state.ledger.row(self.branch), Some(Row::Working { .. }));
        match self.sheet.fault {
            Some(Fault::WritesAtOnce) if works => {
                state.marks.insert(mark);
            }
            Some(Fault::WritesOnceItHasEnded) if !works => {
                state.marks.insert(mark);
                return Ok(());
            }
            _ => {}
        }
        if !works {
            return Err(ParticipantError::refused("it has ended"));
        }
        let begun = state.ledger.work(self.branch, false);
        begun.map_err(ParticipantError::refused)?;
        state.written.entry(self.branch).or_default().push(mark);
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.sheet.fault == Some(Fault::EndsWithItsHandle) {
            self.sheet.state.lock().unwrap().ledger.lose(self.branch);
        }
    }
}

/// A sheet behind the adapter for what blocks.
impl Fixture for Sheet {
    type Participant = Blocking<Self>;

    fn start(&self) -> BoxFuture<'_, Result<Blocking<Self>, ParticipantError>> {
        Box::pin(async {
            self.crash();
            Ok(Blocking::new(self.clone(), NonZeroUsize::MIN))
        })
    }

    fn write<'a>(
        &'a self,
        branch: &'a mut Line,
        mark: u64,
    ) -> BoxFuture<'a, Result<(), ParticipantError>> {
        Box::pin(async move { branch.write(mark) })
    }

    fn holds(&self, mark: u64) -> BoxFuture<'_, Result<bool, ParticipantError>> {
        Box::pin(async move { Ok(self.state.lock().unwrap().marks.contains(&mark)) })
    }
}
