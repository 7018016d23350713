//! What goes on for the steps of a saga: tries, and the pauses between them.

use std::collections::BTreeMap;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep};

use super::case::{Case, Driven};
use super::engine::Engine;
use crate::transaction::saga::blueprint::Scene;
use crate::transaction::saga::blueprint::{Blueprint, Code, Work};
use crate::transaction::saga::error::{Meaning, StepError};
use crate::transaction::saga::event::{Event, Verdict};
use crate::transaction::saga::fact::Json;
use crate::transaction::saga::retry::Retry;
use crate::transaction::saga::state::Progress;

#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct TooSlow(Duration);

#[derive(Debug, thiserror::Error)]
#[error("the step's code panicked")]
struct Panicked;

/// What goes on for a step.
#[derive(Clone, Copy)]
enum What {
    Action,
    Compensation,
    Pause,
}

/// Something that takes time.
pub(super) struct Job {
    step: u16,
    attempt: u32,
    what: What,
    /// Code of others; a pause has none.
    code: Option<Code>,
    /// The longest that it may take.
    time: Duration,
    /// None, until it has to be waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

/// What came of it.
pub(super) struct Came {
    step: u16,
    attempt: u32,
    what: What,
    ran: Result<Json, StepError>,
}

impl Job {
    /// Runs the action of a step. Nothing, if the saga is over.
    pub(super) fn run(
        engine: &Engine,
        case: &Case,
        blueprint: &Blueprint,
        (step, attempt): (u16, u32),
    ) -> Option<Self> {
        let work = blueprint.work(step)?;
        let scene = case.look(|driven| scene(engine, case, driven, (step, attempt), false))?;
        let code = guarded(|| (work.action)(scene));
        Some(Self::new(
            (step, attempt),
            What::Action,
            Some(code),
            work.timeout,
        ))
    }

    /// Runs the compensation of a step. Nothing, if the saga is over.
    pub(super) fn undo(
        engine: &Engine,
        case: &Case,
        blueprint: &Blueprint,
        (step, attempt): (u16, u32),
    ) -> Option<Self> {
        let work = blueprint.work(step)?;
        let compensation = work.compensation.as_ref()?;
        let (scene, output) = case.look(|driven| {
            let output = driven.execution.output(step).cloned();
            (scene(engine, case, driven, (step, attempt), true), output)
        })?;
        let code = guarded(|| compensation(scene, output));
        Some(Self::new(
            (step, attempt),
            What::Compensation,
            Some(code),
            work.timeout,
        ))
    }

    /// Waits before the next try.
    pub(super) fn rest(case: &Case, blueprint: &Blueprint, (step, attempt): (u16, u32)) -> Self {
        let progress = case.look(|driven| driven.execution.progress(step));
        let undoes = progress == Some(Some(Progress::CompensationResting));
        let retry = blueprint.work(step).map(|work| retry(work, undoes));
        let pause = retry.unwrap_or_default().pause((case.id, step), attempt);
        Self::new((step, attempt), What::Pause, None, pause)
    }

    fn new((step, attempt): (u16, u32), what: What, code: Option<Code>, time: Duration) -> Self {
        Self {
            step,
            attempt,
            what,
            code,
            time,
            timer: None,
        }
    }

    fn came(&self, ran: Result<Json, StepError>) -> Poll<Came> {
        Poll::Ready(Came {
            step: self.step,
            attempt: self.attempt,
            what: self.what,
            ran,
        })
    }
}

/// It takes no longer than its time, and what panics does not take anything with it.
impl Future for Job {
    type Output = Came;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Came> {
        let job = &mut *self;
        let Some(code) = &mut job.code else {
            let pause = job.timer.get_or_insert_with(|| Box::pin(sleep(job.time)));
            ready!(pause.as_mut().poll(context));
            return job.came(Ok(Json::new("null")));
        };
        let ran = match guard(|| code.as_mut().poll(context)) {
            Ok(Poll::Ready(ran)) => ran,
            Ok(Poll::Pending) => {
                let timer = job.timer.get_or_insert_with(|| Box::pin(sleep(job.time)));
                // Code that is always busy leaves the timer none of what a task may do at once.
                ready!(unconstrained(timer).poll_unpin(context));
                Err(StepError::unknown(TooSlow(job.time)))
            }
            Err(panicked) => Err(panicked),
        };
        // It is code of others that drops it.
        let dropped = guard(|| drop(job.code.take()));
        job.came(dropped.and(ran))
    }
}

/// Code of others, from its first line on.
fn guarded(code: impl FnOnce() -> Code) -> Code {
    guard(code).unwrap_or_else(|panicked| Box::pin(async { Err(panicked) }))
}

fn guard<T>(code: impl FnOnce() -> T) -> Result<T, StepError> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|_| StepError::unknown(Panicked))
}

fn retry(work: &Work, undoes: bool) -> Retry {
    if undoes {
        work.compensation_retry
    } else {
        work.retry
    }
}

fn scene(
    engine: &Engine,
    case: &Case,
    driven: &Driven,
    (step, attempt): (u16, u32),
    compensates: bool,
) -> Scene {
    let steps = driven.execution.steps();
    let last = steps.iter().rposition(|step| step.output.is_some());
    let known = steps.iter().take(last.map_or(0, |last| last + 1));
    Scene {
        blueprint: driven.blueprint.clone(),
        saga: case.key.clone(),
        id: case.id,
        epoch: engine.epoch,
        started: case.created,
        step,
        compensates,
        attempt,
        input: driven.input.clone(),
        outputs: known.map(|step| step.output.clone()).collect(),
    }
}

/// What goes on for the steps of a saga.
#[derive(Default)]
pub(super) struct Jobs {
    /// Mostly there is only one: it needs no set.
    one: Option<Job>,
    others: Option<FuturesUnordered<Job>>,
    /// When a step was first tried whose tries have an end in time.
    tried: BTreeMap<u16, Instant>,
}

impl Jobs {
    pub(super) fn start(&mut self, blueprint: &Blueprint, job: Job) {
        self.note(blueprint, &job);
        if self.one.is_none() {
            self.one = Some(job);
        } else {
            self.others.get_or_insert_default().push(job);
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Came> {
        if let Some(job) = &mut self.one
            && let Poll::Ready(came) = job.poll_unpin(context)
        {
            self.one = None;
            return Poll::Ready(came);
        }
        if let Some(others) = &mut self.others
            && let Poll::Ready(Some(came)) = others.poll_next_unpin(context)
        {
            return Poll::Ready(came);
        }
        Poll::Pending
    }

    fn note(&mut self, blueprint: &Blueprint, job: &Job) {
        let work = blueprint.work(job.step);
        let undoes = matches!(job.what, What::Compensation);
        let timed = work.is_some_and(|work| retry(work, undoes).is_timed());
        if timed && job.code.is_some() {
            let now = Instant::now();
            if job.attempt == 1 {
                self.tried.insert(job.step, now);
            }
            self.tried.entry(job.step).or_insert(now);
        }
    }

    /// What this means for the saga.
    pub(super) fn judge(&self, case: &Case, blueprint: &Blueprint, done: Came) -> Event {
        let Came {
            step,
            attempt,
            what,
            ran,
        } = done;
        let undoes = match what {
            What::Action => false,
            What::Compensation => true,
            What::Pause => return Event::Rested { step },
        };
        let last = || {
            let first = self.tried.get(&step);
            let since = first.map_or(Duration::ZERO, Instant::elapsed);
            let work = blueprint.work(step);
            work.is_none_or(|work| retry(work, undoes).is_last(attempt, since))
        };
        let verdict = judge(case, step, ran, last);
        if undoes {
            Event::Undone { step, verdict }
        } else {
            Event::Ran { step, verdict }
        }
    }
}

fn judge(
    case: &Case,
    step: u16,
    ran: Result<Json, StepError>,
    last: impl FnOnce() -> bool,
) -> Verdict {
    let StepError { meaning, source } = match ran {
        Ok(output) => {
            case.err(step, None);
            return Verdict::Done(output);
        }
        Err(error) => error,
    };
    let error: &(dyn Error + Send + Sync) = &*source;
    tracing::debug!(saga = %case.key, step, ?meaning, %error, "a step did not succeed");
    case.err(step, Some(source));
    match meaning {
        Meaning::Failed => Verdict::Failed,
        Meaning::NotRun => Verdict::Again { last: true },
        Meaning::Again => Verdict::Again { last: last() },
        Meaning::Unknown => Verdict::Unknown { last: last() },
    }
}
