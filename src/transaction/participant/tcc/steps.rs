//! What the participant does when its coordinator asks.

use tokio::time::timeout;

use super::super::{Outcome, ParticipantError, Report, Settled, Vote};
use super::barrier::{Sight, Standing};
use super::live::Stage;
use super::{Inner, TccBranch, TccService};
use crate::future::BoxFuture;
use crate::transaction::id::BranchId;

const COMMITTED: Report = Report::Did(Outcome::Committed);
const ABORTED: Report = Report::Did(Outcome::Aborted);

impl<S: TccService> Inner<S> {
    pub(super) async fn work(&self, branch: BranchId) -> Result<TccBranch<S>, ParticipantError> {
        let sight = self.barrier.look(branch).await?;
        if sight.is_over || sight.standing != Standing::Nothing {
            return Err(ParticipantError::refused(Settled(branch)));
        }
        if sight.is_fenced {
            let why = "its coordinator was opened in a later epoch";
            return Err(ParticipantError::refused(why));
        }
        let work = self.live.begin(branch);
        let service = std::sync::Arc::clone(&self.service);
        Ok(TccBranch::new(service, work, branch, self.limit))
    }

    pub(super) async fn prepare(&self, branch: BranchId) -> Result<Vote, ParticipantError> {
        let Some(work) = self.live.close(branch) else {
            let sight = self.barrier.look(branch).await?;
            return Ok(match sight.standing {
                Standing::Prepared => Vote::Prepared,
                Standing::Nothing | Standing::Tried => no("there is no such branch"),
                Standing::Confirmed | Standing::Cancelled => no("it is settled"),
            });
        };
        // A repeat waits for what the first one finds.
        let _turn = work.turn.lock().await;
        match work.stage() {
            Stage::Fresh => {
                self.live.end(branch);
                Ok(Vote::ReadOnly)
            }
            Stage::Trying => Ok(no("its try is under way")),
            Stage::Failed => Ok(no("its try failed")),
            Stage::Tried => self.promise(branch).await,
        }
    }

    async fn promise(&self, branch: BranchId) -> Result<Vote, ParticipantError> {
        let sight = self.barrier.promise(branch).await?;
        Ok(match sight.standing {
            Standing::Prepared => {
                self.live.end(branch);
                Vote::Prepared
            }
            Standing::Confirmed | Standing::Cancelled => no("it is settled"),
            Standing::Nothing | Standing::Tried => {
                no("the service was tried, and its barrier knows nothing of it")
            }
        })
    }

    pub(super) async fn commit_one_phase(
        &self,
        branch: BranchId,
    ) -> Result<Report, ParticipantError> {
        let stage = self.live.close(branch).map(|work| work.stage());
        let sight = self.barrier.look(branch).await?;
        match (sight.standing, stage) {
            (Standing::Confirmed, _) => Ok(self.report(branch, COMMITTED)),
            (Standing::Cancelled, _) => Ok(self.report(branch, ABORTED)),
            (Standing::Prepared, _) | (Standing::Tried, Some(Stage::Tried)) => {
                if sight.is_fenced {
                    return self.cancel(branch).await;
                }
                self.confirm_alone(branch).await
            }
            (Standing::Nothing, Some(Stage::Fresh)) => {
                let sight = self.barrier.confirm_empty(branch).await?;
                self.ended(branch, sight, Ok(()))
            }
            // Its try failed, or is under way: there is nothing to confirm.
            (Standing::Nothing | Standing::Tried, Some(_)) => self.cancel(branch).await,
            (Standing::Nothing | Standing::Tried, None) => Ok(Report::Missing),
        }
    }

    /// Confirms what is not prepared, unless a successor was first: the barrier holds the fence.
    async fn confirm_alone(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        let done = self.within(self.service.confirm(branch)).await;
        let sight = self.barrier.look(branch).await?;
        if sight.is_fenced && sight.standing == Standing::Tried {
            return self.cancel(branch).await;
        }
        self.ended(branch, sight, done)
    }

    pub(super) async fn commit(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        let sight = self.barrier.look(branch).await?;
        match sight.standing {
            Standing::Prepared => {
                let done = self.within(self.service.confirm(branch)).await;
                let sight = self.barrier.look(branch).await?;
                self.ended(branch, sight, done)
            }
            Standing::Confirmed => Ok(self.report(branch, COMMITTED)),
            Standing::Cancelled => Ok(self.report(branch, ABORTED)),
            // A repeat: everybody has acknowledged.
            Standing::Nothing if sight.is_over => Ok(COMMITTED),
            Standing::Nothing | Standing::Tried => Ok(Report::Missing),
        }
    }

    pub(super) async fn abort(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        self.live.close(branch);
        let sight = self.barrier.look(branch).await?;
        match sight.standing {
            Standing::Confirmed => Ok(self.report(branch, COMMITTED)),
            Standing::Cancelled => Ok(self.report(branch, ABORTED)),
            // The watermark keeps a late try out.
            Standing::Nothing if sight.is_over => Ok(self.report(branch, ABORTED)),
            Standing::Nothing | Standing::Tried | Standing::Prepared => self.cancel(branch).await,
        }
    }

    pub(super) async fn settle(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        let sight = self.barrier.look(branch).await?;
        match sight.standing {
            Standing::Prepared => Ok(Report::Prepared),
            Standing::Nothing if sight.is_over => Ok(Report::Unknown),
            Standing::Nothing | Standing::Tried | Standing::Confirmed | Standing::Cancelled => {
                self.abort(branch).await
            }
        }
    }

    async fn cancel(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        let done = self.within(self.service.cancel(branch)).await;
        let sight = self.barrier.look(branch).await?;
        self.ended(branch, sight, done)
    }

    /// What became of a branch that the service was to end. Its rows say so, whatever the service
    /// did.
    fn ended(
        &self,
        branch: BranchId,
        sight: Sight,
        done: Result<(), ParticipantError>,
    ) -> Result<Report, ParticipantError> {
        match sight.standing {
            Standing::Confirmed => Ok(self.report(branch, COMMITTED)),
            Standing::Cancelled => Ok(self.report(branch, ABORTED)),
            Standing::Nothing | Standing::Tried | Standing::Prepared => {
                done?;
                // What it did without its barrier may come twice.
                let why = "the service answered, and its barrier knows nothing of it";
                Err(ParticipantError::refused(why))
            }
        }
    }

    fn report(&self, branch: BranchId, report: Report) -> Report {
        self.live.end(branch);
        report
    }

    async fn within(
        &self,
        request: BoxFuture<'_, Result<(), ParticipantError>>,
    ) -> Result<(), ParticipantError> {
        let late = |_| {
            Err(ParticipantError::unknown(
                "the service did not answer in time",
            ))
        };
        timeout(self.limit, request).await.unwrap_or_else(late)
    }
}

fn no(why: &str) -> Vote {
    Vote::No(why.into())
}
