//! The resource's side.

use proptest::prelude::*;
use tripod::lock::{FenceGate, FencePass, FencingToken, Stale};

fn pass(token: u64, floor: u64) -> FencePass {
    FencePass::shared(FencingToken::new(token), FencingToken::new(floor)).unwrap()
}

#[test]
fn a_stale_writer_changes_nothing() {
    let mut gate = FenceGate::new(0);
    gate.write(pass(5, 5), |value| *value = 5).unwrap();
    let stale: Stale = gate.write(pass(4, 4), |value| *value = 4).unwrap_err();
    assert_eq!((stale.token().as_u64(), stale.floor().as_u64()), (4, 5));
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

#[test]
fn a_gate_that_is_resumed_still_refuses_the_stale() {
    let mut gate = FenceGate::new("a");
    gate.write(pass(9, 9), |value| *value = "b").unwrap();
    let (value, floor) = gate.into_parts();
    let mut gate = FenceGate::resume(value, floor);
    assert!(gate.write(pass(8, 8), |value| *value = "c").is_err());
    assert_eq!((*gate.read(), gate.floor().as_u64()), ("b", 9));
}

#[test]
fn a_floor_above_its_token_is_refused() {
    assert!(FencePass::shared(FencingToken::new(1), FencingToken::new(2)).is_err());
}

proptest! {
    #[test]
    fn the_floor_never_falls_and_decides(passes in prop::collection::vec((0_u64..20, 0_u64..20), 1..50)) {
        let mut gate = FenceGate::new(());
        let mut floor = 0;
        for (token, of) in passes {
            let admitted = gate.write(pass(token, of.min(token)), |()| ()).is_ok();
            prop_assert_eq!(admitted, token >= floor);
            if admitted {
                floor = floor.max(of.min(token));
            }
        }
    }
}
