//! Once faults have stopped, everybody who waits is served; and once nobody holds any more, the
//! store is empty.

use crate::history::History;
use crate::trace::{Trace, What};

/// What is left when a schedule is over.
#[derive(Debug, Default)]
pub struct Rest {
    /// Clients that are not done within the bound.
    pub unserved: usize,
    /// Handles that did not clean up within the bound.
    pub unflushed: usize,
    /// Entries in the store, a TTL after the last release.
    pub entries: usize,
    /// Names that take up space, once each has been looked at.
    pub names: usize,
    /// What handles believe to hold or to wait for.
    pub believed: u64,
}

pub fn check(trace: &Trace, history: &History, rest: &Rest) -> Vec<String> {
    let Rest {
        unserved,
        unflushed,
        entries,
        names,
        believed,
    } = *rest;
    let nothing = unserved == 0 && unflushed == 0 && entries == 0 && names == 0 && believed == 0;
    let denied = trace.records.iter().enumerate();
    let denied = denied.filter(|(_, record)| matches!(record.what, What::Denied { .. }));
    let denied = denied.map(|(at, _)| format!("#{at}: denied without faults"));
    let left = history.left.iter();
    let left = left.map(|who| format!("{who:?} is left when all is flushed"));
    denied
        .chain(left)
        .chain((!nothing).then(|| format!("{rest:?}")))
        .collect()
}
