//! The constructor, and the tables by version.

use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use crate::future::BoxFuture;
use crate::postgres::{Pool, Way, migration};
use crate::tls::Tls;

use super::super::error::LogError;
use super::super::front::Front;
use super::PostgresLog;
use super::failure::{no_way, unfit};
use super::name::LogName;
use super::store::{SCHEMA, Store};
use super::writer::Writer;

/// A log is asked for one thing after the other.
const POOL_SIZE: usize = 1;

/// Connects a log to `PostgreSQL`; made by [`PostgresLog::connect`], and awaited.
#[must_use = "nothing is connected before it is awaited"]
pub struct ConnectPostgresLog {
    name: String,
    url: String,
    tls: Option<Tls>,
    lease: Duration,
    space_max: u64,
}

migration! {
    /// Creates the tables of logs; made by [`PostgresLog::migrate`], and awaited.
    MigratePostgresLog of SCHEMA, LogError, no_way, unfit
}

impl ConnectPostgresLog {
    pub(super) fn new(name: String, url: String) -> Self {
        Self {
            name,
            url,
            tls: None,
            lease: Duration::from_secs(5),
            space_max: u64::MAX,
        }
    }

    /// Connects by TLS only, and trusts whom this says; a URL with `sslmode=disable` is then
    /// refused. At first: as the URL's `sslmode` says.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// For how long an append or an opening may wait for the log's row, and for how long it may have
    /// it: the server's limits on locks, statements and idle transactions. From 1 ms, at first 5 s.
    /// No longer than the TTL of the lock that elects who has the log open, where there is one: then
    /// nothing that the one before has under way is in the way of the next for longer.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How many bytes of [space](super::super::Record::space) may live and be reserved. At first
    /// without bound. What is reserved is kept free of this bound; *whether the server's disk has
    /// room, it cannot promise*: there, an append may find it full in spite of its reservation.
    pub fn space_max(mut self, bytes: u64) -> Self {
        self.space_max = bytes;
        self
    }

    async fn open(self) -> Result<PostgresLog, LogError> {
        let name = LogName::new(&self.name);
        let name = name.map_err(|error| LogError::Unfit(error.into()))?;
        let way = Way::new(&self.url, self.tls.as_ref()).await;
        let pool = Pool::new(way.map_err(no_way)?, POOL_SIZE);
        let pool = pool.ok_or_else(|| LogError::Unfit("no pool".into()))?;
        let (front, queue, session) = Front::new();
        let store = Store::new(pool, name.clone(), self.lease);
        tokio::spawn(Writer::new(store, self.space_max, queue, session).run());
        Ok(PostgresLog::new(front, name))
    }
}

impl IntoFuture for ConnectPostgresLog {
    type Output = Result<PostgresLog, LogError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for ConnectPostgresLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectPostgresLog")
            .field("name", &self.name)
            .field("lease", &self.lease)
            .field("space_max", &self.space_max)
            .finish_non_exhaustive()
    }
}
