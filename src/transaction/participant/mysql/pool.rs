//! Connections of our own, which never hold a branch.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use crate::future::BoxFuture;

use super::failure::MysqlError;
use super::way::{Session, Way};

/// One that was idle for longer is asked whether it still lives.
const FRESH: Duration = Duration::from_secs(1);

pub(in crate::transaction::participant) struct Pool {
    way: Way,
    idle: Mutex<Vec<(Session, Instant)>>,
    permits: Semaphore,
    answer_limit: Duration,
}

/// A connection in use. It is closed when this is dropped: nobody knows its state then.
pub(in crate::transaction::participant) struct Held<'a> {
    session: Session,
    pool: &'a Pool,
    permit: SemaphorePermit<'a>,
}

impl Pool {
    /// At most `size` connections. A request may take as long as the limit says.
    pub(in crate::transaction::participant) fn new(
        way: Way,
        size: usize,
        answer_limit: Duration,
    ) -> Self {
        let permits = Semaphore::new(size.min(Semaphore::MAX_PERMITS));
        Self {
            way,
            idle: Mutex::default(),
            permits,
            answer_limit,
        }
    }

    pub(in crate::transaction::participant) fn answer_limit(&self) -> Duration {
        self.answer_limit
    }

    /// Ends by itself, and drops what was under way: its connections are closed.
    pub(in crate::transaction::participant) fn within<'a, T: 'a, E: From<MysqlError> + 'a>(
        &'a self,
        request: impl Future<Output = Result<T, E>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, E>> {
        Box::pin(async move {
            let answer = timeout(self.answer_limit, request).await;
            answer.unwrap_or_else(|_| Err(MysqlError::late().into()))
        })
    }

    pub(in crate::transaction::participant) async fn take(&self) -> Result<Held<'_>, MysqlError> {
        let permit = self.permits.acquire().await;
        let permit = permit.map_err(|_| MysqlError::ended())?;
        let session = self.session().await?;
        Ok(Held {
            session,
            pool: self,
            permit,
        })
    }

    async fn session(&self) -> Result<Session, MysqlError> {
        loop {
            let idle = self.idle.lock().pop();
            match idle {
                None => return self.way.control().await,
                Some((session, since)) if since.elapsed() < FRESH => return Ok(session),
                Some((mut session, _)) => {
                    if session.ping().await {
                        return Ok(session);
                    }
                    // The others are as old.
                    self.idle.lock().clear();
                }
            }
        }
    }
}

impl Held<'_> {
    pub(in crate::transaction::participant) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Gives it back, as good as it was: outside of any transaction.
    pub(in crate::transaction::participant) fn give_back(self) {
        let idle = (self.session, Instant::now());
        self.pool.idle.lock().push(idle);
        // Not before it is there for the next.
        drop(self.permit);
    }
}
