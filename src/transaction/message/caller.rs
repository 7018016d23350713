//! Requests over a transport, and their replies.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::envelope::Message;
use super::error::TransportError;
use super::queue::QueueName;
use super::transport::{Delivery, Receipt, Transport};
use crate::chance::{part, pause, random_wide};

/// Replies taken at a time.
const BATCH: usize = 64;

/// How long one look for replies waits. What comes meanwhile ends it.
const WAIT: Duration = Duration::from_secs(5);

/// How much longer than the first pause before a request is sent again any is: those who are behind
/// are not helped by being asked ever more.
const RESEND_GROWTH: u32 = 64;

/// Pauses between looks that fail: the first at most, and any.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Sends requests, and awaits their replies on a queue of its own. Cheap to clone: clones share the
/// queue, and one task that receives from it.
///
/// A request is sent again, under the same key, until its reply is there or the caller's patience
/// ends. So it may be done twice, or at any time later; whoever does it sees to it, by the key,
/// that the effect is one ([`Inbox`](super::Inbox)).
///
/// The reply queue belongs to one caller at a time: of several, each would take replies that the
/// others await. Name it after what runs, say `replies.web-3`, and keep the name over restarts:
/// replies that come late are dropped by whoever has the queue then, and without anybody to take
/// them they stay in it.
#[derive(Clone)]
pub struct Caller {
    inner: Arc<Inner>,
    _task: Arc<Task>,
}

struct Inner {
    transport: Arc<dyn Transport>,
    replies: QueueName,
    options: CallerOptions,
    places: Semaphore,
    /// By correlation: at most as many as there are places.
    waiting: Mutex<HashMap<String, oneshot::Sender<Message>>>,
}

/// Ends the task when the last caller is gone.
struct Task(AbortHandle);

/// How a [`Caller`] goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerOptions {
    outstanding_max: usize,
    resend: Duration,
}

/// A request without a reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nothing was asked, and nothing will come of it.
    #[error("the request was not sent")]
    NotSent(#[source] TransportError),
    /// Nothing was asked: as many as may be are under way, and none ended in time.
    #[error("too many requests are under way")]
    Busy,
    /// No reply came in time. It may have been done, or may yet be. Call again with the same key:
    /// what was done is not done twice, and its reply comes again.
    #[error("the request was not answered in time")]
    Unanswered,
}

impl CallerOptions {
    /// 1024 requests at a time, each sent again after a second without a reply.
    #[must_use]
    pub fn new() -> Self {
        Self {
            outstanding_max: 1024,
            resend: Duration::from_secs(1),
        }
    }

    /// How many requests may be under way: 1 or more, 1024 at first. Who calls beyond that waits.
    #[must_use]
    pub fn with_outstanding_max(mut self, requests: usize) -> Self {
        self.outstanding_max = requests.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// After how long without a reply a request is sent again: from 1 ms to an hour, 1 s at first.
    /// It doubles with each time, up to the transport's lease, or 64 times this if that is longer.
    /// Longer than a reply usually takes.
    #[must_use]
    pub fn with_resend(mut self, after: Duration) -> Self {
        self.resend = after.clamp(Duration::from_millis(1), Duration::from_secs(3600));
        self
    }
}

impl Default for CallerOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Caller {
    /// Starts the task that receives replies from this queue, in the runtime that this is called
    /// in. It ends with the last clone.
    ///
    /// # Panics
    /// Outside of a runtime of `tokio`.
    #[must_use]
    pub fn start(transport: impl Transport, replies: QueueName, options: CallerOptions) -> Self {
        let inner = Arc::new(Inner {
            transport: Arc::new(transport),
            replies,
            options,
            places: Semaphore::new(options.outstanding_max),
            waiting: Mutex::default(),
        });
        let task = tokio::spawn(Arc::clone(&inner).receive()).abort_handle();
        Self {
            inner,
            _task: Arc::new(Task(task)),
        }
    }

    /// Sends a request to this queue, and answers its reply. Correlation and reply queue of the
    /// request are set here.
    ///
    /// # Errors
    /// [`CallError`], after `patience` at the latest.
    ///
    /// # Cancel safety
    /// Dropped, the request may be done, now or later. The reply is dropped.
    pub async fn call(
        &self,
        queue: &QueueName,
        request: Message,
        patience: Duration,
    ) -> Result<Message, CallError> {
        let began = Instant::now();
        let deadline = began
            .checked_add(patience)
            .unwrap_or(began + WAIT * 1_000_000);
        let place = timeout_at(deadline, self.inner.places.acquire()).await;
        // It is never closed.
        let Ok(Ok(_place)) = place else {
            return Err(CallError::Busy);
        };
        let correlation = format!("{:032x}", random_wide());
        let (sender, reply) = oneshot::channel();
        self.inner
            .waiting
            .lock()
            .insert(correlation.clone(), sender);
        let awaited = Awaited(&self.inner, &correlation);
        let request = request.with_reply_to(self.inner.replies.clone());
        let Ok(request) = request.with_correlation(&correlation) else {
            return Err(CallError::Busy);
        };
        let may_be_there = AtomicBool::new(false);
        let asked = self.inner.ask(queue, &request, &may_be_there);
        let replied = timeout_at(deadline, async {
            tokio::select! {
                biased;
                reply = reply => reply.map_err(|_| CallError::Unanswered),
                refused = asked => Err(CallError::NotSent(refused)),
            }
        });
        let replied = replied.await;
        drop(awaited);
        match replied {
            Ok(replied) => replied,
            Err(_) if may_be_there.load(Ordering::Relaxed) => Err(CallError::Unanswered),
            Err(_) => {
                let late = "the transport was not available in time";
                Err(CallError::NotSent(TransportError::unavailable(late)))
            }
        }
    }
}

impl Inner {
    /// Sends the request again and again. Ends where it was never sent, and never will be.
    async fn ask(
        &self,
        queue: &QueueName,
        request: &Message,
        may_be_there: &AtomicBool,
    ) -> TransportError {
        let most = (self.options.resend * RESEND_GROWTH).max(self.transport.terms().lease());
        let mut tries = 0;
        loop {
            let before = may_be_there.swap(true, Ordering::Relaxed);
            match self.transport.send(queue, request).await {
                Ok(()) => {}
                Err(error) => {
                    may_be_there.store(before || !error.is_definite(), Ordering::Relaxed);
                    tracing::debug!(target: "tripod::message", %queue, %error, "request.not_sent");
                    if !before && matches!(error, TransportError::Refused(_)) {
                        return error;
                    }
                }
            }
            sleep(pause(self.options.resend, tries, most)).await;
            tries += 1;
        }
    }

    async fn receive(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            match self.transport.receive(&self.replies, BATCH, WAIT).await {
                Ok(deliveries) => {
                    failures = 0;
                    self.hand_out(deliveries).await;
                }
                Err(error) => {
                    tracing::debug!(target: "tripod::message", %error, "replies.not_received");
                    sleep(pause(PAUSES.0, failures, PAUSES.1)).await;
                    failures += 1;
                }
            }
        }
    }

    /// Late replies, and duplicates, find nobody.
    async fn hand_out(&self, deliveries: Vec<Delivery>) {
        let mut receipts: Vec<Receipt> = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            receipts.push(delivery.receipt().clone());
            let message = delivery.message();
            let waits = message.correlation();
            let waits = waits.and_then(|correlation| self.waiting.lock().remove(correlation));
            if let Some(waits) = waits {
                // It may have lost patience meanwhile.
                let _ = waits.send(message.clone());
            }
        }
        if receipts.is_empty() {
            return;
        }
        if let Err(error) = self.transport.acknowledge(&self.replies, &receipts).await {
            // They come again, find nobody, and are acknowledged then.
            tracing::debug!(target: "tripod::message", %error, "replies.not_acknowledged");
            sleep(part(PAUSES.0)).await;
        }
    }
}

/// A reply is awaited for as long as this lives.
struct Awaited<'a>(&'a Inner, &'a str);

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.waiting.lock().remove(self.1);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("replies", &self.inner.replies)
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}
