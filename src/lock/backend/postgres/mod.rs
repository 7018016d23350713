//! Locks on `PostgreSQL`.

mod answer;
mod connect;
mod failure;
mod listen;
mod pool;
mod schema;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::chance::part;
use crate::future::BoxFuture;
use crate::lock::fence::FencingToken;
use crate::lock::name::{HolderId, LockName};
use crate::postgres::Argument;

use super::bells::Bells;
use super::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, Inspection, LockBackend, Renewed,
    Request, Verb,
};
use answer::Garbled;
use listen::Ear;
use pool::Pool;

pub use connect::ConnectPostgres;
pub use schema::{MigratePostgres, SchemaError};

/// How often a waiter looks that cannot be told: the mean of what one who waits for another
/// process is used to, and of what a server with a thousand waiters can bear.
const POLL: Duration = Duration::from_secs(1);

/// As many as share one transaction: as many as the handle renews in one call.
const RENEWED_TOGETHER: usize = 128;

/// Locks on a `PostgreSQL` server, version 12 or later.
///
/// Each step is one call of a function of the schema `tripod`, which
/// [`migrate`](Self::migrate) creates: one statement, one round trip, one transaction. Statements
/// set nothing beyond their transaction, and have no name where listening goes another way or is
/// not done, so they go through a pooler in transaction mode, `PgBouncer` for one; only listening
/// needs a connection of its own ([`listen_url`](ConnectPostgres::listen_url)). Elsewhere the
/// server keeps them prepared, and a connection's first call of each takes a second round trip.
///
/// The clock is the server's, of the time of day: if it jumps, leases end early or late. Fencing
/// tokens come from a sequence. What is answered is durable there, for `synchronous_commit` is
/// raised to `on` for each step where it is less: a crash loses nothing, and a failover to a
/// standby only what was not replicated, fencing tokens included, unless the standby is a
/// synchronous one. A backup that is restored sets the fencing tokens back: raise the sequence
/// `tripod.fencing_token` by hand then. With `fsync` or `full_page_writes` off, nothing is promised.
///
/// # Privileges
///
/// The user that migrates needs `CREATE` on the database, once. The user that locks needs
///
/// ```sql
/// GRANT USAGE ON SCHEMA tripod TO locks;
/// GRANT SELECT ON tripod.migration TO locks;
/// GRANT SELECT, INSERT, UPDATE, DELETE ON tripod.entry TO locks;
/// GRANT USAGE ON SEQUENCE tripod.fencing_token TO locks;
/// ```
///
/// and `EXECUTE` on the functions of the schema, which everybody has unless it was revoked. Its
/// `default_transaction_isolation` must be `read committed`, `PostgreSQL`'s own default; else every
/// step is *rejected*.
///
/// Whoever owns the schema can act as those who lock: migrate before a user that is not trusted may
/// `CREATE` in the database. An owner that the one who migrates does not stand for is *rejected*.
///
/// # In the way of others
///
/// A step locks a 64-bit hash of the name for as long as it lasts, its commit included: names of
/// one hash wait for each other, and so does another program that takes the very same advisory
/// lock. Nobody waits for more than a second, and then fails as *unavailable*. A connection that
/// breaks in the middle of a statement may block its name until the server finds out: let
/// `tcp_keepalives_idle` or `client_connection_check_interval` see to that.
pub struct PostgresBackend {
    pool: Pool,
    /// A connection that none waits for but renewals, and none of these for a lock.
    renewals: Pool,
    bells: Arc<Bells>,
    ear: Option<Ear>,
}

impl PostgresBackend {
    /// Connects to the server of this URL, or of these key-value pairs, as libpq has them:
    /// `postgres://user:password@host:port/database`. Await what it returns.
    ///
    /// # Errors
    /// *Unavailable* if it cannot be reached, or takes no writes; *rejected* if it refuses the
    /// user, cannot be trusted, is older than version 12, or has not the schema of this version
    /// ([`SchemaError`] is the source then), or if the URL is wrong.
    ///
    /// # Cancel safety
    /// Safe: nothing is stored.
    pub fn connect(url: impl Into<String>) -> ConnectPostgres {
        ConnectPostgres::new(url.into())
    }

    /// Creates the schema `tripod` in the database of this URL, or brings it to the version that
    /// this program needs; does nothing if it has it. Several may do so at a time. Await what it
    /// returns. Within a minute it ends.
    ///
    /// # Errors
    /// *Rejected* if the schema is newer than this program, with [`SchemaError::Newer`] as the
    /// source, or the user may not create it; else as for [`connect`](Self::connect).
    /// *Indeterminate*: it may be done; do it again.
    ///
    /// # Cancel safety
    /// Safe: it is done as a whole or not at all.
    pub fn migrate(url: impl Into<String>) -> MigratePostgres {
        MigratePostgres::new(url.into())
    }

    async fn take<T>(
        &self,
        verb: Verb,
        statement: &str,
        arguments: &[Argument<'_>],
        read: impl FnOnce(&[Row], Instant) -> Result<T, Garbled>,
    ) -> Result<T, BackendError> {
        let (rows, sent) = self.pool.ask(verb, statement, arguments).await?;
        read(&rows, sent).map_err(|garbled| corrupt(garbled, verb))
    }

    /// Takes a step that an entry is all that is needed for.
    async fn take_on<T>(
        &self,
        verb: Verb,
        statement: &str,
        entry: &Entry,
        read: impl FnOnce(&[Row], Instant) -> Result<T, Garbled>,
    ) -> Result<T, BackendError> {
        let (name, holder) = (bytes(entry.name()), id(entry.holder()));
        let holder = holder.as_slice();
        let arguments: [Argument<'_>; 2] = [(&name, Type::BYTEA), (&holder, Type::BYTEA)];
        self.take(verb, statement, &arguments, read).await
    }

    /// Renews these in one transaction.
    async fn renew_together(
        &self,
        entries: &[Entry],
    ) -> Result<Vec<Option<Renewed>>, BackendError> {
        let names: Vec<_> = entries.iter().map(|entry| bytes(entry.name())).collect();
        let holders: Vec<_> = entries.iter().map(|entry| id(entry.holder())).collect();
        let holders: Vec<_> = holders.iter().map(<[u8; 16]>::as_slice).collect();
        let arguments: [Argument<'_>; 2] =
            [(&names, Type::BYTEA_ARRAY), (&holders, Type::BYTEA_ARRAY)];
        let statement = "SELECT tripod.renew($1, $2)";
        let asked = self.renewals.ask(Verb::Renew, statement, &arguments);
        let (rows, sent) = asked.await?;
        let renewed = answer::renewed(&rows, sent, entries.len());
        renewed.map_err(|garbled| corrupt(garbled, Verb::Renew))
    }

    async fn renew_each(&self, entries: &[Entry]) -> Vec<Result<Renewed, BackendError>> {
        let failed = |kind, source: Arc<dyn Error + Send + Sync>| {
            BackendError::new(kind, Verb::Renew).with_source(source)
        };
        match self.renew_together(entries).await {
            Ok(answers) => {
                let locked: Arc<dyn Error + Send + Sync> = Arc::new(Locked);
                let unavailable = || failed(BackendErrorKind::Unavailable, Arc::clone(&locked));
                let answers = answers.into_iter();
                answers
                    .map(|answer| answer.ok_or_else(unavailable))
                    .collect()
            }
            Err(error) => {
                let kind = error.kind();
                let error: Arc<dyn Error + Send + Sync> = Arc::new(error);
                let each = entries.iter();
                each.map(|_| Err(failed(kind, Arc::clone(&error))))
                    .collect()
            }
        }
    }
}

/// Another step is at it, or someone else.
#[derive(Debug, thiserror::Error)]
#[error("the entry is locked")]
struct Locked;

fn bytes(name: &LockName) -> &[u8] {
    name.as_str().as_bytes()
}

/// In the order of the numbers.
fn id(holder: HolderId) -> [u8; 16] {
    holder.as_u128().to_be_bytes()
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn corrupt(garbled: Garbled, verb: Verb) -> BackendError {
    BackendError::new(BackendErrorKind::Corrupt, verb).with_source(garbled)
}

impl fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBackend").finish_non_exhaustive()
    }
}

impl LockBackend for PostgresBackend {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        Box::pin(async move {
            let (mode, n, of) = answer::letters(request.mode());
            let entry = request.entry();
            let id = id(entry.holder());
            let channel = self.ear.as_ref().map(Ear::channel);
            let arguments: [Argument<'_>; 10] = [
                (&bytes(entry.name()), Type::BYTEA),
                (&id.as_slice(), Type::BYTEA),
                (&mode, Type::CHAR),
                (&n, Type::INT8),
                (&of, Type::INT8),
                (&i16::from(request.priority()), Type::INT2),
                (&micros(request.ttl()), Type::INT8),
                (&request.waits(), Type::BOOL),
                (&channel, Type::TEXT),
                (&request.metadata().as_str().as_bytes(), Type::BYTEA),
            ];
            let statement = "SELECT tripod.enqueue($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
            let enqueued = self.take(Verb::Enqueue, statement, &arguments, answer::enqueued);
            enqueued.await?.map_err(|other| {
                BackendError::new(BackendErrorKind::Rejected, Verb::Enqueue).with_source(other)
            })
        })
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let statement = "SELECT tripod.peek($1, $2)";
            let read = |rows: &[Row], _| answer::yes_or_no(rows);
            let listener = self.bells.listen(entry.holder());
            loop {
                // What is told from here on is heard; what happened before is seen by looking.
                let rung = listener.rung();
                if self.take_on(Verb::Changed, statement, entry, read).await? {
                    return Ok(());
                }
                if self.ear.as_ref().is_some_and(Ear::hears) {
                    rung.await;
                    return Ok(());
                }
                if timeout(part(POLL), rung).await.is_ok() {
                    return Ok(());
                }
            }
        })
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        Box::pin(async move {
            let statement = "SELECT tripod.claim($1, $2)";
            let claimed = self.take_on(Verb::Claim, statement, entry, answer::claimed);
            let claimed = claimed.await?;
            if !matches!(claimed, Claimed::Waiting(_)) {
                // Others of this process may listen for the same entry.
                self.bells.ring(entry.holder());
            }
            Ok(claimed)
        })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        let parts = entries.chunks(RENEWED_TOGETHER);
        Box::pin(async move {
            let renewed = join_all(parts.map(|part| self.renew_each(part))).await;
            renewed.into_iter().flatten().collect()
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let statement = "SELECT tripod.release($1, $2)";
            let read = |rows: &[Row], _| answer::yes_or_no(rows);
            self.take_on(Verb::Release, statement, entry, read).await
        })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let statement = "SELECT tripod.leave($1, $2)";
            let read = |rows: &[Row], _| answer::yes_or_no(rows);
            self.take_on(Verb::Leave, statement, entry, read).await?;
            // Whoever listens for it listens here.
            self.bells.ring(entry.holder());
            Ok(())
        })
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        Box::pin(async move {
            let statement = "SELECT * FROM tripod.inspect($1)";
            let name = bytes(name);
            let arguments: [Argument<'_>; 1] = [(&name, Type::BYTEA)];
            let read = |rows: &[Row], _| answer::inspection(rows);
            self.take(Verb::Inspect, statement, &arguments, read).await
        })
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            // The sequence has no larger ones.
            let Ok(token) = i64::try_from(token.as_u64()) else {
                return Ok(false);
            };
            let name = bytes(name);
            let arguments: [Argument<'_>; 2] = [(&name, Type::BYTEA), (&token, Type::INT8)];
            let statement = "SELECT tripod.force_release($1, $2)";
            let read = |rows: &[Row], _| answer::yes_or_no(rows);
            self.take(Verb::ForceRelease, statement, &arguments, read)
                .await
        })
    }
}
