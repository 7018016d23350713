//! Connections, kept for the next who needs one.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, PoolError, RecyclingMethod};
use tokio::time::{Instant, timeout};
use tokio_postgres::Config;
use tokio_postgres::types::{ToSql, Type};

use super::way::Way;

/// A client, and the statements that the server knows by name there.
pub(crate) type Connected = deadpool_postgres::ClientWrapper;

pub(crate) type Argument<'a> = (&'a (dyn ToSql + Sync), Type);

/// At most so many connections, opened when they are needed. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Pool(deadpool_postgres::Pool);

/// Why there is no connection. Nothing was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConnection {
    #[error("the server was not reached")]
    Unreached(tokio_postgres::Error),
    #[error("the pool is closed")]
    Closed,
    #[error("no connection in time")]
    Late,
}

impl Pool {
    pub(crate) fn new(way: Way, size: usize) -> Option<Self> {
        // A connection that was closed is known to be without asking, and one that went silent is
        // found by the call that it fails.
        let config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        // The way has its own idea of where it leads.
        let manager = Manager::from_connect(Config::new(), way, config);
        // Timeouts are ours, around everything.
        let pool = deadpool_postgres::Pool::builder(manager).max_size(size);
        pool.build().ok().map(Self)
    }

    /// One that is free or a new one, within this time.
    pub(crate) async fn connection(&self, time_max: Duration) -> Result<Borrowed, NoConnection> {
        match timeout(time_max, self.0.get()).await {
            Ok(Ok(client)) => Ok(Borrowed(Some(client))),
            Ok(Err(PoolError::Backend(error))) => Err(NoConnection::Unreached(error)),
            Ok(Err(
                PoolError::Timeout(_)
                | PoolError::Closed
                | PoolError::NoRuntimeSpecified
                | PoolError::PostCreateHook(_),
            )) => Err(NoConnection::Closed),
            Err(_) => Err(NoConnection::Late),
        }
    }

    /// Closes idle connections.
    pub(crate) fn forget_idle(&self) {
        drop(self.0.retain(|_, _| false));
    }

    /// Closes idle connections that nobody has used since: where one went silent, so may they
    /// have, and each would cost a caller its time.
    pub(crate) fn forget_since(&self, sent: Instant) {
        let used_since = sent.elapsed();
        let idle = self.0.retain(|_, metrics| metrics.last_used() < used_since);
        drop(idle);
    }
}

/// A connection that is closed unless it is given back: nobody else gets one on which a statement
/// may still be under way.
pub(crate) struct Borrowed(Option<Object>);

impl Borrowed {
    /// Always there, until it is given back.
    pub(crate) fn client(&self) -> Option<&Connected> {
        self.0.as_deref()
    }

    pub(crate) fn give_back(mut self) {
        // Dropped, it returns to the pool.
        drop(self.0.take());
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}
