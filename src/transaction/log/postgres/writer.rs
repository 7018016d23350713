//! The one that writes: takes what is queued, and does as much of it as goes at once.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::transaction::id::{CoordinatorId, Epoch};
use crate::transaction::postgres::Trouble;

use super::super::error::{AppendError, LogError};
use super::super::front::{
    Append, BATCH_LEN_MAX, Command, Session, SharedSession, Standing, refuse,
};
use super::super::ledger::Ledger;
use super::super::record::Record;
use super::super::reservation::Reservation;
use super::super::waiting::Waiting;
use super::super::{Opened, Persistence};
use super::batch::Batch;
use super::failure::Verdict;
use super::opening::{Open, Wanted, open};
use super::store::{Appended, Place, Store};

pub(super) struct Writer {
    store: Store,
    space_max: u64,
    queue: mpsc::Receiver<Command>,
    /// What did not go into the batch before.
    held: Option<Command>,
    session: SharedSession,
    journal: Option<Journal>,
}

/// A log that is open.
struct Journal {
    coordinator: CoordinatorId,
    epoch: Epoch,
    /// Where it ends.
    tail: i64,
    /// What lives, in bytes.
    live: u64,
    ledger: Arc<Ledger>,
}

impl Writer {
    pub(super) fn new(
        store: Store,
        space_max: u64,
        queue: mpsc::Receiver<Command>,
        session: SharedSession,
    ) -> Self {
        Self {
            store,
            space_max,
            queue,
            held: None,
            session,
            journal: None,
        }
    }

    /// Does what is asked until no handle is left, and all that they asked for is done.
    pub(super) async fn run(mut self) {
        while let Some(command) = self.next().await {
            match command {
                Command::Open { hint, reply } => {
                    let _ = reply.send(self.open(Wanted::From(hint)).await);
                }
                Command::Reopen { after, reply } => {
                    let _ = reply.send(self.open(Wanted::After(after)).await);
                }
                Command::Append(first) => self.append(first).await,
                Command::Reserve {
                    epoch,
                    bytes,
                    reply,
                } => {
                    let _ = reply.send(self.reserve(epoch, bytes));
                }
                Command::Close { epoch, reply } => {
                    let _ = reply.send(self.close(epoch).await);
                }
            }
        }
    }

    async fn next(&mut self) -> Option<Command> {
        match self.held.take() {
            Some(held) => Some(held),
            None => self.queue.recv().await,
        }
    }

    async fn open(&mut self, wanted: Wanted) -> Result<Opened, LogError> {
        // Whoever else has it open here has it still, if this is refused.
        let gone = |session: &mut Session| match wanted {
            Wanted::From(_) => true,
            Wanted::After(epoch) => session.epoch == epoch,
        };
        if self.session.lock().take_if(gone).is_some() {
            self.journal = None;
        }
        let Open {
            coordinator,
            epoch,
            tail,
            live,
        } = open(&self.store, wanted).await?;
        tracing::info!(log = %self.store.name(), %epoch, live = live.len(), "a log is opened");
        let ledger = Arc::new(Ledger::bounded(self.space_max, live.space()));
        *self.session.lock() = Some(Session {
            epoch,
            ledger: Arc::clone(&ledger),
            standing: Standing::Serving,
        });
        self.journal = Some(Journal {
            coordinator,
            epoch,
            tail,
            live: live.space(),
            ledger,
        });
        let live = live.in_order().collect();
        Ok(Opened::new(coordinator, epoch, live, Persistence::Storage))
    }

    async fn close(&mut self, epoch: Epoch) -> Result<(), LogError> {
        let superseded = LogError::Superseded { epoch };
        let Some(session) = self.session.lock().take_if(|it| it.epoch == epoch) else {
            return Err(superseded);
        };
        let journal = self.journal.take().ok_or(superseded)?;
        match session.standing {
            Standing::Serving => {}
            Standing::Poisoned => return Err(LogError::Poisoned),
            Standing::Superseded => return Err(LogError::Superseded { epoch }),
        }
        // What is forced takes all before it with it.
        let all = Batch::default();
        match self.store.append(journal.next(0), &all, true).await {
            Ok(Appended::Freed(_)) => Ok(()),
            Ok(Appended::Superseded) => Err(LogError::Superseded { epoch }),
            Ok(Appended::Lost) => Err(LogError::Poisoned),
            Err(trouble) => Err(super::failure::since(trouble)),
        }
    }

    /// The handles have seen that there is not so much room.
    fn reserve(&self, epoch: Epoch, bytes: u64) -> Result<Reservation, AppendError> {
        self.admit(epoch)?;
        let reserved = self.journal.as_ref().map(|it| it.ledger.reserve(bytes));
        let reserved = reserved.ok_or(AppendError::Closed)?;
        reserved.ok_or(AppendError::Full {
            bytes,
            source: None,
        })
    }

    fn admit(&self, epoch: Epoch) -> Result<(), AppendError> {
        let session = self.session.lock();
        session.as_ref().ok_or(AppendError::Closed)?.admit(epoch)
    }

    /// Appends what is at the head of the queue, as much as makes a batch.
    async fn append(&mut self, first: Append) {
        let (mut batch, mut waiting, mut promised) = (Batch::default(), Waiting::default(), false);
        let mut next = Some(first);
        while let Some(append) = next.take() {
            if batch.taken() > 0
                && batch.taken().saturating_add(append.frame_len) > BATCH_LEN_MAX as u64
            {
                self.held = Some(Command::Append(append));
                break;
            }
            if let Err(error) = self.admit(append.epoch) {
                refuse(append, error);
            } else {
                promised |= append.forced.is_none();
                waiting.add(append.forced);
                batch.take(append.records, append.frame_len, append.reservation);
            }
            next = self.next_append();
        }
        if batch.taken() == 0 && waiting.is_empty() {
            return;
        }
        self.write(batch, waiting, promised).await;
    }

    fn next_append(&mut self) -> Option<Append> {
        match self.queue.try_recv().ok()? {
            Command::Append(append) => Some(append),
            other @ (Command::Open { .. }
            | Command::Reopen { .. }
            | Command::Reserve { .. }
            | Command::Close { .. }) => {
                self.held = Some(other);
                None
            }
        }
    }

    /// `promised`: there are some in it that are confirmed already.
    async fn write(&mut self, batch: Batch, waiting: Waiting, promised: bool) {
        let Some(journal) = &mut self.journal else {
            waiting.tell(|| Err(AppendError::Closed));
            return;
        };
        let added = batch.added().map(Record::space).sum();
        let place = journal.next(batch.added().count());
        match self.store.append(place, &batch, !waiting.is_empty()).await {
            Ok(Appended::Freed(freed)) => {
                journal.tail = place.next;
                journal.live = journal.live.saturating_add(added).saturating_sub(freed);
                if let Some(reservation) = batch.into_reservation() {
                    journal.ledger.spend(reservation, added, journal.live);
                }
                waiting.tell(|| Ok(()));
            }
            Ok(Appended::Superseded) => {
                let epoch = place.epoch;
                tracing::warn!(log = %self.store.name(), %epoch, "another has opened the log");
                self.turn(Standing::Superseded);
                waiting.tell(move || Err(AppendError::Superseded { epoch }));
            }
            Ok(Appended::Lost) => {
                tracing::error!(log = %self.store.name(), tail = place.tail,
                    "the server does not have what it has confirmed: the log must be opened again");
                self.turn(Standing::Poisoned);
                waiting.tell(|| Err(AppendError::Poisoned));
            }
            Err(trouble) => self.fail(&batch, waiting, promised, trouble),
        }
    }

    fn fail(&mut self, batch: &Batch, waiting: Waiting, promised: bool, trouble: Trouble) {
        let mut verdict = Verdict::of(&trouble);
        if promised && matches!(verdict, Verdict::Full) {
            // Those who were not to wait believe that theirs come before what is appended next.
            verdict = Verdict::Never;
        }
        let why = trouble.into_source().to_string();
        if matches!(verdict, Verdict::Full) {
            tracing::warn!(log = %self.store.name(), %why, "the server has no room for an append");
        } else {
            tracing::error!(log = %self.store.name(), %why,
                "the log has failed and must be opened again");
            self.turn(Standing::Poisoned);
        }
        let taken = batch.taken();
        waiting.tell(move || Err(verdict.tell(taken, &why)));
    }

    fn turn(&self, standing: Standing) {
        if let Some(session) = &mut *self.session.lock() {
            session.standing = standing;
        }
    }
}

impl Journal {
    /// The place of an append of so many records.
    fn next(&self, records: usize) -> Place {
        // One number at least, so that an append can be told from the one before.
        let numbers = i64::try_from(records.max(1)).unwrap_or(i64::MAX);
        Place {
            coordinator: self.coordinator,
            epoch: self.epoch,
            tail: self.tail,
            next: self.tail.saturating_add(numbers),
        }
    }
}
