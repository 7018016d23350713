//! Replicas spread over zones as far as there are zones, and never further than asked.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tripod::ring::{Change, Node, ReplicasError, Sha256V1, ZonePolicy};

use crate::oracle::{Oracle, POLICIES, build, cases, id, members, node, nodes};
use crate::placements::Tiny;

fn three_zones() -> Vec<Node> {
    let zones = [
        ("a1", "a"),
        ("a2", "a"),
        ("a3", "a"),
        ("b1", "b"),
        ("c1", "c"),
    ];
    zones.map(|(id, zone)| node(id, 1, Some(zone))).to_vec()
}

fn zones_of<'a>(replicas: &[&'a Node]) -> Vec<Option<&'a str>> {
    replicas
        .iter()
        .map(|node| node.zone().map(tripod::ring::Zone::as_str))
        .collect()
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn no_zone_gets_another_replica_before_each_has_as_many(
        members in members(12),
        key in any::<u8>(),
        n in 0_usize..14,
    ) {
        let ring = build(Tiny, 4, nodes(&members));
        let mut sizes: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for (weight, zone) in members.values() {
            if *weight > 0 {
                *sizes.entry(zone.as_deref()).or_default() += 1;
            }
        }
        let replicas = ring.replicas(&[key], n, ZonePolicy::Spread).unwrap();
        let mut counts: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for zone in zones_of(&replicas) {
            let count = counts.entry(zone).or_default();
            *count += 1;
            let before = *count - 1;
            for (other, size) in &sizes {
                let has = counts.get(other).copied().unwrap_or(0);
                prop_assert!(has >= before.min(*size), "{other:?} waits while {zone:?} has {before}");
            }
        }
    }

    #[test]
    fn replicas_are_distinct_as_many_as_there_are_and_led_by_the_owner(
        members in members(12),
        key in any::<u8>(),
        n in 1_usize..14,
    ) {
        let ring = build(Tiny, 4, nodes(&members));
        let placed = members.values().filter(|(weight, _)| *weight > 0).count();
        for policy in POLICIES {
            let Ok(replicas) = ring.replicas(&[key], n, policy) else {
                prop_assert_eq!(policy, ZonePolicy::Strict);
                continue;
            };
            prop_assert_eq!(replicas.len(), n.min(placed));
            prop_assert_eq!(replicas.first().copied(), ring.owner(&[key]));
            let mut ids: Vec<_> = replicas.iter().map(|node| node.id()).collect();
            ids.sort();
            ids.dedup();
            prop_assert_eq!(ids.len(), replicas.len());
        }
    }

    #[test]
    fn excluding_nodes_chooses_as_if_they_had_no_points(
        members in members(12),
        n in 0_usize..6,
        down in any::<u8>(),
    ) {
        let ring = build(Tiny, 4, nodes(&members));
        let down = |id: &str| id.bytes().fold(down, u8::wrapping_add) % 3 == 0;
        let oracle = Oracle::of(&ring).without(down);
        for (byte, policy) in (0..=255).flat_map(|byte| POLICIES.map(|policy| (byte, policy))) {
            let mut asked = Vec::new();
            let found = ring.replicas_excluding(&[byte], n, policy, |node| {
                asked.push(node.id().clone());
                down(node.id().as_str())
            });
            let found = found.map(|nodes| nodes.iter().map(|node| node.id().as_str()).collect());
            prop_assert_eq!(found.ok(), oracle.replicas(Tiny::hash_of(byte), n, policy));
            let times = asked.len();
            asked.sort();
            asked.dedup();
            prop_assert_eq!(asked.len(), times, "asked about a node twice");
            // One owner, whichever way it is asked for.
            let owner = ring.owner_excluding(&[byte], |node| down(node.id().as_str()));
            let first = ring.replicas_excluding(&[byte], 1, policy, |node| down(node.id().as_str()));
            if let Ok(first) = first {
                prop_assert_eq!(first.first().copied(), owner);
            }
        }
    }

    #[test]
    fn fewer_replicas_are_the_first_of_more(
        members in members(12),
        key in any::<u8>(),
        n in 0_usize..12,
    ) {
        let ring = build(Tiny, 4, nodes(&members));
        for policy in POLICIES {
            let fewer = ring.replicas(&[key], n, policy);
            if let (Ok(fewer), Ok(more)) = (fewer, ring.replicas(&[key], n + 1, policy)) {
                prop_assert!(more.starts_with(&fewer));
            }
        }
    }
}

#[test]
fn spread_fills_every_zone_before_it_doubles() {
    let ring = build(Sha256V1, 20, three_zones());
    for key in 0..50_u8 {
        let replicas = ring.replicas(&[key], 3, ZonePolicy::Spread).unwrap();
        let mut zones = zones_of(&replicas);
        zones.sort_unstable();
        assert_eq!(zones, [Some("a"), Some("b"), Some("c")]);
        let all = ring.replicas(&[key], 5, ZonePolicy::Spread).unwrap();
        assert_eq!(zones_of(&all)[3..], [Some("a"), Some("a")]);
    }
}

#[test]
fn strict_says_how_many_zones_there_are() {
    let ring = build(Sha256V1, 20, three_zones());
    assert_eq!(
        ring.replicas("key", 3, ZonePolicy::Strict).unwrap().len(),
        3
    );
    let refused = ring.replicas("key", 4, ZonePolicy::Strict).unwrap_err();
    assert_eq!(
        refused,
        ReplicasError::NotEnoughZones {
            wanted: 4,
            found: 3
        }
    );
    let refused = ring.replicas("key", usize::MAX, ZonePolicy::Strict);
    assert!(refused.is_err());
}

#[test]
fn strict_and_spread_agree_where_zones_suffice() {
    let ring = build(Sha256V1, 20, three_zones());
    for key in 0..50_u8 {
        let strict = ring.replicas(&[key], 3, ZonePolicy::Strict).unwrap();
        assert_eq!(
            strict,
            ring.replicas(&[key], 3, ZonePolicy::Spread).unwrap()
        );
    }
}

#[test]
fn zones_of_drained_nodes_do_not_count() {
    let ring = build(Sha256V1, 20, three_zones());
    let drained = ring.apply([Change::SetWeight(id("c1"), 0)]).unwrap();
    let refused = drained.replicas("key", 3, ZonePolicy::Strict).unwrap_err();
    assert_eq!(
        refused,
        ReplicasError::NotEnoughZones {
            wanted: 3,
            found: 2
        }
    );
    assert_eq!(
        drained
            .replicas("key", 9, ZonePolicy::Spread)
            .unwrap()
            .len(),
        4
    );
}

#[test]
fn nodes_without_a_zone_share_one() {
    let ring = build(Sha256V1, 20, ["a", "b"].map(|id| node(id, 1, None)));
    let refused = ring.replicas("key", 2, ZonePolicy::Strict).unwrap_err();
    assert_eq!(
        refused,
        ReplicasError::NotEnoughZones {
            wanted: 2,
            found: 1
        }
    );
    // The unnamed zone is not the zone whose name is empty.
    let named = ring
        .apply([Change::Replace(node("b", 1, Some("")))])
        .unwrap();
    assert_eq!(
        named.replicas("key", 2, ZonePolicy::Strict).unwrap().len(),
        2
    );
}

#[test]
fn more_replicas_than_nodes_are_all_nodes() {
    let ring = build(Sha256V1, 20, three_zones());
    for policy in [ZonePolicy::Any, ZonePolicy::Spread] {
        assert_eq!(ring.replicas("key", usize::MAX, policy).unwrap().len(), 5);
    }
}

#[test]
fn no_replicas_can_be_asked_of_any_ring() {
    for ring in [build(Sha256V1, 20, three_zones()), build(Sha256V1, 20, [])] {
        for policy in POLICIES {
            assert!(ring.replicas("key", 0, policy).unwrap().is_empty());
        }
    }
}

#[test]
fn a_new_zone_counts_from_the_next_epoch_on() {
    let ring = build(Sha256V1, 20, ["a", "b"].map(|id| node(id, 1, Some("x"))));
    assert!(ring.replicas("key", 2, ZonePolicy::Strict).is_err());
    let moved = ring
        .apply([Change::Replace(node("b", 1, Some("y")))])
        .unwrap();
    assert!(moved.replicas("key", 2, ZonePolicy::Strict).is_ok());
    assert!(ring.replicas("key", 2, ZonePolicy::Strict).is_err());
}
