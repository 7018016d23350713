//! A participant in memory, and what may be wrong with it or with the way to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use tripod::BoxFuture;
use tripod::transaction::log::Persistence;
use tripod::transaction::participant::{
    Enlist, MemoryBranch, MemoryParticipant, Opening, Participant, ParticipantError,
    ParticipantOpenError, Report, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, ParticipantName};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    None,
    VotesNo,
    HangsInPrepare,
    /// It prepares, and its vote is lost.
    LosesVotes,
    /// It is not told to commit.
    LosesCommits,
    /// It does what it is asked, once, and nobody hears of it.
    LosesOneAnswer,
    /// It refuses to commit.
    RefusesCommits,
    /// Told to commit, it says that it has aborted.
    Aborts,
    Unreachable,
    Panics,
}

#[derive(Clone, Debug)]
pub(super) struct Faulty {
    bank: MemoryParticipant,
    fault: Arc<Mutex<Fault>>,
    persistence: Persistence,
    lists: bool,
    asked: Arc<AtomicU32>,
    scans: Arc<AtomicU32>,
}

impl Faulty {
    pub(super) fn over(bank: MemoryParticipant) -> Self {
        Self {
            bank,
            fault: Arc::new(Mutex::new(Fault::None)),
            persistence: Persistence::Process,
            lists: true,
            asked: Arc::default(),
            scans: Arc::default(),
        }
    }

    pub(super) fn durable(mut self) -> Self {
        self.persistence = Persistence::Storage;
        self
    }

    /// Cannot list its branches.
    pub(super) fn blind(mut self) -> Self {
        self.lists = false;
        self
    }

    pub(super) fn bank(&self) -> &MemoryParticipant {
        &self.bank
    }

    pub(super) fn shared(&self) -> Arc<dyn Participant> {
        Arc::new(self.clone())
    }

    /// How often it was told to commit.
    pub(super) fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How often it was asked what is in doubt.
    pub(super) fn scans(&self) -> u32 {
        self.scans.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, fault: Fault) {
        *self.fault.lock() = fault;
    }

    fn fault(&self) -> Fault {
        *self.fault.lock()
    }

    fn lost(&self) -> bool {
        let mut fault = self.fault.lock();
        let lost = *fault == Fault::LosesOneAnswer;
        if lost {
            *fault = Fault::None;
        }
        lost
    }

    async fn reported(
        &self,
        report: BoxFuture<'_, Result<Report, ParticipantError>>,
    ) -> Result<Report, ParticipantError> {
        if self.fault() == Fault::Unreachable {
            return Err(ParticipantError::unknown("unreachable"));
        }
        let report = report.await;
        if self.lost() {
            return Err(ParticipantError::unknown("lost"));
        }
        report
    }
}

impl Participant for Faulty {
    fn name(&self) -> &ParticipantName {
        self.bank.name()
    }

    fn persistence(&self) -> Persistence {
        self.persistence
    }

    fn lists(&self) -> bool {
        self.lists
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
        Box::pin(async move {
            if self.fault() == Fault::Unreachable {
                return Err(ParticipantOpenError::Unknown("unreachable".into()));
            }
            self.bank.open(opening).await
        })
    }

    fn prepare(&self, branch: BranchId) -> BoxFuture<'_, Result<Vote, ParticipantError>> {
        Box::pin(async move {
            match self.fault() {
                Fault::VotesNo => return Ok(Vote::No("it says no".into())),
                Fault::HangsInPrepare => std::future::pending().await,
                Fault::Unreachable => return Err(ParticipantError::unknown("unreachable")),
                Fault::Panics => panic!("as it was told"),
                Fault::None
                | Fault::LosesVotes
                | Fault::LosesCommits
                | Fault::LosesOneAnswer
                | Fault::RefusesCommits
                | Fault::Aborts => {}
            }
            let vote = self.bank.prepare(branch).await;
            if self.fault() == Fault::LosesVotes {
                return Err(ParticipantError::unknown("lost"));
            }
            vote
        })
    }

    fn commit_one_phase(
        &self,
        branch: BranchId,
    ) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.reported(self.bank.commit_one_phase(branch)))
    }

    fn commit(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.fault() {
            Fault::LosesCommits => {
                Box::pin(async { Err(ParticipantError::unknown("lost on the way")) })
            }
            Fault::RefusesCommits => {
                Box::pin(async { Err(ParticipantError::refused("a right is missing")) })
            }
            Fault::Aborts => self.bank.abort(branch),
            Fault::None
            | Fault::VotesNo
            | Fault::HangsInPrepare
            | Fault::LosesVotes
            | Fault::LosesOneAnswer
            | Fault::Unreachable
            | Fault::Panics => Box::pin(self.reported(self.bank.commit(branch))),
        }
    }

    fn abort(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.reported(self.bank.abort(branch)))
    }

    fn settle(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.reported(self.bank.settle(branch)))
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        if !self.lists {
            return Box::pin(async { Ok(Vec::new()) });
        }
        self.bank.in_doubt(coordinator, before)
    }

    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>> {
        self.bank.forget(coordinator, watermark)
    }
}

impl Enlist for Faulty {
    type Branch = MemoryBranch<i64>;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<Self::Branch, ParticipantError>> {
        self.bank.work(branch)
    }
}
