//! What is asked about branches by connections that no branch works on.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use crate::postgres::Pool;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::participant::{Opening, Outcome};

use super::failure::Trouble;
use super::link::Link;
use super::text;

/// How many rows are dropped in one transaction: some milliseconds' worth.
const FORGOTTEN_TOGETHER: u32 = 1000;

/// How often that is done in one call, so that it ends by itself. What is left goes in the next
/// call.
const FORGOTTEN_TIMES: u32 = 100;

/// How often, and how soon, one is looked at again that another session is just ending: a second
/// in all, and mostly a few milliseconds.
const BUSY_TRIES_MAX: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The rows of the participant.
#[derive(Clone)]
pub(super) struct Store(Pool);

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
        Self(pool)
    }

    /// Answers the epoch that makes it a stale one, if it is.
    pub(super) async fn open(&self, opening: Opening) -> Result<Option<Epoch>, Trouble> {
        let id = text::coordinator(opening.coordinator());
        let epoch = text::bytes(&opening.epoch().as_u64().to_be_bytes());
        let nonce = text::bytes(&opening.nonce().to_be_bytes());
        let open = format!("tripod.open_coordinator({id}, {epoch}, {nonce})");
        let Some(seen) = self.one(&open).await? else {
            return Ok(None);
        };
        let seen = u64::from_str_radix(&seen, 16).ok().and_then(Epoch::new);
        seen.map(Some).ok_or_else(Trouble::garbled)
    }

    pub(super) async fn read(&self, branch: BranchId) -> Result<Known, Trouble> {
        let arguments = text::arguments(branch);
        known(
            self.one(&format!("tripod.read_branch({arguments})"))
                .await?
                .as_deref(),
        )
    }

    /// Leaves a tombstone where there is no row and nothing is prepared, and answers what is there. It waits for a writer
    /// in flight: none, if that takes too long.
    pub(super) async fn exclude(&self, branch: BranchId) -> Result<Option<Known>, Trouble> {
        let arguments = text::arguments(branch);
        let exclude = format!("tripod.exclude_branch({arguments})");
        match self.one(&exclude).await {
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
        Ok(self.one(call).await?.as_deref() == Some("t"))
    }

    /// Which server, database and role these connections are of.
    pub(super) async fn home(&self) -> Result<String, Trouble> {
        self.one("tripod.home()")
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
        let link = Link::new(&self.0).await?;
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
        let names = self.all(&names).await?.into_iter().flatten();
        // Whatever others have prepared under names like ours is theirs.
        Ok(names.filter_map(|name| text::branch(&name)).collect())
    }

    pub(super) async fn forget(
        &self,
        id: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), Trouble> {
        let (id, at) = (text::coordinator(id), text::position(watermark));
        self.one(&format!("tripod.raise_watermark({id}, {at})"))
            .await?;
        let forget = format!("tripod.forget_branches({id}, {FORGOTTEN_TOGETHER})");
        for _ in 0..FORGOTTEN_TIMES {
            let rows = self.one(&forget).await?;
            let rows: u32 = rows
                .and_then(|rows| rows.parse().ok())
                .ok_or_else(Trouble::garbled)?;
            if rows < FORGOTTEN_TOGETHER {
                break;
            }
        }
        Ok(())
    }

    /// What a function answers.
    async fn one(&self, call: &str) -> Result<Option<String>, Trouble> {
        let cells = self.all(&format!("SELECT {call}")).await?;
        cells.into_iter().next().ok_or_else(Trouble::garbled)
    }

    /// The rows of a statement, which is a transaction of its own.
    async fn all(&self, statement: &str) -> Result<Vec<Option<String>>, Trouble> {
        let link = Link::new(&self.0).await?;
        // Whatever the role's defaults are. A connection on which this fails is closed: it is in
        // the middle of the transaction.
        let whole = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {statement}; COMMIT");
        let (cells, _) = link.ask(&whole).await?;
        link.give_back();
        Ok(cells)
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
