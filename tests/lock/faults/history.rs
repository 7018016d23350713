//! What processes wrote down, put together.

use std::collections::HashMap;

use crate::line::{Line, Saw, Why};
use crate::names::Use;
use crate::process::Witness;
use crate::resource::Write;

/// An acquisition that was granted.
#[derive(Clone, Debug)]
pub struct Hold {
    pub worker: usize,
    pub name: usize,
    pub of: Use,
    /// When it was asked for.
    pub asked: u64,
    /// When the grant was known, and it was believed.
    pub granted: u64,
    pub token: u64,
    pub floor: u64,
    /// Until when it was believed, as last said.
    pub until: u64,
    /// When it was given up.
    pub gave_up: Option<u64>,
    /// What the store said to that, and when.
    pub released: Option<(u64, bool)>,
    /// When it was told that the entry had been removed.
    pub removed: Option<u64>,
}

impl Hold {
    /// The end of its belief.
    pub fn end(&self) -> u64 {
        self.gave_up.unwrap_or(u64::MAX).min(self.until)
    }
}

/// A worker that was stopped.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    pub worker: usize,
    pub from: u64,
    pub to: u64,
}

/// All that is known of a run.
#[derive(Default)]
pub struct History {
    pub holds: Vec<Hold>,
    pub writes: Vec<Write>,
    pub pauses: Vec<Pause>,
    pub nothing: [usize; Why::ALL.len()],
    pub expired: usize,
    pub meddled: usize,
    pub meddled_with_effect: usize,
    pub worker_kills: usize,
    pub server_kills: usize,
    pub server_pauses: usize,
    pub spells: usize,
    pub answers_lost: u64,
    /// Names that were not granted in time when all was well again.
    pub stuck: Vec<&'static str>,
    /// What the store kept though nobody holds or waits.
    pub leftovers: Vec<String>,
}

impl Witness for Line {
    fn read(line: &str) -> Option<Self> {
        Self::read(line)
    }

    fn holds(&self) -> isize {
        match self.saw {
            Saw::Granted { .. } => 1,
            Saw::Lost { .. } | Saw::Releases | Saw::Drops => -1,
            Saw::Asks { .. }
            | Saw::Believes { .. }
            | Saw::Released { .. }
            | Saw::Nothing { .. }
            | Saw::Meddled { .. } => 0,
        }
    }
}

impl Witness for Write {
    fn read(line: &str) -> Option<Self> {
        Self::read(line)
    }

    fn holds(&self) -> isize {
        0
    }
}

impl History {
    /// Adds what a process of this worker wrote down.
    pub fn add(&mut self, worker: usize, lines: Vec<Line>) {
        let mut asked = HashMap::new();
        // The last hold of each task, by its place.
        let mut latest = HashMap::new();
        for Line { task, at, saw } in lines {
            let hold = latest
                .get(&task)
                .and_then(|&place: &usize| self.holds.get_mut(place));
            match (saw, hold) {
                (Saw::Asks { name, of }, _) => {
                    asked.insert(task, (at, name, of));
                }
                (Saw::Granted { token, floor }, _) => {
                    let (asked, name, of) = asked[&task];
                    latest.insert(task, self.holds.len());
                    self.holds.push(Hold {
                        worker,
                        name,
                        of,
                        asked,
                        granted: at,
                        token,
                        floor,
                        until: 0,
                        gave_up: None,
                        released: None,
                        removed: None,
                    });
                }
                (Saw::Nothing { why }, _) => self.nothing[why as usize] += 1,
                (Saw::Meddled { changed }, _) => {
                    self.meddled += 1;
                    self.meddled_with_effect += usize::from(changed);
                }
                (Saw::Believes { until }, Some(hold)) => hold.until = until,
                (Saw::Lost { removed }, Some(hold)) => {
                    hold.gave_up = Some(at);
                    hold.removed = removed.then_some(at);
                    self.expired += usize::from(!removed);
                }
                (Saw::Releases | Saw::Drops, Some(hold)) => hold.gave_up = Some(at),
                (Saw::Released { held }, Some(hold)) => {
                    hold.released = held.map(|held| (at, held));
                }
                (saw, None) => panic!("{saw:?} of what was not granted"),
            }
        }
    }

    /// How many workers were stopped for longer than a lease while they held one.
    pub fn pauses_past_a_lease(&self, ttl_ns: u64) -> usize {
        let holds = |pause: &&Pause| {
            self.holds.iter().any(|hold| {
                hold.worker == pause.worker && (hold.granted..=hold.end()).contains(&pause.from)
            })
        };
        let long = self
            .pauses
            .iter()
            .filter(|pause| pause.to - pause.from > ttl_ns);
        long.filter(holds).count()
    }
}
