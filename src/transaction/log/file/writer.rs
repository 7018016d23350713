//! The one that writes: takes what is queued, and does as much of it as goes at once.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::transaction::id::Epoch;

use super::super::error::{AppendError, LogError, Operation};
use super::super::front::{
    Append, BATCH_LEN_MAX, Command, QUEUE_LEN, Session, SharedSession, Standing, refuse,
};
use super::super::reservation::Reservation;
use super::super::seeded::{self, Seeded};
use super::super::storage::{Storage, StorageLock};
use super::super::waiting::Waiting;
use super::super::{Opened, Persistence};
use super::FileLogOptions;
use super::journal::Journal;
use super::recovery;
use super::spare::During;

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
    lock: Option<Lock>,
}

/// While it is held, nobody opens the log but this writer.
#[derive(Debug)]
struct Lock {
    /// The epoch that was opened last, unless a reopening has failed since.
    last: Option<Epoch>,
    /// What was opened last, or may have been, came after this epoch.
    after: Option<Epoch>,
    _guard: Box<dyn StorageLock>,
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
            lock: None,
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
    /// nothing was queued. It blocks while the storage does, and for nothing else. Those who wait in
    /// tasks of a runtime are told there, later.
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
            Some(Command::Reopen { after, reply }) => {
                let _ = reply.send(self.reopen(after));
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
        // What was not synced is read back, or was not durable.
        self.journal = None;
        self.lock = None;
        let lock = recovery::lock(&*self.storage, self.options)?;
        let journal = recovery::open(&self.storage, self.options, hint, &mut None)?;
        self.lock = Some(Lock {
            last: Some(journal.epoch),
            after: None,
            _guard: lock,
        });
        Ok(self.serve(journal))
    }

    fn reopen(&mut self, after: Epoch) -> Result<Opened, LogError> {
        let options = self.options.create(false);
        // The epoch that the log must be seen to have, where another may have opened it.
        let mut unseen = None;
        match &mut self.lock {
            // Nobody else can have opened it, and what was opened here is known.
            Some(lock) if lock.last != Some(after) && lock.after != Some(after) => {
                return Err(LogError::Superseded { epoch: after });
            }
            Some(lock) => lock.after = Some(after),
            None => {
                unseen = Some(after);
                self.lock = Some(Lock {
                    last: unseen,
                    after: unseen,
                    _guard: recovery::lock(&*self.storage, options)?,
                });
            }
        }
        *self.session.lock() = None;
        self.journal = None;
        let journal = match recovery::open(&self.storage, options, 0, &mut unseen) {
            Ok(journal) => journal,
            Err(error) => {
                // Held on to, it tells that whatever was raised was raised here. It does not where
                // that was not seen: then the next reopening has to look again.
                let tells = unseen.is_none() && !matches!(error, LogError::Missing);
                self.lock = self.lock.take().filter(|_| tells);
                return Err(error);
            }
        };
        if let Some(lock) = &mut self.lock {
            lock.last = Some(journal.epoch);
        }
        Ok(self.serve(journal))
    }

    fn serve(&mut self, journal: Journal) -> Opened {
        let opened = Opened::new(
            journal.active.name.coordinator,
            journal.epoch,
            journal.live.in_order().collect(),
            Persistence::Storage,
        );
        *self.session.lock() = Some(Session {
            epoch: journal.epoch,
            ledger: Arc::clone(&journal.ledger),
            standing: Standing::Serving,
        });
        self.journal = Some(journal);
        opened
    }

    fn close(&mut self, epoch: Epoch) -> Result<(), LogError> {
        let poisoned = match &*self.session.lock() {
            Some(session) if session.epoch == epoch => session.standing != Standing::Serving,
            Some(_) | None => return Err(LogError::Superseded { epoch }),
        };
        *self.session.lock() = None;
        // Gone once the journal is sealed, whatever comes of that.
        let _lock = self.lock.take();
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
            Some(_) if seeded::has(Seeded::TakesAnyEpoch) => Ok(()),
            Some(session) => session.admit(epoch),
        }
    }

    fn poison(&self, error: &dyn std::error::Error) {
        tracing::error!(%error, "the log has failed and must be opened again");
        if let Some(session) = &mut *self.session.lock() {
            session.standing = Standing::Poisoned;
        }
    }

    /// Writes the appends at the head of the queue, as many as make a batch.
    fn append(&mut self, first: Append) {
        let mut waiting = Waiting::default();
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
        match written {
            Ok(()) => {
                waiting.tell(|| Ok(()));
                if let Some(journal) = &mut self.journal {
                    journal.tidy();
                }
            }
            Err(error) => {
                // Each of those in the batch is told what the system said.
                let (kind, error) = (error.kind(), Arc::new(error));
                let unknown = move || io::Error::new(kind, Arc::clone(&error));
                waiting.tell(move || Err(AppendError::Unknown(unknown())));
            }
        }
    }

    fn next_append(&mut self) -> Option<Append> {
        match self.backlog.pop_front()? {
            Command::Append(append) => Some(append),
            other @ (Command::Open { .. }
            | Command::Reopen { .. }
            | Command::Reserve { .. }
            | Command::Close { .. }) => {
                self.backlog.push_front(other);
                None
            }
        }
    }

    /// Takes an append into the batch or refuses it for good. Gives it back if it has to wait for
    /// the next batch.
    fn take(&mut self, append: Append, waiting: &mut Waiting) -> Result<(), Append> {
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
        waiting.add(append.forced);
        if !append.records.is_empty() {
            waiting.keep(journal.stage(append.records, append.reservation));
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
            .is_none_or(|session| session.standing != Standing::Serving)
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
