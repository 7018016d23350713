//! The constructor.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use crate::future::BoxFuture;
use crate::postgres::{Pool, Way};
use crate::tls::Tls;
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::ParticipantOpenError;

use super::failure::{Trouble, no_way};
use super::link::Link;
use super::protocol::Limits;
use super::session::Working;
use super::store::Store;
use super::{Inner, PostgresParticipant};

/// Few enough for a server's usual hundred connections to serve a handful of processes.
const POOL_SIZE: usize = 16;

/// What settles branches has connections of its own, so that it never waits for branches that work:
/// enough to keep a few processors of the server busy.
const SETTLING_SIZE: usize = 4;

const LIMITS: Limits = Limits {
    idle: Duration::from_secs(60),
    lock: Duration::from_secs(10),
    statement: Duration::from_secs(60),
};

/// Connects to `PostgreSQL`; made by [`PostgresParticipant::connect`], and awaited.
#[must_use = "nothing is connected before it is awaited"]
pub struct ConnectPostgres {
    name: String,
    url: String,
    tls: Option<Tls>,
    pool_size: usize,
    limits: Limits,
}

impl ConnectPostgres {
    pub(super) fn new(name: String, url: String) -> Self {
        Self {
            name,
            url,
            tls: None,
            pool_size: POOL_SIZE,
            limits: LIMITS,
        }
    }

    /// Connects by TLS only, and trusts whom this says; a URL with `sslmode=disable` is then
    /// refused. At first the URL's `sslmode` says: `require` (TLS only), `prefer` (the default:
    /// without TLS if the server has none or cannot be trusted), `disable`. What is accepted as
    /// TLS is always verified, host name included.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// At most so many branches that work at a time, a connection each: 1 or more, at first 16.
    /// They are opened when they are needed, beside the at most 4 that settle branches. Who begins
    /// one more waits for 5 seconds.
    pub fn pool_size(mut self, size: usize) -> Self {
        self.pool_size = size;
        self
    }

    /// For how long a branch that is not prepared may hold its locks between two statements: then
    /// the server ends it, and it votes no. From 1 ms, at first 60 s. A process that was stopped
    /// holds them no longer; on a log that several processes share, no longer than its lease.
    pub fn idle_limit(mut self, limit: Duration) -> Self {
        self.limits.idle = limit;
        self
    }

    /// How long a statement of a branch may wait for a lock: then it fails. From 1 ms, at first
    /// 10 s. A deadlock between branches on several servers is seen by none of them, and ends
    /// by this.
    pub fn lock_limit(mut self, limit: Duration) -> Self {
        self.limits.lock = limit;
        self
    }

    /// How long a statement of a branch may take: then it fails. From 1 ms, at first 60 s.
    pub fn statement_limit(mut self, limit: Duration) -> Self {
        self.limits.statement = limit;
        self
    }

    async fn open(self) -> Result<PostgresParticipant, ParticipantOpenError> {
        let unfit = |why: &'static str| ParticipantOpenError::Unfit(why.into());
        let name = ParticipantName::new(&self.name);
        let name = name.map_err(|error| ParticipantOpenError::Unfit(error.into()))?;
        let way = Way::new(&self.url, self.tls.as_ref()).await;
        let way = way.map_err(no_way)?;
        let no_pool = || unfit("a pool needs at least one connection");
        if self.pool_size == 0 {
            return Err(no_pool());
        }
        let working = Pool::new(way.clone(), self.pool_size).ok_or_else(no_pool)?;
        let settling = Pool::new(way, SETTLING_SIZE).ok_or_else(no_pool)?;
        let role = role(&settling).await?;
        Ok(PostgresParticipant(Arc::new(Inner {
            name,
            pool: working,
            store: Store::new(settling),
            role,
            limits: self.limits,
            working: Working::default(),
        })))
    }
}

/// As whom branches are prepared.
async fn role(pool: &Pool) -> Result<String, Trouble> {
    let link = Link::new(pool).await?;
    let (cells, _) = link.ask("SELECT current_user").await?;
    link.give_back();
    let role = cells.into_iter().flatten().next();
    role.ok_or_else(Trouble::garbled)
}

impl IntoFuture for ConnectPostgres {
    type Output = Result<PostgresParticipant, ParticipantOpenError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for ConnectPostgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectPostgres")
            .field("name", &self.name)
            .field("pool_size", &self.pool_size)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
