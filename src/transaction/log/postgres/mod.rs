//! A log in a database, for coordinators that outlive their machine.

mod batch;
mod connect;
mod failure;
mod name;
mod opening;
mod store;
mod writer;

use std::fmt;

use crate::future::BoxFuture;
use crate::transaction::id::Epoch;

use super::error::{AppendError, LogError};
use super::front::Front;
use super::record::Record;
use super::reservation::Reservation;
use super::{Durability, Opened, TransactionLog};

pub use connect::{ConnectPostgresLog, MigratePostgresLog};
pub use name::{LogName, LogNameError};

/// A log on a `PostgreSQL` server, version 12 or later: when its machine is gone, another opens it.
///
/// A database has as many logs as one likes, each by its name. [`migrate`](Self::migrate) creates
/// their tables, [`open`](TransactionLog::open) the log.
///
/// ```no_run
/// use tripod::transaction::log::PostgresLog;
/// use tripod::transaction::two_phase::Coordinator;
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "postgres://bank@db.example/bank";
/// PostgresLog::migrate(url).await?; // once
/// let log = PostgresLog::connect("transfers-3", url).await?;
/// let token = 7; // such as the fencing token of a lock, if one elects who runs this log
/// let coordinator = Coordinator::open(log).epoch_hint(token).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Who may append
///
/// Anybody may open the log at any time; whoever did so last may append. An opening raises the epoch
/// by compare-and-set, commits, and reads what lives from a later snapshot. An append share-locks the
/// row that has the epoch, requires it to be its own, and keeps the lock until it has committed. So
/// an opening waits for the append that is under way, and finds it; and what comes later is refused,
/// by the server, however long it was on its way. Whoever was superseded learns of it when it
/// appends next. Electing who opens a log, so that nobody does so for nothing, is up to you: a lock
/// for each log does it, and its fencing token is a good hint. The example `failover` shows how.
///
/// An append is one message and one transaction: a process that is stopped, or cut off, does not
/// leave a transaction open. Waiting and working are limited by the server, to the
/// [`lease`](ConnectPostgresLog::lease). Nothing limits how long a commit waits for a synchronous
/// standby: while none answers, nobody appends, and nobody opens. Reading what lives, once the epoch
/// is raised, holds up nobody: it may take 10 minutes, and 30 s from one record to the next, whatever
/// limits the role has.
///
/// # What is durable
///
/// What is forced is committed with `synchronous_commit` raised to `on` where it is less; what is
/// not, with `off`: a crash of the server takes that from the end only, for its own log has one
/// order. Each append requires the log to end where the one before did. So if the server has lost
/// what it had confirmed, be it that it crashed behind a pooler or that a standby took over which
/// had not all, the log fails with the next append, and does not go on with a gap. What was forced
/// is lost then all the same: let the standby be a synchronous one. With `fsync` or
/// `full_page_writes` off, nothing is promised. A backup that is restored is *the past*, as with
/// [`FileLog`](super::FileLog): participants refuse it.
///
/// # Cost
///
/// What waits while an append is under way goes out together: one message, one commit (group
/// commit). An append takes three or four writes of rows, and as many records; ends are deletes. Rows
/// are short-lived: let autovacuum run, and keep transactions that are open for hours off the server.
///
/// # Privileges
///
/// The user that migrates needs `CREATE` on the database, once. Whoever opens a log needs
///
/// ```sql
/// GRANT USAGE ON SCHEMA tripod TO bank;
/// GRANT SELECT ON tripod.log_migration TO bank;
/// GRANT SELECT, INSERT, UPDATE ON tripod.log TO bank;
/// GRANT SELECT, INSERT, DELETE ON tripod.log_tail, tripod.log_record TO bank;
/// ```
///
/// and `EXECUTE` on the functions of the schema, which everybody has unless it was revoked. It may
/// then open every log of the database.
///
/// # What it does not see
///
/// The client writes statements, payloads in them, to the `log` crate, at level `debug`.
///
/// # Poolers and versions
///
/// Statements are unnamed and set nothing beyond their transaction, so they go through a pooler in
/// transaction mode. On version 12, and on no later one, a statement in the middle of a message is
/// not limited in time, but only its wait for locks.
///
/// # Handles
///
/// Clones are handles of the same log, which has one connection. What writes is a task of the runtime
/// that connected, and ends with the last handle.
#[derive(Clone)]
pub struct PostgresLog {
    front: Front,
    name: LogName,
}

impl PostgresLog {
    /// Connects to the server of this URL, or of these key-value pairs, as libpq has them:
    /// `postgres://user:password@host:port/database`, for the log of this name, a [`LogName`]. Await
    /// what it returns, in a runtime.
    ///
    /// # Errors
    /// [`LogError::Unfit`] if there can be no such name, or the URL is wrong. Whether the server is
    /// reached, and its tables are there, is found by [`open`](TransactionLog::open).
    ///
    /// # Cancel safety
    /// Safe: nothing is stored.
    pub fn connect(name: impl Into<String>, url: impl Into<String>) -> ConnectPostgresLog {
        ConnectPostgresLog::new(name.into(), url.into())
    }

    /// Creates the tables of all logs in the schema `tripod` of the database of this URL, or brings
    /// them to the version that this program needs; does nothing if they have it. Several may do so
    /// at a time. Await what it returns. Within a minute it ends.
    ///
    /// # Errors
    /// [`LogError::Unfit`] if they are newer than this program, or the user may not create them.
    /// [`LogError::Io`]: it may be done; do it again.
    ///
    /// # Cancel safety
    /// Safe: it is done as a whole or not at all.
    pub fn migrate(url: impl Into<String>) -> MigratePostgresLog {
        MigratePostgresLog::new(url.into())
    }

    /// Which one of the database's it is.
    #[must_use]
    pub fn name(&self) -> &LogName {
        &self.name
    }

    fn new(front: Front, name: LogName) -> Self {
        Self { front, name }
    }
}

impl TransactionLog for PostgresLog {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        self.front.open(hint)
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        self.front.reopen(after)
    }

    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        self.front.append(epoch, records, durability, space)
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        self.front.reserve(epoch, bytes)
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        self.front.close(epoch)
    }
}

impl fmt::Debug for PostgresLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLog")
            .field("name", &self.name)
            .field("epoch", &self.front.epoch())
            .finish_non_exhaustive()
    }
}
