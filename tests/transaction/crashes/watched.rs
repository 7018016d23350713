//! The log and the participants of a coordinator, with points to die at around each call.

use tripod::BoxFuture;
use tripod::transaction::log::{
    AppendError, Durability, FileLog, LogError, Opened, Persistence, Record, Reservation,
    TransactionLog,
};
use tripod::transaction::participant::{
    Enlist, Opening, Participant, ParticipantError, ParticipantOpenError, Report, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, ParticipantName};

use crate::points::Points;

/// A rule that is broken, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Flaw {
    /// The log confirms what it has not written.
    LosesRecords,
    /// Participants find nothing in doubt.
    FindsNothing,
}

#[derive(Debug)]
pub struct WatchedLog {
    log: FileLog,
    points: Points,
    flaw: Option<Flaw>,
}

impl WatchedLog {
    pub fn new(log: FileLog, points: Points, flaw: Option<Flaw>) -> Self {
        Self { log, points, flaw }
    }
}

impl TransactionLog for WatchedLog {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        Box::pin(self.points.around("log open", self.log.open(hint)))
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        Box::pin(self.points.around("log reopen", self.log.reopen(after)))
    }

    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        let call = match durability {
            Durability::Forced => "log append forced",
            Durability::Unforced => "log append unforced",
        };
        if self.flaw == Some(Flaw::LosesRecords) {
            return Box::pin(self.points.around(call, async { Ok(()) }));
        }
        let append = async move { self.log.append(epoch, records, durability, space).await };
        Box::pin(self.points.around(call, append))
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        let reserve = async move { self.log.reserve(epoch, bytes).await };
        Box::pin(self.points.around("log reserve", reserve))
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(self.points.around("log close", self.log.close(epoch)))
    }
}

#[derive(Clone, Debug)]
pub struct Watched<P> {
    participant: P,
    points: Points,
    flaw: Option<Flaw>,
}

impl<P: Participant> Watched<P> {
    pub fn new(participant: P, points: Points, flaw: Option<Flaw>) -> Self {
        Self {
            participant,
            points,
            flaw,
        }
    }

    fn around<'a, T: 'a>(&'a self, call: &str, answer: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        let call = format!("{} {call}", self.participant.name());
        Box::pin(async move { self.points.around(&call, answer).await })
    }
}

impl<P: Participant> Participant for Watched<P> {
    fn name(&self) -> &ParticipantName {
        self.participant.name()
    }

    fn persistence(&self) -> Persistence {
        self.participant.persistence()
    }

    fn lists(&self) -> bool {
        self.participant.lists()
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
        self.around("open", self.participant.open(opening))
    }

    fn prepare(&self, branch: BranchId) -> BoxFuture<'_, Result<Vote, ParticipantError>> {
        self.around("prepare", self.participant.prepare(branch))
    }

    fn commit_one_phase(
        &self,
        branch: BranchId,
    ) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        let commit = self.participant.commit_one_phase(branch);
        self.around("commit in one phase", commit)
    }

    fn commit(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        self.around("commit", self.participant.commit(branch))
    }

    fn abort(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        self.around("abort", self.participant.abort(branch))
    }

    fn settle(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        self.around("settle", self.participant.settle(branch))
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        if self.flaw == Some(Flaw::FindsNothing) {
            return Box::pin(async { Ok(Vec::new()) });
        }
        self.around("in doubt", self.participant.in_doubt(coordinator, before))
    }

    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>> {
        self.around("forget", self.participant.forget(coordinator, watermark))
    }
}

impl<P: Enlist> Enlist for Watched<P> {
    type Branch = P::Branch;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<P::Branch, ParticipantError>> {
        self.around("work", self.participant.work(branch))
    }
}
