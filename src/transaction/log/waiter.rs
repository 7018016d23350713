//! Those who wait until their appends are durable, and how they are told.

use std::collections::HashMap;

use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, Receiver, Sender};

use super::error::AppendError;

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

/// Tells all who waited for one batch, those of a runtime by a task in it: a runtime has to be
/// woken once then, and not for each of them.
pub(super) fn tell<F>(waiters: Vec<Waiter>, outcome: F)
where
    F: Fn() -> Result<(), AppendError> + Clone + Send + 'static,
{
    let mut runtimes = HashMap::new();
    for Waiter { reply, runtime } in waiters {
        let group = runtimes.entry(runtime.as_ref().map(Handle::id));
        let (_, replies) = group.or_insert_with(|| (runtime, Vec::new()));
        replies.push(reply);
    }
    for (runtime, replies) in runtimes.into_values() {
        let outcome = outcome.clone();
        let answers = Answers { replies, outcome };
        match runtime {
            Some(runtime) if answers.replies.len() > 1 => {
                runtime.spawn(async move { drop(answers) });
            }
            Some(_) | None => drop(answers),
        }
    }
}

/// Given when it is dropped, as a runtime that shuts down does with its tasks.
struct Answers<F: Fn() -> Result<(), AppendError>> {
    replies: Vec<Sender<Result<(), AppendError>>>,
    outcome: F,
}

impl<F: Fn() -> Result<(), AppendError>> Drop for Answers<F> {
    fn drop(&mut self) {
        for reply in self.replies.drain(..) {
            let _ = reply.send((self.outcome)());
        }
    }
}
