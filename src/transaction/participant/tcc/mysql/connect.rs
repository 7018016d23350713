//! The constructor, and the tables by version.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use super::rows::Rows;
use super::text::Text;
use super::{Inner, MysqlBarrier};
use crate::future::BoxFuture;
use crate::tls::Tls;
use crate::transaction::participant::ParticipantOpenError;
use crate::transaction::participant::mysql::MysqlUnfit;
use crate::transaction::participant::mysql::migrate::{DATABASE, LIMITS, is_plain};
use crate::transaction::participant::mysql::pool::Pool;
use crate::transaction::participant::mysql::way::Way;

/// Enough to keep a few processors of the server busy, and few enough for its usual 151
/// connections, most of which the service needs.
const POOL_SIZE: usize = 4;

/// Ten times what a busy server takes to write, and less than a user waits for.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Connects a barrier to `MariaDB` or `MySQL`; made by [`MysqlBarrier::connect`], and awaited.
#[must_use = "nothing is connected before it is awaited"]
pub struct ConnectMysqlBarrier {
    url: String,
    tls: Option<Tls>,
    database: String,
    pool_size: usize,
    answer_limit: Duration,
}

impl ConnectMysqlBarrier {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            tls: None,
            database: DATABASE.into(),
            pool_size: POOL_SIZE,
            answer_limit: ANSWER_MAX,
        }
    }

    /// Connects by TLS only, and trusts whom this says. At first: as the URL says, `require_ssl`.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Finds the barrier's tables in this database; at first `tripod`.
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = database.into();
        self
    }

    /// At most so many connections of the participant's own, 1 or more; at first 4. They are opened
    /// when they are needed.
    pub fn pool_size(mut self, size: usize) -> Self {
        self.pool_size = size;
        self
    }

    /// How long a request of the participant's may take in all before its answer counts as unknown;
    /// at first 10 s. Longer than a second, which is how long it waits for a lock.
    pub fn answer_limit(mut self, time: Duration) -> Self {
        self.answer_limit = time;
        self
    }

    async fn open(self) -> Result<MysqlBarrier, ParticipantOpenError> {
        if !is_plain(&self.database) {
            return Err(MysqlUnfit::Database.into());
        }
        if self.pool_size == 0 {
            let why = "a pool needs at least one connection";
            return Err(ParticipantOpenError::Unfit(why.into()));
        }
        let way = Way::new(&self.url, self.tls.as_ref(), LIMITS).await?;
        Ok(MysqlBarrier(Arc::new(Inner {
            text: Text::new(&self.database),
            rows: Rows::new(self.database),
            pool: Pool::new(way, self.pool_size, self.answer_limit),
        })))
    }
}

impl IntoFuture for ConnectMysqlBarrier {
    type Output = Result<MysqlBarrier, ParticipantOpenError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for ConnectMysqlBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectMysqlBarrier")
            .field("database", &self.database)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}
