//! What happened in a run, in numbers.

use std::fmt;

use crate::checks::Broken;
use crate::history::History;
use crate::line::Why;
use crate::run::Setup;

pub struct Report<'a> {
    title: &'a str,
    setup: &'a Setup,
    history: &'a History,
    broken: &'a Broken,
}

impl<'a> Report<'a> {
    pub fn new(title: &'a str, setup: &'a Setup, history: &'a History, broken: &'a Broken) -> Self {
        Self {
            title,
            setup,
            history,
            broken,
        }
    }
}

fn pauses_past_a_lease(setup: &Setup, history: &History) -> usize {
    history.pauses_past_a_lease(u64::try_from(setup.ttl.as_nanos()).unwrap())
}

/// A run of a minute has 20 pauses past a lease and 3 kills of the server; without them it shows
/// little.
pub fn too_few(setup: &Setup, history: &History) -> Vec<String> {
    let seconds = usize::try_from(setup.counted.as_secs()).unwrap();
    let counts = [
        (
            "pauses past a lease",
            pauses_past_a_lease(setup, history),
            seconds / 3,
        ),
        ("kills of the server", history.server_kills, seconds / 20),
        ("grants", history.holds.len(), seconds),
        ("kills of workers", history.worker_kills, seconds / 20),
        ("spells of bad weather", history.spells, seconds / 6),
        (
            "dropped acquisitions",
            history.nothing[Why::Dropped as usize],
            seconds / 6,
        ),
        (
            "requests for what is not held",
            history.meddled,
            seconds / 6,
        ),
    ];
    let few = counts
        .into_iter()
        .filter(|&(_, count, least)| count < least);
    let tell = |(what, count, least)| format!("only {count} {what}, not {least}");
    few.map(tell).collect()
}

/// What no fault excuses.
pub fn wrong(history: &History) -> Option<String> {
    let wrong = history.nothing[Why::Wrong as usize];
    (wrong > 0).then(|| format!("{wrong} requests were refused or answered with nonsense"))
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (history, broken) = (self.history, self.broken);
        let seconds = self.setup.time.as_secs();
        writeln!(f, "{}: seed {}, {seconds} s", self.title, self.setup.seed)?;
        let longer = pauses_past_a_lease(self.setup, history);
        let [dropped, late, unavailable, indeterminate, _] = history.nothing;
        let accepted = history.writes.iter().filter(|write| write.accepted).count();
        writeln!(
            f,
            "  pauses of workers {}, past a lease that they held {longer}; kills of workers {}, of the server {}; pauses of the server {}",
            history.pauses.len(),
            history.worker_kills,
            history.server_kills,
            history.server_pauses
        )?;
        writeln!(
            f,
            "  spells of bad weather {}, pieces of answers lost {}",
            history.spells, history.answers_lost
        )?;
        writeln!(
            f,
            "  grants {}, lost at their deadline {}; acquisitions dropped {dropped}, timed out {late}, unavailable {unavailable}, indeterminate {indeterminate}",
            history.holds.len(),
            history.expired
        )?;
        writeln!(
            f,
            "  writes accepted {accepted}, refused as stale {}; requests for what was not held {}",
            history.writes.len() - accepted,
            history.meddled
        )?;
        write!(
            f,
            "  broken: order of fencing tokens {}, exclusion {}, fence {}, ended by others {}, afterwards {}",
            broken.tokens.len(),
            broken.exclusion.len(),
            broken.fence.len(),
            broken.others.len(),
            broken.afterwards.len()
        )
    }
}
