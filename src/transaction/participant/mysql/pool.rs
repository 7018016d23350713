//! Connections of our own, which never hold a branch.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::failure::MysqlError;
use super::way::{Session, Way};

/// One that was idle for longer is asked whether it still lives.
const FRESH: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    way: Way,
    idle: Mutex<Vec<(Session, Instant)>>,
    permits: Semaphore,
}

/// A connection in use. It is closed when this is dropped: nobody knows its state then.
pub(super) struct Held<'a> {
    session: Session,
    pool: &'a Pool,
    permit: SemaphorePermit<'a>,
}

impl Pool {
    /// At most `size` connections.
    pub(super) fn new(way: Way, size: usize) -> Self {
        let permits = Semaphore::new(size.min(Semaphore::MAX_PERMITS));
        Self {
            way,
            idle: Mutex::default(),
            permits,
        }
    }

    pub(super) async fn take(&self) -> Result<Held<'_>, MysqlError> {
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
    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Gives it back, as good as it was: outside of any transaction.
    pub(super) fn give_back(self) {
        let idle = (self.session, Instant::now());
        self.pool.idle.lock().push(idle);
        // Not before it is there for the next.
        drop(self.permit);
    }
}
