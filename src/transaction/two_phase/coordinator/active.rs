//! A transaction that its caller works in.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::oneshot;

use super::Coordinator;
use super::codec;
use super::engine::Engine;
use super::error::EnlistError;
use super::run::Run;
use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, TransactionId};
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::Enlist;
use crate::transaction::two_phase::event::{Action, Answer, Event, Refusal};
use crate::transaction::two_phase::phase::AbortReason;

/// The most branches of a transaction: what names them has to fit into one record.
pub const BRANCHES_MAX: u16 = 1024;

/// A transaction that is under way: enlist participants, work through their branches, then commit.
///
/// Dropped without either, it is aborted in the background.
#[must_use = "dropped, it is aborted"]
pub struct ActiveTransaction {
    /// Keeps the coordinator alive.
    _coordinator: Coordinator,
    engine: Arc<Engine>,
    run: Arc<Run>,
    names: Vec<ParticipantName>,
    /// Whether it has been told to end.
    left: bool,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum CommitOutcome {
    /// It is committed, for good.
    Committed {
        /// Who has not acknowledged within the time for that. They are told until they do, or wait
        /// for an operator; until then, readers there do not see it.
        pending: Vec<ParticipantName>,
    },
    /// It is aborted, for good. Nothing of it happened.
    Aborted {
        /// Why.
        reason: AbortReason,
        /// Whose branch the reason is about, if it is about one.
        participant: Option<ParticipantName>,
    },
    /// It cannot be said yet: the log failed while the decision was written, or the only
    /// participant did not answer. [`inquire`](super::Coordinator::inquire) later.
    Unknown(TransactionId),
}

impl CommitOutcome {
    /// Whether it is certain that it has been committed.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        matches!(self, Self::Committed { .. })
    }
}

impl ActiveTransaction {
    pub(super) fn new(coordinator: Coordinator, engine: Arc<Engine>, run: Arc<Run>) -> Self {
        Self {
            _coordinator: coordinator,
            engine,
            run,
            names: Vec::new(),
            left: false,
        }
    }

    /// Its id: what to [`inquire`](super::Coordinator::inquire) about if the answer is lost.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.run.id
    }

    /// Enlists a participant, and begins its branch. A participant may be enlisted several times;
    /// its branches are apart from each other, and may wait for each other's locks.
    ///
    /// # Errors
    /// [`EnlistError`]: with some the transaction goes on, with others it has been aborted.
    ///
    /// # Cancel safety
    /// A dropped future aborts the transaction: the branch may have begun.
    pub async fn enlist<P: Enlist>(&mut self, participant: &P) -> Result<P::Branch, EnlistError> {
        let name = participant.name().clone();
        let Some(member) = self.engine.members.get(&name).cloned() else {
            return Err(EnlistError::Unregistered(name));
        };
        // One that settles nothing for long is not given more and more to settle.
        let crowded = member.branches() >= self.engine.options.branches_max();
        if !member.is_open() || crowded {
            return Err(EnlistError::Unavailable(name));
        }
        let number = u16::try_from(self.names.len()).unwrap_or(BRANCHES_MAX);
        if number >= BRANCHES_MAX {
            return Err(EnlistError::TooMany { max: BRANCHES_MAX });
        }
        let lists = member.participant.lists();
        self.reserve(lists).await?;

        let mut half = Half {
            transaction: self,
            whole: false,
        };
        let this = &mut *half.transaction;
        this.run.know(number, Some(member));
        this.names.push(name.clone());
        let enlisting = Event::Enlist {
            participant: name,
            lists,
        };
        let actions = this.engine.step(this.run.id, enlisting);
        this.admit(actions).await?;
        let branch = participant.work(BranchId::new(this.run.id, number)).await?;
        half.whole = true;
        Ok(branch)
    }

    /// Sets space aside for what a further branch adds.
    async fn reserve(&self, lists: bool) -> Result<(), EnlistError> {
        if self.names.len() >= codec::BRANCHES_EXPECTED || !lists {
            let bytes = codec::branch_space(self.run.id, !lists);
            let space = self.engine.log.reserve(self.engine.epoch, bytes).await;
            let space = space.map_err(|error| {
                self.engine.ail(&error);
                EnlistError::Log(error)
            })?;
            self.run.add_space(space);
        }
        Ok(())
    }

    /// Waits until the branch may work.
    async fn admit(&self, actions: Vec<Action>) -> Result<(), EnlistError> {
        let mut actions = actions;
        if let [Action::Append(record)] = actions.as_slice() {
            let record = record.clone();
            let _turn = self.run.append_turn().await;
            let event = match self
                .engine
                .append(&self.run, std::slice::from_ref(&record))
                .await
            {
                Ok(()) => Event::Durable(record),
                Err(true) => Event::NotWritten(record.kind()),
                Err(false) => Event::Failed(record.kind()),
            };
            actions = self.engine.step(self.run.id, event);
        }
        match actions.as_slice() {
            [Action::Work { .. }] => Ok(()),
            [Action::Refuse(Refusal::Full)] => Err(EnlistError::TooMany { max: BRANCHES_MAX }),
            [Action::Refuse(_)] => Err(EnlistError::Aborted(self.reason())),
            _ => {
                self.engine.perform_later(&self.run, actions);
                Err(EnlistError::Aborted(self.reason()))
            }
        }
    }

    /// Why it was aborted.
    fn reason(&self) -> AbortReason {
        self.engine
            .abort_reason(self.run.id)
            .unwrap_or(AbortReason::Dropped)
    }

    /// Commits: every branch, or none.
    ///
    /// Returns when every participant has acknowledged; at the end of the time for that, as
    /// committed with branches pending; or as soon as it is known to be aborted.
    ///
    /// # Cancel safety
    /// Dropped before the decision is handed to the log, it aborts. Dropped later, it goes on in
    /// the background; [`inquire`](super::Coordinator::inquire) tells what became of it.
    pub async fn commit(mut self) -> CommitOutcome {
        if self.left {
            return self.outcome(Answer::Aborted(AbortReason::Dropped));
        }
        self.left = true;
        #[cfg(feature = "metrics")]
        let began = tokio::time::Instant::now();
        let answer = self.run.await_answer();
        let actions = self.engine.step(self.run.id, Event::Commit);
        let mut waiting = Waiting {
            transaction: &self,
            answered: false,
        };
        if let Some(driver) = self.engine.perform(&self.run, actions) {
            waiting.drive(driver).await;
        }
        let answer = waiting.wait(answer).await;
        drop(waiting);
        #[cfg(feature = "metrics")]
        crate::metrics::TRANSACTION_COMMIT.record(began.elapsed());
        self.engine.forget(&self.run, None);
        self.outcome(answer)
    }

    /// Aborts, and returns at once: the branches are told in the background.
    pub fn rollback(mut self) {
        self.leave(Event::Rollback);
    }

    fn leave(&mut self, event: Event) {
        if !self.left {
            self.left = true;
            self.engine.dispatch(&self.run, event);
            self.run.vacate();
            self.engine.forget(&self.run, None);
        }
    }

    fn outcome(&self, answer: Answer) -> CommitOutcome {
        let name = |number: u16| self.names.get(usize::from(number)).cloned();
        match answer {
            Answer::Committed { pending } => CommitOutcome::Committed {
                pending: pending.into_iter().filter_map(name).collect(),
            },
            Answer::Aborted(reason) => {
                let branch = match &reason {
                    AbortReason::No { branch, .. }
                    | AbortReason::Unknown { branch }
                    | AbortReason::Unfinished { branch } => Some(*branch),
                    AbortReason::OnePhase => Some(0),
                    AbortReason::Asked
                    | AbortReason::Dropped
                    | AbortReason::Deadline
                    | AbortReason::Log
                    | AbortReason::Operator
                    | AbortReason::Presumed
                    | AbortReason::Logged => None,
                };
                CommitOutcome::Aborted {
                    participant: branch.and_then(name),
                    reason,
                }
            }
            Answer::Unknown => CommitOutcome::Unknown(self.run.id),
        }
    }
}

impl Drop for ActiveTransaction {
    fn drop(&mut self) {
        self.leave(Event::Dropped);
    }
}

impl fmt::Debug for ActiveTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveTransaction")
            .field("id", &self.run.id)
            .field("participants", &self.names)
            .finish_non_exhaustive()
    }
}

/// A branch that is being enlisted: given up half-way, it takes the transaction with it.
struct Half<'a> {
    transaction: &'a mut ActiveTransaction,
    whole: bool,
}

impl Drop for Half<'_> {
    fn drop(&mut self) {
        if !self.whole {
            self.transaction.leave(Event::Dropped);
        }
    }
}

/// A caller who waits for the answer.
struct Waiting<'a> {
    transaction: &'a ActiveTransaction,
    answered: bool,
}

impl Waiting<'_> {
    /// Does at once what can be done at once. What takes time goes on by itself: it depends on
    /// nobody who polls, and on no other runtime than the coordinator's.
    async fn drive(&self, driver: BoxFuture<'static, ()>) {
        let engine = &self.transaction.engine;
        let mut driver = Some(driver);
        poll_fn(|context| {
            if let Some(mut task) = driver.take()
                && engine.poll(&mut task, context).is_pending()
            {
                engine.spawn(task);
            }
            Poll::Ready(())
        })
        .await;
    }

    async fn wait(&mut self, answer: oneshot::Receiver<Answer>) -> Answer {
        let received = answer.await;
        self.answered = true;
        // Nobody is left who could tell.
        received.unwrap_or(Answer::Unknown)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let engine = &self.transaction.engine;
            engine.dispatch(&self.transaction.run, Event::Dropped);
            self.transaction.run.vacate();
        }
    }
}
