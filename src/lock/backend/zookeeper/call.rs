//! One call of the trait: requests that share a time limit, and what is known of their effect.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use zookeeper_client::{Error, MultiWriteError, MultiWriteResult, MultiWriter, Stat};

use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::lock::fence::FencingToken;

use super::failure::{Refusal, failure, refusal};
use super::session::Session;
use super::view::View;

/// How long a call may take in all.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

/// A holder's node and its fencing token, which never changes: those who try one after another need
/// not all read it.
pub(super) type Known = Option<(String, FencingToken)>;

/// All that one transaction does has its number: the node of a holder tells its fencing token by the
/// transaction that made it, which is the one that granted.
pub(super) fn token(zxid: i64) -> FencingToken {
    FencingToken::new(u64::from_ne_bytes(zxid.to_ne_bytes()))
}

/// A call under way.
pub(super) struct Call {
    pub(super) session: Arc<Session>,
    verb: Verb,
    until: Instant,
    /// Whether something was changed, or may yet be.
    may_have_changed: bool,
}

impl Call {
    pub(super) fn new(session: Arc<Session>, verb: Verb, until: Instant) -> Self {
        Self {
            session,
            verb,
            until,
            may_have_changed: false,
        }
    }

    /// Reads. Answers nothing if the node is not there.
    pub(super) async fn read<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, BackendError> {
        let answer = timeout_at(self.until, request).await;
        match answer.unwrap_or(Err(Error::Timeout)) {
            Ok(found) => Ok(Some(found)),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(failure(error, self.verb, self.may_have_changed)),
        }
    }

    /// Waits, for as long as the call may take.
    pub(super) async fn within<T>(&self, wait: impl Future<Output = T>) -> Result<T, BackendError> {
        let waited = timeout_at(self.until, wait).await;
        waited.map_err(|_| self.too_busy())
    }

    /// Changes something, or is refused.
    async fn write<T>(
        &mut self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Refusal>, BackendError> {
        let asked = self.session.asking();
        // Dropped meanwhile, or without an answer, it may have changed something.
        let before = std::mem::replace(&mut self.may_have_changed, true);
        let answer = timeout_at(self.until, request).await;
        match answer.unwrap_or(Err(Error::Timeout)) {
            Ok(done) => {
                self.session.answered(asked);
                Ok(Ok(done))
            }
            Err(error) => match refusal(error) {
                Ok(refusal) => {
                    self.may_have_changed = before;
                    Ok(Err(refusal))
                }
                Err(error) => {
                    let refused = matches!(error, Error::NoAuth | Error::QuotaExceeded);
                    Err(failure(error, self.verb, before || !refused))
                }
            },
        }
    }

    /// Does all of these or none, and answers what is said of the lock's own node and what was
    /// created.
    pub(super) async fn change(
        &mut self,
        mut writes: MultiWriter<'_>,
    ) -> Result<Result<(Stat, String), Refusal>, BackendError> {
        let request = writes.commit();
        let done = self.write(async { request.await.map_err(MultiWriteError::into) });
        let done = match done.await? {
            Ok(done) => done,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (mut root, mut created) = (None, None);
        for result in done {
            match result {
                MultiWriteResult::SetData { stat } => root = Some(stat),
                MultiWriteResult::Create { path, .. } => created = Some(path),
                MultiWriteResult::Check | MultiWriteResult::Delete | _ => {}
            }
        }
        match root.zip(created) {
            Some(changed) => Ok(Ok(changed)),
            None => Err(self.garbled("the server answered another request")),
        }
    }

    /// The fencing token of the holder that this node is, if it is there or was `known` to be.
    pub(super) async fn token_of(
        &self,
        node: &str,
        known: &mut Known,
    ) -> Result<Option<FencingToken>, BackendError> {
        if let Some((_, token)) = known.as_ref().filter(|(known, _)| known == node) {
            return Ok(Some(*token));
        }
        let stat = self.read(self.session.client.check_stat(node)).await?;
        let token = stat.flatten().map(|stat| token(stat.czxid));
        *known = token.map(|token| (node.to_owned(), token));
        Ok(token)
    }

    /// Removes a node. Answers whether it was there.
    pub(super) async fn remove(&mut self, path: &str) -> Result<bool, BackendError> {
        let session = Arc::clone(&self.session);
        let removed = self.write(session.client.delete(path, None)).await?;
        Ok(removed.is_ok())
    }

    /// Makes another version of a lock's own node.
    pub(super) async fn step_on(&mut self, root: &str) -> Result<(), BackendError> {
        let session = Arc::clone(&self.session);
        let _ = self.write(session.client.set_data(root, b"", None)).await?;
        Ok(())
    }

    /// Makes the node that everything is under, if somebody has removed it.
    pub(super) async fn make(
        &mut self,
        path: &str,
        options: &zookeeper_client::CreateOptions<'_>,
    ) -> Result<(), BackendError> {
        let session = Arc::clone(&self.session);
        let _ = self.write(session.client.mkdir(path, options)).await?;
        Ok(())
    }

    /// Looks at a lock as the connected server has it, which may be late, though never earlier than
    /// what this session has seen or done.
    pub(super) async fn glance(&self, root: &str) -> Result<View, BackendError> {
        let listed = self.read(self.session.client.get_children(root)).await?;
        self.view(listed)
    }

    /// Looks at a lock as the leader has it. Both requests go out at once.
    pub(super) async fn look(&self, root: &str) -> Result<View, BackendError> {
        let client = &self.session.client;
        let (synced, listed) = (client.sync(root), client.get_children(root));
        self.read(synced).await?;
        let listed = self.read(listed).await?;
        self.view(listed)
    }

    fn view(&self, listed: Option<(Vec<String>, Stat)>) -> Result<View, BackendError> {
        let Some((names, root)) = listed else {
            return Ok(View::default());
        };
        View::new(names, root).map_err(|garbled| self.corrupt().with_source(garbled))
    }

    /// Whether there is time for another look.
    pub(super) fn has_time(&self) -> bool {
        Instant::now() < self.until
    }

    /// Others have changed the lock without pause.
    pub(super) fn too_busy(&self) -> BackendError {
        self.gave_up("the lock changes too fast")
    }

    /// The caller has left meanwhile.
    pub(super) fn left(&self) -> BackendError {
        self.gave_up("the entry has left meanwhile")
    }

    fn gave_up(&self, why: &'static str) -> BackendError {
        let kind = if self.may_have_changed {
            BackendErrorKind::Indeterminate
        } else {
            BackendErrorKind::Unavailable
        };
        BackendError::new(kind, self.verb).with_source(why)
    }

    pub(super) fn rejected(&self, why: impl Into<String>) -> BackendError {
        BackendError::new(BackendErrorKind::Rejected, self.verb).with_source(why.into())
    }

    pub(super) fn garbled(&self, why: &'static str) -> BackendError {
        self.corrupt().with_source(why)
    }

    fn corrupt(&self) -> BackendError {
        BackendError::new(BackendErrorKind::Corrupt, self.verb)
    }
}
