//! A coordinator during one epoch: its book, its log, its participants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::codec;
use super::counters::{Counters, count};
use super::lately::Lately;
use super::member::Member;
use super::options::Options;
use super::run::Run;
use crate::future::BoxFuture;
use crate::transaction::health::Health;
use crate::transaction::id::{CoordinatorId, Epoch, TransactionId};
use crate::transaction::log::{AppendError, Durability, Reservation, TransactionLog};
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::Outcome;
use crate::transaction::two_phase::book::Book;
use crate::transaction::two_phase::branch::ParkReason;
use crate::transaction::two_phase::event::{Action, Answer, Event, Refusal, Resolution, and_then};
use crate::transaction::two_phase::phase::AbortReason;
use crate::transaction::two_phase::phase::{Decision, Phase};
use crate::transaction::two_phase::record::Record;
use crate::transaction::two_phase::state::Transaction;

/// A coordinator during one epoch.
pub(super) struct Engine {
    pub(super) coordinator: CoordinatorId,
    pub(super) epoch: Epoch,
    pub(super) log: Arc<dyn TransactionLog>,
    pub(super) members: BTreeMap<ParticipantName, Arc<Member>>,
    pub(super) options: Options,
    /// Ends what looks after participants.
    pub(super) keeping: CancellationToken,
    /// Ends all that goes on in the background.
    pub(super) closing: CancellationToken,
    pub(super) lately: Arc<Mutex<Lately>>,
    pub(super) health: watch::Sender<Health>,
    pub(super) counters: Arc<Counters>,
    pub(super) state: Mutex<State>,
    /// What the log told of when it was opened.
    pub(super) recovered: BTreeSet<TransactionId>,
    runtime: Handle,
}

pub(super) struct State {
    pub(super) book: Book,
    pub(super) runs: BTreeMap<TransactionId, Arc<Run>>,
}

/// What outlives an epoch.
pub(super) type Memory = (Arc<Counters>, Arc<Mutex<Lately>>);

impl Engine {
    pub(super) fn new(
        (coordinator, epoch): (CoordinatorId, Epoch),
        log: Arc<dyn TransactionLog>,
        members: BTreeMap<ParticipantName, Arc<Member>>,
        options: Options,
        (book, recovered): (Book, BTreeSet<TransactionId>),
        (counters, lately): Memory,
    ) -> Self {
        Self {
            coordinator,
            epoch,
            log,
            members,
            options,
            keeping: CancellationToken::new(),
            closing: CancellationToken::new(),
            lately,
            health: watch::Sender::new(Health::Serving),
            counters,
            state: Mutex::new(State {
                book,
                runs: BTreeMap::new(),
            }),
            recovered,
            runtime: Handle::current(),
        }
    }

    /// Sets aside what a transaction will need of the log.
    pub(super) async fn reserve(&self) -> Result<Reservation, AppendError> {
        let any = TransactionId::new(self.coordinator, self.epoch, 0);
        let reserved = self.log.reserve(self.epoch, codec::space(any)).await;
        reserved.inspect_err(|error| self.ail(error))
    }

    pub(super) fn begin(&self, space: Reservation) -> Arc<Run> {
        let mut state = self.state.lock();
        let id = state.book.begin();
        let run = Arc::new(Run::new(id, Some(space)));
        state.runs.insert(id, Arc::clone(&run));
        drop(state);
        count(&self.counters.begun);
        run
    }

    /// What is to be done now that this has happened.
    pub(super) fn step(&self, id: TransactionId, event: Event) -> Vec<Action> {
        self.stepped(&mut self.state.lock(), id, event)
    }

    fn stepped(&self, state: &mut State, id: TransactionId, event: Event) -> Vec<Action> {
        state.book.step(id, event).unwrap_or_else(|impossible| {
            count(&self.counters.impossible);
            tracing::error!(%impossible, "this is a defect: please report it");
            Vec::new()
        })
    }

    /// As [`step`](Self::step), for whoever performs: what was left meanwhile came to pass before.
    pub(super) fn step_driven(&self, run: &Run, event: Event) -> Vec<Action> {
        let mut state = self.state.lock();
        let left = run.inbox();
        and_then(left, self.stepped(&mut state, run.id, event))
    }

    /// Takes what happened, and sees to it that what is to be done is done in the background.
    /// Answers how much that is.
    pub(super) fn dispatch(self: &Arc<Self>, run: &Arc<Run>, event: Event) -> usize {
        let (count, actions) = {
            let mut state = self.state.lock();
            let actions = self.stepped(&mut state, run.id, event);
            // Before anything else happens to it, so that records stay in their order.
            (actions.len(), hand_over(run, actions))
        };
        if let Some(actions) = actions {
            self.spawn(self.driver(run, actions));
        }
        count
    }

    /// Aborts what is not decided, for it has worked too long or the coordinator ends.
    pub(super) fn expire(self: &Arc<Self>, is_late: impl Fn(&Transaction, &Run) -> bool) {
        let mut state = self.state.lock();
        let open = state.book.transactions();
        // What may be decided already is not touched.
        let undecided = |transaction: &&Transaction| match transaction.phase() {
            Phase::Working | Phase::Preparing => true,
            Phase::OnePhase
            | Phase::Logging
            | Phase::InDoubt
            | Phase::Settling(_)
            | Phase::Ending(_)
            | Phase::Ended(_) => false,
        };
        let late = open.filter(undecided).filter_map(|transaction| {
            let run = state.runs.get(&transaction.id())?;
            is_late(transaction, run).then(|| Arc::clone(run))
        });
        for run in late.collect::<Vec<_>>() {
            tracing::warn!(transaction = %run.id, "aborted: it was not decided in time");
            let actions = self.stepped(&mut state, run.id, Event::Deadline);
            if let Some(actions) = hand_over(&run, actions) {
                self.spawn(self.driver(&run, actions));
            }
        }
    }

    /// Takes an operator's word, unless it is refused.
    pub(super) fn resolve(
        self: &Arc<Self>,
        run: &Arc<Run>,
        resolution: Resolution,
    ) -> Option<Refusal> {
        let mut state = self.state.lock();
        if state.book.transaction(run.id).is_none() {
            return Some(Refusal::Done);
        }
        let actions = self.stepped(&mut state, run.id, Event::Resolve(resolution));
        if let [Action::Refuse(refusal)] = actions.as_slice() {
            return Some(*refusal);
        }
        let actions = hand_over(run, actions);
        drop(state);
        if let Some(actions) = actions {
            self.spawn(self.driver(run, actions));
        }
        None
    }

    /// What performs these actions: somebody who does already, or else the future that is returned.
    pub(super) fn perform(
        self: &Arc<Self>,
        run: &Arc<Run>,
        actions: Vec<Action>,
    ) -> Option<BoxFuture<'static, ()>> {
        let actions = hand_over(run, actions)?;
        Some(self.driver(run, actions))
    }

    /// Sees to it that these are performed in the background.
    pub(super) fn perform_later(self: &Arc<Self>, run: &Arc<Run>, actions: Vec<Action>) {
        if let Some(driver) = self.perform(run, actions) {
            self.spawn(driver);
        }
    }

    /// Polls this future in the runtime of the coordinator, whoever asks.
    pub(super) fn poll(
        &self,
        task: &mut BoxFuture<'static, ()>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let _runtime = self.runtime.enter();
        task.as_mut().poll(context)
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    pub(super) fn phase(&self, id: TransactionId) -> Option<Phase> {
        let state = self.state.lock();
        state.book.transaction(id).map(|it| it.phase().clone())
    }

    /// Why it was aborted, if it was.
    pub(super) fn abort_reason(&self, id: TransactionId) -> Option<AbortReason> {
        let state = self.state.lock();
        match state.book.transaction(id)?.decision()? {
            Decision::Abort(reason) => Some(reason.clone()),
            Decision::Commit => None,
        }
    }

    /// How long its caller waits in the phase in which it is.
    pub(super) fn patience(&self, id: TransactionId) -> Duration {
        match self.phase(id) {
            Some(Phase::Working | Phase::Preparing | Phase::Logging | Phase::InDoubt) => {
                self.options.prepare_timeout
            }
            Some(Phase::OnePhase | Phase::Settling(_) | Phase::Ending(_) | Phase::Ended(_))
            | None => self.options.settle_timeout,
        }
    }

    pub(super) fn answer(&self, run: &Run, answer: Answer) {
        let counter = match &answer {
            Answer::Committed { .. } => &self.counters.committed,
            Answer::Aborted(_) => &self.counters.aborted,
            Answer::Unknown => &self.counters.unknown,
        };
        count(counter);
        run.answer(answer);
    }

    pub(super) fn tell_parked(&self, run: &Run, branch: u16, reason: ParkReason) {
        count(&self.counters.parked);
        tracing::warn!(transaction = %run.id, branch, ?reason, "a branch waits for an operator");
    }

    /// Appends records of this transaction; an error says whether they certainly were not.
    pub(super) async fn append(&self, run: &Run, records: &[Record]) -> Result<(), bool> {
        let encoded = records.iter().map(|record| codec::encode(run.id, record));
        let Ok(encoded) = encoded.collect::<Result<Vec<_>, _>>() else {
            return Err(true);
        };
        let needed = encoded
            .iter()
            .map(crate::transaction::log::Record::space)
            .sum();
        let forced = records.iter().any(Record::is_forced);
        let durability = if forced {
            count(&self.counters.forced_writes);
            Durability::Forced
        } else {
            Durability::Unforced
        };
        let space = run.take_space(needed);
        let appended = self
            .log
            .append(self.epoch, encoded, durability, space)
            .await;
        appended.map_err(|error| {
            tracing::warn!(transaction = %run.id, %error, "the log did not take a record");
            self.ail(&error);
            error.is_definite()
        })
    }

    /// Concludes how it is with the log.
    pub(super) fn ail(&self, error: &AppendError) {
        if let Some(health) = Health::after(error) {
            self.sicken(health);
        }
    }

    /// Whether the log takes what there is room for, as far as is known.
    pub(super) fn serves(&self) -> bool {
        *self.health.borrow() == Health::Serving
    }

    /// It does not get better by itself. The first finding counts: what is found while the log is
    /// opened again is but our own doing.
    fn sicken(&self, health: Health) {
        let sickened = self.health.send_if_modified(|now| {
            let changed = *now == Health::Serving;
            if changed {
                *now = health;
            }
            changed
        });
        if sickened && health == Health::Superseded {
            self.condemn();
        }
    }

    /// Another has taken over, or this is a copy of the past: nothing begins any more, and what
    /// others have left is left alone. What is decided goes on, and what is not and takes too long is
    /// aborted.
    pub(super) fn condemn(&self) {
        self.health.send_replace(Health::Superseded);
        self.keeping.cancel();
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_over(&self, id: TransactionId) -> bool {
        let state = self.state.lock();
        state.book.transaction(id).is_none_or(Transaction::is_over)
    }

    /// Forgets what is over, but for what became of it if its caller does not know; a caller who
    /// has not asked for its end keeps it.
    pub(super) fn forget(&self, run: &Run, outcome: Option<Outcome>) {
        let mut state = self.state.lock();
        if state.book.transaction(run.id).is_none() {
            state.runs.remove(&run.id);
            // At once: whoever finds it neither here nor there takes it for one that never was.
            if let Some(outcome) = outcome.filter(|_| !run.is_told()) {
                self.lately.lock().remember(run.id, outcome);
            }
        }
    }

    pub(super) fn run(&self, id: TransactionId) -> Option<Arc<Run>> {
        self.state.lock().runs.get(&id).cloned()
    }
}

fn hand_over(run: &Run, actions: Vec<Action>) -> Option<Vec<Action>> {
    if actions.is_empty() {
        return None;
    }
    run.hand_over(actions)
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("epoch", &self.epoch)
            .field("health", &*self.health.borrow())
            .finish_non_exhaustive()
    }
}
