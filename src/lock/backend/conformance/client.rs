//! A client that takes note of calls that came to nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::future::BoxFuture;
use crate::lock::backend::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, Inspection, LockBackend, Renewed,
    Request,
};
use crate::lock::fence::FencingToken;
use crate::lock::name::LockName;

/// Whether a call of a case was not answered, by any of its clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Silence(Arc<AtomicBool>);

#[derive(Debug)]
struct Client {
    store: Arc<dyn LockBackend>,
    silence: Silence,
}

impl Silence {
    pub(super) fn was(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn client(&self, store: Arc<dyn LockBackend>) -> Arc<dyn LockBackend> {
        let silence = self.clone();
        Arc::new(Client { store, silence })
    }

    pub(super) fn note(&self, error: &BackendError) {
        match error.kind() {
            BackendErrorKind::Unavailable | BackendErrorKind::Indeterminate => {
                self.0.store(true, Ordering::Relaxed);
            }
            BackendErrorKind::Rejected | BackendErrorKind::Corrupt => {}
        }
    }

    fn in_call<'a, T: Send + 'a>(
        &'a self,
        call: BoxFuture<'a, Result<T, BackendError>>,
    ) -> BoxFuture<'a, Result<T, BackendError>> {
        Box::pin(async move {
            let answer = call.await;
            if let Err(error) = &answer {
                self.note(error);
            }
            answer
        })
    }
}

impl LockBackend for Client {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        self.silence.in_call(self.store.enqueue(request))
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        self.silence.in_call(self.store.changed(entry))
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        self.silence.in_call(self.store.claim(entry))
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(async move {
            let answers = self.store.renew(entries).await;
            let errors = answers.iter().filter_map(|answer| answer.as_ref().err());
            errors.for_each(|error| self.silence.note(error));
            answers
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.silence.in_call(self.store.release(entry))
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        self.silence.in_call(self.store.leave(entry))
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        self.silence.in_call(self.store.inspect(name))
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.silence.in_call(self.store.force_release(name, token))
    }
}
