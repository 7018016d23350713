//! One case: a segment, and each spoil of it.

use std::collections::BTreeMap;

use super::super::disk::Dice;
use super::super::model::Model;
use super::super::world::World;
use super::sample::Sample;
use super::spoil::{SPOILS, due, spoiled};

/// How often each spoil was opened, and how often it was told as damage.
#[derive(Default)]
pub(in super::super) struct Met(BTreeMap<String, (u64, u64)>);

impl Met {
    /// Answers the least of those that opened and of those that did not, of those spoils which
    /// may do either.
    pub(in super::super) fn tell(&self) -> u64 {
        let mut least = u64::MAX;
        for (what, (opened, damaged)) in &self.0 {
            println!("{what}: {opened} opened, {damaged} damaged; ");
            if ["Scribble", "Splice", "ForgedFrame"].contains(&what.as_str()) {
                least = least.min(*opened).min(*damaged);
            }
        }
        least
    }
}

/// What the seed makes, and what is wrong with what comes of it.
pub(in super::super) fn case(seed: u64, met: &mut Met) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let sample = Sample::new(&mut dice);
    for spoil in SPOILS {
        let Some(bytes) = spoiled(&sample, spoil, &mut dice) else {
            continue;
        };
        let due = due(&sample, spoil, &bytes);
        let mut world = World::fork(&sample.disk, &Model::default());
        world.disk.put(&sample.name, bytes);
        let opened = world.open_unwatched();
        if !due.check(&sample, &opened) {
            return Err(format!("TRIPOD_SEED={seed} {spoil:?}: {opened:?}"));
        }
        let met = met.0.entry(format!("{spoil:?}")).or_default();
        match opened {
            Ok(_) => met.0 += 1,
            Err(_) => met.1 += 1,
        }
    }
    Ok(())
}
