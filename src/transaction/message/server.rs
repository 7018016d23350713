//! The other side of requests: takes them, has them done, and replies.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::envelope::Message;
use super::error::TransportError;
use super::queue::QueueName;
use super::transport::{Delivery, Transport};
use crate::chance::pause;
use crate::future::BoxFuture;

/// How long one look for requests waits, and so how long a stop takes at least.
const WAIT: Duration = Duration::from_secs(1);

/// Pauses between looks that fail, and between tries to reply or to acknowledge: the first at most,
/// and any.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The longest pause before a request that failed is tried for the second time. It doubles with
/// each further one, up to the lease.
const AGAIN: Duration = Duration::from_millis(100);

/// Tries to reply, and to acknowledge; then the request is delivered again, and all of it repeated.
const TRIES_MAX: u32 = 4;

/// Why a request was not done. It is delivered again.
pub type HandlerError = Box<dyn Error + Send + Sync>;

/// Does what requests ask for.
///
/// A request comes at least once: see to it, by its key, that the effect is one, with an
/// [`Inbox`](super::Inbox) in the effect's own transaction or by what the effect is. What was done
/// already is answered by the same reply again.
///
/// Implemented by functions from a [`Message`] to a future.
pub trait Handler: Send + Sync + 'static {
    /// Does it, and answers the reply's payload, at most [`Message::PAYLOAD_LEN_MAX`] bytes; for
    /// messages that ask for no reply, whatever. It may be dropped at any await: at the end of its
    /// [time](ServerOptions::with_handler_time), or of the server.
    ///
    /// # Errors
    /// The request is delivered again later, and in the end a dead letter. What will never succeed
    /// is better answered by a reply that says so. A panic ends no more than this delivery: the next
    /// is after the lease.
    fn handle<'a>(&'a self, request: &'a Message) -> BoxFuture<'a, Result<Vec<u8>, HandlerError>>;
}

impl<F, Done> Handler for F
where
    F: Fn(Message) -> Done + Send + Sync + 'static,
    Done: Future<Output = Result<Vec<u8>, HandlerError>> + Send + 'static,
{
    fn handle<'a>(&'a self, request: &'a Message) -> BoxFuture<'a, Result<Vec<u8>, HandlerError>> {
        Box::pin(self(request.clone()))
    }
}

/// Takes requests, or messages that ask for no reply, from a queue, hands them to a [`Handler`],
/// replies, and only then acknowledges. Several, in one process or many, share a queue.
///
/// While a handler works its message is kept from others, however long that takes. Dropped, it ends
/// at once: what it had is delivered again after the lease. [`stop`](Self::stop) ends it in order.
#[must_use = "it ends when it is dropped"]
pub struct Server {
    core: Arc<Core>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

struct Core {
    transport: Arc<dyn Transport>,
    queue: QueueName,
    handler: Box<dyn Handler>,
    options: ServerOptions,
    working: AtomicUsize,
    done: AtomicU64,
    failed: AtomicU64,
}

/// How a [`Server`] goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    concurrency: usize,
    handler_time: Duration,
}

/// What a [`Server`] has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Requests under way.
    pub working: usize,
    /// Requests that were done, answered and acknowledged, repeats included.
    pub done: u64,
    /// Requests that were not, and come again: the handler failed or took too long, or the reply or
    /// the acknowledgement did not get through.
    pub failed: u64,
}

impl ServerOptions {
    /// 16 requests at a time, each for a minute at most.
    #[must_use]
    pub fn new() -> Self {
        Self {
            concurrency: 16,
            handler_time: Duration::from_secs(60),
        }
    }

    /// How many requests are worked on at a time: 1 or more, 16 at first. No more are taken from
    /// the queue than that.
    #[must_use]
    pub fn with_concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests.max(1);
        self
    }

    /// How long a handler may take, a minute at first: then it is dropped, and has failed.
    #[must_use]
    pub fn with_handler_time(mut self, time: Duration) -> Self {
        self.handler_time = time;
        self
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// Starts to take requests, in the runtime that this is called in.
    ///
    /// # Panics
    /// Outside of a runtime of `tokio`.
    pub fn start(
        transport: impl Transport,
        queue: QueueName,
        handler: impl Handler,
        options: ServerOptions,
    ) -> Self {
        let core = Arc::new(Core {
            transport: Arc::new(transport),
            queue,
            handler: Box::new(handler),
            options,
            working: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(Arc::clone(&core), stop.clone()));
        Self { core, stop, task }
    }

    /// Takes no more requests, and waits until those under way are done, for this long at most.
    /// Answers how many were not: they are delivered again.
    ///
    /// # Cancel safety
    /// Dropped, it ends at once.
    pub async fn stop(mut self, grace: Duration) -> usize {
        self.stop.cancel();
        if timeout(grace, &mut self.task).await.is_ok() {
            return 0;
        }
        self.task.abort();
        self.core.working.load(Ordering::Relaxed)
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        ServerStats {
            working: self.core.working.load(Ordering::Relaxed),
            done: self.core.done.load(Ordering::Relaxed),
            failed: self.core.failed.load(Ordering::Relaxed),
        }
    }
}

async fn run(core: Arc<Core>, stop: CancellationToken) {
    let mut works = JoinSet::new();
    let mut failures = 0;
    while !stop.is_cancelled() {
        while works.try_join_next().is_some() {}
        let free = core.options.concurrency.saturating_sub(works.len());
        if free == 0 {
            works.join_next().await;
            continue;
        }
        // Not dropped when it is to stop: what it takes would be stuck for a lease.
        match core.transport.receive(&core.queue, free, WAIT).await {
            Ok(deliveries) => {
                failures = 0;
                for delivery in deliveries {
                    works.spawn(Arc::clone(&core).work(delivery));
                }
            }
            Err(error) => {
                let queue = &core.queue;
                tracing::warn!(target: "tripod::message", %queue, %error, "requests.not_received");
                sleep(pause(PAUSES.0, failures, PAUSES.1)).await;
                failures += 1;
            }
        }
    }
    while works.join_next().await.is_some() {}
}

impl Core {
    async fn work(self: Arc<Self>, delivery: Delivery) {
        let _working = Working::new(&self.working);
        match self.answer(&delivery).await {
            Ok(()) => {
                self.done.fetch_add(1, Ordering::Relaxed);
                #[cfg(feature = "metrics")]
                crate::metrics::MESSAGE_DONE.add(1);
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                #[cfg(feature = "metrics")]
                crate::metrics::MESSAGE_FAILED.add(1);
                let (queue, key) = (&self.queue, delivery.message().key());
                let deliveries = delivery.receipt().deliveries();
                tracing::warn!(target: "tripod::message", %queue, key, deliveries, %error, "request.failed");
                let lease = self.transport.terms().lease();
                let delay = pause(AGAIN, deliveries.saturating_sub(1), lease);
                let receipt = delivery.receipt();
                // At worst it comes again after the lease.
                let _ = self.transport.postpone(&self.queue, receipt, delay).await;
            }
        }
    }

    async fn answer(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let request = delivery.message();
        let reply = self.handled(delivery).await?;
        if let Some(queue) = request.reply_to() {
            let mut message = Message::new(request.key(), reply)?;
            if let Some(correlation) = request.correlation() {
                message = message.with_correlation(correlation)?;
            }
            again(|| self.transport.send(queue, &message)).await?;
        }
        let receipts = [delivery.receipt().clone()];
        again(|| self.transport.acknowledge(&self.queue, &receipts)).await?;
        Ok(())
    }

    /// Keeps the message from others until the handler ends.
    async fn handled(&self, delivery: &Delivery) -> Result<Vec<u8>, HandlerError> {
        let handled = self.handler.handle(delivery.message());
        let handled = timeout(self.options.handler_time, handled);
        tokio::pin!(handled);
        let lease = self.transport.terms().lease();
        let extended = async {
            loop {
                sleep(lease / 3).await;
                // Where another has it by now, two work on it: the effect is one all the same.
                let receipt = delivery.receipt();
                let _ = self.transport.postpone(&self.queue, receipt, lease).await;
            }
        };
        tokio::select! {
            handled = handled => handled.map_err(|_| "the handler took too long")?,
            () = extended => Err("the lease ended".into()),
        }
    }
}

/// Tries some times, with pauses.
async fn again<'a>(
    act: impl Fn() -> BoxFuture<'a, Result<(), TransportError>>,
) -> Result<(), TransportError> {
    let mut tries = 0;
    loop {
        match act().await {
            Err(TransportError::Refused(why)) => return Err(TransportError::Refused(why)),
            Err(error) if tries + 1 >= TRIES_MAX => return Err(error),
            Err(_) => sleep(pause(PAUSES.0, tries, PAUSES.1)).await,
            Ok(()) => return Ok(()),
        }
        tries += 1;
    }
}

/// Counts what is under way, also where its future is dropped.
struct Working<'a>(&'a AtomicUsize);

impl<'a> Working<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        crate::metrics::MESSAGE_WORKING.up();
        Self(count)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        crate::metrics::MESSAGE_WORKING.down();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("queue", &self.core.queue)
            .field("options", &self.core.options)
            .finish_non_exhaustive()
    }
}
