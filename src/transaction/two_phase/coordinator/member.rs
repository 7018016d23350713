//! A registered participant, and whether it knows of this epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use tokio::sync::Semaphore;

use crate::transaction::id::BranchId;
use crate::transaction::participant::{Participant, ParticipantError, Reply, Request};

/// A participant that was registered with the coordinator.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) participant: Arc<dyn Participant>,
    opened: AtomicBool,
    requests: Semaphore,
}

/// The participant has not been opened in this epoch, and so is not asked.
#[derive(Debug, thiserror::Error)]
#[error("the participant has not been reached since the log was opened")]
struct Unopened;

#[derive(Debug, thiserror::Error)]
#[error("the participant's code panicked")]
struct Panicked;

impl Member {
    pub(super) fn new(participant: Arc<dyn Participant>, requests_max: usize) -> Self {
        Self {
            participant,
            opened: AtomicBool::new(false),
            requests: Semaphore::new(requests_max),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.opened.load(Ordering::Acquire)
    }

    pub(super) fn opened(&self) {
        self.opened.store(true, Ordering::Release);
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
        // It is never closed.
        let _turn = self.requests.acquire().await;
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
