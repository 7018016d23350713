//! A registered participant, and whether it knows of this epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt;
use tokio::sync::Semaphore;

use crate::transaction::id::BranchId;
use crate::transaction::participant::{Participant, ParticipantError, Reply, Request};

/// A participant that was registered with the coordinator.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) participant: Arc<dyn Participant>,
    opened: AtomicBool,
    /// What may take long, for other transactions stand in its way.
    voting: Semaphore,
    /// What ends branches, and so frees what others wait for.
    settling: Semaphore,
    /// Branches whose transactions are not over.
    branches: AtomicUsize,
}

/// A branch of this participant, whose transaction is not over.
pub(super) struct Seat(Arc<Member>);

impl Seat {
    pub(super) fn take(member: Arc<Member>) -> Self {
        member.branches.fetch_add(1, Ordering::Relaxed);
        Self(member)
    }

    pub(super) fn member(&self) -> Arc<Member> {
        Arc::clone(&self.0)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.branches.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The participant has not been opened in this epoch, and so is not asked.
#[derive(Debug, thiserror::Error)]
#[error("the participant has not been reached since the log was opened")]
struct Unopened;

#[derive(Debug, thiserror::Error)]
#[error("the participant's code panicked")]
pub(super) struct Panicked;

impl Member {
    pub(super) fn new(participant: Arc<dyn Participant>, requests_max: usize) -> Self {
        Self {
            participant,
            opened: AtomicBool::new(false),
            voting: Semaphore::new(requests_max),
            settling: Semaphore::new(requests_max),
            branches: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.opened.load(Ordering::Acquire)
    }

    pub(super) fn opened(&self) {
        self.opened.store(true, Ordering::Release);
    }

    /// How many branches of it are not over.
    pub(super) fn branches(&self) -> usize {
        self.branches.load(Ordering::Relaxed)
    }

    /// Asks the participant. Before it has accepted the epoch nothing is said to it: the log might
    /// be a stale copy, which it would refuse.
    pub(super) async fn ask(
        &self,
        branch: BranchId,
        request: Request,
    ) -> Result<Reply, ParticipantError> {
        if !self.is_open() {
            return Err(ParticipantError::unknown(Unopened));
        }
        let turns = match request {
            Request::Prepare | Request::CommitOnePhase => &self.voting,
            Request::Commit | Request::Abort | Request::Settle => &self.settling,
        };
        // They are never closed.
        let _turn = match turns.try_acquire() {
            Ok(turn) => Some(turn),
            Err(_) => turns.acquire().await.ok(),
        };
        let to = &self.participant;
        let asked = async {
            match request {
                Request::Prepare => to.prepare(branch).await.map(Reply::Vote),
                Request::CommitOnePhase => to.commit_one_phase(branch).await.map(Reply::Report),
                Request::Commit => to.commit(branch).await.map(Reply::Report),
                Request::Abort => to.abort(branch).await.map(Reply::Report),
                Request::Settle => to.settle(branch).await.map(Reply::Report),
            }
        };
        // What code of others does may not end what drives a decided transaction.
        let answer = std::panic::AssertUnwindSafe(asked).catch_unwind().await;
        answer.unwrap_or_else(|_| Err(ParticipantError::unknown(Panicked)))
    }
}
