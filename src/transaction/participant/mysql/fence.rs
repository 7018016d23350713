//! The fence of each coordinator: the latest epoch seen, and the watermark.

use std::fmt;

use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::participant::{Opening, ParticipantOpenError, StaleLog};

use super::failure::MysqlError;
use super::way::Session;
use super::xid;

/// Branches whose rows go in one transaction: few enough to be named one by one.
const FORGOTTEN_TOGETHER: usize = 250;

/// As many such transactions in one call. What is left goes with the next.
const FORGOTTEN_ROUNDS: u32 = 200;

/// A table of fences, by its name with the database's.
pub(in crate::transaction::participant) struct Fences(String);

/// The epoch, and the epoch and sequence of the watermark.
pub(in crate::transaction::participant) type FenceRow = (u64, u64, u64);

/// Epoch, sequence and number.
pub(in crate::transaction::participant) type RowKey = (u64, u64, u16);

impl Fences {
    pub(in crate::transaction::participant) fn new(table: String) -> Self {
        Self(table)
    }

    /// The statement that reads a row, with this clause.
    pub(in crate::transaction::participant) fn query(
        &self,
        coordinator: CoordinatorId,
        lock: &str,
    ) -> String {
        format!(
            "SELECT epoch, watermark_epoch, watermark_sequence FROM {}
            WHERE coordinator = {} {lock}",
            self.0,
            xid::literal(coordinator)
        )
    }

    pub(in crate::transaction::participant) async fn row(
        &self,
        session: &mut Session,
        coordinator: CoordinatorId,
        lock: &str,
    ) -> Result<Option<FenceRow>, MysqlError> {
        let sql = self.query(coordinator, lock);
        Ok(session.rows::<FenceRow>(&sql).await?.first().copied())
    }

    /// Raises the fence, in one transaction. Whoever commits in one phase is waited for.
    pub(in crate::transaction::participant) async fn open(
        &self,
        session: &mut Session,
        opening: Opening,
    ) -> Result<(), ParticipantOpenError> {
        let fence = &self.0;
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

    /// Raises the watermark, never lowers it, and drops rows of this table below it: of those
    /// branches for whose rows this holds.
    pub(in crate::transaction::participant) async fn forget(
        &self,
        session: &mut Session,
        coordinator: CoordinatorId,
        (epoch, sequence): (Epoch, u64),
        (table, condition): (&str, &str),
    ) -> Result<(), MysqlError> {
        if self.row(session, coordinator, "").await?.is_none() {
            return Ok(());
        }
        let epoch = epoch.as_u64();
        let coordinator = xid::literal(coordinator);
        let sql = format!(
            "UPDATE {} SET watermark_sequence = {sequence}, watermark_epoch = {epoch}
            WHERE coordinator = {coordinator} AND (watermark_epoch < {epoch}
                OR watermark_epoch = {epoch} AND watermark_sequence < {sequence})",
            self.0
        );
        session.run(&sql).await?;
        // What is read without a lock is committed, so no prepared branch is waited for.
        let old = format!(
            "SELECT epoch, sequence, number FROM {table} WHERE coordinator = {coordinator}
                AND (epoch < {epoch} OR epoch = {epoch} AND sequence < {sequence})
                AND {condition}
            ORDER BY coordinator, epoch, sequence, number LIMIT {FORGOTTEN_TOGETHER}"
        );
        for _ in 0..FORGOTTEN_ROUNDS {
            let keys = session.rows::<RowKey>(&old).await?;
            if keys.is_empty() {
                break;
            }
            session.run(&drop_rows(table, &coordinator, &keys)).await?;
        }
        Ok(())
    }

    /// Tries, without a trace, what a coordinator needs to be allowed: also to insert these columns
    /// of this table.
    pub(in crate::transaction::participant) async fn try_rights(
        &self,
        session: &mut Session,
        table: &str,
        (columns, values): (&str, &str),
    ) -> Result<(), MysqlError> {
        // There is no epoch of 0.
        let key = "coordinator = X'00000000000000000000000000000000' AND epoch = 0";
        session.run("START TRANSACTION").await?;
        for sql in [
            format!("DELETE FROM {table} WHERE {key}"),
            format!(
                "INSERT INTO {table} (coordinator, epoch, sequence, number, {columns})
                SELECT coordinator, epoch, 0, 0, {values} FROM {self} WHERE {key}"
            ),
            format!("UPDATE {self} SET epoch = 0 WHERE {key}"),
        ] {
            session.run(&sql).await?;
        }
        session.run("ROLLBACK").await
    }
}

/// Each row is found by its key, in this order: one that searched would wait for whatever row it
/// passes. Of several rows of a branch, the first one is locked first.
fn drop_rows(table: &str, coordinator: &str, keys: &[RowKey]) -> String {
    let keys = keys.iter().map(|(epoch, sequence, number)| {
        format!("SELECT {epoch} AS epoch, {sequence} AS sequence, {number} AS number")
    });
    let keys = keys.collect::<Vec<_>>().join(" UNION ALL ");
    format!(
        "DELETE o FROM ({keys}) AS old STRAIGHT_JOIN {table} AS o
        ON o.coordinator = {coordinator} AND o.epoch = old.epoch
            AND o.sequence = old.sequence AND o.number = old.number"
    )
}

impl fmt::Display for Fences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No epoch is 0, so a watermark that was never set is below everything.
pub(in crate::transaction::participant) fn is_below(
    branch: BranchId,
    epoch: u64,
    sequence: u64,
) -> bool {
    let id = branch.transaction();
    (id.epoch().as_u64(), id.sequence()) < (epoch, sequence)
}
