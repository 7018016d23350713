//! Sends what outboxes hold.

use std::collections::HashMap;
use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Row, Transaction};
use tokio_util::sync::CancellationToken;

use super::envelope::Message;
use super::error::TransportError;
use super::postgres::{TablesError, check, unreached, way};
use super::queue::QueueName;
use super::transport::Transport;
use crate::chance::{part, pause};
use crate::future::BoxFuture;
use crate::postgres::{Argument, Driver, Way};
use crate::tls::Tls;

/// Messages of one transaction. They are locked, and sent again if it fails, so not too many; enough
/// to share its cost.
const BATCH: i64 = 64;

/// For how long messages are sent in one transaction; the rest is for the next. A transport that is
/// slow does not make it ever longer, and what has to be sent again if it fails ever more.
const ROUND_MAX: Duration = Duration::from_millis(250);

/// How long the server may take to accept a connection, and to answer.
const TIME_MAX: Duration = Duration::from_secs(10);

/// How long a queue is left alone that takes nothing: at first, and at most.
const RESTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Queues that are left alone at a time; of more, all are tried again.
const RESTING_MAX: usize = 1024;

/// Pauses between connections that fail: the first at most, and any.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A relay that was not started, or ends a session that is silent, holds no locks.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '60s';
    SET statement_timeout = '10s';
    SET default_transaction_isolation = 'read committed';
    LISTEN tripod_outbox";

/// A [`Relay`] that is about to start; made by [`Outbox::relay`](super::Outbox::relay), and
/// awaited, in the runtime that it is to run in.
///
/// # Errors
/// [`TablesError`]: it has not started.
#[must_use = "nothing is sent before it is awaited"]
pub struct StartRelay {
    url: String,
    tls: Option<Tls>,
    transport: Arc<dyn Transport>,
    poll: Duration,
}

/// Sends what an outbox holds: claims messages that nobody else has claimed, sends them, and deletes
/// them, in one transaction. Several may run, in one process or many.
///
/// It looks whenever it is told of a commit, and regularly. It never asks for what was written after
/// the last it has seen: what was written before that may commit later. A lost connection is made
/// again.
///
/// A queue that takes nothing is left alone for a while, and those of others go on. What is no
/// message is left where it is, with its reason in the column `fault`.
///
/// Dropped, it ends at once; what was under way is sent again by another.
#[must_use = "it ends when it is dropped"]
pub struct Relay {
    core: Arc<Core>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

struct Core {
    transport: Arc<dyn Transport>,
    poll: Duration,
    sent: AtomicU64,
    told: Notify,
}

/// What is left to itself for a while.
#[derive(Default)]
struct Resting(HashMap<String, (u32, Instant)>);

impl StartRelay {
    pub(super) fn new(url: String, transport: impl Transport) -> Self {
        Self {
            url,
            tls: None,
            transport: Arc::new(transport),
            poll: Duration::from_secs(1),
        }
    }

    /// Connects by TLS only, and trusts whom this says. At first: as the URL's `sslmode` says.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How often it looks without being told, 1 s at first, 10 ms at least. Behind a pooler in
    /// transaction mode it is told of nothing.
    pub fn poll(mut self, time: Duration) -> Self {
        self.poll = time.max(Duration::from_millis(10));
        self
    }

    async fn start(self) -> Result<Relay, TablesError> {
        let way = way(&self.url, self.tls.as_ref()).await?;
        let core = Arc::new(Core {
            transport: self.transport,
            poll: self.poll,
            sent: AtomicU64::new(0),
            told: Notify::new(),
        });
        let first = connect(&way).await?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&core).run(way, first, stop.clone()));
        Ok(Relay { core, stop, task })
    }
}

impl Relay {
    /// Messages that it has sent and deleted so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.core.sent.load(Ordering::Relaxed)
    }

    /// Ends after what is under way, for which it waits this long at most.
    ///
    /// # Cancel safety
    /// Dropped, it ends at once.
    pub async fn stop(mut self, grace: Duration) {
        self.stop.cancel();
        let _ = timeout(grace, &mut self.task).await;
    }
}

/// A connection that listens, to tables that will do.
async fn connect(way: &Way) -> Result<(Client, Driver), TablesError> {
    let connected = timeout(TIME_MAX, async {
        let (client, mut driver) = way.open().await.map_err(unreached)?;
        let ready = async {
            client.batch_execute(SETTINGS).await.map_err(unreached)?;
            check(&client).await
        };
        let ended = poll_fn(|context| {
            loop {
                match std::task::ready!(driver.poll_message(context)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return std::task::Poll::Ready(unreached(error)),
                    None => {
                        let why = "the connection ended";
                        return std::task::Poll::Ready(TablesError::Unknown(why.into()));
                    }
                }
            }
        });
        tokio::select! {
            biased;
            ready = ready => ready?,
            ended = ended => return Err(ended),
        }
        Ok((client, driver))
    });
    let late = |_| TablesError::Unknown("no connection in time".into());
    connected.await.map_err(late)?
}

impl Core {
    async fn run(self: Arc<Self>, way: Way, first: (Client, Driver), stop: CancellationToken) {
        let mut next = Some(first);
        let mut resting = Resting::default();
        let mut failures = 0;
        while !stop.is_cancelled() {
            let connected = match next.take() {
                Some(first) => Ok(first),
                None => connect(&way).await,
            };
            let why = match connected {
                Ok((mut client, driver)) => {
                    let began = Instant::now();
                    let ended = tokio::select! {
                        ended = self.rounds(&mut client, &mut resting, &stop) => ended,
                        () = self.drive(driver) => Err(lost()),
                    };
                    if began.elapsed() > PAUSES.1 {
                        failures = 0;
                    }
                    ended.err()
                }
                Err(error) => Some(error),
            };
            let Some(error) = why else {
                return;
            };
            tracing::warn!(target: "tripod::message", %error, "outbox.not_relayed");
            tokio::select! {
                () = sleep(pause(PAUSES.0, failures, PAUSES.1)) => {}
                () = stop.cancelled() => {}
            }
            failures += 1;
        }
    }

    async fn drive(&self, mut driver: Driver) {
        while let Some(Ok(message)) = poll_fn(|context| driver.poll_message(context)).await {
            if let AsyncMessage::Notification(_) = message {
                self.told.notify_one();
            }
        }
    }

    /// Ends well when it is to stop.
    async fn rounds(
        &self,
        client: &mut Client,
        resting: &mut Resting,
        stop: &CancellationToken,
    ) -> Result<(), TablesError> {
        while !stop.is_cancelled() {
            if self.round(client, resting).await? {
                continue;
            }
            let look = resting
                .first()
                .map_or(self.poll, |rest| rest.min(self.poll));
            tokio::select! {
                () = self.told.notified() => {}
                () = sleep(part(look)) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Sends some, and answers whether there may be more.
    async fn round(&self, client: &mut Client, resting: &mut Resting) -> Result<bool, TablesError> {
        let transaction = in_time(client.transaction()).await?;
        let rows = claim(&transaction, &resting.names()).await?;
        let began = Instant::now();
        let mut sent: Vec<i64> = Vec::with_capacity(rows.len());
        let mut faulty: Vec<i64> = Vec::new();
        for row in &rows {
            if began.elapsed() > ROUND_MAX {
                break;
            }
            let id = row.try_get(0).map_err(unreached)?;
            let Some((queue, message)) = letter(row) else {
                faulty.push(id);
                continue;
            };
            // Behind one that was not sent to the same queue.
            if resting.has(queue.as_str()) {
                continue;
            }
            match self.transport.send(&queue, &message).await {
                Ok(()) => {
                    resting.0.remove(queue.as_str());
                    sent.push(id);
                }
                Err(error) => resting.add(&queue, &error),
            }
        }
        if !sent.is_empty() {
            let delete = "DELETE FROM tripod.outbox WHERE id = ANY ($1)";
            execute(&transaction, delete, &sent).await?;
        }
        if !faulty.is_empty() {
            let park = "UPDATE tripod.outbox SET fault = 'it is no message' WHERE id = ANY ($1)";
            execute(&transaction, park, &faulty).await?;
            tracing::error!(target: "tripod::message", ids = ?faulty, "outbox.no_message");
        }
        in_time(transaction.commit()).await?;
        let count = u64::try_from(sent.len()).unwrap_or_default();
        self.sent.fetch_add(count, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        crate::metrics::MESSAGE_RELAYED.add(count);
        // Where a queue rests, those behind its messages have not been seen yet.
        Ok(!sent.is_empty() || !faulty.is_empty() || i64::try_from(rows.len()) == Ok(BATCH))
    }
}

/// The oldest that nobody has claimed. Who commits later is found later, whatever its id.
async fn claim(
    transaction: &Transaction<'_>,
    resting: &Vec<String>,
) -> Result<Vec<Row>, TablesError> {
    let claim = "SELECT id, queue, message FROM tripod.outbox
        WHERE fault IS NULL AND queue <> ALL ($1)
        ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED";
    let arguments: [Argument<'_>; 2] = [(resting, Type::TEXT_ARRAY), (&BATCH, Type::INT8)];
    in_time(transaction.query_typed(claim, &arguments)).await
}

fn letter(row: &Row) -> Option<(QueueName, Message)> {
    let queue = QueueName::new(row.try_get(1).ok()?).ok()?;
    Some((queue, Message::from_bytes(row.try_get(2).ok()?)?))
}

async fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    ids: &Vec<i64>,
) -> Result<(), TablesError> {
    let arguments: [Argument<'_>; 1] = [(ids, Type::INT8_ARRAY)];
    in_time(transaction.query_typed(sql, &arguments)).await?;
    Ok(())
}

async fn in_time<T>(
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, TablesError> {
    match timeout(TIME_MAX, asked).await {
        Ok(answer) => answer.map_err(unreached),
        Err(_) => Err(TablesError::Unknown("no answer in time".into())),
    }
}

fn lost() -> TablesError {
    TablesError::Unknown("the connection was lost".into())
}

impl Resting {
    /// Those whose time is not over.
    fn names(&self) -> Vec<String> {
        let now = Instant::now();
        let resting = self.0.iter().filter(|(_, (_, until))| *until > now);
        resting.map(|(queue, _)| queue.clone()).collect()
    }

    fn has(&self, queue: &str) -> bool {
        let now = Instant::now();
        self.0.get(queue).is_some_and(|(_, until)| *until > now)
    }

    fn add(&mut self, queue: &QueueName, error: &TransportError) {
        if self.0.len() >= RESTING_MAX {
            self.0.clear();
        }
        let now = Instant::now();
        let (failures, until) = self.0.entry(queue.as_str().to_owned()).or_insert((0, now));
        *until = now + pause(RESTS.0, *failures, RESTS.1);
        *failures = failures.saturating_add(1);
        tracing::warn!(target: "tripod::message", %queue, %error, "outbox.not_sent");
    }

    /// Until the first has rested.
    fn first(&self) -> Option<Duration> {
        let now = Instant::now();
        let untils = self.0.values().map(|(_, until)| *until);
        let first = untils.filter(|until| *until > now).min()?;
        Some(first.duration_since(now) + Duration::from_millis(1))
    }
}

impl IntoFuture for StartRelay {
    type Output = Result<Relay, TablesError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for StartRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartRelay")
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("sent", &self.sent())
            .finish_non_exhaustive()
    }
}
