//! The constructor, and the tables by version.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use super::PostgresBarrier;
use super::rows::{MIGRATE, Rows, SCHEMA};
use crate::future::BoxFuture;
use crate::postgres::{Pool, Way, migration};
use crate::tls::Tls;
use crate::transaction::participant::ParticipantOpenError;
use crate::transaction::participant::postgres::failure::{no_way, unfit};

/// Enough to keep a few processors of the server busy, and few enough for its usual hundred
/// connections, most of which the service needs.
const POOL_SIZE: usize = 4;

/// Connects a barrier to `PostgreSQL`; made by [`PostgresBarrier::connect`], and awaited.
#[must_use = "nothing is connected before it is awaited"]
pub struct ConnectPostgresBarrier {
    url: String,
    tls: Option<Tls>,
    pool_size: usize,
}

migration! {
    /// Creates the tables of a barrier; made by [`PostgresBarrier::migrate`], and awaited.
    MigratePostgresBarrier of SCHEMA, ParticipantOpenError, no_way, |error| unfit(error, MIGRATE)
}

impl ConnectPostgresBarrier {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            tls: None,
            pool_size: POOL_SIZE,
        }
    }

    /// Connects by TLS only, and trusts whom this says; a URL with `sslmode=disable` is then
    /// refused. At first: as the URL's `sslmode` says.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// At most so many connections of the participant's own, 1 or more; at first 4. They are opened
    /// when they are needed. Whoever needs one more waits for 5 seconds.
    pub fn pool_size(mut self, size: usize) -> Self {
        self.pool_size = size;
        self
    }

    async fn open(self) -> Result<PostgresBarrier, ParticipantOpenError> {
        let way = Way::new(&self.url, self.tls.as_ref()).await;
        let way = way.map_err(no_way)?;
        let size = Some(self.pool_size).filter(|size| *size > 0);
        let pool = size.and_then(|size| Pool::new(way, size));
        let none = || ParticipantOpenError::Unfit("a pool needs at least one connection".into());
        Ok(PostgresBarrier(Arc::new(Rows::new(pool.ok_or_else(none)?))))
    }
}

impl IntoFuture for ConnectPostgresBarrier {
    type Output = Result<PostgresBarrier, ParticipantOpenError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for ConnectPostgresBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectPostgresBarrier")
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}
