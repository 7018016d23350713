//! What takes time, and what came of it.

use std::collections::VecDeque;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::future::BoxFuture;

/// Several things under way at once in one task.
pub(super) struct Jobs<'a, D> {
    done: VecDeque<D>,
    /// None, until something has to wait.
    waiting: Option<FuturesUnordered<BoxFuture<'a, D>>>,
}

impl<'a, D> Jobs<'a, D> {
    pub(super) fn new() -> Self {
        Self {
            done: VecDeque::new(),
            waiting: None,
        }
    }

    /// Most are done as soon as they are asked, with nobody to be woken. The others are asked
    /// again by whoever waits for them.
    pub(super) fn start(&mut self, mut job: BoxFuture<'a, D>) {
        match (&mut job).now_or_never() {
            Some(done) => self.done.push_back(done),
            None => self.waiting.get_or_insert_default().push(job),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty() && self.waiting.as_ref().is_none_or(FuturesUnordered::is_empty)
    }

    /// What is there already.
    pub(super) fn done(&mut self) -> Option<D> {
        let first = self.done.pop_front();
        first.or_else(|| self.waiting.as_mut()?.next().now_or_never().flatten())
    }

    /// The next to be done, of those that were not [done](Self::done) yet; none, if there are none.
    pub(super) async fn next(&mut self) -> Option<D> {
        self.waiting.as_mut()?.next().await
    }
}
