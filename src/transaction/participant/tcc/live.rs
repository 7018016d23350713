//! The branches that work in this process.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::transaction::id::BranchId;

/// Branches from their enlisting until they are settled: no more than their coordinators have
/// under way.
#[derive(Default)]
pub(super) struct Live(Mutex<HashMap<BranchId, Arc<Work>>>);

/// A branch that works.
pub(super) struct Work {
    state: Mutex<State>,
    /// Of those who prepare it.
    pub(super) turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct State {
    stage: Stage,
    /// Whether its handle may still try.
    is_open: bool,
}

/// What its try did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was tried.
    Fresh,
    Trying,
    Tried,
    /// It was refused, or nobody knows.
    Failed,
}

impl Live {
    /// Begins a branch. The handle of one that was begun before ends.
    pub(super) fn begin(&self, branch: BranchId) -> Arc<Work> {
        let state = State {
            stage: Stage::Fresh,
            is_open: true,
        };
        let work = Arc::new(Work {
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
        });
        let before = self.0.lock().insert(branch, Arc::clone(&work));
        if let Some(before) = before {
            before.close();
        }
        work
    }

    /// The branch's work, whose handle has ended: the commit was asked for.
    pub(super) fn close(&self, branch: BranchId) -> Option<Arc<Work>> {
        let work = self.0.lock().get(&branch).cloned();
        if let Some(work) = &work {
            work.close();
        }
        work
    }

    /// It works no more: its rows tell the rest.
    pub(super) fn end(&self, branch: BranchId) {
        let work = self.0.lock().remove(&branch);
        if let Some(work) = work {
            work.close();
        }
    }

    /// Ends those whose transactions are so.
    pub(super) fn end_all(&self, is_over: impl Fn(BranchId) -> bool) {
        self.0.lock().retain(|branch, work| {
            let over = is_over(*branch);
            if over {
                work.close();
            }
            !over
        });
    }
}

impl Work {
    pub(super) fn stage(&self) -> Stage {
        self.state.lock().stage
    }

    /// Begins the one try of the branch, or says how far it is: nothing, if the branch is over.
    pub(super) fn begin_try(&self) -> Result<(), Option<Stage>> {
        let mut now = self.state.lock();
        match (now.is_open, now.stage) {
            (true, Stage::Fresh) => {
                now.stage = Stage::Trying;
                Ok(())
            }
            (true, before) => Err(Some(before)),
            (false, _) => Err(None),
        }
    }

    /// Ends the try. Answers whether the branch still works.
    pub(super) fn end_try(&self, stage: Stage) -> bool {
        let mut now = self.state.lock();
        now.stage = stage;
        now.is_open
    }

    fn close(&self) {
        self.state.lock().is_open = false;
    }
}
