//! Every way to look a key up gives what the linear scan gives.

use proptest::prelude::*;
use tripod::ring::{HashRing, Placement, Sha256V1, Xxh3V1};

use crate::oracle::{
    Members, Oracle, POLICIES, Rule, build, cases, edges, members, name_of, nodes, sha256_hash,
    sha256_points, xxh3_points,
};
use crate::placements::{Odd, Tiny};

fn names<'a>(nodes: impl IntoIterator<Item = &'a tripod::ring::Node>) -> Vec<&'a str> {
    nodes.into_iter().map(|node| node.id().as_str()).collect()
}

fn assert_lookups<P: Placement>(ring: &HashRing<(), P>, oracle: &Oracle, keys: &[Vec<u8>]) {
    let mut batch = vec![None];
    ring.owners(keys, &mut batch);
    assert_eq!(batch.len(), keys.len() + 1, "appended, not overwritten");
    for (key, batched) in keys.iter().zip(&batch[1..]) {
        let hash = ring.hash(key);
        let owner = oracle.owner(hash);
        assert_eq!(name_of(ring.owner(key)), owner, "key {key:?}");
        assert_eq!(name_of(ring.owner_of_hash(hash)), owner);
        assert_eq!(name_of(*batched), owner);
        let preference = oracle.preference(hash);
        assert_eq!(names(ring.preference_list(key)), preference);
        assert_eq!(names(ring.preference_list_of_hash(hash)), preference);
        assert_eq!(ring.preference_list(key).len(), preference.len());
        for policy in POLICIES {
            for n in 0..5 {
                let found = ring.replicas(key, n, policy).ok().map(names);
                assert_eq!(found, oracle.replicas(hash, n, policy), "{n} {policy:?}");
            }
        }
    }
}

/// What `excluded` answers true for is skipped, and asked about at most once.
fn assert_excluding<P: Placement>(ring: &HashRing<(), P>, oracle: &Oracle, keys: &[Vec<u8>]) {
    for (key, bits) in keys.iter().zip(0_usize..) {
        let hash = ring.hash(key);
        let down = |id: &str| (id.len() + usize::from(id.as_bytes()[0]) + bits).is_multiple_of(3);
        let mut asked = Vec::new();
        let found = ring.owner_excluding(key, |node| {
            asked.push(node.id().to_string());
            down(node.id().as_str())
        });
        let up = oracle.preference(hash).into_iter().find(|id| !down(id));
        assert_eq!(name_of(found), up);
        asked.sort();
        let times = asked.len();
        asked.dedup();
        assert_eq!(asked.len(), times, "asked about a node twice");
        let owner = oracle.owner(hash);
        if owner.is_some_and(|owner| !down(owner)) {
            assert_eq!(name_of(found), owner, "moved a key of a node that is up");
        }
        assert_eq!(ring.owner_excluding(key, |_| true), None);
    }
}

fn assert_all<P: Placement + Clone>(
    placement: P,
    rule: Option<Rule>,
    members: &Members,
    keys: &[Vec<u8>],
) {
    let ring = build(placement, 5, nodes(members));
    let oracle = rule.map_or_else(
        || Oracle::of(&ring),
        |rule| Oracle::by_hand(members, 5, rule),
    );
    assert_eq!(
        Oracle::of(&ring),
        oracle,
        "placed elsewhere than documented"
    );
    assert_lookups(&ring, &oracle, keys);
    assert_excluding(&ring, &oracle, keys);
}

fn keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..40)
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn sha256_lookups_match_the_oracle(members in members(12), keys in keys()) {
        assert_all(Sha256V1, Some(sha256_points), &members, &keys);
        let ring = build(Sha256V1, 1, nodes(&members));
        prop_assert!(keys.iter().all(|key| ring.hash(key) == sha256_hash(key)));
    }

    #[test]
    fn xxh3_lookups_match_the_oracle(members in members(12), keys in keys()) {
        assert_all(Xxh3V1, Some(xxh3_points), &members, &keys);
        let ring = build(Xxh3V1, 1, nodes(&members));
        prop_assert!(keys.iter().all(|key| ring.hash(key) == xxhash_rust::xxh3::xxh3_64(key)));
    }

    #[test]
    fn every_hash_of_a_tiny_circle_matches_the_oracle(members in members(10)) {
        let keys: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        assert_all(Tiny, Some(Tiny::points), &members, &keys);
    }

    #[test]
    fn every_edge_of_an_adversarial_circle_matches_the_oracle(
        members in members(10),
        shape in 0..Odd::ALL.len(),
    ) {
        let odd = Odd::ALL[shape];
        let edges = edges([&Oracle::of(&build(odd, 5, nodes(&members)))]);
        let keys: Vec<Vec<u8>> = edges.iter().map(|hash| hash.to_be_bytes().to_vec()).collect();
        assert_all(odd, None, &members, &keys);
    }
}

#[test]
fn an_empty_ring_owns_nothing() {
    let ring = build(Sha256V1, 160, []);
    assert!(ring.is_empty());
    assert_eq!((ring.owner("key"), ring.owner_of_hash(0)), (None, None));
    assert_eq!(ring.owner_of_hash(u64::MAX), None);
    assert_eq!(ring.preference_list("key").next(), None);
    assert_eq!(ring.owner_excluding("key", |_| false), None);
    assert_eq!(ring.node("a"), None);
    let mut owners = Vec::new();
    ring.owners(&["a", "b"], &mut owners);
    assert_eq!(owners, [None, None]);
}

#[test]
fn a_point_at_either_end_owns_its_own_hash() {
    for placement in Odd::ALL {
        let ring = build(placement, 4, [crate::oracle::node("a", 1, None)]);
        for hash in [0, 1, 1 << 63, u64::MAX - 1, u64::MAX] {
            assert_eq!(name_of(ring.owner_of_hash(hash)), Some("a"));
        }
    }
}

#[test]
fn a_batch_of_any_length_is_in_the_order_of_its_keys() {
    let ring = build(
        Sha256V1,
        3,
        ["a", "b", "c"].map(|id| crate::oracle::node(id, 1, None)),
    );
    for len in [0, 1, 15, 16, 17, 32, 100] {
        let keys: Vec<String> = (0..len).map(|key| format!("key-{key}")).collect();
        let mut owners = Vec::new();
        ring.owners(&keys, &mut owners);
        let singly: Vec<_> = keys.iter().map(|key| ring.owner(key)).collect();
        assert_eq!(owners, singly);
    }
}

#[test]
fn a_walk_past_its_end_stays_ended() {
    let nodes = (0..40).map(|n| crate::oracle::node(&format!("n{n}"), 1, None));
    let ring = build(Sha256V1, 3, nodes);
    let mut walk = ring.preference_list("key");
    assert_eq!(walk.by_ref().count(), 40);
    assert_eq!((walk.next(), walk.next(), walk.len()), (None, None, 0));
}

#[test]
fn a_placement_chosen_at_run_time_looks_up_alike() {
    let members = ["a", "b", "c"].map(|id| crate::oracle::node(id, 2, None));
    let plain = build(Xxh3V1, 160, members.clone());
    let boxed: std::sync::Arc<dyn Placement> = std::sync::Arc::new(Xxh3V1);
    let dynamic = build(boxed, 160, members);
    assert_eq!(plain.fingerprint(), dynamic.fingerprint());
    assert!((0..200_u32).all(|key| {
        let key = key.to_be_bytes();
        plain.owner(&key) == dynamic.owner(&key)
    }));
}
