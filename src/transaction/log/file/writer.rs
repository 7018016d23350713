//! The one that writes: takes what is queued, and does as much of it as goes at once.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::transaction::id::Epoch;

use super::super::error::{AppendError, LogError, Operation};
use super::super::record::Record;
use super::super::reservation::Reservation;
use super::super::seeded::{self, Seeded};
use super::super::storage::Storage;
use super::super::{Opened, Persistence};
use super::journal::Journal;
use super::ledger::Ledger;
use super::recovery;
use super::spare::During;
use super::{FileLogOptions, QUEUE_LEN};

/// A batch is so many bytes at most, and one append: beyond that a longer write gains nothing, and
/// those in it would wait.
const BATCH_LEN_MAX: usize = 4 << 20;

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Command {
    Open {
        hint: u64,
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
    pub(super) forced: Option<oneshot::Sender<Result<(), AppendError>>>,
}

/// What callers may know without asking.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) epoch: Epoch,
    pub(super) ledger: Arc<Ledger>,
    pub(super) poisoned: bool,
}

pub(super) type SharedSession = Arc<Mutex<Option<Session>>>;

/// The writing end of a [`FileLog`](super::FileLog): one for all its handles.
///
/// [`FileLog::start`](super::FileLog::start) gives it a thread of its own. Whoever made it by
/// [`FileLog::on`](super::FileLog::on) runs it: on a thread by [`run`](Self::run), or step by step,
/// where a test decides what happens when.
#[derive(Debug)]
pub struct LogWriter {
    storage: Arc<dyn Storage>,
    options: FileLogOptions,
    commands: mpsc::Receiver<Command>,
    backlog: VecDeque<Command>,
    session: SharedSession,
    journal: Option<Journal>,
}

impl LogWriter {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        options: FileLogOptions,
        commands: mpsc::Receiver<Command>,
        session: SharedSession,
    ) -> Self {
        Self {
            storage,
            options,
            commands,
            backlog: VecDeque::new(),
            session,
            journal: None,
        }
    }

    /// Does what is asked until no handle is left, and all that they asked for is done. It blocks:
    /// give it a thread, not a task.
    ///
    /// # Panics
    /// In a task of an asynchronous runtime.
    pub fn run(mut self) {
        while let Some(command) = self.commands.blocking_recv() {
            self.backlog.push_back(command);
            while self.step() {}
        }
    }

    /// Does what goes at once: opens, closes, or writes one batch of all that is queued. `false`:
    /// nothing was queued. It blocks while the storage does, and for nothing else.
    pub fn step(&mut self) -> bool {
        // No more than a queue's length: what does not go into a batch stays in the queue, where
        // it holds up those who would add to it.
        while self.backlog.len() < QUEUE_LEN
            && let Ok(command) = self.commands.try_recv()
        {
            self.backlog.push_back(command);
        }
        match self.backlog.pop_front() {
            None => return false,
            Some(Command::Open { hint, reply }) => {
                let _ = reply.send(self.open(hint));
            }
            Some(Command::Close { epoch, reply }) => {
                let _ = reply.send(self.close(epoch));
            }
            Some(Command::Reserve {
                epoch,
                bytes,
                reply,
            }) => {
                let _ = reply.send(self.reserve(epoch, bytes));
            }
            Some(Command::Append(first)) => self.append(first),
        }
        true
    }

    fn open(&mut self, hint: u64) -> Result<Opened, LogError> {
        *self.session.lock() = None;
        // The lock goes with it; what was not synced is read back, or was not durable.
        self.journal = None;
        let journal = recovery::open(&self.storage, self.options, hint)?;
        let opened = Opened::new(
            journal.active.name.coordinator,
            journal.epoch,
            journal.live.iter().cloned().collect(),
            Persistence::Storage,
        );
        *self.session.lock() = Some(Session {
            epoch: journal.epoch,
            ledger: Arc::clone(&journal.ledger),
            poisoned: false,
        });
        self.journal = Some(journal);
        Ok(opened)
    }

    fn close(&mut self, epoch: Epoch) -> Result<(), LogError> {
        let poisoned = match &*self.session.lock() {
            Some(session) if session.epoch == epoch => session.poisoned,
            Some(_) | None => return Err(LogError::Superseded { epoch }),
        };
        *self.session.lock() = None;
        let Some(journal) = self.journal.take() else {
            return Err(LogError::Superseded { epoch });
        };
        if poisoned {
            return Err(LogError::Poisoned);
        }
        journal.seal().during(Operation::Write)
    }

    fn reserve(&mut self, epoch: Epoch, bytes: u64) -> Result<Reservation, AppendError> {
        self.admit(epoch)?;
        let journal = self.journal.as_mut().ok_or(AppendError::Closed)?;
        journal.enlarge(bytes).map_err(|error| {
            tracing::warn!(%error, bytes, "the log has no room and cannot grow");
            let source = Some(io::Error::other(error));
            AppendError::Full { bytes, source }
        })
    }

    /// Whether this epoch may append.
    fn admit(&self, epoch: Epoch) -> Result<(), AppendError> {
        match &*self.session.lock() {
            None => Err(AppendError::Closed),
            Some(session) if session.epoch != epoch && !seeded::has(Seeded::TakesAnyEpoch) => {
                Err(AppendError::Superseded { epoch })
            }
            Some(session) if session.poisoned => Err(AppendError::Poisoned),
            Some(_) => Ok(()),
        }
    }

    fn poison(&self, error: &dyn std::error::Error) {
        tracing::error!(%error, "the log has failed and must be opened again");
        if let Some(session) = &mut *self.session.lock() {
            session.poisoned = true;
        }
    }

    /// Writes the appends at the head of the queue, as many as make a batch.
    fn append(&mut self, first: Append) {
        let mut waiting = Vec::new();
        let mut next = Some(first);
        while let Some(append) = next {
            if let Err(refused) = self.take(append, &mut waiting) {
                self.backlog.push_front(Command::Append(refused));
                break;
            }
            next = self.next_append();
        }
        let written = self.write(!waiting.is_empty());
        if let Err(error) = &written {
            self.poison(error);
        }
        let failed = written.err().map(Arc::new);
        for reply in waiting {
            let _ = reply.send(match &failed {
                None => Ok(()),
                Some(error) => Err(unknown(error)),
            });
        }
        if failed.is_none()
            && let Some(journal) = &mut self.journal
        {
            journal.tidy();
        }
    }

    fn next_append(&mut self) -> Option<Append> {
        match self.backlog.pop_front()? {
            Command::Append(append) => Some(append),
            other @ (Command::Open { .. } | Command::Reserve { .. } | Command::Close { .. }) => {
                self.backlog.push_front(other);
                None
            }
        }
    }

    /// Takes an append into the batch or refuses it for good. Gives it back if it has to wait for
    /// the next batch.
    fn take(
        &mut self,
        append: Append,
        waiting: &mut Vec<oneshot::Sender<Result<(), AppendError>>>,
    ) -> Result<(), Append> {
        if let Err(error) = self.admit(append.epoch) {
            refuse(append, error);
            return Ok(());
        }
        let Some(journal) = &mut self.journal else {
            refuse(append, AppendError::Closed);
            return Ok(());
        };
        let batch = journal.batch_len();
        if !journal.fits(append.frame_len) {
            if batch > 0 {
                return Err(append);
            }
            if let Err(error) = journal.roll() {
                self.poison(&error);
                refuse(append, AppendError::Poisoned);
                return Ok(());
            }
        } else if batch >= BATCH_LEN_MAX {
            return Err(append);
        }
        waiting.extend(append.forced);
        if !append.records.is_empty() {
            journal.stage(append.records, append.reservation);
        }
        Ok(())
    }

    fn write(&mut self, forced: bool) -> io::Result<()> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        if self
            .session
            .lock()
            .as_ref()
            .is_none_or(|session| session.poisoned)
        {
            return Err(io::Error::other("the log failed before this was written"));
        }
        journal.write()?;
        let early = seeded::has(Seeded::AnswersBeforeItSyncs);
        if forced && !early {
            journal.sync()
        } else {
            Ok(())
        }
    }
}

fn refuse(append: Append, error: AppendError) {
    if let Some(reply) = append.forced {
        let _ = reply.send(Err(error));
    } else {
        // Nobody was promised anything; the next forced append of its caller fails too.
        tracing::debug!(%error, "an append that was not forced is dropped");
    }
}

/// Each of those in the batch is told what the system said.
fn unknown(error: &Arc<io::Error>) -> AppendError {
    AppendError::Unknown(io::Error::new(error.kind(), Arc::clone(error)))
}
