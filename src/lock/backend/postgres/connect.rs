//! The constructor.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::future::BoxFuture;
use crate::lock::backend::bells::Bells;
use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::postgres::{Way, cause};
use crate::tls::Tls;

use super::PostgresBackend;
use super::failure::{no_way, unreached};
use super::listen::Ear;
use super::pool::Pool;
use super::schema::check;

/// How long connecting may take in all, listening aside, which may take as long.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Enough to keep a few processors of the server busy, and few enough for a server's usual hundred
/// connections to serve a dozen processes.
const POOL_SIZE: usize = 8;

/// Connects to `PostgreSQL`; made by [`PostgresBackend::connect`], and awaited.
#[must_use = "nothing is connected before it is awaited"]
pub struct ConnectPostgres {
    url: String,
    tls: Option<Tls>,
    pool_size: usize,
    listening: Listening,
}

enum Listening {
    ByTheSame,
    By(String),
    Not,
}

impl ConnectPostgres {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            tls: None,
            pool_size: POOL_SIZE,
            listening: Listening::ByTheSame,
        }
    }

    /// Connects by TLS only, and trusts whom this says; a URL with `sslmode=disable` is then
    /// *rejected*. At first the URL's `sslmode` says: `require` (TLS only), `prefer` (the default:
    /// without TLS if the server has none or cannot be trusted), `disable`. What is accepted as
    /// TLS is always verified, host name included.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// At most so many connections, beside the one that listens and the one that renews: 1 or
    /// more, at first 8. They are opened when they are needed. A step takes one for a round trip.
    pub fn pool_size(mut self, size: usize) -> Self {
        self.pool_size = size;
        self
    }

    /// Listens by a connection to this URL, of the same database. At first: by one to the URL that
    /// everything goes to.
    ///
    /// Behind a pooler that gives a server connection for a transaction only, what is told to one
    /// that listens is lost, and connecting is *rejected*: let this be the way around the pooler,
    /// or do [`without_listening`](Self::without_listening).
    pub fn listen_url(mut self, url: impl Into<String>) -> Self {
        self.listening = Listening::By(url.into());
        self
    }

    /// Does not listen. Waiters look about once a second, and when a lease that is in their way may
    /// be over; so do all while the connection that listens is down.
    pub fn without_listening(mut self) -> Self {
        self.listening = Listening::Not;
        self
    }

    async fn open(self) -> Result<PostgresBackend, BackendError> {
        let no_pool = || {
            BackendError::new(BackendErrorKind::Rejected, Verb::Connect)
                .with_source("a pool needs at least one connection")
        };
        if self.pool_size == 0 {
            return Err(no_pool());
        }
        let way = Way::new(&self.url, self.tls.as_ref())
            .await
            .map_err(no_way)?;
        timeout(CONNECT_MAX, checked(&way))
            .await
            .map_err(|_| silent())??;
        let pool = Pool::new(way.clone(), self.pool_size).ok_or_else(no_pool)?;
        // Steps that wait for a name may take all of the others.
        let renewals = Pool::new(way.clone(), 1).ok_or_else(no_pool)?;
        let bells = Arc::<Bells>::default();
        let listens = match &self.listening {
            Listening::ByTheSame => Some(way),
            Listening::By(url) => Some(Way::new(url, self.tls.as_ref()).await.map_err(no_way)?),
            Listening::Not => None,
        };
        let ear = match listens {
            Some(way) => Some(Ear::new(way, pool.clone(), Arc::clone(&bells)).await?),
            None => None,
        };
        // Who listens by the same way has been heard there, and so is behind no such pooler.
        let (pool, renewals) = match self.listening {
            Listening::ByTheSame => (pool.naming(), renewals.naming()),
            Listening::By(_) | Listening::Not => (pool, renewals),
        };
        Ok(PostgresBackend {
            pool,
            renewals,
            bells,
            ear,
        })
    }
}

/// Looks whether the server and its schema will do.
async fn checked(way: &Way) -> Result<(), BackendError> {
    let opened = way.open().await;
    let (client, driver) = opened.map_err(|error| unreached(error, Verb::Connect))?;
    tokio::select! {
        checked = check(&client) => checked,
        ended = driver => Err(BackendError::new(BackendErrorKind::Unavailable, Verb::Connect)
            .with_source(ended.err().map_or_else(|| "the connection ended".into(), cause))),
    }
}

fn silent() -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, Verb::Connect).with_source("no answer in time")
}

impl IntoFuture for ConnectPostgres {
    type Output = Result<PostgresBackend, BackendError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for ConnectPostgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectPostgres")
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}
