//! Participants on `MariaDB` and `MySQL`: XA transactions, and rows that prove what they did.

mod begin;
mod branch;
mod certificates;
pub(super) mod connect;
pub(super) mod failure;
pub(super) mod fence;
mod finish;
pub(super) mod fit;
mod live;
pub(super) mod migrate;
pub(super) mod pool;
mod tables;
pub(super) mod way;
pub(super) mod xid;

use std::fmt;
use std::sync::Arc;

use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;
use crate::transaction::name::ParticipantName;

use super::{
    Enlist, Opening, Participant, ParticipantError, ParticipantOpenError, Report, Vote, requests,
};
use live::Live;
use pool::Pool;
use tables::Tables;
use way::Way;

pub use branch::MysqlBranch;
pub use connect::ConnectMysql;
pub use failure::MysqlError;
pub use fit::Unfit as MysqlUnfit;
pub use migrate::MigrateMysql;

/// A participant on a `MariaDB` server, 10.5.2 or later, or a `MySQL` server, 8.0 or later.
///
/// Each branch is an XA transaction on a connection of its own. It writes its outcome row, in the
/// tables that [`migrate`](Self::migrate) creates, in its own transaction.
///
/// ```no_run
/// use tripod::transaction::BranchId;
/// use tripod::transaction::participant::{Enlist, MysqlParticipant};
///
/// # async fn example(branch: BranchId) -> Result<(), Box<dyn std::error::Error>> {
/// let url = "mysql://billing:secret@db.example/shop";
/// MysqlParticipant::migrate(url).await?;
/// let billing = MysqlParticipant::connect("billing", url).await?;
/// let mut branch = billing.work(branch).await?;
/// let sql = "UPDATE account SET balance = balance - ? WHERE id = ?";
/// branch.execute(sql, (10, 1)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Names on the server
///
/// A branch is named by its coordinator, epoch and sequence, 32 bytes, by its number, 2 bytes, and
/// by the format 1953655152. Nothing else that is prepared there is touched.
///
/// # Privileges
///
/// The user that migrates needs `CREATE`, `SELECT` and `INSERT` on the database of the tables, once.
/// The user that takes part needs its own tables, and
///
/// ```sql
/// GRANT SELECT ON tripod.participant_migration TO billing;
/// GRANT SELECT, INSERT, DELETE ON tripod.participant_outcome TO billing;
/// GRANT SELECT, INSERT, UPDATE ON tripod.participant_fence TO billing;
/// ```
///
/// On `MySQL` also `XA_RECOVER_ADMIN` on `*.*`. `MariaDB` lets everybody list prepared branches, and
/// end them.
///
/// # What it does not give
///
/// - No branch votes read-only: there is no sure way to tell, without privileges, that functions and
///   triggers wrote nothing. A branch that only reads is prepared like any other.
/// - A branch that the user's code ends votes no, or commits nothing; one that the user's code ends
///   *and begins again by its own name* is not noticed.
/// - A process that was replaced and lives on, stopped or cut off, keeps what it has prepared until
///   its connections end: at the [`idle_limit`](ConnectMysql::idle_limit) at the latest.
/// - `MariaDB` 10.11 may lose a prepared branch until it is started again, with its locks, when the
///   branch is ended from elsewhere in the very moment in which its connection closes. Here that
///   takes a process that dies, and a successor that asks in that moment; nothing is decided wrongly.
/// - A server that lies about its disk, or replicas that lag: what failed over to them is lost.
///   `innodb_flush_log_at_trx_commit` must be 1, and is looked at.
/// - `MySQL` was not tried, only `MariaDB` 10.11.
///
/// # Cost
///
/// A branch opens a connection, and keeps it until it has ended there: nobody else can end it
/// before that is closed, and resetting it would lose the branch. So none comes from a pool. Beside
/// connecting, a branch takes 4 round trips to begin; 4 to be prepared; 2 to commit; and 4 to
/// commit in one phase.
///
/// There is no way to bring a connection of your own: a connection of another driver
/// would have to be closed, not only dropped, which may return it to a pool that resets it.
#[derive(Clone)]
pub struct MysqlParticipant(Arc<Inner>);

struct Inner {
    name: ParticipantName,
    database: String,
    tables: Tables,
    way: Way,
    pool: Pool,
    live: Live,
}

impl MysqlParticipant {
    /// Connects to the server of this URL, `mysql://user:password@host:port/database`, as `name`,
    /// which its coordinator keeps for as long as their logs and rows live. Await what it returns.
    ///
    /// # Errors
    /// *Unfit* if the name or the URL is wrong, the user is refused, the server will not do, or its
    /// tables are not those of this version ([`MysqlUnfit`] is the source then). *Unknown* if it was
    /// not reached.
    ///
    /// # Cancel safety
    /// Safe: nothing is stored.
    pub fn connect(name: impl Into<String>, url: impl Into<String>) -> ConnectMysql {
        ConnectMysql::new(name.into(), url.into())
    }

    /// Creates the tables of a participant on the server of this URL, or brings them to the version
    /// that this program needs; does nothing if they are. Several may do so at a time. Await what it
    /// returns. Within a minute it ends.
    ///
    /// # Errors
    /// *Unfit* if they are newer than this program, or the user may not create them; else as for
    /// [`connect`](Self::connect). *Unknown*: it may be done; do it again.
    ///
    /// # Cancel safety
    /// Safe: what was not done, the next one does.
    pub fn migrate(url: impl Into<String>) -> MigrateMysql {
        MigrateMysql::new(url.into(), &migrate::PARTICIPANT)
    }
}

impl Inner {
    async fn open(&self, opening: Opening) -> Result<(), ParticipantOpenError> {
        let mut held = self.pool.take().await?;
        let session = held.session();
        fit::check_server(session).await?;
        migrate::PARTICIPANT.check(session, &self.database).await?;
        self.tables.try_rights(session).await?;
        self.tables.open(session, opening).await?;
        held.give_back();
        Ok(())
    }

    async fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), ParticipantError> {
        let mut held = self.pool.take().await?;
        let session = held.session();
        self.tables.forget(session, coordinator, watermark).await?;
        held.give_back();
        Ok(())
    }
}

impl Participant for MysqlParticipant {
    fn name(&self) -> &ParticipantName {
        &self.0.name
    }

    fn persistence(&self) -> Persistence {
        Persistence::Storage
    }

    fn lists(&self) -> bool {
        true
    }

    requests!(self, self.0, self.0.pool.within);
}

impl Enlist for MysqlParticipant {
    type Branch = MysqlBranch;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<MysqlBranch, ParticipantError>> {
        self.0.pool.within(self.0.work(branch))
    }
}

impl fmt::Debug for MysqlParticipant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlParticipant")
            .field("name", &self.0.name)
            .field("database", &self.0.database)
            .finish_non_exhaustive()
    }
}
