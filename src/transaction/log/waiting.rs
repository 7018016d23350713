//! Those who wait until their appends are durable, and how they are told.

use std::collections::HashMap;
use std::mem;

use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, Receiver, Sender};

use super::error::AppendError;
use super::record::Record;

/// Who waits for an append.
#[derive(Debug)]
pub(super) struct Waiter {
    reply: Sender<Result<(), AppendError>>,
    /// Where it waits, if that is a runtime of tokio.
    runtime: Option<Handle>,
}

impl Waiter {
    pub(super) fn new() -> (Self, Receiver<Result<(), AppendError>>) {
        let (reply, answer) = oneshot::channel();
        let runtime = Handle::try_current().ok();
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

    /// Keeps records, to drop them where they came from, most likely: memory that is given back by
    /// another thread than the one that took it is slow to be had again.
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
        let mut runtimes = HashMap::new();
        for Waiter { reply, runtime } in self.waiters {
            let group = runtimes.entry(runtime.as_ref().map(Handle::id));
            let (_, replies) = group.or_insert_with(|| (runtime, Vec::new()));
            replies.push(reply);
        }
        for (runtime, replies) in runtimes.into_values() {
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
