//! What must hold of every schedule, an invariant a file.

mod belief;
mod order;
mod progress;
mod resource;
mod tokens;

use std::fmt;

use crate::history::History;
use crate::trace::Trace;

pub use progress::Rest;

/// Which invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// Fencing tokens are unique and ordered by real time.
    Tokens,
    /// Nobody believes to hold beside another whose mode it excludes.
    Belief,
    /// A fenced resource never goes back, and shuts out nobody who holds.
    Resource,
    /// Who is granted, and when: priority, then arrival.
    Order,
    /// Everybody is served in the end, and nothing is left.
    Progress,
    /// Nothing panics.
    Panic,
}

/// What went wrong.
#[derive(Clone, Debug)]
pub struct Violation {
    pub invariant: Invariant,
    what: String,
}

impl Violation {
    pub fn new(invariant: Invariant, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { invariant, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

/// All that is wrong with a schedule.
pub fn judge(trace: &Trace, history: &History, rest: &Rest) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut note = |invariant, found: Vec<String>| {
        wrong.extend(found.into_iter().map(|it| Violation::new(invariant, it)));
    };
    note(Invariant::Tokens, tokens::check(trace, history));
    note(Invariant::Belief, belief::check(trace, history));
    note(Invariant::Resource, resource::check(trace, history));
    note(Invariant::Order, order::check(history));
    note(Invariant::Progress, progress::check(trace, history, rest));
    wrong
}
