//! Hearing of changes: a connection of its own that listens to this client's channel.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client};

use crate::chance::random;
use crate::lock::backend::bells::Bells;
use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::lock::name::HolderId;
use crate::postgres::{Argument, Backoff, Driver, Way};

use super::failure::{unconnected, unreached};
use super::pool::Pool;

/// How long the server may take to accept a connection, and to answer.
const TIME_MAX: Duration = Duration::from_secs(5);

/// How often we tell ourselves something, by the way that others tell us: what is not heard shows
/// that the connection is dead, or leads to a pooler or elsewhere.
const PROBE: Duration = Duration::from_secs(10);

const UNHEARD: &str = "what is told is not heard: behind a pooler in transaction mode, give a \
    listen_url around it to the same database, or do without_listening";

/// A task that listens until it is dropped.
#[derive(Debug)]
pub(super) struct Ear {
    channel: String,
    hears: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Ear {
    /// Listens, and rings the bells of those who are told of a change.
    pub(super) async fn new(way: Way, pool: Pool, bells: Arc<Bells>) -> Result<Self, BackendError> {
        let channel = format!("tripod_{:016x}", random());
        let hears = Arc::new(AtomicBool::new(false));
        let (first, started) = oneshot::channel();
        let listening = Listening {
            way,
            bells,
            channel: channel.clone(),
            hears: Arc::clone(&hears),
            echo: Notify::new(),
            pool,
        };
        let ear = Self {
            channel,
            hears,
            task: tokio::spawn(listening.forever(first)).abort_handle(),
        };
        let ended = |_| BackendError::new(BackendErrorKind::Unavailable, Verb::Connect);
        started.await.map_err(ended)??;
        Ok(ear)
    }

    /// Where it listens.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// Whether what is told now is heard.
    pub(super) fn hears(&self) -> bool {
        self.hears.load(Ordering::Relaxed)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Listening {
    way: Way,
    bells: Arc<Bells>,
    channel: String,
    hears: Arc<AtomicBool>,
    /// That we heard what we told ourselves.
    echo: Notify,
    /// By which others tell us.
    pool: Pool,
}

type First = oneshot::Sender<Result<(), BackendError>>;

impl Listening {
    async fn forever(self, first: First) {
        let mut first = Some(first);
        // Apart from the pauses of the way, which end as soon as it can be gone.
        let backoff = Backoff::default();
        loop {
            let outcome = self.once(&mut first, &backoff).await;
            self.hears.store(false, Ordering::Relaxed);
            // What is told from now on may be missed: those who wait look, and then poll.
            self.bells.ring_all();
            match (first.take(), outcome) {
                (Some(first), Err(error)) => {
                    let _ = first.send(Err(error));
                    return;
                }
                (None, Err(error)) => {
                    tracing::debug!(target: "tripod::lock", %error, "lock.not_listening");
                }
                (_, Ok(())) => {}
            }
            backoff.failed();
            if let Some(pause) = backoff.pause() {
                sleep(pause).await;
            }
        }
    }

    /// Connects, and listens until the connection ends.
    async fn once(&self, first: &mut Option<First>, backoff: &Backoff) -> Result<(), BackendError> {
        let opened = timeout(TIME_MAX, self.way.open()).await;
        let opened = opened.map_err(|_| silent())?;
        let (client, driver) = opened.map_err(|error| unreached(error, Verb::Connect))?;
        tokio::select! {
            ended = self.drive(driver) => ended,
            ended = self.listen(&client, first, backoff) => ended,
        }
    }

    async fn drive(&self, mut driver: Driver) -> Result<(), BackendError> {
        while let Some(message) = poll_fn(|context| driver.poll_message(context)).await {
            if let AsyncMessage::Notification(told) = message.map_err(unconnected)? {
                self.hear(told.payload());
            }
        }
        Ok(())
    }

    fn hear(&self, payload: &str) {
        if payload.is_empty() {
            self.echo.notify_one();
        } else if let Ok(holder) = u128::from_str_radix(payload, 16) {
            self.bells.ring(HolderId::from_u128(holder));
        }
    }

    async fn listen(
        &self,
        client: &Client,
        first: &mut Option<First>,
        backoff: &Backoff,
    ) -> Result<(), BackendError> {
        let listen = format!("LISTEN {}", self.channel);
        let listens = timeout(TIME_MAX, client.batch_execute(&listen)).await;
        listens.map_err(|_| silent())?.map_err(unconnected)?;
        loop {
            // One that came too late is not of this connection, nor of this time.
            while self.echo.notified().now_or_never().is_some() {}
            if let Err(error) = self.tell_ourselves().await {
                if !self.hears.load(Ordering::Relaxed) {
                    return Err(error);
                }
                // Nobody can tell anybody now, and it shows nothing about this connection.
            } else if timeout(TIME_MAX, self.echo.notified()).await.is_err() {
                return Err(BackendError::new(BackendErrorKind::Rejected, Verb::Connect)
                    .with_source(UNHEARD));
            } else {
                backoff.reset();
                if !self.hears.swap(true, Ordering::Relaxed) {
                    // What was told before was missed.
                    self.bells.ring_all();
                }
                if let Some(first) = first.take() {
                    // Nobody is there to receive it if the caller has gone.
                    let _ = first.send(Ok(()));
                }
            }
            sleep(PROBE).await;
        }
    }

    /// As another client would.
    async fn tell_ourselves(&self) -> Result<(), BackendError> {
        let arguments: [Argument<'_>; 1] = [(&self.channel, Type::TEXT)];
        let told = "SELECT pg_catalog.pg_notify($1, '')";
        self.pool.ask(Verb::Connect, told, &arguments).await?;
        Ok(())
    }
}

fn silent() -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, Verb::Connect).with_source("no answer in time")
}
