//! A store that answers as a test says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tripod::BoxFuture;
use tripod::lock::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, FencingToken, Inspection,
    LockBackend, LockName, MemoryBackend, Renewed, Request, Verb,
};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    /// The request is under way for so long, then the step is taken, then the answer is under way
    /// for so long. A caller that goes away does not stop a request that is under way.
    Answer(Duration, Duration),
    /// The step is not taken.
    Fail(BackendErrorKind),
    /// The step is taken, and the answer is this error.
    FailAfter(BackendErrorKind),
    /// The step is not taken, and there is no answer.
    Hang,
    /// The step is taken, and there is no answer.
    HangAfter,
}

pub(crate) const AT_ONCE: Fate = Fate::Answer(Duration::ZERO, Duration::ZERO);

#[derive(Debug, Default)]
struct Script {
    fates: HashMap<Verb, Fate>,
    calls: Vec<(Verb, Instant, usize)>,
}

/// A store in memory whose calls go as scripted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripted {
    pub(crate) store: Arc<MemoryBackend>,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    pub(crate) fn on(&self, verb: Verb, fate: Fate) -> &Self {
        self.script.lock().fates.insert(verb, fate);
        self
    }

    /// Every call takes so long there and so long back.
    pub(crate) fn slow(&self, there: Duration, back: Duration) -> &Self {
        for verb in [
            Verb::Enqueue,
            Verb::Claim,
            Verb::Renew,
            Verb::Release,
            Verb::Leave,
        ] {
            self.on(verb, Fate::Answer(there, back));
        }
        self
    }

    /// The calls so far: when, and of how many entries.
    pub(crate) fn calls(&self, verb: Verb) -> Vec<(Instant, usize)> {
        let script = self.script.lock();
        let calls = script.calls.iter().filter(|(called, ..)| *called == verb);
        calls.map(|(_, at, entries)| (*at, *entries)).collect()
    }

    pub(crate) async fn look(&self, name: &str) -> Inspection {
        let name = LockName::new(name).unwrap();
        self.store.inspect(&name).await.unwrap()
    }

    /// Whether nobody holds or waits.
    pub(crate) async fn is_empty(&self, name: &str) -> bool {
        let inspection = self.look(name).await;
        inspection.holders().is_empty() && inspection.waiters().is_empty()
    }

    async fn call<T: Send + 'static>(
        &self,
        verb: Verb,
        entries: usize,
        step: impl AsyncStep<T>,
    ) -> Result<T, BackendError> {
        let fate = {
            let mut script = self.script.lock();
            script.calls.push((verb, Instant::now(), entries));
            script.fates.get(&verb).copied().unwrap_or(AT_ONCE)
        };
        let store = Arc::clone(&self.store);
        match fate {
            AT_ONCE => step.take(store).await,
            Fate::Answer(there, back) => {
                let taken = tokio::spawn(async move {
                    sleep(there).await;
                    let answer = step.take(store).await;
                    sleep(back).await;
                    answer
                });
                taken.await.unwrap()
            }
            Fate::Fail(kind) => Err(BackendError::new(kind, verb)),
            Fate::FailAfter(kind) => {
                let _ = step.take(store).await;
                Err(BackendError::new(kind, verb))
            }
            Fate::Hang => std::future::pending().await,
            Fate::HangAfter => {
                let _ = step.take(store).await;
                std::future::pending().await
            }
        }
    }
}

/// A step on the store that may be taken from another task.
trait AsyncStep<T>: Send + 'static {
    fn take(self, store: Arc<MemoryBackend>) -> BoxFuture<'static, Result<T, BackendError>>;
}

impl<T, F> AsyncStep<T> for F
where
    F: FnOnce(Arc<MemoryBackend>) -> BoxFuture<'static, Result<T, BackendError>> + Send + 'static,
{
    fn take(self, store: Arc<MemoryBackend>) -> BoxFuture<'static, Result<T, BackendError>> {
        self(store)
    }
}

macro_rules! scripted {
    ($self:ident, $verb:ident, $entries:expr, |$store:ident, $($own:ident),*| $call:expr) => {{
        $(let $own = $own.clone();)*
        Box::pin($self.call(Verb::$verb, $entries, move |$store: Arc<MemoryBackend>| {
            Box::pin(async move { $call.await }) as BoxFuture<'static, _>
        }))
    }};
}

impl LockBackend for Scripted {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        scripted!(self, Enqueue, 1, |store, request| store.enqueue(&request))
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        scripted!(self, Changed, 1, |store, entry| store.changed(&entry))
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        scripted!(self, Claim, 1, |store, entry| store.claim(&entry))
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        let len = entries.len();
        let entries = entries.to_vec();
        Box::pin(async move {
            let renewed = self.call(Verb::Renew, len, move |store: Arc<MemoryBackend>| {
                Box::pin(async move { Ok(store.renew(&entries).await) }) as BoxFuture<'static, _>
            });
            match renewed.await {
                Ok(renewed) => renewed,
                Err(error) => {
                    let again = || Err(BackendError::new(error.kind(), Verb::Renew));
                    (0..len).map(|_| again()).collect()
                }
            }
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        scripted!(self, Release, 1, |store, entry| store.release(&entry))
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        scripted!(self, Leave, 1, |store, entry| store.leave(&entry))
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        scripted!(self, Inspect, 1, |store, name| store.inspect(&name))
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        scripted!(self, ForceRelease, 1, |store, name| store
            .force_release(&name, token))
    }
}
