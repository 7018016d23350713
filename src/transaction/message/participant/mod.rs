//! Participants that are reached by messages.

mod branch;
mod serve;
mod serving;
mod session;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::caller::{CallError, Caller};
use super::envelope::Message;
use super::error::TransportError;
use super::queue::QueueName;
use crate::chance::random_wide;
use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::{
    Enlist, Opening, Outcome, Participant, ParticipantError, ParticipantOpenError, Report, Vote,
    requests,
};
use wire::{Answer, Ask, Done};

pub use branch::QueueBranch;
pub use serve::serve_participant;
pub use serving::Work;

/// How long an answer is awaited, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes part in transactions by messages to where a participant is
/// [served](serve_participant). Cheap to clone: clones share what they know of branches.
///
/// Every request is sent again until it is answered, or its time is over; and the participant
/// there answers repeats as the law of participants says. So messages may be lost, come twice and
/// out of order. A branch's work is not repeatable, so it is counted: requests have numbers, within
/// a session that whoever serves draws when the branch begins. A repeat is answered by what was
/// answered; and a branch of which any request was lost, by a restart over there or a message that
/// was never answered, votes no.
///
/// *It lists no branches*: a prepare may wait in the queue for as long as nobody takes it, so no
/// scan tells all. Its coordinator writes down each branch before it begins.
///
/// What waits in the queue is done when the participant is back, however late: prepares of
/// transactions that were aborted meanwhile vote no, by their tombstones.
#[derive(Clone)]
pub struct QueueParticipant(Arc<Inner>);

struct Inner {
    name: ParticipantName,
    caller: Caller,
    queue: QueueName,
    persistence: Persistence,
    patience: Duration,
    /// Of branches between their beginning and the decision.
    works: Mutex<HashMap<BranchId, Progress>>,
}

/// What a branch was asked for.
#[derive(Clone, Copy, Debug)]
struct Progress {
    done: Done,
    /// Whether some request has no answer: what it did, nobody knows.
    is_broken: bool,
    /// Whether the commit was asked for.
    is_over: bool,
}

impl QueueParticipant {
    /// The participant that is served at this queue, whose promises outlive `persistence`.
    #[must_use]
    pub fn new(
        name: ParticipantName,
        caller: Caller,
        queue: QueueName,
        persistence: Persistence,
    ) -> Self {
        Self::with_patience(name, caller, queue, persistence, PATIENCE)
    }

    /// The same, whose requests take this time at most. 10 s by [`new`](Self::new): longer than
    /// work takes over there, and than it takes to begin anew where a server dies.
    #[must_use]
    pub fn with_patience(
        name: ParticipantName,
        caller: Caller,
        queue: QueueName,
        persistence: Persistence,
        patience: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            name,
            caller,
            queue,
            persistence,
            patience,
            works: Mutex::default(),
        }))
    }
}

impl Inner {
    async fn ask(&self, ask: Ask) -> Result<Answer, ParticipantError> {
        let request = Message::new(&ask.subject(), ask.encoded());
        let request = request.map_err(ParticipantError::refused)?;
        let reply = self.caller.call(&self.queue, request, self.patience).await;
        let reply = reply.map_err(|error| {
            if let CallError::NotSent(TransportError::Refused(why)) = error {
                ParticipantError::Refused(why)
            } else {
                ParticipantError::unknown(error)
            }
        })?;
        let answer = Answer::decoded(reply.payload()).ok_or_else(garbled)?;
        if let Answer::Refused(why) = answer {
            return Err(ParticipantError::refused(why));
        }
        if let Answer::Unknown(why) = answer {
            return Err(ParticipantError::unknown(why));
        }
        Ok(answer)
    }

    async fn report(&self, ask: Ask) -> Result<Report, ParticipantError> {
        let Answer::Report(report) = self.ask(ask).await? else {
            return Err(unexpected());
        };
        Ok(report)
    }

    /// Takes no more work for a branch, and tells what it was asked for.
    fn over(&self, branch: BranchId) -> Option<Progress> {
        let mut works = self.works.lock();
        let progress = works.get_mut(&branch)?;
        progress.is_over = true;
        Some(*progress)
    }

    fn drop_work(&self, branch: BranchId) {
        self.works.lock().remove(&branch);
    }

    async fn open(&self, opening: Opening) -> Result<(), ParticipantOpenError> {
        let unknown = |error: ParticipantError| match error {
            ParticipantError::Refused(why) => ParticipantOpenError::Unfit(why),
            ParticipantError::Unknown(why) => ParticipantOpenError::Unknown(why),
        };
        let answer = self.ask(Ask::Open(opening)).await.map_err(unknown)?;
        if let Answer::Stale(stale) = answer {
            return Err(stale.into());
        }
        if let Answer::Unfit(why) = answer {
            return Err(ParticipantOpenError::Unfit(why.into()));
        }
        let Answer::Opened(persistence) = answer else {
            return Err(unknown(unexpected()));
        };
        if (persistence, self.persistence) == (Persistence::Process, Persistence::Storage) {
            let why = "what is served there does not outlive its process";
            return Err(ParticipantOpenError::Unfit(why.into()));
        }
        // Nobody is left who would go on with them.
        let old = |branch: BranchId| {
            let id = branch.transaction();
            id.coordinator() == opening.coordinator() && id.epoch() < opening.epoch()
        };
        self.works.lock().retain(|branch, _| !old(*branch));
        Ok(())
    }

    async fn prepare(&self, branch: BranchId) -> Result<Vote, ParticipantError> {
        let progress = self.over(branch);
        let done = progress.map(|progress| progress.done);
        if progress.is_some_and(|progress| progress.is_broken) {
            return self
                .refuse(branch, "some of its work was not answered".into())
                .await;
        }
        let Answer::Vote(vote) = self.ask(Ask::Prepare(branch, done)).await? else {
            return Err(unexpected());
        };
        match vote {
            // Something else than what was asked for may work under its id.
            Vote::No(why) if done.is_some() => self.refuse(branch, why).await,
            Vote::ReadOnly => {
                self.drop_work(branch);
                Ok(Vote::ReadOnly)
            }
            Vote::Prepared | Vote::Unknown | Vote::No(_) => Ok(vote),
        }
    }

    /// Votes no, once the branch is aborted.
    async fn refuse(&self, branch: BranchId, why: Arc<str>) -> Result<Vote, ParticipantError> {
        Ok(match self.report(Ask::Abort(branch)).await? {
            Report::Did(Outcome::Aborted) => {
                self.drop_work(branch);
                Vote::No(why)
            }
            // It was decided before: a late repeat.
            Report::Did(Outcome::Committed) => Vote::No(why),
            Report::Prepared | Report::Missing | Report::Unknown => Vote::Unknown,
        })
    }

    async fn commit_one_phase(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        let progress = self.over(branch);
        let ask = if progress.is_some_and(|progress| progress.is_broken) {
            Ask::Abort(branch)
        } else {
            Ask::CommitOnePhase(branch, progress.map(|progress| progress.done))
        };
        self.finish(branch, ask).await
    }

    fn commit(&self, branch: BranchId) -> impl Future<Output = Result<Report, ParticipantError>> {
        self.finish(branch, Ask::Commit(branch))
    }

    fn abort(&self, branch: BranchId) -> impl Future<Output = Result<Report, ParticipantError>> {
        self.over(branch);
        self.finish(branch, Ask::Abort(branch))
    }

    fn settle(&self, branch: BranchId) -> impl Future<Output = Result<Report, ParticipantError>> {
        self.over(branch);
        self.finish(branch, Ask::Settle(branch))
    }

    async fn finish(&self, branch: BranchId, ask: Ask) -> Result<Report, ParticipantError> {
        let report = self.report(ask).await?;
        if matches!(report, Report::Did(_)) {
            self.drop_work(branch);
        }
        Ok(report)
    }

    async fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> Result<Vec<BranchId>, ParticipantError> {
        let Answer::Listed(branches) = self.ask(Ask::InDoubt(coordinator, before)).await? else {
            return Err(unexpected());
        };
        Ok(branches)
    }

    async fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), ParticipantError> {
        let ask = Ask::Forget(coordinator, watermark);
        let Answer::Forgotten = self.ask(ask).await? else {
            return Err(unexpected());
        };
        let over = |branch: BranchId| {
            let id = branch.transaction();
            id.coordinator() == coordinator && (id.epoch(), id.sequence()) < watermark
        };
        let mut works = self.works.lock();
        works.retain(|branch, _| !over(*branch));
        Ok(())
    }

    async fn work(self: &Arc<Self>, branch: BranchId) -> Result<QueueBranch, ParticipantError> {
        let nonce = random_wide();
        let Answer::Began { session } = self.ask(Ask::Begin { branch, nonce }).await? else {
            return Err(unexpected());
        };
        let progress = Progress {
            done: Done { session, number: 0 },
            is_broken: false,
            is_over: false,
        };
        self.works.lock().insert(branch, progress);
        Ok(QueueBranch::new(Arc::clone(self), branch, session))
    }
}

fn garbled() -> ParticipantError {
    ParticipantError::unknown("the answer was not understood")
}

fn unexpected() -> ParticipantError {
    ParticipantError::unknown("the answer is to something else")
}

impl Participant for QueueParticipant {
    fn name(&self) -> &ParticipantName {
        &self.0.name
    }

    fn persistence(&self) -> Persistence {
        self.0.persistence
    }

    fn lists(&self) -> bool {
        false
    }

    requests!(self, self.0, Box::pin);
}

impl Enlist for QueueParticipant {
    type Branch = QueueBranch;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<QueueBranch, ParticipantError>> {
        Box::pin(self.0.work(branch))
    }
}

impl fmt::Debug for QueueParticipant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueParticipant")
            .field("name", &self.0.name)
            .field("queue", &self.0.queue)
            .finish_non_exhaustive()
    }
}
