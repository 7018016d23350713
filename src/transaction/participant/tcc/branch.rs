//! The caller's handle of a branch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::ParticipantError;
use super::TccService;
use super::live::{Stage, Work};
use crate::transaction::id::BranchId;

/// A branch that works: it offers the one try of it.
///
/// Dropping it does not end the branch. A branch that was never tried changes nothing, and votes
/// so.
pub struct TccBranch<S> {
    service: Arc<S>,
    work: Arc<Work>,
    id: BranchId,
    limit: Duration,
}

/// Why a branch was not tried, or not with success. The transaction can only abort, but for
/// [`Tried`](Self::Tried).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TryError {
    /// The branch works no more: its transaction is being committed, or was aborted. Whatever was
    /// tried is cancelled.
    #[error("the branch is over")]
    Over,
    /// It was tried before: a branch has one try. Enlist the participant again for another. What
    /// was tried stands, if it was with success.
    #[error("the branch was tried before")]
    Tried,
    /// The service said so: whether nothing happened or nobody knows, it will be cancelled.
    #[error("the try failed")]
    Failed(#[source] ParticipantError),
}

impl<S: TccService> TccBranch<S> {
    pub(super) fn new(service: Arc<S>, work: Arc<Work>, id: BranchId, limit: Duration) -> Self {
        Self {
            service,
            work,
            id,
            limit,
        }
    }

    /// Its id: what the service knows it by.
    #[must_use]
    pub fn id(&self) -> BranchId {
        self.id
    }

    /// Tries this.
    ///
    /// # Errors
    /// [`TryError`].
    ///
    /// # Cancel safety
    /// Dropped, it may have been tried, or may yet be: the branch votes no, and is cancelled.
    pub async fn try_(&mut self, request: S::Request) -> Result<S::Answer, TryError> {
        self.work.begin_try().map_err(|stage| match stage {
            None => TryError::Over,
            Some(_) => TryError::Tried,
        })?;
        let mut trying = Trying {
            work: &self.work,
            stage: Stage::Failed,
        };
        let tried = timeout(self.limit, self.service.try_(self.id, request)).await;
        let late = |_| {
            Err(ParticipantError::unknown(
                "the service did not answer in time",
            ))
        };
        let answer = tried.unwrap_or_else(late).map_err(TryError::Failed)?;
        trying.stage = Stage::Tried;
        if !trying.end() {
            return Err(TryError::Over);
        }
        Ok(answer)
    }
}

/// A try under way, which fails if it is dropped.
struct Trying<'a> {
    work: &'a Work,
    stage: Stage,
}

impl Trying<'_> {
    fn end(self) -> bool {
        self.work.end_try(self.stage)
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.work.end_try(self.stage);
    }
}

impl<S> fmt::Debug for TccBranch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TccBranch")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
