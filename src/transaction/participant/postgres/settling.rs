//! Voting, and settling what was voted on.

use std::sync::Arc;

use crate::transaction::id::BranchId;
use crate::transaction::participant::{Outcome, ParticipantError, Report, Vote};

use super::Inner;
use super::protocol::{self, Alone, Prepared};
use super::session::{Found, Turn};
use super::store::{Finished, Known};

/// How often an end is tried: a writer in flight is waited for twice, for it may be prepared after
/// the first; and what is prepared is ended in between.
const TRIES: usize = 3;

/// What is wanted of a branch that is prepared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// That it is aborted.
    Abort,
    /// That it stands, and is reported.
    Report,
}

impl Inner {
    pub(super) async fn prepare(&self, branch: BranchId) -> Result<Vote, ParticipantError> {
        let mut turn = match self.working.find(branch).await? {
            Found::Working(turn) => turn,
            Found::Lost => return self.vote_of_lost(branch).await,
            Found::Nothing => return self.vote_of_absent(branch).await,
        };
        let Some(connection) = turn.connection() else {
            drop(turn);
            return self.vote_of_lost(branch).await;
        };
        // Dropped in here, the turn closes the connection, and the branch is lost.
        match protocol::prepare(connection, branch, &self.role, self.limits.answer()).await {
            Prepared::ReadOnly => {
                turn.free();
                Ok(Vote::ReadOnly)
            }
            Prepared::Yes => {
                turn.free();
                Ok(Vote::Prepared)
            }
            Prepared::No(why) => {
                turn.free();
                Ok(Vote::No(why))
            }
            Prepared::Broken(why) => {
                turn.end();
                Ok(Vote::No(why))
            }
            Prepared::Look(why) => {
                turn.free();
                self.vote_of_done(branch, why).await
            }
            Prepared::Unknown(source) => Err(ParticipantError::Unknown(source)),
        }
    }

    /// Of a branch whose session is done: prepared, or not and why.
    async fn vote_of_done(
        &self,
        branch: BranchId,
        why: Arc<str>,
    ) -> Result<Vote, ParticipantError> {
        if self.store.read(branch).await? != Known::Prepared {
            return Ok(Vote::No(why));
        }
        if self.store.is_over(branch).await? {
            // Its coordinator will not ask for it again.
            self.store.finish(branch, Outcome::Aborted).await?;
            return Ok(Vote::No(why));
        }
        Ok(Vote::Prepared)
    }

    /// A request to prepare it may be under way still: only a tombstone keeps that out.
    async fn vote_of_lost(&self, branch: BranchId) -> Result<Vote, ParticipantError> {
        Ok(match self.settle(branch).await? {
            Report::Prepared => Vote::Prepared,
            Report::Did(_) => Vote::No("its connection broke".into()),
            Report::Missing | Report::Unknown => Vote::No("its transaction is over".into()),
        })
    }

    async fn vote_of_absent(&self, branch: BranchId) -> Result<Vote, ParticipantError> {
        Ok(match self.store.read(branch).await? {
            Known::Prepared => Vote::Prepared,
            Known::Did(_) | Known::Over => Vote::No("it is settled".into()),
            Known::Fenced | Known::Nothing => Vote::No("there is no such branch".into()),
        })
    }

    pub(super) async fn commit_one_phase(
        &self,
        branch: BranchId,
    ) -> Result<Report, ParticipantError> {
        let mut turn = match self.working.find(branch).await? {
            Found::Working(turn) => turn,
            Found::Lost | Found::Nothing => return self.commit_absent_alone(branch).await,
        };
        let Some(connection) = turn.connection() else {
            drop(turn);
            return self.commit_absent_alone(branch).await;
        };
        match protocol::commit_alone(connection, branch, &self.role, self.limits.answer()).await {
            Alone::Committed => {
                turn.free();
                Ok(Report::Did(Outcome::Committed))
            }
            Alone::Look => {
                turn.free();
                self.end(branch, Wanted::Abort).await
            }
            Alone::Unknown => {
                drop(turn);
                // Its row tells, once whatever is under way is done.
                self.end(branch, Wanted::Report).await
            }
        }
    }

    async fn commit_absent_alone(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        match self.store.read(branch).await? {
            // No coordinator asks this of a prepared branch, so nobody can be in between.
            Known::Prepared if self.store.is_fenced(branch).await? => {
                self.end(branch, Wanted::Abort).await
            }
            Known::Prepared => self.commit(branch).await,
            Known::Did(outcome) => Ok(Report::Did(outcome)),
            Known::Over | Known::Fenced | Known::Nothing => Ok(Report::Missing),
        }
    }

    pub(super) async fn commit(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        let report = match self.store.finish(branch, Outcome::Committed).await? {
            Finished::Done => Report::Did(Outcome::Committed),
            Finished::NotThere => match self.store.read(branch).await? {
                Known::Did(outcome) => Report::Did(outcome),
                // A repeat: everybody has acknowledged.
                Known::Over => Report::Did(Outcome::Committed),
                Known::Fenced | Known::Nothing => Report::Missing,
                // Since: ask again.
                Known::Prepared => Report::Unknown,
            },
        };
        if let Report::Did(_) = report {
            self.working.forget(branch);
        }
        Ok(report)
    }

    pub(super) async fn abort(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        if let Found::Working(turn) = self.working.find(branch).await? {
            abandon(turn).await;
        }
        self.end(branch, Wanted::Abort).await
    }

    pub(super) async fn settle(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        if let Found::Working(turn) = self.working.find(branch).await? {
            abandon(turn).await;
        }
        self.end(branch, Wanted::Report).await
    }

    /// Ends a branch that does not work here, and excludes what of it may be under way elsewhere.
    async fn end(&self, branch: BranchId, wanted: Wanted) -> Result<Report, ParticipantError> {
        for _ in 0..TRIES {
            let report = match (self.store.exclude(branch).await?, wanted) {
                (Some(Known::Did(outcome)), _) => Report::Did(outcome),
                (Some(Known::Prepared), Wanted::Report) => Report::Prepared,
                (Some(Known::Prepared), Wanted::Abort) => {
                    // It may be gone already: then its row says what became of it.
                    self.store.finish(branch, Outcome::Aborted).await?;
                    continue;
                }
                (Some(Known::Over | Known::Fenced | Known::Nothing), Wanted::Report) => {
                    Report::Unknown
                }
                (Some(Known::Over | Known::Fenced | Known::Nothing), Wanted::Abort) => {
                    Report::Did(Outcome::Aborted)
                }
                // Whoever writes the row is not done; or is prepared by now.
                (None, _) => continue,
            };
            self.working.forget(branch);
            return Ok(report);
        }
        Err(ParticipantError::unknown("somebody is writing its row"))
    }
}

/// Rolls back what works.
pub(super) async fn abandon(mut turn: Turn) {
    let Some(connection) = turn.connection() else {
        return;
    };
    match protocol::roll_back(connection).await {
        Ok(()) => turn.free(),
        // It is closed, and with it what it was in the middle of.
        Err(_) => turn.end(),
    }
}
