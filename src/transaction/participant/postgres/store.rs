//! What is asked about branches by connections that no branch works on.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use crate::postgres::Pool;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::participant::{Opening, Outcome, ParticipantOpenError};

use super::calls::Calls;
use super::failure::Trouble;
use super::schema::{MIGRATE, SCHEMA};
use super::text;

/// How many rows are dropped in one transaction: some milliseconds' worth.
const FORGOTTEN_TOGETHER: u32 = 1000;

/// How often, and how soon, one is looked at again that another session is just ending: a second
/// in all, and mostly a few milliseconds.
const BUSY_TRIES_MAX: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The rows of the participant.
#[derive(Clone)]
pub(super) struct Store(Calls);

/// What is known of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Did(Outcome),
    Prepared,
    /// No row, and its transaction is below the watermark.
    Over,
    /// No row, and its coordinator was opened in a later epoch.
    Fenced,
    Nothing,
}

/// What came of asking for the end of a prepared branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    Done,
    /// None is prepared under its name.
    NotThere,
}

impl Store {
    pub(super) fn new(pool: Pool) -> Self {
        Self(Calls::new(pool))
    }

    pub(super) async fn open(&self, opening: Opening) -> Result<(), ParticipantOpenError> {
        self.0.check(&SCHEMA, "misfits", MIGRATE).await?;
        self.0.open("open_coordinator", opening).await
    }

    pub(super) async fn read(&self, branch: BranchId) -> Result<Known, Trouble> {
        let arguments = text::arguments(branch);
        known(
            self.0
                .one(&format!("tripod.read_branch({arguments})"))
                .await?
                .as_deref(),
        )
    }

    /// Leaves a tombstone where there is no row and nothing is prepared, and answers what is there. It waits for a writer
    /// in flight: none, if that takes too long.
    pub(super) async fn exclude(&self, branch: BranchId) -> Result<Option<Known>, Trouble> {
        let arguments = text::arguments(branch);
        let exclude = format!("tripod.exclude_branch({arguments})");
        match self.0.one(&exclude).await {
            Err(busy) if busy.is(&SqlState::LOCK_NOT_AVAILABLE) => Ok(None),
            excluded => known(excluded?.as_deref()).map(Some),
        }
    }

    /// Whether its transaction is below the watermark.
    pub(super) async fn is_over(&self, branch: BranchId) -> Result<bool, Trouble> {
        let (coordinator, at) = text::place(branch);
        self.is(&format!("tripod.is_over({coordinator}, {at})"))
            .await
    }

    /// Whether its coordinator was opened in a later epoch.
    pub(super) async fn is_fenced(&self, branch: BranchId) -> Result<bool, Trouble> {
        let (coordinator, at) = text::place(branch);
        self.is(&format!("tripod.is_fenced({coordinator}, {at})"))
            .await
    }

    async fn is(&self, call: &str) -> Result<bool, Trouble> {
        Ok(self.0.one(call).await?.as_deref() == Some("t"))
    }

    /// Which server, database and role these connections are of.
    pub(super) async fn home(&self) -> Result<String, Trouble> {
        self.0
            .one("tripod.home()")
            .await?
            .ok_or_else(Trouble::garbled)
    }

    /// Commits a prepared branch, or rolls it back. Any error leaves that open, but refusals.
    pub(super) async fn finish(
        &self,
        branch: BranchId,
        outcome: Outcome,
    ) -> Result<Finished, Trouble> {
        let verb = match outcome {
            Outcome::Committed => "COMMIT PREPARED",
            Outcome::Aborted => "ROLLBACK PREPARED",
        };
        let link = self.0.link().await?;
        let finish = format!("{verb} '{}'", text::gid(branch));
        let mut tries = 0;
        loop {
            // Outside of a transaction: the server wants it so.
            match link.ask(&finish).await {
                Ok(_) => {
                    link.give_back();
                    return Ok(Finished::Done);
                }
                Err(unknown) if unknown.is(&SqlState::UNDEFINED_OBJECT) => {
                    link.give_back();
                    return Ok(Finished::NotThere);
                }
                Err(busy) if is_busy(&busy) && tries < BUSY_TRIES_MAX => {
                    tries += 1;
                    sleep(BUSY_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) async fn prepared(&self, id: CoordinatorId) -> Result<Vec<BranchId>, Trouble> {
        let prefix = text::prefix(id);
        let names = format!("SELECT * FROM tripod.prepared_branches('{prefix}')");
        let names = self.0.all(&names).await?.into_iter().flatten();
        // Whatever others have prepared under names like ours is theirs.
        Ok(names.filter_map(|name| text::branch(&name)).collect())
    }

    pub(super) async fn forget(
        &self,
        id: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), Trouble> {
        let functions = ("raise_watermark", "forget_branches");
        let forgotten = self.0.forget(functions, FORGOTTEN_TOGETHER, id, watermark);
        forgotten.await
    }
}

/// Another session is just ending it.
fn is_busy(trouble: &Trouble) -> bool {
    trouble.is(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
}

fn known(word: Option<&str>) -> Result<Known, Trouble> {
    match word {
        Some("committed") => Ok(Known::Did(Outcome::Committed)),
        Some("prepared") => Ok(Known::Prepared),
        Some("aborted") => Ok(Known::Did(Outcome::Aborted)),
        Some("over") => Ok(Known::Over),
        Some("fenced") => Ok(Known::Fenced),
        Some("nothing") => Ok(Known::Nothing),
        Some(_) | None => Err(Trouble::garbled()),
    }
}
