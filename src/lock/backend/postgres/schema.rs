//! The schema in the database, by version.

use std::future::IntoFuture;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::future::BoxFuture;
use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::tls::Tls;

use super::failure::{cause, unanswered, unconnected, unreached};
use super::pool::Argument;
use super::way::Way;

/// Every version from its predecessor; the first from nothing. Never one is changed or removed.
const VERSIONS: [&str; 1] = [include_str!("v1.sql")];

/// What the versions are kept in.
const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS tripod.migration (
    version integer PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
)";

/// The lock of those who migrate: any number that other programs are not likely to take.
const MIGRATION_LOCK: i64 = 0x7472_6970_6f64_0001;

/// How long a migration may take, the wait for another one included.
const MIGRATION_MAX: Duration = Duration::from_secs(60);

/// Why the schema in the database does not do. It is the source of the *rejected*
/// [`BackendError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// There is none. Run [`PostgresBackend::migrate`](super::PostgresBackend::migrate).
    #[error("the schema tripod is missing: run PostgresBackend::migrate")]
    Missing,
    /// It is older than this program needs. Run
    /// [`PostgresBackend::migrate`](super::PostgresBackend::migrate).
    #[error("the schema tripod has version {found}, not {known}: run PostgresBackend::migrate")]
    Older {
        /// Its version.
        found: u32,
        /// The version that this program needs.
        known: u32,
    },
    /// The schema `tripod` is there, and is neither this user's nor of a role that it is in.
    #[error("the schema tripod belongs to somebody else")]
    Foreign,
    /// A newer version of this crate has migrated it. Nothing was changed; use that version.
    #[error("the schema tripod has version {found}, and this program knows {known} only")]
    Newer {
        /// Its version.
        found: u32,
        /// The latest version that this program knows.
        known: u32,
    },
}

/// Creates the schema `tripod`, or brings it to this version; made by
/// [`PostgresBackend::migrate`](super::PostgresBackend::migrate), and awaited.
#[must_use = "nothing is done before it is awaited"]
pub struct MigratePostgres {
    url: String,
    tls: Option<Tls>,
}

impl MigratePostgres {
    pub(super) fn new(url: String) -> Self {
        Self { url, tls: None }
    }

    /// Connects by TLS only, and trusts whom this says. At first: as the URL's `sslmode` says.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    async fn run(self) -> Result<(), BackendError> {
        let way = Way::new(&self.url, self.tls.as_ref()).await?;
        let migrating = async {
            let opened = way.open().await;
            let (mut client, driver) = opened.map_err(|error| unreached(error, Verb::Connect))?;
            tokio::select! {
                migrated = migrate(&mut client) => migrated,
                ended = driver => Err(BackendError::new(BackendErrorKind::Indeterminate, Verb::Connect)
                    .with_source(ended.err().map_or_else(|| "the connection ended".into(), cause))),
            }
        };
        let silent = |_| {
            BackendError::new(BackendErrorKind::Indeterminate, Verb::Connect)
                .with_source("no answer in time")
        };
        timeout(MIGRATION_MAX, migrating).await.map_err(silent)?
    }
}

impl IntoFuture for MigratePostgres {
    type Output = Result<(), BackendError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl std::fmt::Debug for MigratePostgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MigratePostgres").finish_non_exhaustive()
    }
}

async fn migrate(client: &mut Client) -> Result<(), BackendError> {
    let failed = |error| unanswered(error, Verb::Connect);
    // Whatever the role's defaults are: what others have committed must be seen.
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted)
        .read_only(false)
        .start()
        .await
        .map_err(failed)?;
    let settings = "SET LOCAL search_path = pg_catalog, pg_temp;
        SET LOCAL synchronous_commit = on";
    let set = transaction.batch_execute(settings).await;
    set.map_err(failed)?;
    let lock = "SELECT pg_advisory_xact_lock($1)";
    let locked = transaction
        .query_typed(lock, &[(&MIGRATION_LOCK, Type::INT8)])
        .await;
    locked.map_err(failed)?;
    let found = create_table(&transaction).await?;
    if found > known() {
        return Err(refused(SchemaError::Newer {
            found,
            known: known(),
        }));
    }
    for (version, steps) in (1_u32..).zip(VERSIONS) {
        if version > found {
            transaction.batch_execute(steps).await.map_err(failed)?;
            let mark = "INSERT INTO tripod.migration (version) VALUES ($1)";
            let version = i32::try_from(version).unwrap_or(i32::MAX);
            let version: [Argument<'_>; 1] = [(&version, Type::INT4)];
            let marked = transaction.query_typed(mark, &version).await;
            marked.map_err(failed)?;
        }
    }
    transaction.commit().await.map_err(|error| {
        BackendError::new(BackendErrorKind::Indeterminate, Verb::Connect).with_source(cause(error))
    })
}

/// Sees to it that versions can be kept, and answers the present one.
async fn create_table(transaction: &Transaction<'_>) -> Result<u32, BackendError> {
    let failed = |error| unanswered(error, Verb::Connect);
    // A superuser stands for every role, and not all of them are to be trusted with its powers.
    let ours = "SELECT owner.rolsuper OR owner.oid = me.oid
            OR NOT me.rolsuper AND pg_has_role(owner.oid, 'MEMBER')
        FROM pg_namespace JOIN pg_roles AS owner ON owner.oid = nspowner,
            pg_roles AS me
        WHERE nspname = 'tripod' AND me.rolname = current_user";
    let rows = transaction.query_typed(ours, &[]).await.map_err(failed)?;
    match rows.first().map(|row| row.try_get(0)) {
        Some(Ok(true)) => {}
        Some(_) => return Err(refused(SchemaError::Foreign)),
        // Even where it is there already, creating it asks for a privilege.
        None => {
            let create = "CREATE SCHEMA tripod";
            transaction.batch_execute(create).await.map_err(failed)?;
        }
    }
    let created = transaction.batch_execute(VERSION_TABLE);
    created.await.map_err(failed)?;
    let latest = "SELECT coalesce(pg_catalog.max(version), 0) FROM tripod.migration";
    let rows = transaction.query_typed(latest, &[]);
    version(&rows.await.map_err(failed)?)
}

/// Refuses a server or a schema that does not do.
pub(super) async fn check(client: &Client) -> Result<(), BackendError> {
    let asked = "SELECT pg_catalog.current_setting('server_version_num')::integer,
        pg_catalog.to_regclass('tripod.migration') IS NOT NULL,
        pg_catalog.current_setting('transaction_read_only')";
    let rows = client.query_typed(asked, &[]).await.map_err(unconnected)?;
    let garbled = || BackendError::new(BackendErrorKind::Corrupt, Verb::Connect);
    let row = rows.first().ok_or_else(garbled)?;
    let server: i32 = row.try_get(0).map_err(|_| garbled())?;
    let there: bool = row.try_get(1).map_err(|_| garbled())?;
    let read_only: String = row.try_get(2).map_err(|_| garbled())?;
    if server < 120_000 {
        return Err(refused("the server is older than PostgreSQL 12"));
    }
    if read_only == "on" {
        return Err(
            BackendError::new(BackendErrorKind::Unavailable, Verb::Connect)
                .with_source("the server takes no writes: is it a replica?"),
        );
    }
    if !there {
        return Err(refused(SchemaError::Missing));
    }
    let latest = "SELECT coalesce(pg_catalog.max(version), 0) FROM tripod.migration";
    let found = version(&client.query_typed(latest, &[]).await.map_err(unconnected)?)?;
    let known = known();
    match found {
        0 => Err(refused(SchemaError::Missing)),
        found if found < known => Err(refused(SchemaError::Older { found, known })),
        found if found > known => Err(refused(SchemaError::Newer { found, known })),
        _ => Ok(()),
    }
}

fn known() -> u32 {
    u32::try_from(VERSIONS.len()).unwrap_or(u32::MAX)
}

fn version(rows: &[tokio_postgres::Row]) -> Result<u32, BackendError> {
    let version = rows.first().and_then(|row| row.try_get::<_, i32>(0).ok());
    let version = version.and_then(|version| u32::try_from(version).ok());
    version.ok_or_else(|| BackendError::new(BackendErrorKind::Corrupt, Verb::Connect))
}

fn refused(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BackendError {
    BackendError::new(BackendErrorKind::Rejected, Verb::Connect).with_source(why)
}
