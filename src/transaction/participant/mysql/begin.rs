//! How a branch begins, and how it is prepared.

use std::sync::Arc;

use crate::transaction::id::BranchId;
use crate::transaction::participant::{ParticipantError, Settled, Vote};

use super::Inner;
use super::branch::MysqlBranch;
use super::failure::{DUPLICATE_BRANCH, DUPLICATE_KEY, MysqlError};
use super::live::Local;
use super::tables::Tombstone;
use super::way::Session;
use super::xid;

impl Inner {
    pub(super) async fn work(&self, branch: BranchId) -> Result<MysqlBranch, ParticipantError> {
        let settled = || ParticipantError::refused(Settled(branch));
        let mut session = self.way.branch().await?;
        // It is committed at once, for what it read would stay as it was.
        let seen = self.tables.look(&mut session, branch).await?;
        session.run("COMMIT").await?;
        if seen.row.is_some() || seen.over || seen.fenced {
            session.close().await;
            return Err(settled());
        }
        match session
            .run(&format!("XA START {}", xid::name(branch)))
            .await
        {
            Ok(()) => {}
            Err(error) if error.is(DUPLICATE_BRANCH) => return Err(settled()),
            Err(error) => return Err(error.into()),
        }
        let slot = self.live.insert(branch, session).ok_or_else(settled)?;
        let limit = self
            .way
            .limits()
            .statement
            .saturating_add(self.pool.answer_limit());
        Ok(MysqlBranch::new(Arc::clone(&slot), limit))
    }

    pub(super) async fn prepare(&self, branch: BranchId) -> Result<Vote, ParticipantError> {
        let (local, _ending) = self.live.end(branch).await;
        match local {
            Local::Works(session) => self.vote(branch, session).await,
            Local::Busy => Ok(Vote::No("a statement of it is under way".into())),
            Local::Nothing => self.vote_again(branch).await,
        }
    }

    async fn vote(&self, branch: BranchId, mut session: Session) -> Result<Vote, ParticipantError> {
        // Nobody else can prepare it: until that is asked for, no is definite.
        if let Err(why) = self.promise(branch, &mut session).await {
            roll_back(session, branch).await;
            return Ok(Vote::No(why.into()));
        }
        let prepare = format!("XA PREPARE {}", xid::name(branch));
        match session.run(&prepare).await {
            Ok(()) => {
                self.live.keep(branch, session);
                Ok(Vote::Prepared)
            }
            Err(error) if error.is_unprepared() => {
                roll_back(session, branch).await;
                Ok(Vote::No(error.to_string().into()))
            }
            Err(error) => Err(ParticipantError::unknown(error)),
        }
    }

    /// Writes the outcome row, and ends the work; or says why not.
    async fn promise(&self, branch: BranchId, session: &mut Session) -> Result<(), String> {
        let said = |error: MysqlError| {
            if error.is(DUPLICATE_KEY) {
                "it is settled".to_owned()
            } else {
                error.to_string()
            }
        };
        self.tables.mark(session, branch).await.map_err(said)?;
        // Seen after the row was written, and from outside of the branch, which may be reading what
        // was there when it began.
        let mut held = self.pool.take().await.map_err(said)?;
        let seen = self.tables.look(held.session(), branch).await;
        let seen = seen.map_err(said)?;
        held.give_back();
        if seen.over {
            return Err("its transaction is over".into());
        }
        let end = format!("XA END {}", xid::name(branch));
        session.run(&end).await.map_err(said)
    }

    /// Of a branch that does not work here.
    async fn vote_again(&self, branch: BranchId) -> Result<Vote, ParticipantError> {
        let mut held = self.pool.take().await?;
        let vote = loop {
            let session = held.session();
            if self.is_listed(session, branch).await? {
                break Vote::Prepared;
            }
            match self.tables.bury(session, branch, false).await? {
                Tombstone::Taken => break Vote::No("it is settled".into()),
                Tombstone::Stands | Tombstone::Over => {
                    break Vote::No("there is no such branch".into());
                }
                Tombstone::Busy => {}
            }
        };
        held.give_back();
        Ok(vote)
    }
}

/// Ends a branch that works, for its locks' sake: without that the server would find out too, but
/// later. Nothing depends on it.
pub(super) async fn roll_back(mut session: Session, branch: BranchId) {
    let name = xid::name(branch);
    // It may have ended already, or be beyond that.
    let _ = session.run(&format!("XA END {name}")).await;
    let _ = session.run(&format!("XA ROLLBACK {name}")).await;
    session.close().await;
}
