//! A barrier on `PostgreSQL`.

mod connect;
mod rows;

use std::fmt;
use std::sync::Arc;

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::super::{Opening, ParticipantError, ParticipantOpenError};
use super::barrier::{Barrier, BarrierError, Entry, Sight, check_note, check_repeat};
use crate::future::BoxFuture;
use crate::postgres::{Argument, cause};
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;
use rows::Rows;

pub use connect::{ConnectPostgresBarrier, MigratePostgresBarrier};

/// A barrier in a `PostgreSQL` database, version 12 or later. Cheap to clone: clones share
/// connections.
///
/// ```no_run
/// use tripod::transaction::BranchId;
/// use tripod::transaction::participant::tcc::PostgresBarrier;
///
/// # async fn run(client: &mut tokio_postgres::Client, branch: BranchId) -> Result<(), Box<dyn std::error::Error>> {
/// let url = "postgres://hall:secret@db.example.org/hall";
/// PostgresBarrier::migrate(url).await?;
/// let barrier = PostgresBarrier::connect(url).await?;
///
/// let transaction = client.transaction().await?;
/// if barrier.try_(&transaction, branch, b"row 7").await?.first().is_some() {
///     let hold = "UPDATE seat SET held = true WHERE name = 'row 7' AND NOT held";
///     assert_eq!(transaction.execute(hold, &[]).await?, 1);
/// }
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// # In your transaction
///
/// Each verb is one statement, a call of a function: `tripod.tcc_try`, `tripod.tcc_confirm` and
/// `tripod.tcc_cancel`, which programs in other languages and with other drivers may call as well.
/// Let it be the first statement of a transaction in the database of the barrier, and commit
/// whatever it lets you do together with it. Any level of isolation will do. Above *read
/// committed* a conflict is an error of the server, 40001, as for your own statements: roll back,
/// and do it again. A transaction that is open for long there keeps the participant from raising the
/// coordinator's epoch and watermark, as a confirm without a prepared branch does: those wait for
/// two seconds, and come again. Of two at a time one waits for the other, for as long as your
/// `lock_timeout` allows. Nothing that the verbs do breaks the transaction, but for such errors.
///
/// The transaction commits with `synchronous_commit` at `on` or above. With `fsync` or
/// `full_page_writes` off, nothing is promised; a failover to a standby loses what was not
/// replicated.
///
/// # Privileges
///
/// The user that migrates needs `CREATE` on the database, once. Whoever passes the barrier, and the
/// participant, need
///
/// ```sql
/// GRANT USAGE ON SCHEMA tripod TO hall;
/// GRANT SELECT ON tripod.tcc_migration TO hall;
/// GRANT SELECT, INSERT, UPDATE ON tripod.tcc_coordinator TO hall;
/// GRANT SELECT, INSERT, UPDATE, DELETE ON tripod.tcc_branch TO hall;
/// ```
///
/// and `EXECUTE` on the functions of the schema, which everybody has unless it was revoked. A user
/// that passes the barrier and is not the participant's does without `tcc_migration` and without
/// `INSERT` on `tcc_coordinator`.
#[derive(Clone)]
pub struct PostgresBarrier(Arc<Rows>);

impl PostgresBarrier {
    /// Connects to the server of this URL, or of these key-value pairs, as libpq has them:
    /// `postgres://user:password@host:port/database`, which is that of the service's own tables.
    /// Await what it returns.
    ///
    /// # Errors
    /// [`ParticipantOpenError::Unfit`] if the URL is wrong. Whether the server is reached, and its
    /// tables are there, is found by [`open`](Barrier::open).
    ///
    /// # Cancel safety
    /// Safe: nothing is stored.
    pub fn connect(url: impl Into<String>) -> ConnectPostgresBarrier {
        ConnectPostgresBarrier::new(url.into())
    }

    /// Creates the tables in the schema `tripod` of the database of this URL, or brings them to the
    /// version that this program needs; does nothing if they have it. Several may do so at a time.
    /// Await what it returns. Within a minute it ends.
    ///
    /// # Errors
    /// [`ParticipantOpenError::Unfit`] if they are newer than this program, or the user may not
    /// create them. [`ParticipantOpenError::Unknown`]: it may be done; do it again.
    ///
    /// # Cancel safety
    /// Safe: it is done as a whole or not at all.
    pub fn migrate(url: impl Into<String>) -> MigratePostgresBarrier {
        MigratePostgresBarrier::new(url.into())
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
        transaction: &Transaction<'_>,
        branch: BranchId,
        note: &[u8],
    ) -> Result<Entry, BarrierError> {
        check_note(note)?;
        let key = rows::key(branch);
        let mut arguments = key.arguments().to_vec();
        arguments.push((&note, Type::BYTEA));
        let call = "SELECT entry, note FROM tripod.tcc_try($1, $2, $3, $4)";
        let entry = pass(transaction, call, &arguments, branch).await?;
        check_repeat(entry, branch, note)
    }

    /// Lets a confirm through.
    ///
    /// # Errors
    /// [`BarrierError::Cancelled`]; [`BarrierError::NotTried`]; [`BarrierError::Fenced`] of one
    /// that is not prepared; [`BarrierError::Database`]. Roll back.
    pub async fn confirm(
        &self,
        transaction: &Transaction<'_>,
        branch: BranchId,
    ) -> Result<Entry, BarrierError> {
        let call = "SELECT entry, note FROM tripod.tcc_confirm($1, $2, $3)";
        let key = rows::key(branch);
        pass(transaction, call, &key.arguments(), branch).await
    }

    /// Lets a cancel through. Of a branch that was not tried, it is [empty](Entry::Empty).
    ///
    /// # Errors
    /// [`BarrierError::Confirmed`]; [`BarrierError::Database`]. Roll back.
    pub async fn cancel(
        &self,
        transaction: &Transaction<'_>,
        branch: BranchId,
    ) -> Result<Entry, BarrierError> {
        let call = "SELECT entry, note FROM tripod.tcc_cancel($1, $2, $3)";
        let key = rows::key(branch);
        pass(transaction, call, &key.arguments(), branch).await
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
        transaction: &Transaction<'_>,
        branch: BranchId,
    ) -> Result<Entry, BarrierError> {
        Ok(self.cancel(transaction, branch).await?.always())
    }
}

/// Calls the function, by a statement without a name: poolers know no others.
async fn pass(
    transaction: &Transaction<'_>,
    call: &str,
    arguments: &[Argument<'_>],
    branch: BranchId,
) -> Result<Entry, BarrierError> {
    let lost = |error| BarrierError::Database(cause(error));
    let answer = transaction.query_typed(call, arguments).await;
    let answer = answer.map_err(lost)?;
    let garbled = || BarrierError::Database("the server answered what was not understood".into());
    let row = answer.first().ok_or_else(garbled)?;
    let entry: &str = row.try_get(0).map_err(lost)?;
    let note: Vec<u8> = row.try_get(1).map_err(lost)?;
    match entry {
        "first" => Ok(Entry::First(note)),
        "again" => Ok(Entry::Again(note)),
        "empty" => Ok(Entry::Empty),
        "cancelled" => Err(BarrierError::Cancelled(branch)),
        "confirmed" => Err(BarrierError::Confirmed(branch)),
        "untried" => Err(BarrierError::NotTried(branch)),
        "over" => Err(BarrierError::Over(branch)),
        "fenced" => Err(BarrierError::Fenced(branch)),
        _ => Err(garbled()),
    }
}

impl Barrier for PostgresBarrier {
    fn persistence(&self) -> Persistence {
        Persistence::Storage
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
        Box::pin(self.0.open(opening))
    }

    fn look(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
        Box::pin(async move { Ok(self.0.sight("tcc_look", branch).await?) })
    }

    fn promise(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
        Box::pin(async move { Ok(self.0.sight("tcc_promise", branch).await?) })
    }

    fn confirm_empty(&self, branch: BranchId) -> BoxFuture<'_, Result<Sight, ParticipantError>> {
        Box::pin(async move { Ok(self.0.sight("tcc_confirm_empty", branch).await?) })
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        Box::pin(async move { Ok(self.0.in_doubt(coordinator, before).await?) })
    }

    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move { Ok(self.0.forget(coordinator, watermark).await?) })
    }
}

impl fmt::Debug for PostgresBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBarrier").finish_non_exhaustive()
    }
}
