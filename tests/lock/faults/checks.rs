//! What must be so, whatever went wrong.

use std::collections::HashMap;

use crate::history::{History, Hold};
use crate::names::{NAMES, WHOLE};

/// What was broken, a sentence each, by what broke.
#[derive(Default)]
pub struct Broken {
    /// Fencing tokens that are not unique, or not in the order of time.
    pub tokens: Vec<String>,
    /// Conflicting holders that believed at once.
    pub exclusion: Vec<String>,
    /// Writes that were accepted after later ones.
    pub fence: Vec<String>,
    /// A holder that somebody else ended, or one that could be ended twice.
    pub others: Vec<String>,
    /// Nothing was granted afterwards, or something was left.
    pub afterwards: Vec<String>,
}

impl Broken {
    pub fn by(history: &History) -> Self {
        let mut broken = Self::default();
        for (name, spelled) in NAMES.iter().enumerate() {
            let mut holds: Vec<&Hold> = history
                .holds
                .iter()
                .filter(|hold| hold.name == name)
                .collect();
            broken
                .tokens
                .extend(tokens(&mut holds).map(|what| format!("{spelled}: {what}")));
            broken.exclusion.extend(
                exclusion(&holds)
                    .into_iter()
                    .map(|what| format!("{spelled}: {what}")),
            );
        }
        broken.fence = fence(history);
        broken.others = others(history);
        broken.afterwards = afterwards(history);
        broken
    }
}

/// A grant that was known before another was asked for has the smaller fencing token.
fn tokens<'a>(holds: &'a mut [&Hold]) -> impl Iterator<Item = String> + use<'a> {
    let mut seen: HashMap<u64, &Hold> = HashMap::new();
    let mut broken = Vec::new();
    for hold in holds.iter() {
        if let Some(other) = seen.insert(hold.token, hold) {
            broken.push(format!("one fencing token for two: {other:?} {hold:?}"));
        }
        if hold.floor > hold.token {
            broken.push(format!("a floor above the fencing token: {hold:?}"));
        }
    }
    let mut known = holds.to_vec();
    known.sort_by_key(|hold| hold.granted);
    holds.sort_by_key(|hold| hold.asked);
    let (mut known, mut greatest) = (known.into_iter().peekable(), None::<&Hold>);
    for hold in holds.iter() {
        while let Some(earlier) = known.next_if(|earlier| earlier.granted < hold.asked) {
            if greatest.is_none_or(|greatest| greatest.token < earlier.token) {
                greatest = Some(earlier);
            }
        }
        if let Some(earlier) = greatest.filter(|earlier| earlier.token >= hold.token) {
            broken.push(format!("fencing tokens out of order: {earlier:?} {hold:?}"));
        }
    }
    broken.into_iter()
}

/// At no instant is more than the whole of a name believed to be held.
fn exclusion(holds: &[&Hold]) -> Vec<String> {
    let mut turns = Vec::new();
    for hold in holds.iter().filter(|hold| hold.granted < hold.end()) {
        turns.push((hold.granted, true, *hold));
        turns.push((hold.end(), false, *hold));
    }
    // An end comes before a beginning of the same instant.
    turns.sort_by_key(|&(at, begins, _)| (at, begins));
    let (mut now, mut broken) = (Vec::<&Hold>::new(), Vec::new());
    for (_, begins, hold) in turns {
        if begins {
            now.push(hold);
            let taken: u32 = now.iter().map(|hold| hold.of.part()).sum();
            if taken > WHOLE {
                broken.push(format!("believed at once: {now:?}"));
            }
        } else {
            now.retain(|other| !std::ptr::eq(*other, hold));
        }
    }
    broken
}

/// Accepted writes never go back behind the floor of one before.
fn fence(history: &History) -> Vec<String> {
    let mut floors = [0; NAMES.len()];
    let mut broken = Vec::new();
    for write in history.writes.iter().filter(|write| write.accepted) {
        let floor = &mut floors[write.name];
        if write.token < *floor {
            broken.push(format!(
                "{}: accepted below {floor}: {write:?}",
                NAMES[write.name]
            ));
        }
        *floor = write.floor.max(*floor);
    }
    broken
}

/// Whoever believed was not ended by others, and what is not held cannot be released or renewed.
fn others(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    for hold in &history.holds {
        let ended = match (hold.released, hold.removed) {
            (Some((at, false)), _) | (_, Some(at)) => Some(at),
            (Some((_, true)) | None, None) => None,
        };
        if ended.is_some_and(|at| at < hold.until) {
            broken.push(format!("it was ended by somebody else: {hold:?}"));
        }
    }
    if history.meddled_with_effect > 0 {
        broken.push(format!(
            "{} times what was not held was released or renewed",
            history.meddled_with_effect
        ));
    }
    broken
}

fn afterwards(history: &History) -> Vec<String> {
    let stuck = history
        .stuck
        .iter()
        .map(|name| format!("{name} was not granted in time"));
    let left = history
        .leftovers
        .iter()
        .map(|what| format!("left behind: {what}"));
    stuck.chain(left).collect()
}
