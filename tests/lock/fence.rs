//! The resource's side.

use proptest::prelude::*;
use tripod::lock::{FenceGate, FencePass, FencingToken, Stale};

fn pass(token: u64, floor: u64) -> FencePass {
    FencePass::new(FencingToken::new(token), FencingToken::new(floor))
}

#[test]
fn a_stale_writer_changes_nothing() {
    let mut gate = FenceGate::new(0);
    gate.write(pass(5, 5), |value| *value = 5).unwrap();
    let stale = Stale {
        token: FencingToken::new(4),
        floor: FencingToken::new(5),
    };
    assert_eq!(gate.write(pass(4, 4), |value| *value = 4), Err(stale));
    assert_eq!(*gate.read(), 5);
}

#[test]
fn readers_admitted_together_do_not_shut_each_other_out() {
    let mut gate = FenceGate::new(());
    // Tokens 7 and 8 hold together; the floor of both is 7.
    gate.write(pass(8, 7), |()| ()).unwrap();
    gate.write(pass(7, 7), |()| ()).unwrap();
    // The exclusive holder after them does.
    gate.write(pass(9, 9), |()| ()).unwrap();
    assert!(gate.write(pass(8, 7), |()| ()).is_err());
}

proptest! {
    #[test]
    fn the_floor_never_falls_and_decides(passes in prop::collection::vec((0_u64..20, 0_u64..20), 1..50)) {
        let mut gate = FenceGate::new(());
        let mut floor = 0;
        for (token, of) in passes {
            let admitted = gate.write(pass(token, of), |()| ()).is_ok();
            prop_assert_eq!(admitted, token >= floor);
            if admitted {
                floor = floor.max(of.min(token));
            }
        }
    }
}
