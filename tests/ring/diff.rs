//! What moves between two rings, against a comparison of hash by hash.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tripod::ring::{
    Change, DiffError, HashRing, Move, Placement, ReplicasError, Sha256V1, Xxh3V1, ZonePolicy, diff,
};

use crate::oracle::{Members, Oracle, POLICIES, build, cases, edges, id, members, node, nodes};
use crate::placements::{Odd, Shape, Tiny};

type Pair = (Option<String>, Option<String>);

/// By hash and rank: from whom to whom.
fn by_hash(moves: &[Move<'_>], hashes: &[u64]) -> BTreeMap<(u64, usize), Pair> {
    let mut found = BTreeMap::new();
    for hash in hashes {
        for moved in moves.iter().filter(|moved| moved.range().contains(*hash)) {
            let pair = (
                moved.from().map(ToString::to_string),
                moved.to().map(ToString::to_string),
            );
            let twice = found.insert((*hash, moved.rank()), pair);
            assert_eq!(
                twice,
                None,
                "two moves of {hash:#x} at rank {}",
                moved.rank()
            );
        }
    }
    found
}

fn by_force(
    old: &Oracle,
    new: &Oracle,
    hashes: &[u64],
    n: usize,
    policy: ZonePolicy,
) -> Option<BTreeMap<(u64, usize), Pair>> {
    // A ring on which no node has points has no replicas, whatever the policy.
    let replicas = |oracle: &Oracle, hash| {
        if oracle.points().is_empty() {
            return Some(Vec::new());
        }
        let names = oracle.replicas(hash, n, policy)?;
        Some(names.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let mut expected = BTreeMap::new();
    for hash in hashes {
        let (from, to) = (replicas(old, *hash)?, replicas(new, *hash)?);
        for rank in 0..n {
            let pair = (from.get(rank).cloned(), to.get(rank).cloned());
            if pair.0 != pair.1 {
                expected.insert((*hash, rank), pair);
            }
        }
    }
    Some(expected)
}

/// As few ranges as there can be, by rank and then clockwise.
fn assert_minimal(moves: &[Move<'_>]) {
    for (one, other) in moves.iter().zip(moves.iter().skip(1)) {
        assert!(one.rank() <= other.rank());
        if one.rank() == other.rank() {
            assert!(one.range().upto() < other.range().upto(), "not clockwise");
        }
    }
    for one in moves {
        for other in moves {
            let alike =
                (one.rank(), one.from(), one.to()) == (other.rank(), other.from(), other.to());
            let touches = one.range().upto() == other.range().after();
            assert!(
                !(one != other && alike && touches),
                "{one:?} continues as {other:?}"
            );
        }
        assert_ne!(one.from(), one.to());
    }
}

fn assert_diff<P: Placement>(old: &HashRing<(), P>, new: &HashRing<(), P>, hashes: &[u64]) {
    let (old_oracle, new_oracle) = (Oracle::of(old), Oracle::of(new));
    for policy in POLICIES {
        for n in 0..=4 {
            let expected = by_force(&old_oracle, &new_oracle, hashes, n, policy);
            match diff(old, new, n, policy) {
                Ok(moves) => {
                    let found = by_hash(&moves, hashes);
                    assert_eq!(Some(found), expected, "{n} replicas, {policy:?}");
                    assert_minimal(&moves);
                }
                Err(DiffError::Replicas(_)) => assert_eq!(expected, None),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

fn tiny_hashes() -> Vec<u64> {
    (0..=255).map(Tiny::hash_of).collect()
}

fn rings(old: &Members, new: &Members) -> [HashRing<(), Tiny>; 2] {
    [old, new].map(|members| build(Tiny, 3, nodes(members)))
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn diff_equals_the_comparison_of_all_256_hashes(old in members(7), new in members(7)) {
        let [old, new] = rings(&old, &new);
        assert_diff(&old, &new, &tiny_hashes());
    }

    #[test]
    fn diff_of_one_change_equals_the_comparison(
        members in members(7),
        weight in 0_u32..3,
        zone in prop::option::of("[xyz]"),
    ) {
        let old = build(Tiny, 3, nodes(&members));
        let new = old.apply([Change::Add(node("new", weight, zone.as_deref()))]).unwrap();
        assert_diff(&old, &new, &tiny_hashes());
        assert_diff(&new, &old, &tiny_hashes());
    }

    #[test]
    fn diff_is_exact_where_points_crowd_or_sit_at_the_ends(
        old in members(4),
        new in members(4),
        shape in 0..Odd::ALL.len(),
    ) {
        let [old, new] = [old, new].map(|members| build(Odd::ALL[shape], 3, nodes(&members)));
        let edges = edges([&Oracle::of(&old), &Oracle::of(&new)]);
        assert_diff(&old, &new, &edges);
    }

    #[test]
    fn identical_rings_have_no_moves(members in members(7)) {
        let [ring, again] = rings(&members, &members);
        for policy in POLICIES {
            for n in 0..4 {
                if let Ok(moves) = diff(&ring, &again, n, policy) {
                    prop_assert!(moves.is_empty());
                }
            }
        }
    }

    #[test]
    fn what_moves_to_a_newcomer_is_exactly_its_share(
        members in members(7).prop_filter("a node with points", |members| {
            members.values().any(|(weight, _)| *weight > 0)
        }),
        weight in 1_u32..4,
    ) {
        let old = build(Sha256V1, 40, nodes(&members));
        let new = old.apply([Change::Add(node("newcomer", weight, None))]).unwrap();
        let newcomer = id("newcomer");
        let moves = diff(&old, &new, 1, ZonePolicy::Any).unwrap();
        prop_assert!(moves.iter().all(|moved| moved.to() == Some(&newcomer)));
        let moved: u128 = moves.iter().map(|moved| moved.range().hashes()).sum();
        let balance = new.balance();
        let share = balance.shares().find(|share| *share.id() == newcomer).unwrap();
        prop_assert_eq!(moved, share.hashes());
    }

    #[test]
    fn sizes_of_ranges_add_up_to_the_hashes_they_contain(old in members(5), new in members(5)) {
        let [old, new] = rings(&old, &new);
        for moved in diff(&old, &new, 2, ZonePolicy::Any).unwrap() {
            let inside = tiny_hashes().into_iter().filter(|hash| moved.range().contains(*hash));
            // Every point is a multiple of 2^56, and so is every size.
            prop_assert_eq!(moved.range().hashes(), (inside.count() as u128) << 56);
        }
    }
}

#[test]
fn a_first_node_receives_the_whole_circle() {
    for placement in Odd::ALL {
        let empty = build(placement, 3, []);
        let one = build(placement, 3, [node("a", 1, None)]);
        let a = id("a");
        let moves = diff(&empty, &one, 1, ZonePolicy::Any).unwrap();
        let [only] = moves.as_slice() else {
            panic!("{moves:?}")
        };
        assert_eq!((only.from(), only.to(), only.rank()), (None, Some(&a), 0));
        assert_eq!(only.range().hashes(), 1 << 64);
        assert!(
            [0, 1, 1 << 63, u64::MAX]
                .into_iter()
                .all(|hash| only.range().contains(hash))
        );
        let back = diff(&one, &empty, 1, ZonePolicy::Strict).unwrap();
        assert_eq!(
            (back[0].from(), back[0].to(), back.len()),
            (Some(&a), None, 1)
        );
        assert!(
            diff(&empty, &empty, 3, ZonePolicy::Strict)
                .unwrap()
                .is_empty()
        );
    }
}

#[test]
fn one_point_hands_over_the_whole_circle() {
    for point in [0, 1, 1 << 63, u64::MAX] {
        let odd = Odd(Shape::Equal(point));
        let [old, new] = ["a", "b"].map(|id| build(odd, 1, [node(id, 1, None)]));
        let moves = diff(&old, &new, 1, ZonePolicy::Any).unwrap();
        assert_eq!((moves.len(), moves[0].range().hashes()), (1, 1 << 64));
        assert_eq!(
            (moves[0].range().after(), moves[0].range().upto()),
            (point, point)
        );
    }
}

#[test]
fn rings_of_other_placements_are_not_compared() {
    let old = build(Sha256V1, 4, [node("a", 1, None)]);
    let new = build(Xxh3V1, 4, [node("a", 1, None)]);
    let refused = diff(&old, &new, 1, ZonePolicy::Any).unwrap_err();
    let expected = DiffError::PlacementMismatch {
        old: "sha256-v1".to_owned(),
        new: "xxh3-v1".to_owned(),
    };
    assert_eq!(refused, expected);
}

#[test]
fn a_strict_diff_that_one_ring_cannot_meet_is_refused() {
    let zones = [node("a", 1, Some("x")), node("b", 1, Some("y"))];
    let old = build(Sha256V1, 4, zones);
    let new = old.apply([Change::Remove(id("b"))]).unwrap();
    let expected = DiffError::Replicas(ReplicasError::NotEnoughZones {
        wanted: 2,
        found: 1,
    });
    for (old, new) in [(&old, &new), (&new, &old)] {
        let refused = diff(old, new, 2, ZonePolicy::Strict).unwrap_err();
        assert_eq!(refused, expected);
    }
}

#[test]
fn more_replicas_than_nodes_are_all_compared() {
    let old = build(Sha256V1, 4, ["a", "b"].map(|id| node(id, 1, None)));
    let new = old.apply([Change::Add(node("c", 1, None))]).unwrap();
    let moves = diff(&old, &new, usize::MAX, ZonePolicy::Spread).unwrap();
    let third: u128 = moves
        .iter()
        .filter(|moved| moved.rank() == 2)
        .inspect(|moved| assert!(moved.from().is_none() && moved.to().is_some()))
        .map(|moved| moved.range().hashes())
        .sum();
    assert_eq!(third, 1 << 64);
}

#[test]
fn payloads_and_vnodes_may_differ_between_the_rings() {
    let old = build(Sha256V1, 8, ["a", "b"].map(|id| node(id, 1, None)));
    let loaded = ["a", "b"].map(|id| node(id, 1, None).with_payload(5_u8));
    let new = HashRing::builder().nodes(loaded).build().unwrap();
    let moves = diff(&old, &new, 1, ZonePolicy::Any).unwrap();
    let (old_oracle, new_oracle) = (Oracle::of(&old), Oracle::of(&new));
    let edges = edges([&old_oracle, &new_oracle]);
    let expected = by_force(&old_oracle, &new_oracle, &edges, 1, ZonePolicy::Any);
    assert_eq!(Some(by_hash(&moves, &edges)), expected);
}
