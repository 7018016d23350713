//! One client's way to the store: a `LockBackend` whose every call is a message that the world
//! decides upon. What was sent is on its way, whether or not the caller still waits.

use std::fmt;
use std::sync::Arc;

use tripod::BoxFuture;
use tripod::lock::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, FencingToken, Inspection,
    LockBackend, LockName, Renewed, Request, Verb,
};

use crate::message::{Answer, Ask, Reply};
use crate::world::World;

/// The network of one life of a client.
pub struct Network {
    world: Arc<World>,
    client: usize,
}

impl Network {
    pub fn new(world: Arc<World>, client: usize) -> Self {
        Self { world, client }
    }

    async fn call(&self, ask: Ask) -> Reply {
        match self.world.send(self.client, ask).await {
            Ok(reply) => reply,
            // The client has crashed: whatever still runs of it hears nothing any more.
            Err(_) => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({})", self.client)
    }
}

/// The error of a call, or of an answer to another question.
fn failed(reply: Reply, verb: Verb) -> BackendError {
    let kind = reply.err().unwrap_or(BackendErrorKind::Corrupt);
    BackendError::new(kind, verb)
}

impl LockBackend for Network {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        Box::pin(async move {
            match self.call(Ask::Enqueue(request.clone())).await {
                Ok(Answer::Enqueued(enqueued)) => Ok(enqueued),
                other => Err(failed(other, Verb::Enqueue)),
            }
        })
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            match self.call(Ask::Changed(entry.clone())).await {
                Ok(Answer::Changed) => Ok(()),
                other => Err(failed(other, Verb::Changed)),
            }
        })
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        Box::pin(async move {
            match self.call(Ask::Claim(entry.clone())).await {
                Ok(Answer::Claimed(claimed)) => Ok(claimed),
                other => Err(failed(other, Verb::Claim)),
            }
        })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(async move {
            let error = |kind| BackendError::new(kind, Verb::Renew);
            match self.call(Ask::Renew(entries.to_vec())).await {
                Ok(Answer::Renewed(all)) => all.into_iter().map(|one| one.map_err(error)).collect(),
                other => {
                    let kind = failed(other, Verb::Renew).kind();
                    entries.iter().map(|_| Err(error(kind))).collect()
                }
            }
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            match self.call(Ask::Release(entry.clone())).await {
                Ok(Answer::Released(held)) => Ok(held),
                other => Err(failed(other, Verb::Release)),
            }
        })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            match self.call(Ask::Leave(entry.clone())).await {
                Ok(Answer::Left) => Ok(()),
                other => Err(failed(other, Verb::Leave)),
            }
        })
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        Box::pin(async move {
            match self.call(Ask::Inspect(name.clone())).await {
                Ok(Answer::Inspected(inspection)) => Ok(inspection),
                other => Err(failed(other, Verb::Inspect)),
            }
        })
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            match self.call(Ask::ForceRelease(name.clone(), token)).await {
                Ok(Answer::Forced(held)) => Ok(held),
                other => Err(failed(other, Verb::ForceRelease)),
            }
        })
    }
}
