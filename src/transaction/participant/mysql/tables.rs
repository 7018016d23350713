//! The rows that prove what a branch did, and the fence of each coordinator.

use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::participant::{Opening, Outcome, ParticipantOpenError, StaleLog};

use super::failure::{DUPLICATE_KEY, MysqlError};
use super::way::Session;
use super::xid;

/// As many rows go in one transaction: few enough to be named one by one.
const FORGOTTEN_TOGETHER: usize = 250;

/// As many such transactions in one call. What is left goes with the next.
const FORGOTTEN_ROUNDS: u32 = 200;

/// Our tables.
pub(super) struct Tables {
    outcome: String,
    fence: String,
}

/// What is to be seen of a branch that nobody is at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) row: Option<Outcome>,
    /// Its transaction is below the watermark.
    pub(super) over: bool,
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

type FenceRow = (u64, u64, u64);

/// Epoch, sequence and number.
type RowKey = (u64, u64, u16);

impl Tables {
    pub(super) fn new(database: &str) -> Self {
        Self {
            outcome: format!("`{database}`.participant_outcome"),
            fence: format!("`{database}`.participant_fence"),
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
        let [(row, _, epoch, sequence)] = rows.as_slice() else {
            return Err(MysqlError::garbled("not one row"));
        };
        let over = is_below(branch, epoch.unwrap_or(0), sequence.unwrap_or(0));
        let row = row.map(outcome_of).transpose()?;
        Ok(Sight { row, over })
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
        let coordinator = xid::literal(coordinator);
        let sql = format!(
            "SELECT epoch, watermark_epoch, watermark_sequence FROM {}
            WHERE coordinator = {coordinator} {lock}",
            self.fence
        );
        let rows = session.rows::<FenceRow>(&sql).await?;
        Ok(rows.first().copied())
    }

    /// Raises the fence, in one transaction. Whoever commits in one phase is waited for.
    pub(super) async fn open(
        &self,
        session: &mut Session,
        opening: Opening,
    ) -> Result<(), ParticipantOpenError> {
        let fence = &self.fence;
        let coordinator = xid::literal(opening.coordinator());
        let (epoch, nonce) = (opening.epoch().as_u64(), opening.nonce());
        session.run("START TRANSACTION").await?;
        // Whether it was there or not, it is ours from here on.
        let sql = format!(
            "INSERT INTO {fence} (coordinator, epoch, opening)
            VALUES ({coordinator}, {epoch}, X'{nonce:032x}')
            ON DUPLICATE KEY UPDATE epoch = epoch"
        );
        session.run(&sql).await?;
        let sql = format!(
            "SELECT epoch, opening FROM {fence} WHERE coordinator = {coordinator} FOR UPDATE"
        );
        let rows = session.rows::<(u64, Vec<u8>)>(&sql).await?;
        let garbled = || MysqlError::garbled("the fence is not as it was written");
        let [(seen, known)] = rows.as_slice() else {
            return Err(garbled().into());
        };
        let seen = Epoch::new(*seen).ok_or_else(garbled)?;
        if opening.epoch() < seen || opening.epoch() == seen && *known != nonce.to_be_bytes() {
            session.run("ROLLBACK").await?;
            return Err(ParticipantOpenError::Stale(StaleLog {
                coordinator: opening.coordinator(),
                seen,
                opened: opening.epoch(),
            }));
        }
        let sql = format!(
            "UPDATE {fence} SET epoch = {epoch}, opening = X'{nonce:032x}'
            WHERE coordinator = {coordinator}"
        );
        session.run(&sql).await?;
        Ok(session.run("COMMIT").await?)
    }

    /// Raises the watermark, and drops what is settled below it.
    pub(super) async fn forget(
        &self,
        session: &mut Session,
        coordinator: CoordinatorId,
        (epoch, sequence): (Epoch, u64),
    ) -> Result<(), MysqlError> {
        let Self { outcome, fence } = self;
        if self.fence(session, coordinator, "").await?.is_none() {
            return Ok(());
        }
        let coordinator = xid::literal(coordinator);
        let epoch = epoch.as_u64();
        let sql = format!(
            "UPDATE {fence} SET watermark_sequence = {sequence}, watermark_epoch = {epoch}
            WHERE coordinator = {coordinator} AND (watermark_epoch < {epoch}
                OR watermark_epoch = {epoch} AND watermark_sequence < {sequence})"
        );
        session.run(&sql).await?;
        // What is read without a lock is committed, so no prepared branch is waited for.
        let old = format!(
            "SELECT epoch, sequence, number FROM {outcome} WHERE coordinator = {coordinator}
                AND (epoch < {epoch} OR epoch = {epoch} AND sequence < {sequence})
            ORDER BY coordinator, epoch, sequence, number LIMIT {FORGOTTEN_TOGETHER}"
        );
        for _ in 0..FORGOTTEN_ROUNDS {
            let keys = session.rows::<RowKey>(&old).await?;
            if keys.is_empty() {
                break;
            }
            session.run(&self.drop_rows(&coordinator, &keys)).await?;
        }
        Ok(())
    }

    /// Each row is found by its key, in this order: one that searched would wait for whatever row it
    /// passes.
    fn drop_rows(&self, coordinator: &str, keys: &[RowKey]) -> String {
        let keys = keys.iter().map(|(epoch, sequence, number)| {
            format!("SELECT {epoch} AS epoch, {sequence} AS sequence, {number} AS number")
        });
        let keys = keys.collect::<Vec<_>>().join(" UNION ALL ");
        format!(
            "DELETE o FROM ({keys}) AS old STRAIGHT_JOIN {} AS o
            ON o.coordinator = {coordinator} AND o.epoch = old.epoch
                AND o.sequence = old.sequence AND o.number = old.number",
            self.outcome
        )
    }

    /// Tries, without a trace, what a coordinator needs to be allowed.
    pub(super) async fn try_rights(&self, session: &mut Session) -> Result<(), MysqlError> {
        let Self { outcome, fence } = self;
        // There is no epoch of 0.
        let key = "coordinator = X'00000000000000000000000000000000' AND epoch = 0";
        session.run("START TRANSACTION").await?;
        for sql in [
            format!("DELETE FROM {outcome} WHERE {key}"),
            format!(
                "INSERT INTO {outcome} (coordinator, epoch, sequence, number, outcome)
                SELECT coordinator, epoch, 0, 0, 1 FROM {fence} WHERE {key}"
            ),
            format!("UPDATE {fence} SET epoch = 0 WHERE {key}"),
        ] {
            session.run(&sql).await?;
        }
        session.run("ROLLBACK").await?;
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

/// No epoch is 0, so a watermark that was never set is below everything.
fn is_below(branch: BranchId, epoch: u64, sequence: u64) -> bool {
    let id = branch.transaction();
    (id.epoch().as_u64(), id.sequence()) < (epoch, sequence)
}
