//! The constructor.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::future::BoxFuture;
use crate::tls::Tls;
use crate::transaction::ParticipantName;
use crate::transaction::participant::ParticipantOpenError;

use super::failure::MysqlError;
use super::fit::{Unfit, check_server};
use super::live::Live;
use super::migrate::{DATABASE, LIMITS, PARTICIPANT, is_plain};
use super::pool::Pool;
use super::tables::Tables;
use super::way::{Limits, Way};
use super::{Inner, MysqlParticipant};

/// Enough to end many transactions at once, and few enough for a server's usual 151 connections,
/// most of which branches need.
const POOL_SIZE: usize = 8;

/// Ten times what a busy server takes to write, and less than a user waits for.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Connects to `MariaDB` or `MySQL`; made by
/// [`MysqlParticipant::connect`], and awaited.
#[must_use = "nothing is connected before it is awaited"]
pub struct ConnectMysql {
    name: String,
    url: String,
    tls: Option<Tls>,
    database: String,
    pool_size: usize,
    answer_limit: Duration,
    limits: Limits,
}

impl ConnectMysql {
    pub(super) fn new(name: String, url: String) -> Self {
        Self {
            name,
            url,
            tls: None,
            database: DATABASE.into(),
            pool_size: POOL_SIZE,
            answer_limit: ANSWER_MAX,
            limits: LIMITS,
        }
    }

    /// Connects by TLS only, and trusts whom this says. At first the URL says: with
    /// `require_ssl=true` by TLS, trusting the authorities that the client brings.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Finds the participant's tables in this database; at first `tripod`. It is another one than
    /// that of the URL, which the branches work in.
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = database.into();
        self
    }

    /// At most so many connections for ending branches, 1 or more; at first 8. Each branch that
    /// works has one more, of its own. They are opened when they are needed.
    pub fn pool_size(mut self, size: usize) -> Self {
        self.pool_size = size;
        self
    }

    /// How long a request may take in all before its answer counts as unknown; at first 10 s.
    /// Longer than a second, which is how long one waits for a branch that writes.
    pub fn answer_limit(mut self, time: Duration) -> Self {
        self.answer_limit = time;
        self
    }

    /// How long the server keeps a branch that says nothing and is not prepared; at first a minute.
    /// In whole seconds, rounded up. A stopped process holds its branches, and their locks, for
    /// that long: no longer than the lease of whoever coordinates.
    pub fn idle_limit(mut self, time: Duration) -> Self {
        self.limits.idle = time;
        self
    }

    /// How long a statement of a branch may run; at first a minute. `MySQL` itself ends only
    /// `SELECT`s, after milliseconds, and `MariaDB` any, after whole seconds; this side waits for the
    /// same time and [`answer_limit`](Self::answer_limit), and then loses the branch.
    pub fn statement_limit(mut self, time: Duration) -> Self {
        self.limits.statement = time;
        self
    }

    /// How long a statement of a branch waits for a lock; at first 10 s. In whole seconds, rounded
    /// up.
    pub fn lock_limit(mut self, time: Duration) -> Self {
        self.limits.lock_wait = time;
        self
    }

    async fn open(self) -> Result<MysqlParticipant, ParticipantOpenError> {
        let unfit = |why: &'static str| ParticipantOpenError::Unfit(why.into());
        let name = ParticipantName::new(&self.name);
        let name = name.map_err(|error| ParticipantOpenError::Unfit(error.into()))?;
        if !is_plain(&self.database) {
            return Err(Unfit::Database.into());
        }
        if self.pool_size == 0 {
            return Err(unfit("a pool needs at least one connection"));
        }
        let opening = async {
            let way = Way::new(&self.url, self.tls.as_ref(), self.limits).await?;
            let pool = Pool::new(way.clone(), self.pool_size, self.answer_limit);
            let mut held = pool.take().await?;
            check_server(held.session()).await?;
            PARTICIPANT.check(held.session(), &self.database).await?;
            held.give_back();
            Ok::<_, ParticipantOpenError>((way, pool))
        };
        let late = |_| ParticipantOpenError::from(MysqlError::late());
        let (way, pool) = timeout(self.answer_limit, opening).await.map_err(late)??;
        Ok(MysqlParticipant(Arc::new(Inner {
            name,
            tables: Tables::new(&self.database),
            database: self.database,
            way,
            pool,
            live: Live::default(),
        })))
    }
}

impl IntoFuture for ConnectMysql {
    type Output = Result<MysqlParticipant, ParticipantOpenError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for ConnectMysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectMysql")
            .field("name", &self.name)
            .field("database", &self.database)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}
