//! Those who wait until their appends are durable, and how they are told.

use std::mem;

use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::task;

use super::error::AppendError;
use super::record::Record;

/// Who waits for an append.
#[derive(Debug)]
pub(super) struct Waiter {
    reply: Sender<Result<(), AppendError>>,
    /// Where it waits, if it does in a task of a runtime, which runs other tasks too.
    runtime: Option<Handle>,
}

impl Waiter {
    pub(super) fn new() -> (Self, Receiver<Result<(), AppendError>>) {
        let (reply, answer) = oneshot::channel();
        let runtime = task::try_id().and_then(|_| Handle::try_current().ok());
        (Self { reply, runtime }, answer)
    }

    /// Tells it alone.
    pub(super) fn tell(self, outcome: Result<(), AppendError>) {
        let _ = self.reply.send(outcome);
    }
}

/// Those who wait for one batch.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    waiters: Vec<Waiter>,
    /// Records that were written.
    written: Vec<Vec<Record>>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn add(&mut self, waiter: Option<Waiter>) {
        self.waiters.extend(waiter);
    }

    /// Keeps records, to drop them where the first who waits is told, and where most of them come
    /// from most likely: memory that is given back by another thread than the one that took it is
    /// slow to be had again.
    pub(super) fn keep(&mut self, written: Vec<Record>) {
        self.written.push(written);
    }

    /// Tells them all, those of a runtime by a task in it: a runtime has to be woken once then, and
    /// not for each of them.
    pub(super) fn tell<F>(self, outcome: F)
    where
        F: Fn() -> Result<(), AppendError> + Clone + Send + 'static,
    {
        let mut written = self.written;
        let mut runtimes: Vec<(Option<Handle>, Vec<_>)> = Vec::new();
        for Waiter { reply, runtime } in self.waiters {
            let id = runtime.as_ref().map(Handle::id);
            let is = |(of, _): &&mut (Option<Handle>, _)| of.as_ref().map(Handle::id) == id;
            match runtimes.iter_mut().find(is) {
                Some((_, replies)) => replies.push(reply),
                None => runtimes.push((runtime, vec![reply])),
            }
        }
        for (runtime, replies) in runtimes {
            let answers = Answers {
                replies,
                outcome: outcome.clone(),
                _written: mem::take(&mut written),
            };
            match runtime {
                Some(runtime) if answers.replies.len() > 1 => {
                    runtime.spawn(async move { drop(answers) });
                }
                Some(_) | None => drop(answers),
            }
        }
    }
}

/// Given when it is dropped, as a runtime that shuts down does with its tasks.
struct Answers<F: Fn() -> Result<(), AppendError>> {
    replies: Vec<Sender<Result<(), AppendError>>>,
    outcome: F,
    _written: Vec<Vec<Record>>,
}

impl<F: Fn() -> Result<(), AppendError>> Drop for Answers<F> {
    fn drop(&mut self) {
        for reply in self.replies.drain(..) {
            let _ = reply.send((self.outcome)());
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    reason = "a failed assertion is how a test speaks"
)]
mod tests {
    use super::{AppendError, Waiter, Waiting};
    use tokio::runtime::{Builder, Handle, Runtime};
    use tokio::sync::oneshot::Receiver;

    type Answer = Receiver<Result<(), AppendError>>;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    /// So many who wait in tasks of this runtime.
    fn waiters(waiting: &mut Waiting, runtime: &Runtime, count: usize) -> Vec<Answer> {
        let wait = || runtime.block_on(async { tokio::spawn(async { Waiter::new() }).await });
        let new = (0..count).map(|_| wait().unwrap());
        let (waiters, answers): (Vec<_>, Vec<_>) = new.unzip();
        for waiter in waiters {
            waiting.add(Some(waiter));
        }
        answers
    }

    fn told(answers: &mut [Answer]) -> usize {
        answers
            .iter_mut()
            .filter_map(|it| it.try_recv().ok())
            .count()
    }

    #[test]
    fn those_of_a_runtime_are_told_by_a_task_in_it_and_others_at_once() {
        let (busy, other) = (runtime(), runtime());
        let mut waiting = Waiting::default();
        let mut of_busy = waiters(&mut waiting, &busy, 3);
        let mut alone = waiters(&mut waiting, &other, 1);
        let (outside, mut outside_answer) = Waiter::new();
        waiting.add(Some(outside));
        waiting.tell(|| Ok(()));
        assert_eq!((told(&mut of_busy), told(&mut alone)), (0, 1));
        assert!(outside_answer.try_recv().unwrap().is_ok());
        busy.block_on(tokio::task::yield_now());
        assert_eq!(told(&mut of_busy), 3);
    }

    #[test]
    fn a_runtime_that_is_entered_or_blocked_on_runs_no_task() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let mut waiting = Waiting::default();
        let (waiters, mut answers): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| runtime.block_on(async { Waiter::new() }))
            .unzip();
        for waiter in waiters {
            waiting.add(Some(waiter));
        }
        let (entered, answer) = Waiter::new();
        waiting.add(Some(entered));
        answers.push(answer);
        waiting.tell(|| Ok(()));
        assert_eq!(told(&mut answers), 3);
    }

    #[test]
    fn a_runtime_that_shuts_down_tells_all_who_waited_in_it() {
        for early in [true, false] {
            let runtime = runtime();
            let mut waiting = Waiting::default();
            let mut answers = waiters(&mut waiting, &runtime, 3);
            // One has not waited for it.
            answers.pop();
            if early {
                drop(runtime);
                waiting.tell(|| Err(AppendError::Closed));
            } else {
                waiting.tell(|| Err(AppendError::Closed));
                assert_eq!(told(&mut answers), 0);
                drop(runtime);
            }
            assert_eq!(told(&mut answers), 2);
        }
        assert!(Handle::try_current().is_err());
    }
}
