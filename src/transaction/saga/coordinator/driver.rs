//! Performs what is to be done for one saga, until it is over.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::attempts::{Came, Job, Jobs};
use super::batch::{Appended, Batch};
use super::case::{Case, Wish, Word};
use super::course::Stage;
use super::engine::{Engine, now, remove};
use super::writing::{append, finish, is_told, tell};
use crate::future::BoxFuture;
use crate::transaction::log::AppendError;
use crate::transaction::saga::blueprint::Blueprint;
use crate::transaction::saga::event::{Action, Event, Transition};
use crate::transaction::saga::fact::{Fact, Reason};

/// What the driver waited for.
enum Next {
    Appended(Appended),
    Came(Came),
    Deadline,
    Wished(Vec<Wish>),
    Closing,
}

/// Performs what follows, and all that follows from that. There is one for each saga that waits,
/// perhaps for days: it is small.
pub(super) struct Driver {
    engine: Arc<Engine>,
    case: Arc<Case>,
    blueprint: Arc<Blueprint>,
    /// What has just followed.
    new: Transition,
    /// To be appended once the append before has come back.
    queue: Batch,
    appending: Option<BoxFuture<'static, Appended>>,
    jobs: Jobs,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let over = match ready!(self.next(context)) {
                Next::Appended((batch, Ok(()))) => self.appended(batch),
                // The log says how far it is, to whoever opens it next.
                Next::Appended((_, Err(error))) => {
                    self.give_up(error);
                    true
                }
                Next::Came(came) => {
                    let event = self.jobs.judge(&self.case, &self.blueprint, came);
                    self.take(event, None);
                    false
                }
                // Past the pivot it is too late for that.
                Next::Deadline => {
                    self.take(Event::Cancel(Reason::Deadline), None);
                    false
                }
                Next::Wished(wishes) => {
                    for Wish { event, word } in wishes {
                        self.take(event, Some(word));
                    }
                    false
                }
                Next::Closing => {
                    self.close();
                    true
                }
            };
            if over {
                return Poll::Ready(());
            }
        }
    }
}

impl Driver {
    /// `created` is the beginning of the first record, if there is none yet. Within a runtime.
    pub(super) fn new(
        (engine, case): (&Arc<Engine>, &Arc<Case>),
        blueprint: Arc<Blueprint>,
        created: Option<Vec<u8>>,
        first: Transition,
    ) -> Self {
        let deadline = blueprint.deadline.map(|deadline| {
            let passed = Duration::from_millis(now().saturating_sub(case.created));
            Box::pin(sleep(deadline.saturating_sub(passed)))
        });
        let mut driver = Self {
            engine: Arc::clone(engine),
            case: Arc::clone(case),
            blueprint,
            new: first,
            queue: Batch::default(),
            appending: None,
            jobs: Jobs::default(),
            deadline,
        };
        driver.follow(created, None);
        driver
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        if let Some(appending) = &mut self.appending
            && let Poll::Ready(appended) = appending.as_mut().poll(context)
        {
            self.appending = None;
            return Poll::Ready(Next::Appended(appended));
        }
        if let Poll::Ready(came) = self.jobs.poll(context) {
            return Poll::Ready(Next::Came(came));
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            self.deadline = None;
            return Poll::Ready(Next::Deadline);
        }
        self.case.register(context.waker());
        let wishes = self.case.wishes();
        if !wishes.is_empty() {
            return Poll::Ready(Next::Wished(wishes));
        }
        if self.engine.closing.is_cancelled() {
            return Poll::Ready(Next::Closing);
        }
        // Its room is given back: it may wait for long.
        self.new = Transition::default();
        Poll::Pending
    }

    /// Takes what happened. What comes too late is refused.
    fn take(&mut self, event: Event, word: Option<Word>) {
        match self.case.step(event, &mut self.new) {
            Ok(()) => self.follow(None, word),
            Err(refusal) => {
                if let Some(word) = word {
                    let _ = word.send(Err(refusal));
                }
            }
        }
    }

    /// Has the facts written, then does what follows.
    fn follow(&mut self, created: Option<Vec<u8>>, word: Option<Word>) {
        self.new.facts.retain(is_told);
        if self.new.facts.is_empty() && created.is_none() {
            if let Some(word) = word {
                let _ = word.send(Ok(()));
            }
            let actions = std::mem::take(&mut self.new.actions);
            return self.perform(actions);
        }
        shift(&mut self.new.facts, &mut self.queue.facts);
        shift(&mut self.new.actions, &mut self.queue.actions);
        self.queue.words.extend(word);
        self.write(created);
    }

    /// Records go one after the other.
    fn write(&mut self, created: Option<Vec<u8>>) {
        if self.appending.is_some() || self.queue.facts.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.queue);
        batch.at = match created {
            Some(_) => self.case.created,
            None => now(),
        };
        if let Some(end) = batch.facts.iter().find_map(Fact::end) {
            let finished = finish(&self.case, &self.blueprint, end, batch.at);
            batch.finished = Some(Arc::new(finished));
        }
        let (engine, case) = (Arc::clone(&self.engine), Arc::clone(&self.case));
        self.appending = Some(Box::pin(append(engine, case, created, batch)));
    }

    /// It is durable. True once the saga is over.
    fn appended(&mut self, mut batch: Batch) -> bool {
        tell(&self.engine, &self.case, &self.blueprint, &batch);
        batch.facts.clear();
        for word in batch.words {
            let _ = word.send(Ok(()));
        }
        if let Some(finished) = batch.finished {
            let told = !self.engine.options.retention.is_zero();
            self.engine.retain(&self.case, &finished, told);
            self.case.end(finished);
            return true;
        }
        self.new.facts = batch.facts;
        self.perform(batch.actions);
        self.write(None);
        false
    }

    fn perform(&mut self, mut actions: Vec<Action>) {
        // Somebody else may have taken over.
        if self.engine.closing.is_cancelled() {
            return;
        }
        let (engine, case, blueprint) = (&self.engine, &self.case, &self.blueprint);
        for action in actions.drain(..) {
            let job = match action {
                Action::Run { step, attempt } => Job::run(engine, case, blueprint, (step, attempt)),
                Action::Undo {
                    step,
                    attempt,
                    doubtful,
                } => {
                    tracing::debug!(saga = %case.key, step, doubtful, "compensating");
                    Job::undo(engine, case, blueprint, (step, attempt))
                }
                Action::Rest { step, attempt } => Some(Job::rest(case, blueprint, (step, attempt))),
                // It is over as soon as that is durable.
                Action::Finish(_) => None,
            };
            if let Some(job) = job {
                self.jobs.start(blueprint, job);
            }
        }
        self.new.actions = actions;
    }

    /// Its start was refused, or its log has failed.
    fn give_up(&self, error: AppendError) {
        let starting = |stage: &Stage| matches!(stage, Stage::Starting);
        if error.is_definite() {
            let not_started = Stage::NotStarted(Arc::new(error));
            if self.case.course.turn(starting, not_started) {
                remove(&mut self.engine.state.lock(), &self.case.key, self.case.id);
                self.case.drop_out();
            }
        } else if self.engine.closing.is_cancelled() {
            self.close();
        }
    }

    /// Whether it has begun is for the log to say, to whoever opens it next.
    fn close(&self) {
        let starting = |stage: &Stage| matches!(stage, Stage::Starting);
        self.case.course.turn(starting, Stage::Lost);
    }
}

/// Moves what is new behind what is there, which mostly is nothing.
fn shift<T>(new: &mut Vec<T>, there: &mut Vec<T>) {
    if there.is_empty() {
        std::mem::swap(new, there);
    } else {
        there.append(new);
    }
}
