//! Long histories of small changes: the lookup table is patched again and again, and stays exact.

use tripod::ring::{Change, HashRing, Placement, Sha256V1, Xxh3V1};

use crate::oracle::{Oracle, assert_owners, build, id, name_of, node};
use crate::placements::{Odd, Shape, Tiny};

/// The next of a sequence that is random enough and the same on every run.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn spot_check<P: Placement>(ring: &HashRing<(), P>, oracle: &Oracle, seed: u64) {
    let mut state = seed;
    for _ in 0..3 {
        let hash = next(&mut state) << 33 | next(&mut state);
        assert_eq!(name_of(ring.owner_of_hash(hash)), oracle.owner(hash));
    }
}

/// Checks often while the ring is small, where the table is refilled often, and now and then
/// later, where it is patched.
fn check<P: Placement + Clone>(ring: &HashRing<(), P>, step: usize) {
    let oracle = Oracle::of(ring);
    if step < 40 || step.is_multiple_of(32) {
        assert_owners(ring, &oracle);
    } else {
        spot_check(ring, &oracle, step as u64);
    }
}

fn assert_grows_and_shrinks<P: Placement + Clone>(placement: P, vnodes: u32, most: usize) {
    let mut ring = build(placement.clone(), vnodes, []);
    let name = |step: usize| format!("node-{step}");
    for step in 0..most {
        ring = ring
            .apply([Change::Add(node(&name(step), 1, None))])
            .unwrap();
        check(&ring, step);
    }
    let whole = build(
        placement,
        vnodes,
        (0..most).map(|step| node(&name(step), 1, None)),
    );
    assert_eq!(ring.fingerprint(), whole.fingerprint());
    for step in (0..most).rev() {
        // Not in the order in which they came.
        let leaver = (step * 7 + 3) % (step + 1);
        let leaver = ring.nodes().nth(leaver).unwrap().id().clone();
        ring = ring.apply([Change::Remove(leaver)]).unwrap();
        check(&ring, step);
    }
    assert_eq!((ring.len(), ring.points()), (0, 0));
    assert_eq!(ring.epoch(), 2 * most as u64);
}

#[test]
fn five_hundred_nodes_come_and_go_one_at_a_time() {
    assert_grows_and_shrinks(Sha256V1, 4, 500);
}

#[test]
fn xxh3_nodes_come_and_go_one_at_a_time() {
    assert_grows_and_shrinks(Xxh3V1, 3, 120);
}

#[test]
fn nodes_come_and_go_where_points_collide() {
    assert_grows_and_shrinks(Tiny, 5, 80);
}

#[test]
fn nodes_come_and_go_where_points_crowd() {
    for shape in [Shape::Crowd, Shape::Mixed, Shape::Ends, Shape::Grid] {
        assert_grows_and_shrinks(Odd(shape), 6, 60);
    }
}

#[test]
fn a_table_patched_back_and_forth_stays_exact() {
    let first = (0..60).map(|step| node(&format!("first-{step}"), 1, None));
    let mut ring = build(Sha256V1, 16, first);
    let mut state = 11;
    let mut extra: Vec<String> = Vec::new();
    for step in 0..300_usize {
        let chosen = usize::try_from(next(&mut state)).unwrap();
        let change = match chosen % 3 {
            0 if !extra.is_empty() => {
                let leaver = extra.swap_remove(chosen % extra.len());
                Change::Remove(id(&leaver))
            }
            1 => Change::SetWeight(
                id(&format!("first-{}", chosen % 60)),
                u32::try_from(chosen / 3 % 3).unwrap(),
            ),
            _ => {
                extra.push(format!("extra-{step}"));
                Change::Add(node(&format!("extra-{step}"), 1, None))
            }
        };
        ring = ring.apply([change]).unwrap();
        check(&ring, step);
    }
    let fresh = build(Sha256V1, 16, ring.nodes().cloned());
    assert_eq!(ring.fingerprint(), fresh.fingerprint());
    assert_owners(&ring, &Oracle::of(&fresh));
}

#[test]
fn a_large_ring_is_exact_at_every_point_before_and_after_a_patch() {
    let ring = build(
        Xxh3V1,
        40,
        (0..1000).map(|n| node(&format!("n{n}"), 1, None)),
    );
    assert_owners(&ring, &Oracle::of(&ring));
    let grown = ring.apply([Change::Add(node("new", 3, None))]).unwrap();
    assert_owners(&grown, &Oracle::of(&grown));
    let shrunk = grown.apply([Change::Remove(id("n500"))]).unwrap();
    assert_owners(&shrunk, &Oracle::of(&shrunk));
}

#[test]
fn thousands_of_points_in_one_spot_are_told_apart() {
    let nodes = (0..30).map(|step| node(&format!("n{step}"), 1, None));
    let ring = build(Odd(Shape::Crowd), 200, nodes);
    assert_eq!(ring.points(), 6000);
    assert_owners(&ring, &Oracle::of(&ring));
    let halved = (0..15).map(|step| Change::Remove(id(&format!("n{step}"))));
    let halved = ring.apply(halved).unwrap();
    assert_owners(&halved, &Oracle::of(&halved));
}

#[test]
fn owners_are_exact_across_two_to_the_sixteenth_nodes() {
    // The late ids have the largest numbers, and numbers past 2^16 need more than two bytes.
    let name = |n: u32| format!("{n:08}");
    let nodes = (0..65_534).map(|n| node(&name(n), u32::from(n % 64 == 0), None));
    let mut ring = build(Xxh3V1, 2, nodes);
    for n in 65_534..65_540 {
        ring = ring.apply([Change::Add(node(&name(n), 3, None))]).unwrap();
        assert_owners(&ring, &Oracle::of(&ring));
        let owned = ring
            .vnodes()
            .filter(|(_, node)| node.id().as_str() == name(n));
        assert_eq!(owned.count(), 6);
        // A node before all others gives each of them another number.
        let shifted = ring.apply([Change::Add(node(" first", 1, None))]).unwrap();
        assert_owners(&shifted, &Oracle::of(&shifted));
        let back = shifted.apply([Change::Remove(id(" first"))]).unwrap();
        assert_eq!(back.fingerprint(), ring.fingerprint());
    }
    let fresh = build(Xxh3V1, 2, ring.nodes().cloned());
    assert_eq!(fresh.fingerprint(), ring.fingerprint());
    assert_eq!(fresh.balance(), ring.balance());
    for n in 65_534..65_540 {
        ring = ring.apply([Change::Remove(id(&name(n)))]).unwrap();
        assert_owners(&ring, &Oracle::of(&ring));
    }
}
