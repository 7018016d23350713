//! What goes over the network, there and back.

use futures_util::FutureExt;
use tokio::time::Instant;
use tripod::lock::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, FencingToken, Grant, Inspection,
    Lease, LockBackend, LockName, Renewed, Request, Standing, Verb,
};

/// A request, as its own copy: it may land after whoever sent it has gone.
#[derive(Clone, Debug)]
pub enum Ask {
    Enqueue(Request),
    Changed(Entry),
    Claim(Entry),
    Renew(Vec<Entry>),
    Release(Entry),
    Leave(Entry),
    Inspect(LockName),
    ForceRelease(LockName, FencingToken),
}

/// What the store answers.
#[derive(Clone, Debug)]
pub enum Answer {
    Enqueued(Enqueued),
    Changed,
    Claimed(Claimed),
    Renewed(Vec<Result<Renewed, BackendErrorKind>>),
    Released(bool),
    Left,
    Inspected(Inspection),
    Forced(bool),
}

pub type Reply = Result<Answer, BackendErrorKind>;

impl Ask {
    pub fn verb(&self) -> Verb {
        match self {
            Self::Enqueue(_) => Verb::Enqueue,
            Self::Changed(_) => Verb::Changed,
            Self::Claim(_) => Verb::Claim,
            Self::Renew(_) => Verb::Renew,
            Self::Release(_) => Verb::Release,
            Self::Leave(_) => Verb::Leave,
            Self::Inspect(_) => Verb::Inspect,
            Self::ForceRelease(..) => Verb::ForceRelease,
        }
    }

    /// The entries it is about.
    pub fn entries(&self) -> &[Entry] {
        match self {
            Self::Enqueue(request) => std::slice::from_ref(request.entry()),
            Self::Changed(entry)
            | Self::Claim(entry)
            | Self::Release(entry)
            | Self::Leave(entry) => std::slice::from_ref(entry),
            Self::Renew(entries) => entries,
            Self::Inspect(_) | Self::ForceRelease(..) => &[],
        }
    }

    /// Takes the step. The store in memory never waits but in `changed`, which is no step.
    pub fn step(&self, store: &dyn LockBackend) -> Reply {
        let kind = |error: BackendError| error.kind();
        let step = async {
            Ok(match self {
                Self::Enqueue(request) => {
                    Answer::Enqueued(store.enqueue(request).await.map_err(kind)?)
                }
                Self::Changed(_) => Answer::Changed,
                Self::Claim(entry) => Answer::Claimed(store.claim(entry).await.map_err(kind)?),
                Self::Renew(entries) => {
                    let renewed = store.renew(entries).await;
                    let renewed = renewed.into_iter().map(|one| one.map_err(kind));
                    Answer::Renewed(renewed.collect())
                }
                Self::Release(entry) => Answer::Released(store.release(entry).await.map_err(kind)?),
                Self::Leave(entry) => {
                    store.leave(entry).await.map_err(kind)?;
                    Answer::Left
                }
                Self::Inspect(name) => Answer::Inspected(store.inspect(name).await.map_err(kind)?),
                Self::ForceRelease(name, token) => {
                    Answer::Forced(store.force_release(name, *token).await.map_err(kind)?)
                }
            })
        };
        step.now_or_never().unwrap()
    }
}

impl Answer {
    /// With the leases as a client over a network must count them: from when it sent the request.
    pub fn proved_at(self, sent: Instant) -> Self {
        let lease = |lease: Lease| Lease::new(sent, lease.ttl());
        let grant = |grant: Grant| Grant::new(grant.pass(), lease(grant.lease()));
        let standing = |it: Standing| Standing::new(lease(it.lease()), it.recheck());
        match self {
            Self::Enqueued(Enqueued::Granted(it)) => Self::Enqueued(Enqueued::Granted(grant(it))),
            Self::Enqueued(Enqueued::Waiting(it)) => {
                Self::Enqueued(Enqueued::Waiting(standing(it)))
            }
            Self::Claimed(Claimed::Granted(it)) => Self::Claimed(Claimed::Granted(grant(it))),
            Self::Claimed(Claimed::Waiting(it)) => Self::Claimed(Claimed::Waiting(standing(it))),
            Self::Renewed(all) => {
                let all = all.into_iter().map(|one| match one {
                    Ok(Renewed::Alive(it)) => Ok(Renewed::Alive(lease(it))),
                    Ok(Renewed::Gone) | Err(_) => one,
                });
                Self::Renewed(all.collect())
            }
            Self::Enqueued(_)
            | Self::Changed
            | Self::Claimed(_)
            | Self::Released(_)
            | Self::Left
            | Self::Inspected(_)
            | Self::Forced(_) => self,
        }
    }
}
