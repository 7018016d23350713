//! Allocated tokens: even shares from few vnodes, and a history that a snapshot keeps.

use proptest::prelude::*;
use tripod::ring::{Allocated, Change, HashRing, Sha256V1, Xxh3V1, ZonePolicy, diff};

use crate::oracle::{Oracle, assert_owners, build, cases, id, node};

type Ring = HashRing<(), Allocated>;

fn placement() -> Allocated {
    Allocated::new(Sha256V1)
}

fn name(n: usize) -> String {
    format!("node-{n}")
}

fn peak(ring: &Ring) -> f64 {
    ring.balance().peak_to_average().unwrap()
}

fn add(ring: &Ring, name: &str, weight: u32) -> Ring {
    ring.apply([Change::Add(node(name, weight, None))]).unwrap()
}

#[test]
fn nodes_that_are_built_at_once_share_evenly() {
    for count in [1, 2, 3, 10, 100, 1000] {
        let ring = build(placement(), 16, (0..count).map(|n| node(&name(n), 1, None)));
        assert_eq!(ring.points(), 16 * count);
        assert!(peak(&ring) <= 1.05, "{} at {count}", peak(&ring));
    }
}

#[test]
fn nodes_that_join_one_by_one_share_evenly() {
    let mut ring = build(placement(), 16, []);
    for count in 1..=1000 {
        ring = add(&ring, &name(count * 7919 % 1009), 1);
        if [10, 100, 1000].contains(&count) {
            assert!(peak(&ring) <= 1.05, "{} at {count}", peak(&ring));
            assert_eq!(ring.points(), 16 * count);
        }
    }
    assert_owners(&ring, &Oracle::of(&ring));
}

#[test]
fn every_size_on_the_way_to_two_hundred_is_even() {
    let mut ring = build(placement(), 16, []);
    for count in 1..=200 {
        ring = add(&ring, &name(count), 1);
        assert!(peak(&ring) <= 1.05, "{} at {count}", peak(&ring));
    }
}

#[test]
fn weights_are_honoured() {
    let weight = |n: usize| u32::try_from(n % 4 + 1).unwrap();
    let at_once = build(
        placement(),
        16,
        (0..50).map(|n| node(&name(n), weight(n), None)),
    );
    let joined = (0..50).fold(build(placement(), 16, []), |ring, n| {
        add(&ring, &name(n), weight(n))
    });
    for ring in [at_once, joined] {
        assert!(peak(&ring) <= 1.05, "{}", peak(&ring));
        for share in ring.balance().shares() {
            assert_eq!(share.vnodes(), 16 * share.weight());
            assert!(share.hashes() > 0);
        }
    }
}

#[test]
fn an_addition_moves_keys_only_to_the_newcomer() {
    let mut ring = build(placement(), 16, (0..20).map(|n| node(&name(n), 1, None)));
    for n in 20..40 {
        let next = add(&ring, &name(n), u32::try_from(n % 3 + 1).unwrap());
        let moves = diff(&ring, &next, 1, ZonePolicy::Any).unwrap();
        let newcomer = id(&name(n));
        assert!(!moves.is_empty());
        assert!(moves.iter().all(|moved| moved.to() == Some(&newcomer)));
        ring = next;
    }
}

#[test]
fn a_removal_moves_only_the_keys_of_the_leaver() {
    let ring = build(placement(), 16, (0..20).map(|n| node(&name(n), 1, None)));
    let next = ring.apply([Change::Remove(id("node-7"))]).unwrap();
    let moves = diff(&ring, &next, 1, ZonePolicy::Any).unwrap();
    assert!(!moves.is_empty());
    assert!(
        moves
            .iter()
            .all(|moved| moved.from() == Some(&id("node-7")))
    );
}

#[test]
fn a_replacement_of_the_same_weight_keeps_its_tokens() {
    let ring = build(placement(), 16, (0..5).map(|n| node(&name(n), 1, None)));
    let next = ring
        .apply([Change::Replace(node("node-2", 1, Some("zone")))])
        .unwrap();
    assert!(
        ring.vnodes()
            .map(|(point, _)| point)
            .eq(next.vnodes().map(|(point, _)| point))
    );
    assert_eq!(
        next.node("node-2").unwrap().zone().unwrap().as_str(),
        "zone"
    );
}

#[test]
fn drained_nodes_give_their_tokens_up_and_get_new_ones() {
    let ring = build(placement(), 16, (0..5).map(|n| node(&name(n), 1, None)));
    let drained = ring.apply([Change::SetWeight(id("node-3"), 0)]).unwrap();
    assert_eq!((drained.len(), drained.points()), (5, 64));
    let back = drained.apply([Change::SetWeight(id("node-3"), 1)]).unwrap();
    assert_eq!(back.points(), 80);
    let moves = diff(&drained, &back, 1, ZonePolicy::Any).unwrap();
    assert!(moves.iter().all(|moved| moved.to() == Some(&id("node-3"))));
    let none = (0..5).map(|n| Change::SetWeight(id(&name(n)), 0));
    let none = back.apply(none).unwrap();
    assert_eq!((none.points(), none.owner("key")), (0, None));
    let one = none.apply([Change::SetWeight(id("node-0"), 1)]).unwrap();
    assert!((peak(&one) - 1.0).abs() < 1e-9);
}

#[test]
fn keys_are_hashed_by_the_placement_within() {
    let ring = build(Allocated::new(Xxh3V1), 16, [node("a", 1, None)]);
    let plain = build(Xxh3V1, 16, [node("a", 1, None)]);
    assert_eq!(ring.hash("key"), plain.hash("key"));
    let other = build(placement(), 16, [node("a", 1, None)]);
    assert!(diff(&ring, &other, 1, ZonePolicy::Any).is_err());
}

#[test]
fn the_heaviest_of_nodes_joins_the_lightest() {
    let ring = build(placement(), 1, [node("light", 1, None)]);
    let next = add(&ring, "heavy", 100_000);
    assert_eq!(next.points(), 100_001);
    let sum: u128 = next
        .balance()
        .shares()
        .map(tripod::ring::Share::hashes)
        .sum();
    assert_eq!(sum, 1 << 64);
    assert!(peak(&next) < 1.05, "{}", peak(&next));
    let third = add(&next, "third", 1);
    assert!(third.balance().shares().all(|share| share.hashes() > 0));
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_snapshot_carries_the_history_on(
        steps in prop::collection::vec((0_usize..12, 0_u32..4), 1..30),
        more in prop::collection::vec((0_usize..12, 0_u32..4), 1..10),
    ) {
        let mut ring = build(placement(), 4, []);
        let change = |ring: &Ring, (n, weight): (usize, u32)| match ring.node(&name(n)) {
            None => Change::Add(node(&name(n), weight, None)),
            Some(_) if weight % 2 == 0 => Change::Remove(id(&name(n))),
            Some(_) => Change::SetWeight(id(&name(n)), weight),
        };
        for step in steps {
            ring = ring.apply([change(&ring, step)]).unwrap();
        }
        let mut decoded = HashRing::decode(&ring.encode(), placement()).unwrap();
        prop_assert_eq!(ring.fingerprint(), decoded.fingerprint());
        prop_assert_eq!(ring.epoch(), decoded.epoch());
        prop_assert_eq!(Oracle::of(&ring), Oracle::of(&decoded));
        assert_owners(&decoded, &Oracle::of(&ring));
        for step in more {
            let change = change(&ring, step);
            ring = ring.apply([change.clone()]).unwrap();
            decoded = decoded.apply([change]).unwrap();
            prop_assert_eq!(ring.fingerprint(), decoded.fingerprint());
            assert_owners(&decoded, &Oracle::of(&ring));
        }
    }

    #[test]
    fn nodes_built_together_equal_nodes_that_join_in_the_order_of_their_ids(
        weights in prop::collection::btree_map("[a-e]{1,2}", 0_u32..4, 0..10),
    ) {
        let nodes: Vec<_> = weights.iter().map(|(id, weight)| node(id, *weight, None)).collect();
        let at_once = build(placement(), 5, nodes.clone());
        let joined = nodes.into_iter().fold(build(placement(), 5, []), |ring, node| {
            ring.apply([Change::Add(node)]).unwrap()
        });
        prop_assert_eq!(at_once.fingerprint(), joined.fingerprint());
    }
}
