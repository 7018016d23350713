//! Nobody believes to hold beside another whose mode it excludes.
//!
//! A belief goes from the grant, as the client saw it, to the deadline that the client knew when
//! it last looked, or to the release, the loss or the crash, whichever is first. Where a release
//! was answered with `true`, it goes on to the step that released: nobody else can have held until
//! then. (Unless that step ended a later grant of the same id, which a late duplicate of `enqueue`
//! had entered anew once the first was over; stores compare ids only, and cannot tell.) Two beliefs
//! may overlap where an operator took the lock away by force, from then on; but only until the
//! store has told so.

use std::collections::HashMap;

use tokio::time::Instant;
use tripod::lock::Mode;

use crate::entries::{conflict, permits};
use crate::history::History;
use crate::trace::{Trace, What, Who};

#[derive(Clone, Copy)]
struct Interval {
    name: usize,
    mode: Mode,
    client: usize,
    grant: usize,
    from: Instant,
    /// Its end is where time or the trace is past these, whichever is first.
    until: Instant,
    end: usize,
    forced: usize,
    /// When the client heard that the entry is gone.
    told: Option<Instant>,
    /// Whether the client has seen it lost.
    lost: bool,
}

pub fn check(trace: &Trace, history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut beliefs: Vec<Interval> = Vec::new();
    let told = told(trace, history);
    for (at, record) in trace.records.iter().enumerate() {
        let find = |grant| beliefs.iter().position(|it| it.grant == grant).unwrap();
        match record.what {
            What::Granted {
                client,
                name,
                mode,
                pass,
                until,
            } => {
                if until <= record.at {
                    wrong.push(format!("#{at}: granted when it is lost already"));
                }
                let grant = history.grant(name, pass);
                beliefs.push(Interval {
                    name,
                    mode,
                    client,
                    grant: at,
                    from: record.at,
                    until,
                    end: usize::MAX,
                    forced: grant.and_then(|it| it.forced).unwrap_or(usize::MAX),
                    told: grant.and_then(|it| told.get(&it.who).copied()),
                    lost: false,
                });
            }
            What::Looked { grant, until } => {
                let found = find(grant);
                let belief = &mut beliefs[found];
                belief.until = belief.until.max(until);
                if belief.lost {
                    wrong.push(format!("#{at}: believes again in what was lost: #{grant}"));
                }
                if belief.told.is_some_and(|told| record.at > told) {
                    wrong.push(format!("#{at}: believes although it was told: #{grant}"));
                }
            }
            What::Lost { grant, .. } | What::Ended { grant, .. } => {
                let found = find(grant);
                let belief = &mut beliefs[found];
                belief.end = belief.end.min(at);
                belief.lost |= matches!(record.what, What::Lost { .. });
            }
            What::Crashed { client } => {
                for belief in beliefs.iter_mut().filter(|it| it.client == client) {
                    belief.end = belief.end.min(at);
                }
            }
            What::Released { grant, held: true } => {
                let found = find(grant);
                if let Some(released) = released(trace, history, grant) {
                    let belief = &mut beliefs[found];
                    belief.end = released;
                    belief.until = trace.records[released].at;
                }
            }
            _ => {}
        }
    }
    for belief in &beliefs {
        wrong.extend(overlaps(&beliefs, belief));
    }
    wrong
}

/// Who, of the beliefs that are held when this one begins, may not be there.
fn overlaps(beliefs: &[Interval], new: &Interval) -> Option<String> {
    let held = beliefs.iter().filter(|it| {
        let end = it.end.min(it.forced);
        it.name == new.name && it.grant < new.grant && new.grant < end && new.from < it.until
    });
    let mut against: Vec<usize> = Vec::new();
    let mut taken = 0;
    for it in held {
        match permits(it.mode) {
            Some(permits) => taken += permits.n().get(),
            None if conflict(it.mode, new.mode) => against.push(it.grant),
            None => {}
        }
        if permits(it.mode).is_some() != permits(new.mode).is_some() {
            against.push(it.grant);
        }
    }
    let too_many = permits(new.mode).is_some_and(|wanted| {
        let all = taken + wanted.n().get();
        all > wanted.of().get()
    });
    let grant = new.grant;
    let taken_away = new.forced < new.grant;
    ((too_many || !against.is_empty()) && !taken_away)
        .then(|| format!("#{grant} is believed in beside {against:?}, {taken} permits taken"))
}

/// Where each was told, in answer to a renewal, that its entry is gone.
fn told(trace: &Trace, history: &History) -> HashMap<Who, Instant> {
    let mut told = HashMap::new();
    if history.vain.is_empty() {
        return told;
    }
    for record in &trace.records {
        let What::Heard { message, .. } = record.what else {
            continue;
        };
        for (who, _) in history.vain.iter().filter(|(_, vain)| *vain == message) {
            told.entry(*who).or_insert(record.at);
        }
    }
    told
}

/// The step that released this grant.
fn released(trace: &Trace, history: &History, grant: usize) -> Option<usize> {
    match trace.records[grant].what {
        What::Granted { name, pass, .. } => history.grant(name, pass)?.released,
        _ => None,
    }
}
