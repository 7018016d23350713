//! Branches of transactions on `PostgreSQL`.

mod branch;
pub(super) mod calls;
mod connect;
pub(super) mod failure;
pub(super) mod link;
mod own;
mod protocol;
mod schema;
mod session;
mod settling;
mod store;
pub(super) mod text;

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::future::BoxFuture;
use crate::postgres::Pool;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;
use crate::transaction::name::ParticipantName;

use super::{
    Enlist, Opening, Participant, ParticipantError, ParticipantOpenError, Report, Settled,
    SqlConnection, Vote, requests,
};
use link::Link;
use protocol::Limits;
use session::{Found, Session, Working};
use store::{Known, Store};

pub use branch::{BranchError, PostgresBranch};
pub use connect::ConnectPostgres;
pub use own::{ConnectionBranch, ConnectionGuard, WithConnection};
pub use schema::MigratePostgres;

/// Takes part in transactions with branches on a `PostgreSQL` server, version 12 or later. Cheap to
/// clone: clones share branches and connections.
///
/// A branch is a transaction there, prepared by `PREPARE TRANSACTION`. The server's setting
/// `max_prepared_transactions` says how many may be prepared at a time; it is 0 at first, and then
/// [`open`](Participant::open) refuses. When they run out, a branch votes no.
///
/// ```no_run
/// use tripod::transaction::participant::{Enlist, Participant, PostgresParticipant};
/// # use tripod::transaction::BranchId;
///
/// # async fn run(branch: BranchId) -> Result<(), Box<dyn std::error::Error>> {
/// let url = "postgres://shop:secret@db.example.org/shop";
/// PostgresParticipant::migrate(url).await?;
/// let orders = PostgresParticipant::connect("orders", url).await?;
/// // A coordinator does this, and what follows it.
/// let mut work = orders.work(branch).await?;
/// let (amount, account) = (5_i64, 7_i64);
/// let sql = "UPDATE account SET balance = balance - $1 WHERE id = $2";
/// work.execute(sql, &[&amount, &account]).await?;
/// orders.prepare(branch).await?;
/// # Ok(())
/// # }
/// ```
///
/// # How it keeps the law
///
/// Before it is prepared, or committed in one phase, a branch writes its outcome row into
/// `tripod.branch`, in its own transaction. A tombstone is a row in that one's place: inserting it
/// waits for a writer in flight. A prepared branch that is rolled back takes its outcome row along,
/// and its session's transaction is over; if the tombstone is not reached then, by a crash, the
/// abort was not answered and comes again. Before that nothing can prepare the branch but another
/// session that works on it, and the tombstone comes before or after that one's row as well.
///
/// A vote is read-only where the server has given the transaction no id: it has written and locked
/// nothing. `NOTIFY`, advisory locks that belong to the session, and `nextval` are no writes. Such
/// a branch is committed at once. A branch that has written and used `NOTIFY` cannot be prepared:
/// it votes no.
///
/// Each branch ends by itself, before it is prepared, if its process is silent for
/// [so long](ConnectPostgres::idle_limit): settings of its session see to that, for its
/// transaction alone. Statements of the participant itself have all they need in one transaction
/// each, so they go through a pooler in transaction mode, `PgBouncer` for one; so does a branch,
/// which is one transaction. A session is cleaned of what the user's code has set before the next
/// branch gets it; behind such a pooler, nobody can see to that.
///
/// What is answered is durable there: `synchronous_commit` is raised to `on` where it is less. A
/// failover to a standby loses what was not replicated, unless the standby is a synchronous one.
/// With `fsync` or `full_page_writes` off, nothing is promised.
///
/// # Privileges
///
/// The user that migrates needs `CREATE` on the database, once. The user of the participant needs
///
/// ```sql
/// GRANT USAGE ON SCHEMA tripod TO shop;
/// GRANT SELECT ON tripod.transaction_migration TO shop;
/// GRANT SELECT, INSERT, UPDATE ON tripod.coordinator TO shop;
/// GRANT SELECT, INSERT, UPDATE, DELETE ON tripod.branch TO shop;
/// ```
///
/// and `EXECUTE` on the functions of the schema, which everybody has unless it was revoked. Only
/// the user that prepared a transaction, or a superuser, may commit it or roll it back: keep to one
/// user. Whoever owns the schema can act as those who use it: migrate before a user that is not
/// trusted may `CREATE` in the database.
///
/// # What it does not see
///
/// An administrator who ends a prepared transaction by hand. Committed, it has its row and is
/// known as committed. Rolled back, it leaves nothing, and the coordinator's commit is answered
/// by [`Missing`](Report::Missing).
///
/// The client writes statements and their parameters to the `log` crate, at level `debug`.
#[derive(Clone)]
pub struct PostgresParticipant(Arc<Inner>);

struct Inner {
    name: ParticipantName,
    /// For branches that work.
    pool: Pool,
    /// By connections that no branch works on.
    store: Store,
    /// As whom branches are prepared: nobody else may finish them.
    role: String,
    limits: Limits,
    working: Working,
}

impl PostgresParticipant {
    /// Connects to the server of this URL, or of these key-value pairs, as libpq has them:
    /// `postgres://user:password@host:port/database`. `name` is that of a [`ParticipantName`]. Await
    /// what it returns.
    ///
    /// # Errors
    /// [`ParticipantOpenError::Unfit`] if the name or the URL is wrong, or the server refuses the
    /// user or cannot be trusted; [`ParticipantOpenError::Unknown`] if it was not reached. Its
    /// tables and settings are looked at by [`open`](Participant::open).
    ///
    /// # Cancel safety
    /// Safe: nothing is stored.
    pub fn connect(name: impl Into<String>, url: impl Into<String>) -> ConnectPostgres {
        ConnectPostgres::new(name.into(), url.into())
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
    pub fn migrate(url: impl Into<String>) -> MigratePostgres {
        MigratePostgres::new(url.into())
    }

    /// This participant with a connection of yours, by whichever driver, for one branch: enlist
    /// what is returned. The participant itself is to be registered as well, under its name.
    #[must_use]
    pub fn with<C: SqlConnection>(&self, connection: C) -> WithConnection<C> {
        WithConnection::new(self.clone(), connection)
    }
}

impl Inner {
    async fn open(&self, opening: Opening) -> Result<(), ParticipantOpenError> {
        self.store.open(opening).await
    }

    async fn begin(&self, branch: BranchId) -> Result<PostgresBranch, ParticipantError> {
        self.refuse_settled(branch).await?;
        let link = Link::new(&self.pool).await?;
        let beginning = protocol::beginning(branch, self.limits).join("; ");
        link.ask(&beginning).await?;
        let session = Arc::new(Mutex::new(Session::new(link)));
        self.working.enter(branch, Arc::clone(&session) as _);
        Ok(PostgresBranch::new(session, self.limits.answer()))
    }

    /// Begins a branch, ending what an earlier call has begun. What may never be prepared or
    /// committed is refused; so is what could only be aborted.
    async fn refuse_settled(&self, branch: BranchId) -> Result<(), ParticipantError> {
        if let Found::Working(turn) = self.working.find(branch).await? {
            settling::abandon(turn).await;
        }
        match self.store.read(branch).await? {
            Known::Nothing => Ok(()),
            Known::Prepared | Known::Did(_) | Known::Over => {
                Err(ParticipantError::refused(Settled(branch)))
            }
            Known::Fenced => Err(ParticipantError::refused(
                "its coordinator was opened in a later epoch",
            )),
        }
    }

    async fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> Result<Vec<BranchId>, ParticipantError> {
        let mut prepared = self.store.prepared(coordinator).await?;
        prepared.retain(|branch| {
            let id = branch.transaction();
            id.coordinator() == coordinator && id.epoch() < before
        });
        Ok(prepared)
    }

    async fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), ParticipantError> {
        self.store.forget(coordinator, watermark).await?;
        self.working.forget_all(|branch| {
            let id = branch.transaction();
            id.coordinator() == coordinator && (id.epoch(), id.sequence()) < watermark
        });
        Ok(())
    }
}

impl fmt::Debug for PostgresParticipant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresParticipant")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

impl Participant for PostgresParticipant {
    fn name(&self) -> &ParticipantName {
        &self.0.name
    }

    fn persistence(&self) -> Persistence {
        Persistence::Storage
    }

    fn lists(&self) -> bool {
        true
    }

    requests!(self, self.0, Box::pin);
}

impl Enlist for PostgresParticipant {
    type Branch = PostgresBranch;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<PostgresBranch, ParticipantError>> {
        Box::pin(self.0.begin(branch))
    }
}
