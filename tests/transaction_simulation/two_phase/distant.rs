//! A participant as a coordinator sees it: across a network.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tripod::BoxFuture;
use tripod::transaction::log::Persistence;
use tripod::transaction::participant::{
    Enlist, MemoryBranch, Opening, Outcome, Participant, ParticipantError, ParticipantOpenError,
    Reply, Report, Request, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, ParticipantName};

use super::call::{Call, Said};
use super::flaw::Flaw;
use super::node::Node;
use super::world::World;
use crate::network::{Letter, send};
use crate::process::{Moment, Process};

#[derive(Clone, Debug)]
pub struct Distant {
    world: Arc<World>,
    node: Arc<Node>,
    process: Arc<Process>,
    /// In which its coordinator acts.
    epoch: Arc<AtomicU64>,
}

impl Distant {
    pub fn all(world: &Arc<World>, process: &Arc<Process>) -> Vec<Self> {
        let epoch = Arc::<AtomicU64>::default();
        // What comes after the others is opened, and takes part in nothing.
        let past = world.past.get().filter(|_| process.number == 0);
        let nodes = world.nodes.iter().chain(past);
        let all = nodes.map(|node| Self {
            world: Arc::clone(world),
            node: Arc::clone(node),
            process: Arc::clone(process),
            epoch: Arc::clone(&epoch),
        });
        all.collect()
    }

    /// Sends a request; `None` if no answer came.
    async fn send(&self, call: Call) -> Option<Said> {
        if self.passes(call) {
            return pending().await;
        }
        let way = Way {
            world: Arc::clone(&self.world),
            node: Arc::clone(&self.node),
            from: self.epoch.load(Ordering::Relaxed),
            call,
        };
        let answer = send(&self.world, way).await;
        if self.process.is_dead() {
            return pending().await;
        }
        answer
    }

    /// Whether the process is dead before this is sent.
    fn passes(&self, call: Call) -> bool {
        let moment = match call {
            Call::Open(_) => Moment::Introduced,
            Call::Ask(_, Request::Prepare) => Moment::Prepare,
            Call::Ask(_, Request::Commit) => Moment::Ordering,
            Call::Ask(_, Request::CommitOnePhase) => Moment::OnePhase,
            _ => return self.process.is_dead(),
        };
        let dead = self.process.passes(&self.world, moment);
        if !dead && let Call::Ask(branch, Request::Commit) = call {
            self.process.pays(branch.transaction());
        }
        dead
    }

    async fn ask(&self, branch: BranchId, request: Request) -> Result<Reply, ParticipantError> {
        if let Some(Said::Replied(reply)) = self.send(Call::Ask(branch, request)).await {
            return reply;
        }
        let did = |outcome| Ok(Reply::Report(Report::Did(outcome)));
        match (self.world.flaw, request) {
            (Some(Flaw::LostVoteIsYes), Request::Prepare) => Ok(Reply::Vote(Vote::Prepared)),
            (Some(Flaw::LostCommitIsDone), Request::Commit) => did(Outcome::Committed),
            (Some(Flaw::LostAbortIsDone), Request::Abort)
            | (Some(Flaw::LostOnePhaseIsAborted), Request::CommitOnePhase) => did(Outcome::Aborted),
            _ => Err(ParticipantError::unknown("no answer")),
        }
    }

    async fn report(&self, branch: BranchId, request: Request) -> Result<Report, ParticipantError> {
        match self.ask(branch, request).await? {
            Reply::Report(report) => Ok(report),
            Reply::Vote(_) => Ok(Report::Unknown),
        }
    }
}

/// A request under way.
struct Way {
    world: Arc<World>,
    node: Arc<Node>,
    from: u64,
    call: Call,
}

impl Letter for Way {
    type Answer = Said;

    fn is_reachable(&self) -> bool {
        self.node.is_reachable()
    }

    fn land(&self) -> BoxFuture<'_, Said> {
        Box::pin(self.node.land(&self.world, self.from, self.call))
    }

    fn unheard(&self) {
        if let Call::Ask(branch, Request::CommitOnePhase) = self.call {
            self.node.unheard(branch);
        }
    }

    fn tell(&self) -> String {
        let (index, call, from) = (self.node.index, self.call, self.from);
        format!("{call:?} of epoch {from} to {index}")
    }
}

impl Participant for Distant {
    fn name(&self) -> &ParticipantName {
        self.node.store.name()
    }

    fn persistence(&self) -> Persistence {
        Persistence::Process
    }

    fn lists(&self) -> bool {
        self.node.lists
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
        Box::pin(async move {
            let epoch = opening.epoch().as_u64();
            self.epoch.fetch_max(epoch, Ordering::Relaxed);
            match self.send(Call::Open(opening)).await {
                Some(Said::Opened(opened)) => opened,
                _ => Err(ParticipantOpenError::Unknown("no answer".into())),
            }
        })
    }

    fn prepare(&self, branch: BranchId) -> BoxFuture<'_, Result<Vote, ParticipantError>> {
        Box::pin(async move {
            match self.ask(branch, Request::Prepare).await? {
                Reply::Vote(vote) => Ok(vote),
                Reply::Report(_) => Ok(Vote::Unknown),
            }
        })
    }

    fn commit_one_phase(
        &self,
        branch: BranchId,
    ) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.report(branch, Request::CommitOnePhase))
    }

    fn commit(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.report(branch, Request::Commit))
    }

    fn abort(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.report(branch, Request::Abort))
    }

    fn settle(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(self.report(branch, Request::Settle))
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        Box::pin(async move {
            match self.send(Call::InDoubt(coordinator, before)).await {
                Some(Said::Found(found)) => Ok(found),
                _ => Err(ParticipantError::unknown("no answer")),
            }
        })
    }

    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move {
            match self.send(Call::Forget(coordinator, watermark)).await {
                Some(Said::Forgotten) => Ok(()),
                _ => Err(ParticipantError::unknown("no answer")),
            }
        })
    }
}

impl Enlist for Distant {
    type Branch = MemoryBranch;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<Self::Branch, ParticipantError>> {
        Box::pin(async move {
            match self.send(Call::Work(branch)).await {
                Some(Said::Works(works)) => works,
                _ => Err(ParticipantError::unknown("no answer")),
            }
        })
    }
}
