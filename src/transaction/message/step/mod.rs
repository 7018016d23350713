//! Steps of sagas that are done by whoever serves a queue.

mod request;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::caller::{CallError, Caller};
use super::envelope::Message;
use super::queue::QueueName;
use crate::future::BoxFuture;
use crate::transaction::saga::{Run, Step, StepError};

pub use request::{StepReply, StepRequest, Turn};

/// Less than a try of a step may take unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(25);

/// What a service behind a queue is asked to do in a saga, and to undo.
///
/// The service reads each message as a [`StepRequest`] and lets its inbox say what is to be done:
/// `Inbox::turn` on `PostgreSQL`, [`MemoryInbox::step`](super::MemoryInbox::step) in tests. So the net
/// effect is one or none, whatever comes twice, late or in another order: a compensation that comes
/// before its action excludes it. The inbox's retention is longer than any saga takes; a
/// compensation after that is not done, and waits for an operator.
///
/// A service answers an action that it will never do by a failure, which is its last word under
/// that key. To what comes after the pivot it does not say so: an error has it asked again.
///
/// ```
/// use std::sync::Arc;
/// use tripod::transaction::log::MemoryLog;
/// use tripod::transaction::message::{
///     Caller, CallerOptions, MemoryInbox, MemoryTransport, Message, QueueName, QueueStep, Server,
///     ServerOptions, StepReply, StepRequest,
/// };
/// use tripod::transaction::saga::{Definition, Run, SagaKey, SagaOutcome, Sagas};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = MemoryTransport::new();
/// let hotel = QueueName::new("hotel")?;
///
/// // The service.
/// let inbox = Arc::new(MemoryInbox::new());
/// let book = move |message: Message| {
///     let inbox = Arc::clone(&inbox);
///     async move {
///         let request = StepRequest::new(message)?;
///         let nights: u32 = request.read()?;
///         let book = || StepReply::done(format!("{nights} nights"));
///         let cancel = |_: &StepReply| StepReply::done(());
///         let reply = inbox.step(&request, book, cancel)?;
///         Ok(reply.to_bytes())
///     }
/// };
/// let _server = Server::start(transport.clone(), hotel.clone(), book, ServerOptions::new());
///
/// // The saga.
/// let replies = QueueName::new("replies.trips-1")?;
/// let caller = Caller::start(transport, replies, CallerOptions::new());
/// let nights = |trip: &Run<u32>| Ok(*trip.input());
/// let definition = Definition::builder("trip", 1)
///     .step(QueueStep::new(&caller, hotel, nights).compensated::<String>("hotel", 1))
///     .build()?;
/// let sagas = Sagas::open(MemoryLog::new()).register(&definition).await?;
/// let trip = sagas.start(&definition, &SagaKey::new("trip-7")?, &3).await?;
/// let SagaOutcome::Completed(outputs) = trip.outcome().await? else {
///     return Err("the hotel is full".into());
/// };
/// assert_eq!(outputs.get::<String>("hotel")?, "3 nights");
/// # Ok(())
/// # }
/// ```
pub struct QueueStep<I, T> {
    caller: Caller,
    queue: QueueName,
    patience: Duration,
    ask: Arc<Ask<I, T>>,
}

type Ask<I, T> = dyn Fn(&Run<I>) -> Result<T, StepError> + Send + Sync;

impl<I, T> QueueStep<I, T>
where
    I: DeserializeOwned + Send + Sync + 'static,
    T: Serialize + 'static,
{
    /// Asks whoever serves this queue for what `ask` makes of the saga's input and of what earlier
    /// steps gave. Every try, and the compensation, ask for the same: it depends on nothing else.
    pub fn new(
        caller: &Caller,
        queue: QueueName,
        ask: impl Fn(&Run<I>) -> Result<T, StepError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            caller: caller.clone(),
            queue,
            patience: PATIENCE,
            ask: Arc::new(ask),
        }
    }

    /// How long one try awaits a reply; 25 s at first. Less than the step's
    /// [timeout](Step::timeout). Without a reply it is unknown whether it was done.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A step that the same service compensates.
    pub fn compensated<O>(self, name: impl Into<String>, version: u32) -> Step<I, O>
    where
        O: Serialize + DeserializeOwned + Send + 'static,
    {
        let undone = self.clone();
        self.forward(name, version)
            .compensate(move |run, _: Option<O>| {
                let undone = undone.call(&run, true);
                async move {
                    match undone.await?.outcome() {
                        Ok(()) => Ok(()),
                        Err(why) => Err(StepError::failed(why)),
                    }
                }
            })
    }

    /// A step without a compensation: for a [pivot](Step::pivot), for what is
    /// [retriable](Step::retriable) after it, or [harmless](Step::harmless).
    pub fn forward<O>(self, name: impl Into<String>, version: u32) -> Step<I, O>
    where
        O: Serialize + DeserializeOwned + Send + 'static,
    {
        Step::new(name, version, move |run: Run<I>| {
            let done = self.call(&run, false);
            async move {
                let reply = done.await?;
                match reply.outcome() {
                    // It was done, and nobody here can read what it gave.
                    Ok(()) => reply.read().map_err(StepError::unknown),
                    Err(why) => Err(StepError::failed(why)),
                }
            }
        })
    }

    fn call(&self, run: &Run<I>, undoes: bool) -> BoxFuture<'static, Result<StepReply, StepError>> {
        let request = (self.ask)(run).and_then(|asked| {
            let asked = serde_json::to_value(asked).map_err(StepError::failed)?;
            let action = undoes.then(|| fitting(run.action_key()));
            let (key, asked) = (fitting(run.key()), asked.to_string());
            StepRequest::ask(&key, action.as_deref(), &asked, run.started())
                .map_err(StepError::failed)
        });
        let (caller, queue, patience) = (self.caller.clone(), self.queue.clone(), self.patience);
        Box::pin(async move {
            let reply = caller.call(&queue, request?, patience).await;
            let reply = reply.map_err(|error| match error {
                CallError::NotSent(_) | CallError::Busy => StepError::again(error),
                CallError::Unanswered => StepError::unknown(error),
            })?;
            let read = StepReply::from_bytes(reply.payload());
            read.ok_or_else(|| StepError::unknown("the reply is none to a step"))
        })
    }
}

/// As a key of a message: names of sagas within sagas may make it longer than that.
fn fitting(key: String) -> String {
    if key.len() <= Message::KEY_LEN_MAX {
        return key;
    }
    let digest = Sha256::digest(key);
    let digit = |text: String, byte: &u8| text + &format!("{byte:02x}");
    digest.iter().fold(String::new(), digit)
}

impl<I, T> Clone for QueueStep<I, T> {
    fn clone(&self) -> Self {
        Self {
            caller: self.caller.clone(),
            queue: self.queue.clone(),
            patience: self.patience,
            ask: Arc::clone(&self.ask),
        }
    }
}

impl<I, T> fmt::Debug for QueueStep<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueStep")
            .field("queue", &self.queue)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
