//! A barrier on `MariaDB` and `MySQL`.

mod connect;
mod pass;
mod rows;
mod text;

use std::fmt;
use std::sync::Arc;

use mysql_async::Transaction;

use super::super::{Opening, ParticipantError, ParticipantOpenError};
use super::barrier::{Barrier, BarrierError, Entry, Sight, check_note, check_repeat};
use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;
use crate::transaction::participant::mysql::pool::Pool;
use rows::Rows;
use text::Text;

pub use crate::transaction::participant::mysql::MigrateMysql as MigrateMysqlBarrier;
pub use connect::ConnectMysqlBarrier;

/// A barrier on a `MariaDB` server, 10.5.2 or later, or a `MySQL` server, 8.0 or later. Cheap to
/// clone: clones share connections.
///
/// ```no_run
/// use mysql_async::TxOpts;
/// use mysql_async::prelude::Queryable;
/// use tripod::transaction::BranchId;
/// use tripod::transaction::participant::tcc::MysqlBarrier;
///
/// # async fn run(branch: BranchId) -> Result<(), Box<dyn std::error::Error>> {
/// let url = "mysql://hall:secret@db.example/hall";
/// MysqlBarrier::migrate(url).await?;
/// let barrier = MysqlBarrier::connect(url).await?;
///
/// let mut connection = mysql_async::Conn::from_url(url).await?;
/// let mut transaction = connection.start_transaction(TxOpts::default()).await?;
/// if barrier.try_(&mut transaction, branch, b"row 7").await?.first().is_some() {
///     let hold = "UPDATE seat SET held = 1 WHERE name = 'row 7' AND held = 0";
///     transaction.query_drop(hold).await?;
///     assert_eq!(transaction.affected_rows(), 1);
/// }
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// # In your transaction
///
/// The tables are in a database of their own, on the server of yours, so one transaction spans
/// both; yours are to be `InnoDB` tables too. Let the verb be the first of the transaction's
/// statements, and commit whatever it lets you do together with it. Any level of isolation will do:
/// what an effect depends on is inserted, or read by a lock, which sees the present under
/// *repeatable read* too. Of two at a time one waits for the other, for as long as your
/// `innodb_lock_wait_timeout` allows.
///
/// After a deadlock (1213), and after a time-out (1205) where the server has
/// `innodb_rollback_on_timeout`, nothing is left of the transaction, *and the connection commits
/// each further statement by itself*. So give up on any error, of the barrier or of your own
/// statements; dropping the transaction does. Statements that commit by themselves, such as
/// `CREATE TABLE`, part the effect from its row: keep them out.
///
/// # Privileges
///
/// The user that migrates needs `CREATE`, `SELECT` and `INSERT` on the database of the tables, once.
/// Whoever passes the barrier, and the participant, need
///
/// ```sql
/// GRANT SELECT ON tripod.tcc_migration TO hall;
/// GRANT SELECT, INSERT, DELETE ON tripod.tcc_branch TO hall;
/// GRANT SELECT, INSERT, UPDATE ON tripod.tcc_fence TO hall;
/// ```
///
/// A user that passes the barrier and is not the participant's does with `SELECT` on `tcc_fence`,
/// and without `tcc_migration`.
///
/// # What it does not give
///
/// - A transaction that stays open after its try or one-phase confirm keeps the participant from
///   raising the coordinator's watermark and epoch: those wait for a second, and come again.
///   Meanwhile tries of that coordinator wait with them.
/// - `innodb_flush_log_at_trx_commit` must be 1, and is looked at; Galera clusters and
///   `binlog_format=STATEMENT` are refused. `MySQL` was not tried, only `MariaDB` 10.11.
#[derive(Clone)]
pub struct MysqlBarrier(Arc<Inner>);

struct Inner {
    text: Text,
    rows: Rows,
    pool: Pool,
}

impl MysqlBarrier {
    /// Connects to the server of this URL, `mysql://user:password@host:port/database`. Await what it
    /// returns.
    ///
    /// # Errors
    /// [`ParticipantOpenError::Unfit`] if the URL is wrong. Whether the server is reached, and its
    /// tables are there, is found by [`open`](Barrier::open).
    ///
    /// # Cancel safety
    /// Safe: nothing is stored.
    pub fn connect(url: impl Into<String>) -> ConnectMysqlBarrier {
        ConnectMysqlBarrier::new(url.into())
    }

    /// Creates the tables of a barrier on the server of this URL, or brings them to the version that
    /// this program needs; does nothing if they are. Several may do so at a time. Await what it
    /// returns. Within a minute it ends.
    ///
    /// # Errors
    /// *Unfit* if they are newer than this program, the server will not do, or the user may not
    /// create them. *Unknown*: it may be done; do it again.
    ///
    /// # Cancel safety
    /// Safe: what was not done, the next one does.
    pub fn migrate(url: impl Into<String>) -> MigrateMysqlBarrier {
        MigrateMysqlBarrier::new(url.into(), &rows::TABLES)
    }

    /// Lets a try through, which leaves a note for whoever confirms or cancels it: at most
    /// [`NOTE_MAX`](super::NOTE_MAX) bytes. A repeat gets the note.
    ///
    /// # Errors
    /// [`BarrierError::Cancelled`], [`BarrierError::Over`] or [`BarrierError::Fenced`] for a late
    /// one; [`BarrierError::Different`] for one that was made before with another note;
    /// [`BarrierError::NoteTooLong`]; [`BarrierError::Database`]. Roll back.
    ///
    /// # Cancel safety
    /// Of all verbs: dropped, the transaction is to be rolled back, which dropping it does.
    pub async fn try_(
        &self,
        transaction: &mut Transaction<'_>,
        branch: BranchId,
        note: &[u8],
    ) -> Result<Entry, BarrierError> {
        check_note(note)?;
        let entry = pass::tries(&self.0.text, transaction, branch, note).await?;
        check_repeat(entry, branch, note)
    }

    /// Lets a confirm through.
    ///
    /// # Errors
    /// [`BarrierError::Cancelled`]; [`BarrierError::NotTried`]; [`BarrierError::Fenced`] of one
    /// that is not prepared; [`BarrierError::Database`]. Roll back.
    pub async fn confirm(
        &self,
        transaction: &mut Transaction<'_>,
        branch: BranchId,
    ) -> Result<Entry, BarrierError> {
        pass::confirms(&self.0.text, transaction, branch).await
    }

    /// Lets a cancel through. Of a branch that was not tried, it is [empty](Entry::Empty).
    ///
    /// # Errors
    /// [`BarrierError::Confirmed`]; [`BarrierError::Database`]. Roll back.
    pub async fn cancel(
        &self,
        transaction: &mut Transaction<'_>,
        branch: BranchId,
    ) -> Result<Entry, BarrierError> {
        pass::cancels(&self.0.text, transaction, branch).await
    }

    /// As [`cancel`](Self::cancel), for a branch whose try has effects outside of this database: it
    /// is the [first](Entry::First) also if nothing was tried as far as the barrier knows, with an
    /// empty note. The work has to bear that those effects never were; and that it is done twice,
    /// where it is itself outside of this database.
    ///
    /// # Errors
    /// As there.
    pub async fn cancel_always(
        &self,
        transaction: &mut Transaction<'_>,
        branch: BranchId,
    ) -> Result<Entry, BarrierError> {
        Ok(self.cancel(transaction, branch).await?.always())
    }
}

impl Barrier for MysqlBarrier {
    fn persistence(&self) -> Persistence {
        Persistence::Storage
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
        let Inner { rows, pool, .. } = &*self.0;
        pool.within(rows.open(pool, opening))
    }

    fn look(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
        let Inner { rows, pool, .. } = &*self.0;
        pool.within(rows.look(pool, branch))
    }

    fn promise(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
        let Inner { rows, pool, .. } = &*self.0;
        pool.within(rows.promise(pool, branch))
    }

    fn confirm_empty(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
        let Inner { rows, pool, .. } = &*self.0;
        pool.within(rows.confirm_empty(pool, branch))
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        let Inner { rows, pool, .. } = &*self.0;
        pool.within(rows.in_doubt(pool, coordinator, before))
    }

    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>> {
        let Inner { rows, pool, .. } = &*self.0;
        pool.within(rows.forget(pool, coordinator, watermark))
    }
}

impl fmt::Debug for MysqlBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlBarrier").finish_non_exhaustive()
    }
}
