//! The handles' end of a log that has a writer: the queue, and what is known without asking.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::future::BoxFuture;
use crate::transaction::id::Epoch;

use super::error::{AppendError, LogError};
use super::ledger::Ledger;
use super::record::Record;
use super::reservation::Reservation;
use super::waiting::Waiter;
use super::{APPEND_SPACE_MAX, Durability, Opened, RESERVATION_MAX, TransactionLog, limit};

/// So many commands wait for the writer; further callers wait before they queue. Beyond what
/// one batch takes, a longer queue makes nothing faster.
pub(super) const QUEUE_LEN: usize = 1024;

/// What goes into one batch, in bytes, before it is full: beyond that a larger write gains nothing,
/// and those in it would wait.
pub(super) const BATCH_LEN_MAX: usize = 4 << 20;

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Command {
    Open {
        hint: u64,
        reply: oneshot::Sender<Result<Opened, LogError>>,
    },
    Reopen {
        after: Epoch,
        reply: oneshot::Sender<Result<Opened, LogError>>,
    },
    Append(Append),
    Reserve {
        epoch: Epoch,
        bytes: u64,
        reply: oneshot::Sender<Result<Reservation, AppendError>>,
    },
    Close {
        epoch: Epoch,
        reply: oneshot::Sender<Result<(), LogError>>,
    },
}

#[derive(Debug)]
pub(super) struct Append {
    pub(super) epoch: Epoch,
    pub(super) records: Vec<Record>,
    /// What a frame of the records takes, in bytes; 0 without records.
    pub(super) frame_len: u64,
    pub(super) reservation: Reservation,
    /// Who waits until it is durable; `None` for one that is not forced.
    pub(super) forced: Option<Waiter>,
}

/// What callers may know without asking.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) epoch: Epoch,
    pub(super) ledger: Arc<Ledger>,
    pub(super) standing: Standing,
}

/// How it is with the epoch that has the log open, as far as anybody here knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Serving,
    /// An append or a sync has failed.
    Poisoned,
    /// Another process has opened the log.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(dead_code, reason = "files are locked: nobody else opens them")
    )]
    Superseded,
}

pub(super) type SharedSession = Arc<Mutex<Option<Session>>>;

impl Session {
    /// Whether this epoch may append.
    pub(super) fn admit(&self, epoch: Epoch) -> Result<(), AppendError> {
        match self.standing {
            _ if self.epoch != epoch => Err(AppendError::Superseded { epoch }),
            Standing::Serving => Ok(()),
            Standing::Poisoned => Err(AppendError::Poisoned),
            Standing::Superseded => Err(AppendError::Superseded { epoch }),
        }
    }
}

/// A handle. Clones are handles of the same log.
#[derive(Clone, Debug)]
pub(super) struct Front {
    commands: mpsc::Sender<Command>,
    session: SharedSession,
}

impl Front {
    /// A handle, and what the writer has of it.
    pub(super) fn new() -> (Self, mpsc::Receiver<Command>, SharedSession) {
        let (commands, queue) = mpsc::channel(QUEUE_LEN);
        let session = SharedSession::default();
        let front = Self {
            commands,
            session: Arc::clone(&session),
        };
        (front, queue, session)
    }

    /// The epoch that has the log open, if one has.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.session.lock().as_ref().map(|session| session.epoch)
    }

    /// The ledger of this epoch, if it may append as far as anybody here knows.
    fn ledger(&self, epoch: Epoch) -> Result<Arc<Ledger>, AppendError> {
        let session = self.session.lock();
        let session = session.as_ref().ok_or(AppendError::Closed)?;
        session.admit(epoch)?;
        Ok(Arc::clone(&session.ledger))
    }

    /// Space from the writer, which may have to make some.
    async fn ask(&self, epoch: Epoch, bytes: u64) -> Result<Reservation, AppendError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Reserve {
            epoch,
            bytes,
            reply,
        };
        let sent = self.commands.send(command).await;
        // A reservation changes no record, so a lost one is certainly not an append.
        sent.map_err(|_| AppendError::Closed)?;
        answer.await.map_err(|_| AppendError::Closed)?
    }

    async fn cover(
        &self,
        epoch: Epoch,
        given: Option<Reservation>,
        bytes: u64,
    ) -> Result<Reservation, AppendError> {
        match self.ledger(epoch)?.cover(given, bytes) {
            Ok(covered) => Ok(covered),
            Err(mut part) => {
                let missing = bytes.saturating_sub(part.bytes());
                part.absorb(self.ask(epoch, missing).await?);
                Ok(part)
            }
        }
    }

    /// Asks the writer for what is not an append.
    async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Command,
    ) -> Result<T, LogError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| LogError::Gone)?;
        answer.await.map_err(|_| LogError::Gone)?
    }
}

impl TransactionLog for Front {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        Box::pin(self.command(move |reply| Command::Open { hint, reply }))
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        Box::pin(self.command(move |reply| Command::Reopen { after, reply }))
    }

    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(async move {
            let needed = records.iter().map(Record::space).sum();
            limit(needed, APPEND_SPACE_MAX)?;
            let reservation = self.cover(epoch, space, needed).await?;
            let (forced, answer) = match durability {
                Durability::Forced => Some(Waiter::new()).unzip(),
                Durability::Unforced => (None, None),
            };
            let command = Command::Append(Append {
                epoch,
                frame_len: needed,
                records,
                reservation,
                forced,
            });
            let sent = self.commands.send(command).await;
            sent.map_err(|_| AppendError::Closed)?;
            match answer {
                Some(answer) => answer.await.map_err(|_| AppendError::Gone)?,
                None => Ok(()),
            }
        })
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        Box::pin(async move {
            limit(bytes, RESERVATION_MAX)?;
            match self.ledger(epoch)?.reserve(bytes) {
                Some(reservation) => Ok(reservation),
                None => self.ask(epoch, bytes).await,
            }
        })
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(self.command(move |reply| Command::Close { epoch, reply }))
    }
}

/// Answers an append that was not made, and never will be.
pub(super) fn refuse(append: Append, error: AppendError) {
    if let Some(waiter) = append.forced {
        waiter.tell(Err(error));
    } else {
        // Nobody was promised anything; the next forced append of its caller fails too.
        tracing::debug!(%error, "an append that was not forced is dropped");
    }
}
