//! A fenced resource never goes back: after a write of a later holder, none of an earlier one is
//! admitted that could not have held beside it. And it shuts out nobody who holds.

use tripod::lock::{FencingToken, Mode};

use crate::history::History;
use crate::trace::{Trace, What};

/// The highest tokens that a resource has admitted.
#[derive(Clone, Copy, Default)]
struct Admitted {
    any: Option<FencingToken>,
    exclusive: Option<FencingToken>,
    floor: Option<FencingToken>,
}

pub fn check(trace: &Trace, history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut resources = [Admitted::default(); 3];
    for write in &history.writes {
        let at = write.at;
        let What::Wrote {
            name,
            mode,
            pass,
            accepted,
        } = trace.records[at].what
        else {
            continue;
        };
        let token = Some(pass.token());
        if !accepted {
            if write.holds {
                wrong.push(format!("#{at}: {token:?} holds, and is shut out"));
            }
            continue;
        }
        let admitted = &mut resources[name];
        let later = match mode {
            Mode::Exclusive => admitted.any,
            Mode::Shared => admitted.exclusive,
            Mode::Permits(_) => admitted.floor,
        };
        if token < later.max(admitted.floor) {
            wrong.push(format!("#{at}: {token:?} writes after {later:?}"));
        }
        admitted.any = admitted.any.max(token);
        admitted.floor = admitted.floor.max(Some(pass.floor()));
        if mode == Mode::Exclusive {
            admitted.exclusive = admitted.exclusive.max(token);
        }
    }
    wrong
}
