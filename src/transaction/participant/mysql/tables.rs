//! The rows that prove what a branch did, and the fence of each coordinator.

use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::participant::{Opening, Outcome, ParticipantOpenError};

use super::failure::{DUPLICATE_KEY, MysqlError};
use super::fence::{FenceRow, Fences, is_below};
use super::way::Session;
use super::xid;

/// Our tables.
pub(super) struct Tables {
    outcome: String,
    fence: Fences,
}

/// What is to be seen of a branch that nobody is at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) row: Option<Outcome>,
    /// Its transaction is below the watermark.
    pub(super) over: bool,
    /// Its coordinator was opened in a later epoch.
    pub(super) fenced: bool,
}

/// What became of a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tombstone {
    /// The place was free, nobody was at it, and the tombstone stands, if it was to.
    Stands,
    /// The place was free, and the watermark keeps writers out.
    Over,
    /// There is a row.
    Taken,
    /// Somebody is at it, for longer than we waited.
    Busy,
}

/// What the fence says to a one-phase commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fence {
    Open,
    /// Its coordinator was opened in a later epoch, or its transaction is over.
    Shut,
}

/// An outcome, and a fence row.
type Seen = (Option<u8>, Option<u64>, Option<u64>, Option<u64>);

impl Tables {
    pub(super) fn new(database: &str) -> Self {
        Self {
            outcome: format!("`{database}`.participant_outcome"),
            fence: Fences::new(format!("`{database}`.participant_fence")),
        }
    }

    /// Looks at what is committed, by one statement: a row goes only after the watermark has risen.
    pub(super) async fn look(
        &self,
        session: &mut Session,
        branch: BranchId,
    ) -> Result<Sight, MysqlError> {
        let Self { outcome, fence } = self;
        let id = branch.transaction();
        let coordinator = xid::literal(id.coordinator());
        let sql = format!(
            "SELECT o.outcome, f.epoch, f.watermark_epoch, f.watermark_sequence
            FROM (SELECT 1 AS one) AS one
            LEFT JOIN {outcome} AS o ON o.coordinator = {coordinator}
                AND o.epoch = {} AND o.sequence = {} AND o.number = {}
            LEFT JOIN {fence} AS f ON f.coordinator = {coordinator}",
            id.epoch().as_u64(),
            id.sequence(),
            branch.number(),
        );
        let rows = session.rows::<Seen>(&sql).await?;
        let [(row, seen, epoch, sequence)] = rows.as_slice() else {
            return Err(MysqlError::garbled("not one row"));
        };
        let over = is_below(branch, epoch.unwrap_or(0), sequence.unwrap_or(0));
        let fenced = seen.is_some_and(|seen| id.epoch().as_u64() < seen);
        let row = row.map(outcome_of).transpose()?;
        Ok(Sight { row, over, fenced })
    }

    /// Writes the outcome row of a branch that is to commit, in its own transaction.
    pub(super) async fn mark(
        &self,
        session: &mut Session,
        branch: BranchId,
    ) -> Result<(), MysqlError> {
        // Nothing is committed by itself, should the user's code have ended the branch. While it
        // works this is so, and cannot be changed.
        let insert = self.insert(branch, Outcome::Committed);
        session.run(&format!("SET autocommit = 0; {insert}")).await
    }

    /// Puts a tombstone in a branch's place, or, if it is not to be kept, only waits until the
    /// place is free.
    pub(super) async fn bury(
        &self,
        session: &mut Session,
        branch: BranchId,
        keep: bool,
    ) -> Result<Tombstone, MysqlError> {
        session.run("START TRANSACTION").await?;
        let insert = self.insert(branch, Outcome::Aborted);
        let found = match session.run(&insert).await {
            Ok(()) => {
                // Seen after the row was written: whoever comes later sees either.
                let coordinator = branch.transaction().coordinator();
                let fence = self.fence(session, coordinator, "").await?;
                let (_, epoch, sequence) = fence.unwrap_or_default();
                if is_below(branch, epoch, sequence) {
                    Tombstone::Over
                } else {
                    Tombstone::Stands
                }
            }
            Err(error) if error.is(DUPLICATE_KEY) => Tombstone::Taken,
            Err(error) if error.is_of_a_lock() => Tombstone::Busy,
            Err(error) => return Err(error),
        };
        let kept = keep && found == Tombstone::Stands;
        session
            .run(if kept { "COMMIT" } else { "ROLLBACK" })
            .await?;
        Ok(found)
    }

    /// Holds the fence where it is until the session's transaction ends, and says how it stands.
    pub(super) async fn hold_fence(
        &self,
        session: &mut Session,
        branch: BranchId,
    ) -> Result<Fence, MysqlError> {
        let lock = "LOCK IN SHARE MODE";
        let id = branch.transaction();
        let fence = self.fence(session, id.coordinator(), lock).await?;
        let (seen, epoch, sequence) = fence.unwrap_or_default();
        if id.epoch().as_u64() < seen || is_below(branch, epoch, sequence) {
            return Ok(Fence::Shut);
        }
        Ok(Fence::Open)
    }

    async fn fence(
        &self,
        session: &mut Session,
        coordinator: CoordinatorId,
        lock: &str,
    ) -> Result<Option<FenceRow>, MysqlError> {
        self.fence.row(session, coordinator, lock).await
    }

    pub(super) async fn open(
        &self,
        session: &mut Session,
        opening: Opening,
    ) -> Result<(), ParticipantOpenError> {
        self.fence.open(session, opening).await
    }

    /// Raises the watermark, and drops what is settled below it.
    pub(super) async fn forget(
        &self,
        session: &mut Session,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), MysqlError> {
        let all = (&*self.outcome, "TRUE");
        self.fence
            .forget(session, coordinator, watermark, all)
            .await
    }

    /// Tries, without a trace, what a coordinator needs to be allowed.
    pub(super) async fn try_rights(&self, session: &mut Session) -> Result<(), MysqlError> {
        let row = ("outcome", "1");
        self.fence.try_rights(session, &self.outcome, row).await?;
        session.rows::<xid::Listed>("XA RECOVER").await.map(drop)
    }

    fn insert(&self, branch: BranchId, outcome: Outcome) -> String {
        let outcome = match outcome {
            Outcome::Committed => COMMITTED,
            Outcome::Aborted => ABORTED,
        };
        format!(
            "INSERT INTO {} (coordinator, epoch, sequence, number, outcome) VALUES ({}, {outcome})",
            self.outcome,
            xid::values(branch)
        )
    }
}

const COMMITTED: u8 = 1;
const ABORTED: u8 = 2;

fn outcome_of(written: u8) -> Result<Outcome, MysqlError> {
    match written {
        COMMITTED => Ok(Outcome::Committed),
        ABORTED => Ok(Outcome::Aborted),
        _ => Err(MysqlError::garbled("no such outcome")),
    }
}
