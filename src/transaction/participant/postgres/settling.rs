//! Voting, and settling what was voted on.

use crate::transaction::id::BranchId;
use crate::transaction::participant::{Outcome, ParticipantError, Report, Vote};

use super::Inner;
use super::failure::Trouble;
use super::protocol::{self, Alone, Prepared};
use super::session::{Found, Turn};
use super::store::{Finished, Known};

/// How often an end is tried that somebody else is at: each waits for a while.
const TRIES: usize = 2;

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
        match protocol::prepare(connection, branch, &self.role).await {
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
                if self.is_prepared_or_over(branch).await? {
                    return Ok(Vote::Prepared);
                }
                Ok(Vote::No(why))
            }
            Prepared::Unknown(source) => Err(ParticipantError::Unknown(source)),
        }
    }

    /// Whether a branch whose session is done is prepared; one that is over is rolled back.
    async fn is_prepared_or_over(&self, branch: BranchId) -> Result<bool, Trouble> {
        if !self.store.is_prepared(branch).await? {
            return Ok(false);
        }
        if self.store.read(branch).await? == Known::Over {
            self.store.finish(branch, Outcome::Aborted).await?;
            return Ok(false);
        }
        Ok(true)
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
        if self.store.is_prepared(branch).await? {
            return Ok(Vote::Prepared);
        }
        Ok(match self.store.read(branch).await? {
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
        match protocol::commit_alone(connection, branch, &self.role).await {
            Alone::Committed => {
                turn.free();
                Ok(Report::Did(Outcome::Committed))
            }
            Alone::Look => {
                turn.free();
                self.end(branch, Wanted::Abort).await
            }
            // Its row will tell, when it is asked for.
            Alone::Unknown => Ok(Report::Unknown),
        }
    }

    async fn commit_absent_alone(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        if self.store.is_prepared(branch).await? {
            // No coordinator asks this of a prepared branch, so nobody can be in between.
            return match self.store.read(branch).await? {
                Known::Fenced => self.end(branch, Wanted::Abort).await,
                Known::Did(_) | Known::Over | Known::Nothing => self.commit(branch).await,
            };
        }
        Ok(match self.store.read(branch).await? {
            Known::Did(outcome) => Report::Did(outcome),
            Known::Over | Known::Fenced | Known::Nothing => Report::Missing,
        })
    }

    pub(super) async fn commit(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        let report = match self.store.finish(branch, Outcome::Committed).await? {
            Finished::Done => Report::Did(Outcome::Committed),
            Finished::NotThere => match self.store.read(branch).await? {
                Known::Did(outcome) => Report::Did(outcome),
                // A repeat: everybody has acknowledged.
                Known::Over => Report::Did(Outcome::Committed),
                Known::Fenced | Known::Nothing => Report::Missing,
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
            if self.store.is_prepared(branch).await? {
                if wanted == Wanted::Report {
                    self.working.forget(branch);
                    return Ok(Report::Prepared);
                }
                // It may be gone again: then its row says what became of it.
                self.store.finish(branch, Outcome::Aborted).await?;
            }
            let report = match self.store.exclude(branch).await? {
                Some(Known::Did(outcome)) => Report::Did(outcome),
                Some(Known::Over | Known::Fenced | Known::Nothing) if wanted == Wanted::Report => {
                    Report::Unknown
                }
                Some(Known::Over | Known::Fenced | Known::Nothing) => Report::Did(Outcome::Aborted),
                // Whoever writes the row is not done; or is prepared by now.
                None => continue,
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
