//! Tables and functions in the schema `tripod`, by version.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

use super::failure::cause;
use super::pool::Argument;
use super::way::Way;

/// The lock of those who migrate: any number that other programs are not likely to take.
const MIGRATION_LOCK: i64 = 0x7472_6970_6f64_0001;

/// How long a migration may take, the wait for another one included.
const MIGRATION_MAX: Duration = Duration::from_secs(60);

/// A part of the schema that has versions of its own.
pub(crate) struct Schema {
    /// What its versions are kept in, with the schema's name.
    pub(crate) table: &'static str,
    /// Every version from its predecessor; the first from nothing. Never one is changed or removed.
    pub(crate) versions: &'static [&'static str],
    /// What stands in them for names, and the names.
    pub(crate) words: &'static [(&'static str, &'static str)],
}

/// Why the schema, or the server, does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// There is none.
    Missing,
    Older {
        found: u32,
        known: u32,
    },
    Newer {
        found: u32,
        known: u32,
    },
    /// It belongs neither to this user nor to a role that it is in.
    Foreign,
    /// The server is older than version 12.
    Server,
    /// The server takes no writes.
    ReadOnly,
}

/// What kept a migration or a check from its end.
pub(crate) enum SchemaTrouble {
    /// No connection: nothing was done.
    Unreached(tokio_postgres::Error),
    /// A statement failed. Nothing was done.
    Failed(tokio_postgres::Error),
    /// It may have been done, or not.
    Lost(Box<dyn std::error::Error + Send + Sync>),
    Misfit(Misfit),
    /// An answer that the server cannot have given.
    Garbled,
}

impl Schema {
    /// Creates it, or brings it to the version known here.
    pub(crate) async fn migrate(&self, way: &Way) -> Result<(), SchemaTrouble> {
        let migrating = async {
            let opened = way.open().await;
            let (mut client, driver) = opened.map_err(SchemaTrouble::Unreached)?;
            tokio::select! {
                migrated = self.migrate_by(&mut client) => migrated,
                ended = driver => Err(SchemaTrouble::Lost(
                    ended.err().map_or_else(|| "the connection ended".into(), cause),
                )),
            }
        };
        let silent = |_| SchemaTrouble::Lost("no answer in time".into());
        timeout(MIGRATION_MAX, migrating).await.map_err(silent)?
    }

    async fn migrate_by(&self, client: &mut Client) -> Result<(), SchemaTrouble> {
        let failed = SchemaTrouble::Failed;
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
        let found = self.create_table(&transaction).await?;
        let known = self.known();
        if found > known {
            return Err(SchemaTrouble::Misfit(Misfit::Newer { found, known }));
        }
        for (version, steps) in (1_u32..).zip(self.versions) {
            if version > found {
                let mut steps = (*steps).to_owned();
                for (word, name) in self.words {
                    steps = steps.replace(word, name);
                }
                transaction.batch_execute(&steps).await.map_err(failed)?;
                let mark = format!("INSERT INTO {} (version) VALUES ($1)", self.table);
                let version = i32::try_from(version).unwrap_or(i32::MAX);
                let version: [Argument<'_>; 1] = [(&version, Type::INT4)];
                let marked = transaction.query_typed(&mark, &version).await;
                marked.map_err(failed)?;
            }
        }
        let committed = transaction.commit().await;
        committed.map_err(|error| SchemaTrouble::Lost(cause(error)))
    }

    /// Sees to it that versions can be kept, and answers the present one.
    async fn create_table(&self, transaction: &Transaction<'_>) -> Result<u32, SchemaTrouble> {
        let failed = SchemaTrouble::Failed;
        // A superuser stands for every role, and not all of them are to be trusted with its powers.
        let ours = "SELECT owner.rolsuper OR owner.oid = me.oid
                OR NOT me.rolsuper AND pg_has_role(owner.oid, 'MEMBER')
            FROM pg_namespace JOIN pg_roles AS owner ON owner.oid = nspowner,
                pg_roles AS me
            WHERE nspname = 'tripod' AND me.rolname = current_user";
        let rows = transaction.query_typed(ours, &[]).await.map_err(failed)?;
        match rows.first().map(|row| row.try_get(0)) {
            Some(Ok(true)) => {}
            Some(_) => return Err(SchemaTrouble::Misfit(Misfit::Foreign)),
            // Even where it is there already, creating it asks for a privilege.
            None => {
                let create = "CREATE SCHEMA tripod";
                transaction.batch_execute(create).await.map_err(failed)?;
            }
        }
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {} (
                version integer PRIMARY KEY,
                at timestamptz NOT NULL DEFAULT clock_timestamp()
            )",
            self.table
        );
        transaction.batch_execute(&create).await.map_err(failed)?;
        let latest = self.latest();
        let rows = transaction.query_typed(&latest, &[]);
        version(&rows.await.map_err(failed)?)
    }

    /// Refuses a server or a schema that does not do.
    pub(crate) async fn check(&self, client: &Client) -> Result<(), SchemaTrouble> {
        let failed = SchemaTrouble::Failed;
        let asked = "SELECT pg_catalog.current_setting('server_version_num')::integer,
            pg_catalog.to_regclass($1) IS NOT NULL,
            pg_catalog.current_setting('transaction_read_only')";
        let table: [Argument<'_>; 1] = [(&self.table, Type::TEXT)];
        let rows = client.query_typed(asked, &table).await.map_err(failed)?;
        let garbled = |_| SchemaTrouble::Garbled;
        let row = rows.first().ok_or(SchemaTrouble::Garbled)?;
        let server: i32 = row.try_get(0).map_err(garbled)?;
        let there: bool = row.try_get(1).map_err(garbled)?;
        let read_only: String = row.try_get(2).map_err(garbled)?;
        if server < 120_000 {
            return Err(SchemaTrouble::Misfit(Misfit::Server));
        }
        if read_only == "on" {
            return Err(SchemaTrouble::Misfit(Misfit::ReadOnly));
        }
        if !there {
            return Err(SchemaTrouble::Misfit(Misfit::Missing));
        }
        let latest = self.latest();
        let rows = client.query_typed(&latest, &[]);
        let (found, known) = (version(&rows.await.map_err(failed)?)?, self.known());
        let misfit = match found {
            0 => Misfit::Missing,
            found if found < known => Misfit::Older { found, known },
            found if found > known => Misfit::Newer { found, known },
            _ => return Ok(()),
        };
        Err(SchemaTrouble::Misfit(misfit))
    }

    fn latest(&self) -> String {
        let table = self.table;
        format!("SELECT coalesce(pg_catalog.max(version), 0) FROM {table}")
    }

    fn known(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }
}

fn version(rows: &[Row]) -> Result<u32, SchemaTrouble> {
    let version = rows.first().and_then(|row| row.try_get::<_, i32>(0).ok());
    let version = version.and_then(|version| u32::try_from(version).ok());
    version.ok_or(SchemaTrouble::Garbled)
}
