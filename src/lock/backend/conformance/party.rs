//! One who wants a lock: the verbs of the trait, and what a case expects of their answers.

use std::fmt::Debug;
use std::num::NonZeroU32;
use std::panic::Location;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use crate::conformance::{Failure, with_sources};
use crate::lock::backend::{
    BackendError, Claimed, Enqueued, Entry, Grant, LockBackend, Metadata, Renewed, Request,
    Standing,
};
use crate::lock::lease::Lease;
use crate::lock::name::HolderId;
use crate::lock::queue::{Family, Mode, Permits};

/// One acquisition: an id of its own, what it asks for, and the client that it comes through.
///
/// Methods that expect an answer tell the line of the case that called them if it is another.
pub(super) struct Party {
    client: Arc<dyn LockBackend>,
    request: Request,
}

/// Permits out of some.
pub(super) fn permits(n: u32, of: u32) -> Result<Mode, Failure> {
    let number = |n| NonZeroU32::new(n).ok_or_else(|| Failure::new("no permits"));
    Ok(Mode::Permits(Permits::new(number(n)?, number(of)?)?))
}

impl Party {
    pub(super) fn new(
        client: Arc<dyn LockBackend>,
        entry: Entry,
        ttl: Duration,
    ) -> Result<Self, Failure> {
        let request = Request::new(entry, ttl)?;
        Ok(Self { client, request })
    }

    pub(super) fn mode(self, mode: Mode) -> Self {
        let request = self.request.with_mode(mode);
        Self { request, ..self }
    }

    pub(super) fn shared(self) -> Self {
        self.mode(Mode::Shared)
    }

    pub(super) fn priority(self, priority: u8) -> Self {
        let request = self.request.with_priority(priority);
        Self { request, ..self }
    }

    pub(super) fn metadata(self, metadata: Metadata) -> Self {
        let request = self.request.with_metadata(metadata);
        Self { request, ..self }
    }

    pub(super) fn without_waiting(self) -> Self {
        let request = self.request.without_waiting();
        Self { request, ..self }
    }

    pub(super) fn client(&self) -> &Arc<dyn LockBackend> {
        &self.client
    }

    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    pub(super) fn entry(&self) -> &Entry {
        self.request.entry()
    }

    pub(super) fn holder(&self) -> HolderId {
        self.entry().holder()
    }

    pub(super) async fn enqueue(&self) -> Result<Enqueued, BackendError> {
        self.client.enqueue(&self.request).await
    }

    pub(super) async fn claim(&self) -> Result<Claimed, BackendError> {
        self.client.claim(self.entry()).await
    }

    pub(super) async fn changed(&self) -> Result<(), BackendError> {
        self.client.changed(self.entry()).await
    }

    pub(super) async fn release(&self) -> Result<bool, BackendError> {
        self.client.release(self.entry()).await
    }

    pub(super) async fn leave(&self) -> Result<(), BackendError> {
        self.client.leave(self.entry()).await
    }

    async fn renew(&self) -> Option<Result<Renewed, BackendError>> {
        let answers = self.client.renew(slice::from_ref(self.entry())).await;
        answers.into_iter().next()
    }

    /// Enqueues, and expects to hold.
    #[track_caller]
    pub(super) fn granted(&self) -> impl Future<Output = Result<Grant, Failure>> + Send {
        let place = Location::caller();
        async move {
            expect(
                place,
                "a grant",
                self.enqueue().await,
                |answer| match answer {
                    Enqueued::Granted(grant) => Some(*grant),
                    Enqueued::Waiting(_) | Enqueued::Held | Enqueued::Foreign(_) => None,
                },
            )
        }
    }

    /// Enqueues, and expects to wait.
    #[track_caller]
    pub(super) fn waits(&self) -> impl Future<Output = Result<Standing, Failure>> + Send {
        let place = Location::caller();
        async move {
            let answer = self.enqueue().await;
            expect(
                place,
                "a place in the queue",
                answer,
                |answer| match answer {
                    Enqueued::Waiting(standing) => Some(*standing),
                    Enqueued::Granted(_) | Enqueued::Held | Enqueued::Foreign(_) => None,
                },
            )
        }
    }

    /// Enqueues, and expects to be told that it is held.
    #[track_caller]
    pub(super) fn finds_it_held(&self) -> impl Future<Output = Result<(), Failure>> + Send {
        let place = Location::caller();
        async move {
            expect(place, "`Held`", self.enqueue().await, |answer| {
                (*answer == Enqueued::Held).then_some(())
            })
        }
    }

    /// Enqueues, and expects to be told of this family: by `claim` where the store cannot by
    /// `enqueue`.
    #[track_caller]
    pub(super) fn finds_family(
        &self,
        family: Family,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let place = Location::caller();
        async move {
            let foreign = format!("{:?}", Enqueued::Foreign(family));
            let answer = self.enqueue().await;
            if let Ok(Enqueued::Waiting(_)) = answer {
                return expect(place, &foreign, self.claim().await, |answer| {
                    (*answer == Claimed::Foreign(family)).then_some(())
                });
            }
            expect(place, &foreign, answer, |answer| {
                (*answer == Enqueued::Foreign(family)).then_some(())
            })
        }
    }

    /// Claims, and expects to hold.
    #[track_caller]
    pub(super) fn claims(&self) -> impl Future<Output = Result<Grant, Failure>> + Send {
        let place = Location::caller();
        async move {
            expect(
                place,
                "a grant",
                self.claim().await,
                |answer| match answer {
                    Claimed::Granted(grant) => Some(*grant),
                    Claimed::Waiting(_) | Claimed::Gone | Claimed::Foreign(_) => None,
                },
            )
        }
    }

    /// Claims, and expects to wait.
    #[track_caller]
    pub(super) fn still_waits(&self) -> impl Future<Output = Result<Standing, Failure>> + Send {
        let place = Location::caller();
        async move {
            expect(
                place,
                "to wait",
                self.claim().await,
                |answer| match answer {
                    Claimed::Waiting(standing) => Some(*standing),
                    Claimed::Granted(_) | Claimed::Gone | Claimed::Foreign(_) => None,
                },
            )
        }
    }

    /// Claims, and expects that there is no entry.
    #[track_caller]
    pub(super) fn is_gone(&self) -> impl Future<Output = Result<(), Failure>> + Send {
        let place = Location::caller();
        async move {
            expect(place, "to be gone", self.claim().await, |answer| {
                (*answer == Claimed::Gone).then_some(())
            })
        }
    }

    /// Renews, and expects to live.
    #[track_caller]
    pub(super) fn renewed(&self) -> impl Future<Output = Result<Lease, Failure>> + Send {
        let place = Location::caller();
        async move {
            let answer = self.renew().await.unwrap_or(Ok(Renewed::Gone));
            expect(place, "a lease", answer, |answer| match answer {
                Renewed::Alive(lease) => Some(*lease),
                Renewed::Gone => None,
            })
        }
    }

    /// Renews, and expects that there is no entry.
    #[track_caller]
    pub(super) fn cannot_renew(&self) -> impl Future<Output = Result<(), Failure>> + Send {
        let place = Location::caller();
        async move {
            let none = || Failure::at(place, "no answer to a renewal");
            let answer = self.renew().await.ok_or_else(none)?;
            expect(place, "to be gone", answer, |answer| {
                (*answer == Renewed::Gone).then_some(())
            })
        }
    }

    /// Releases, and expects to have held.
    #[track_caller]
    pub(super) fn releases(&self) -> impl Future<Output = Result<(), Failure>> + Send {
        let place = Location::caller();
        async move {
            expect(place, "to have held", self.release().await, |held| {
                held.then_some(())
            })
        }
    }

    /// Releases, and expects not to have held.
    #[track_caller]
    pub(super) fn cannot_release(&self) -> impl Future<Output = Result<(), Failure>> + Send {
        let place = Location::caller();
        async move {
            expect(place, "not to have held", self.release().await, |held| {
                (!held).then_some(())
            })
        }
    }
}

fn expect<A: Debug, T>(
    place: &Location<'_>,
    expected: &str,
    answer: Result<A, BackendError>,
    wanted: impl FnOnce(&A) -> Option<T>,
) -> Result<T, Failure> {
    match answer {
        Ok(answer) => wanted(&answer).ok_or_else(|| {
            Failure::at(
                place,
                format_args!("expected {expected}, was answered {answer:?}"),
            )
        }),
        Err(error) => {
            let error = with_sources(&error);
            Err(Failure::at(
                place,
                format_args!("expected {expected}: {error}"),
            ))
        }
    }
}
