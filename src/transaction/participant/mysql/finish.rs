//! How a branch ends.

use std::time::Duration;

use tokio::time::sleep;

use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::participant::{Outcome, ParticipantError, Report};

use super::Inner;
use super::begin::roll_back;
use super::failure::{MysqlError, NO_SUCH_BRANCH};
use super::live::Local;
use super::tables::{Fence, Tombstone};
use super::way::Session;
use super::xid;

/// Between two looks at a branch whose connection has not ended yet. Not shorter: a server that is
/// asked to end a branch in the very moment in which it takes it off its connection may lose it
/// until it is started again (seen on `MariaDB` 10.11, 3 times in 150 with two who asked without
/// pause).
const OWNED: Duration = Duration::from_millis(100);

const COMMITTED: Report = Report::Did(Outcome::Committed);

/// What came of `XA COMMIT` or `XA ROLLBACK`. None of it is believed: it may be said of a branch that
/// its connection has forgotten.
enum Finished {
    Done,
    /// The server could not but roll it back.
    RolledBack,
    /// Not there, or still its connection's.
    NotFound,
}

impl Inner {
    pub(super) async fn commit_one_phase(
        &self,
        branch: BranchId,
    ) -> Result<Report, ParticipantError> {
        let (local, _ending) = self.live.end(branch).await;
        match local {
            Local::Works(session) => self.commit_working(branch, session).await,
            Local::Busy => self.exclude(branch).await,
            Local::Nothing => self.commit_fenced(branch).await,
        }
    }

    async fn commit_working(
        &self,
        branch: BranchId,
        mut session: Session,
    ) -> Result<Report, ParticipantError> {
        let name = xid::name(branch);
        // Until the commit is asked for, nobody can commit it.
        if self.ready(branch, &mut session).await.is_err() {
            roll_back(session, branch).await;
            return self.exclude(branch).await;
        }
        match session.run(&format!("XA COMMIT {name} ONE PHASE")).await {
            Ok(()) => {
                session.close().await;
                Ok(Report::Did(Outcome::Committed))
            }
            Err(error) if error.is_rolled_back() => {
                roll_back(session, branch).await;
                self.exclude(branch).await
            }
            Err(error) => Err(ParticipantError::unknown(error)),
        }
    }

    /// Holds the fence, writes the outcome row, and ends the work, unless that cannot be.
    async fn ready(&self, branch: BranchId, session: &mut Session) -> Result<(), MysqlError> {
        if self.tables.hold_fence(session, branch).await? == Fence::Shut {
            return Err(MysqlError::ended());
        }
        self.tables.mark(session, branch).await?;
        session.run(&format!("XA END {}", xid::name(branch))).await
    }

    /// Commits a branch in one phase that is prepared, if it is, while the fence is held.
    async fn commit_fenced(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        // Not of the pool: those who hold the last of it would wait for each other.
        let mut session = self.way.control().await?;
        session.run("START TRANSACTION").await?;
        let stands = self.tables.hold_fence(&mut session, branch).await?;
        let session = &mut session;
        let report = match self.tables.look(session, branch).await?.row {
            Some(outcome) => Report::Did(outcome),
            None if !self.is_listed(session, branch).await? => {
                self.look_again(session, branch).await?
            }
            None if stands == Fence::Shut => self.exclude(branch).await?,
            None => self.commit(branch).await?,
        };
        Ok(report)
    }

    pub(super) async fn commit(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        self.live.ended(branch).await;
        let mut held = self.pool.take().await?;
        let session = held.session();
        let commit = format!("XA COMMIT {}", xid::name(branch));
        let mut natively = self.finish_natively(branch, &commit).await;
        let report = loop {
            let finished = match natively.take() {
                Some(finished) => finished,
                None => finish(session, &commit).await?,
            };
            let seen = self.tables.look(session, branch).await?;
            if let Some(outcome) = seen.row {
                break Report::Did(outcome);
            }
            if self.is_listed(session, branch).await? {
                match finished {
                    Finished::Done | Finished::RolledBack => {
                        let untrue = "the server says that it has ended, and lists it as prepared";
                        return Err(ParticipantError::unknown(untrue));
                    }
                    Finished::NotFound => sleep(OWNED).await,
                }
                continue;
            }
            let seen = self.tables.look(session, branch).await?;
            break match (seen.row, finished) {
                (Some(outcome), _) => Report::Did(outcome),
                (None, Finished::Done | Finished::NotFound) if seen.over => COMMITTED,
                (None, _) => Report::Missing,
            };
        };
        held.give_back();
        Ok(report)
    }

    /// Ends a branch on the connection on which it was prepared, if that is here.
    async fn finish_natively(&self, branch: BranchId, sql: &str) -> Option<Finished> {
        let mut owner = self.live.take_prepared(branch)?;
        let finished = finish(&mut owner, sql).await;
        // Whatever it said: from here on, the branch is anybody's.
        owner.close().await;
        finished.ok()
    }

    /// Of a branch that is not prepared: it may have been a moment ago.
    async fn look_again(
        &self,
        session: &mut Session,
        branch: BranchId,
    ) -> Result<Report, ParticipantError> {
        let seen = self.tables.look(session, branch).await?;
        Ok(seen.row.map_or(Report::Missing, Report::Did))
    }

    pub(super) async fn abort(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        let (local, _ending) = self.live.end(branch).await;
        if let Local::Works(session) = local {
            roll_back(session, branch).await;
        }
        self.exclude(branch).await
    }

    /// Rolls a branch back if it is prepared, and leaves a tombstone.
    async fn exclude(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        let mut held = self.pool.take().await?;
        let session = held.session();
        let rollback = format!("XA ROLLBACK {}", xid::name(branch));
        self.finish_natively(branch, &rollback).await;
        let report = loop {
            if self.is_listed(session, branch).await?
                && let Finished::NotFound = finish(session, &rollback).await?
            {
                sleep(OWNED).await;
                continue;
            }
            match self.tables.bury(session, branch, true).await? {
                Tombstone::Stands | Tombstone::Over => break Report::Did(Outcome::Aborted),
                Tombstone::Busy => {}
                Tombstone::Taken => {
                    // Gone, it was forgotten since.
                    if let Some(outcome) = self.tables.look(session, branch).await?.row {
                        break Report::Did(outcome);
                    }
                }
            }
        };
        held.give_back();
        Ok(report)
    }

    pub(super) async fn settle(&self, branch: BranchId) -> Result<Report, ParticipantError> {
        let (local, _ending) = self.live.end(branch).await;
        let ended = match local {
            Local::Works(session) => {
                roll_back(session, branch).await;
                true
            }
            Local::Busy => true,
            Local::Nothing => false,
        };
        let mut held = self.pool.take().await?;
        let session = held.session();
        let report = loop {
            if let Some(outcome) = self.tables.look(session, branch).await?.row {
                break Report::Did(outcome);
            }
            if self.is_listed(session, branch).await? {
                break Report::Prepared;
            }
            match self.tables.bury(session, branch, true).await? {
                Tombstone::Stands => break Report::Did(Outcome::Aborted),
                Tombstone::Over if ended => break Report::Did(Outcome::Aborted),
                Tombstone::Over => break Report::Unknown,
                Tombstone::Taken | Tombstone::Busy => {}
            }
        };
        held.give_back();
        Ok(report)
    }

    pub(super) async fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> Result<Vec<BranchId>, ParticipantError> {
        let mut held = self.pool.take().await?;
        let mut listed = listed(held.session()).await?;
        held.give_back();
        listed.retain(|branch| {
            let id = branch.transaction();
            id.coordinator() == coordinator && id.epoch() < before
        });
        Ok(listed)
    }

    /// Whether it is prepared, its connection's or nobody's.
    pub(super) async fn is_listed(
        &self,
        session: &mut Session,
        branch: BranchId,
    ) -> Result<bool, MysqlError> {
        Ok(listed(session).await?.contains(&branch))
    }
}

/// The prepared branches of the server whose names are as ours are.
async fn listed(session: &mut Session) -> Result<Vec<BranchId>, MysqlError> {
    let rows = session.rows::<xid::Listed>("XA RECOVER").await?;
    Ok(rows.into_iter().filter_map(xid::read).collect())
}

async fn finish(session: &mut Session, sql: &str) -> Result<Finished, MysqlError> {
    match session.run(sql).await {
        Ok(()) => Ok(Finished::Done),
        Err(error) if error.is(NO_SUCH_BRANCH) => Ok(Finished::NotFound),
        Err(error) if error.is_rolled_back() => Ok(Finished::RolledBack),
        Err(error) => Err(error),
    }
}
