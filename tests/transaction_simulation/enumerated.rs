//! The disk fails at every call of a story in turn, and again at every call of the recovery.

use std::io::ErrorKind;

use crate::disk::{Fault, Loss};
use crate::machine::Plan;

/// What goes wrong, and what is left of it.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub fault: Fault,
    /// At which call of the story.
    pub first: u64,
    pub loss: Loss,
    /// At which call of the recovery.
    pub second: u64,
}

/// Whether each of the two faults was met.
pub type Met = [bool; 2];

pub const LOSSES: [Loss; 3] = [Loss::Nothing, Loss::Everything, Loss::Some(5)];

pub const ERRORS: [Fault; 2] = [Fault::Once(ErrorKind::Other), Fault::From(ErrorKind::Other)];

pub const FULL: [Fault; 2] = [
    Fault::Once(ErrorKind::StorageFull),
    Fault::From(ErrorKind::StorageFull),
];

impl Trial {
    /// The fault comes at this call.
    pub fn plan(&self, call: u64) -> Plan {
        Plan {
            fault: Some((call, self.fault)),
            heals: 150,
            patient: true,
            ..Plan::default()
        }
    }

    pub fn second_loss(&self) -> Loss {
        match self.second % 3 {
            0 => Loss::Everything,
            1 => Loss::Some(self.second),
            _ => Loss::Nothing,
        }
    }
}

/// Without optimisation every fifth call has to do.
const STRIDE: usize = if cfg!(debug_assertions) { 5 } else { 1 };

/// Tries every pair of calls; says how many there were.
pub fn every_pair(story: &str, fault: Fault, losses: &[Loss], run: impl Fn(Trial) -> Met) {
    let mut trials = 0;
    for first in (0..).step_by(STRIDE) {
        let mut met = false;
        for loss in losses {
            for second in (0..).step_by(STRIDE) {
                let [one, other] = run(Trial {
                    fault,
                    first,
                    loss: *loss,
                    second,
                });
                met |= one;
                trials += 1;
                if !one || !other {
                    break;
                }
            }
        }
        if !met {
            break;
        }
    }
    println!("{story}, {fault:?}: {trials} pairs");
    assert!(trials > 200 / STRIDE / STRIDE, "nothing fails");
}
