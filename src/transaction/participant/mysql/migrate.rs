//! The tables on the server, by version.

use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use tokio::time::timeout;

use crate::future::BoxFuture;
use crate::tls::Tls;
use crate::transaction::participant::ParticipantOpenError;

use super::failure::MysqlError;
use super::fit::{Unfit, check_server};
use super::way::{Limits, Session, Way};

/// Where the tables are, unless somebody says otherwise.
pub(in crate::transaction::participant) const DATABASE: &str = "tripod";

pub(in crate::transaction::participant) const LIMITS: Limits = Limits {
    idle: Duration::from_secs(60),
    statement: Duration::from_secs(60),
    lock_wait: Duration::from_secs(10),
};

/// The tables of participants.
pub(super) const PARTICIPANT: Series = Series {
    prefix: "participant",
    versions: &[concat!(include_str!("v1.sql"), include_str!("fence.sql"))],
};

/// Tables that have versions of their own, which are kept in another.
pub(in crate::transaction::participant) struct Series {
    /// What the names of its tables begin with.
    pub(in crate::transaction::participant) prefix: &'static str,
    /// Every version from its predecessor; the first from nothing. Never one is changed or removed.
    /// The server commits each statement by itself, so each may be repeated.
    pub(in crate::transaction::participant) versions: &'static [&'static str],
}

/// How long a migration may take, the wait for another one included.
const MIGRATION_MAX: Duration = Duration::from_secs(60);

/// Creates the tables of a participant or of a barrier, or brings them to this version; made by
/// [`MysqlParticipant::migrate`](super::MysqlParticipant::migrate) and
/// [`MysqlBarrier::migrate`](crate::transaction::participant::tcc::MysqlBarrier::migrate), and
/// awaited.
#[must_use = "nothing is done before it is awaited"]
pub struct MigrateMysql {
    series: &'static Series,
    url: String,
    tls: Option<Tls>,
    database: String,
}

impl MigrateMysql {
    pub(in crate::transaction::participant) fn new(url: String, series: &'static Series) -> Self {
        Self {
            series,
            url,
            tls: None,
            database: DATABASE.into(),
        }
    }

    /// Connects by TLS only, and trusts whom this says. At first: as the URL says, `require_ssl`.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Creates the tables in this database, and the database, if it is not there. At first:
    /// `tripod`. From 1 to 64 of `A` to `Z`, `a` to `z`, `0` to `9` and `_`.
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = database.into();
        self
    }

    async fn run(self) -> Result<(), ParticipantOpenError> {
        let (url, tls) = (&self.url, self.tls.as_ref());
        self.series.migrate(url, tls, &self.database).await
    }
}

impl IntoFuture for MigrateMysql {
    type Output = Result<(), ParticipantOpenError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for MigrateMysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigrateMysql")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Series {
    /// Creates the tables, or brings them to the version known here.
    async fn migrate(
        &self,
        url: &str,
        tls: Option<&Tls>,
        database: &str,
    ) -> Result<(), ParticipantOpenError> {
        if !is_plain(database) {
            return Err(Unfit::Database.into());
        }
        let migrating = async {
            let way = Way::new(url, tls, LIMITS).await?;
            let mut session = way.control().await?;
            check_server(&mut session).await?;
            self.migrate_by(&mut session, database).await?;
            session.close().await;
            Ok(())
        };
        let silent = |_| MysqlError::late();
        timeout(MIGRATION_MAX, migrating).await.map_err(silent)?
    }

    async fn migrate_by(
        &self,
        session: &mut Session,
        database: &str,
    ) -> Result<(), ParticipantOpenError> {
        let found =
            format!("SELECT 1 FROM information_schema.schemata WHERE schema_name = '{database}'");
        // Even where it is there already, creating it asks for a privilege.
        if session.rows::<(u8,)>(&found).await?.is_empty() {
            let create = format!("CREATE DATABASE IF NOT EXISTS `{database}`");
            session.run(&create).await?;
        }
        // One at a time, and gone with the connection. The server folds the case of such names.
        let seconds = MIGRATION_MAX.as_secs();
        let lock = format!("SELECT GET_LOCK('tripod participant migration', {seconds})");
        if session.rows::<(Option<u8>,)>(&lock).await? != [(Some(1),)] {
            return Err(MysqlError::late().into());
        }
        session
            .run(&format!("SET SESSION lock_wait_timeout = {seconds}"))
            .await?;
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {} (
                version INT UNSIGNED NOT NULL PRIMARY KEY,
                at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
            ) ENGINE = InnoDB",
            self.table(database)
        );
        session.run(&create).await?;
        let found = self.version(session, database).await?;
        if found > self.known() {
            let known = self.known();
            return Err(Unfit::Newer { found, known }.into());
        }
        for (version, steps) in (1_u32..).zip(self.versions) {
            if version > found {
                let prefix = format!("`{database}`.{}", self.prefix);
                let steps = steps.replace("{prefix}", &prefix);
                session.run(&steps).await?;
                let table = self.table(database);
                let mark = format!("INSERT INTO {table} (version) VALUES ({version})");
                session.run(&mark).await?;
            }
        }
        Ok(())
    }

    /// Refuses tables that are not of this version.
    pub(in crate::transaction::participant) async fn check(
        &self,
        session: &mut Session,
        database: &str,
    ) -> Result<(), ParticipantOpenError> {
        let known = self.known();
        let found = match self.version(session, database).await {
            Ok(found) => found,
            // No such database or table.
            Err(error) if error.is(1049) || error.is(1146) => return Err(Unfit::Missing.into()),
            Err(error) => return Err(error.into()),
        };
        match found {
            0 => Err(Unfit::Missing.into()),
            found if found < known => Err(Unfit::Older { found, known }.into()),
            found if found > known => Err(Unfit::Newer { found, known }.into()),
            _ => Ok(()),
        }
    }

    async fn version(&self, session: &mut Session, database: &str) -> Result<u32, MysqlError> {
        let latest = format!("SELECT max(version) FROM {}", self.table(database));
        let rows = session.rows::<(Option<u32>,)>(&latest).await?;
        Ok(rows.first().and_then(|row| row.0).unwrap_or(0))
    }

    /// What the versions are kept in.
    fn table(&self, database: &str) -> String {
        format!("`{database}`.{}_migration", self.prefix)
    }

    fn known(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }
}

/// Whether this may stand between backticks.
pub(in crate::transaction::participant) fn is_plain(database: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=64).contains(&database.len()) && database.bytes().all(plain)
}
