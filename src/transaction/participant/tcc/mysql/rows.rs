//! What the participant asks about the rows, on connections of its own. Those are at *read
//! committed*, and wait for no lock for more than a second.

use super::super::barrier::{Sight, Standing};
use super::text::{self, BEGUN, ENDED, LOCK, Mark, Text};
use crate::transaction::id::{BranchId, CoordinatorId, Epoch, TransactionId};
use crate::transaction::participant::mysql::failure::{DUPLICATE_KEY, MysqlError};
use crate::transaction::participant::mysql::fence::{RowKey, is_below};
use crate::transaction::participant::mysql::fit::check_server;
use crate::transaction::participant::mysql::migrate::Series;
use crate::transaction::participant::mysql::pool::Pool;
use crate::transaction::participant::mysql::way::Session;
use crate::transaction::participant::mysql::xid;
use crate::transaction::participant::{Opening, ParticipantError, ParticipantOpenError};

/// Beside those of participants, with versions of its own.
pub(super) const TABLES: Series = Series {
    prefix: "tcc",
    versions: &[concat!(
        include_str!("v1.sql"),
        include_str!("../../mysql/fence.sql")
    )],
};

pub(super) struct Rows {
    text: Text,
    database: String,
}

/// All marks of a branch as bits, and its fence row.
type Seen = (u64, Option<u64>, Option<u64>, Option<u64>);

impl Rows {
    pub(super) fn new(database: String) -> Self {
        Self {
            text: Text::new(&database),
            database,
        }
    }

    pub(super) async fn open(
        &self,
        pool: &Pool,
        opening: Opening,
    ) -> Result<(), ParticipantOpenError> {
        let mut held = pool.take().await?;
        let session = held.session();
        check_server(session).await?;
        TABLES.check(session, &self.database).await?;
        let Text { branch, fence } = &self.text;
        let row = ("place, mark, note", "1, 1, ''");
        fence.try_rights(session, branch, row).await?;
        fence.open(session, opening).await?;
        held.give_back();
        Ok(())
    }

    pub(super) async fn look(
        &self,
        pool: &Pool,
        branch: BranchId,
    ) -> Result<Sight, ParticipantError> {
        let mut held = pool.take().await?;
        let sight = self.sight(held.session(), branch).await?;
        held.give_back();
        Ok(sight)
    }

    pub(super) async fn promise(
        &self,
        pool: &Pool,
        branch: BranchId,
    ) -> Result<Sight, ParticipantError> {
        let mut held = pool.take().await?;
        let session = held.session();
        session.run("START TRANSACTION").await?;
        // Whoever forgets it waits.
        let begun = self.text.row(branch, BEGUN, LOCK);
        let begun = session.rows::<(u8, Vec<u8>)>(&begun).await?;
        let tried = begun.first().map(|row| row.0) == Some(Mark::Tried.code());
        if tried {
            self.insert(session, branch, Mark::Promised).await?;
        }
        session.run("COMMIT").await?;
        let sight = self.sight(session, branch).await?;
        held.give_back();
        Ok(sight)
    }

    pub(super) async fn confirm_empty(
        &self,
        pool: &Pool,
        branch: BranchId,
    ) -> Result<Sight, ParticipantError> {
        let mut held = pool.take().await?;
        let session = held.session();
        session.run("START TRANSACTION").await?;
        let id = branch.transaction();
        let fence = self.text.fence.row(session, id.coordinator(), LOCK).await?;
        if self.insert(session, branch, Mark::Never).await? {
            let fenced = fence.is_some_and(|(epoch, ..)| id.epoch().as_u64() < epoch);
            let end = if fenced {
                Mark::Cancelled
            } else {
                Mark::Confirmed
            };
            self.insert(session, branch, end).await?;
        }
        session.run("COMMIT").await?;
        let sight = self.sight(session, branch).await?;
        held.give_back();
        Ok(sight)
    }

    pub(super) async fn in_doubt(
        &self,
        pool: &Pool,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> Result<Vec<BranchId>, ParticipantError> {
        let mut held = pool.take().await?;
        let sql = format!(
            "SELECT epoch, sequence, number FROM {} WHERE coordinator = {} AND epoch < {}
            GROUP BY epoch, sequence, number HAVING BIT_OR(1 << mark) = {}
            ORDER BY epoch, sequence, number",
            self.text.branch,
            xid::literal(coordinator),
            before.as_u64(),
            bit(Mark::Tried) | bit(Mark::Promised)
        );
        let keys = held.session().rows::<RowKey>(&sql).await?;
        held.give_back();
        let branches = keys.into_iter().map(|(epoch, sequence, number)| {
            let epoch = Epoch::new(epoch).ok_or_else(|| MysqlError::garbled("no epoch is 0"))?;
            let transaction = TransactionId::new(coordinator, epoch, sequence);
            Ok(BranchId::new(transaction, number))
        });
        Ok(branches.collect::<Result<_, MysqlError>>()?)
    }

    pub(super) async fn forget(
        &self,
        pool: &Pool,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), ParticipantError> {
        let Text { branch, fence } = &self.text;
        let mut held = pool.take().await?;
        let ended = format!("place = {ENDED}");
        fence
            .forget(held.session(), coordinator, watermark, (branch, &ended))
            .await?;
        held.give_back();
        Ok(())
    }

    /// What is committed, by one statement: rows go only after the watermark has risen.
    async fn sight(&self, session: &mut Session, branch: BranchId) -> Result<Sight, MysqlError> {
        let id = branch.transaction();
        let sql = format!(
            "SELECT (SELECT BIT_OR(1 << mark) FROM {} WHERE {}),
                f.epoch, f.watermark_epoch, f.watermark_sequence
            FROM (SELECT 1 AS one) AS one
            LEFT JOIN {} AS f ON f.coordinator = {}",
            self.text.branch,
            text::of(branch),
            self.text.fence,
            xid::literal(id.coordinator())
        );
        let rows = session.rows::<Seen>(&sql).await?;
        let [(marks, seen, epoch, sequence)] = rows.as_slice() else {
            return Err(MysqlError::garbled("not one row"));
        };
        Ok(Sight {
            standing: standing(*marks),
            is_over: is_below(branch, epoch.unwrap_or(0), sequence.unwrap_or(0)),
            is_fenced: seen.is_some_and(|seen| id.epoch().as_u64() < seen),
        })
    }

    /// Answers whether the row was not there.
    async fn insert(
        &self,
        session: &mut Session,
        branch: BranchId,
        mark: Mark,
    ) -> Result<bool, MysqlError> {
        match session.run(&self.text.insert(branch, mark, &[])).await {
            Ok(()) => Ok(true),
            Err(error) if error.is(DUPLICATE_KEY) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn bit(mark: Mark) -> u64 {
    1 << mark.code()
}

fn standing(marks: u64) -> Standing {
    let has = |mark| marks & bit(mark) != 0;
    if has(Mark::Confirmed) {
        Standing::Confirmed
    } else if has(Mark::Cancelled) {
        Standing::Cancelled
    } else if has(Mark::Tried) && has(Mark::Promised) {
        Standing::Prepared
    } else if has(Mark::Tried) {
        Standing::Tried
    } else {
        Standing::Nothing
    }
}
