//! Placement is a function of the set of nodes, and a change moves no key that it need not.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tripod::ring::{Change, ChangeError, HashRing, Placement, Sha256V1, Xxh3V1};

use crate::oracle::{
    Members, Oracle, assert_owners, build, cases, edges, id, members, name_of, node, nodes,
};
use crate::placements::{Odd, Tiny};

/// A change as plain data.
#[derive(Clone, Debug)]
enum Op {
    Add(String, u32, Option<String>),
    Remove(String),
    SetWeight(String, u32),
    Replace(String, u32, Option<String>),
}

impl Op {
    fn change(&self) -> Change {
        match self {
            Self::Add(name, weight, zone) => Change::Add(node(name, *weight, zone.as_deref())),
            Self::Remove(name) => Change::Remove(id(name)),
            Self::SetWeight(name, weight) => Change::SetWeight(id(name), *weight),
            Self::Replace(name, weight, zone) => {
                Change::Replace(node(name, *weight, zone.as_deref()))
            }
        }
    }

    fn apply(&self, members: &mut Members) -> Result<(), ChangeError> {
        let unknown = |name: &str| ChangeError::Unknown { id: id(name) };
        match self {
            Self::Add(name, weight, zone) => {
                if members.contains_key(name) {
                    return Err(ChangeError::Duplicate { id: id(name) });
                }
                members.insert(name.clone(), (*weight, zone.clone()));
            }
            Self::Remove(name) => {
                members.remove(name).ok_or_else(|| unknown(name))?;
            }
            Self::SetWeight(name, weight) => {
                members.get_mut(name).ok_or_else(|| unknown(name))?.0 = *weight;
            }
            Self::Replace(name, weight, zone) => {
                let member = members.get_mut(name).ok_or_else(|| unknown(name))?;
                *member = (*weight, zone.clone());
            }
        }
        Ok(())
    }
}

fn op() -> impl Strategy<Value = Op> {
    let name = || "[a-b]{1,2}|n[0-3]";
    let zone = || prop::option::of("[xy]");
    prop_oneof![
        3 => (name(), 0_u32..4, zone()).prop_map(|(n, w, z)| Op::Add(n, w, z)),
        2 => name().prop_map(Op::Remove),
        1 => (name(), 0_u32..4).prop_map(|(n, w)| Op::SetWeight(n, w)),
        1 => (name(), 0_u32..4, zone()).prop_map(|(n, w, z)| Op::Replace(n, w, z)),
    ]
}

fn assert_equal<P: Placement>(ring: &HashRing<(), P>, fresh: &HashRing<(), P>) {
    assert_eq!(Oracle::of(ring), Oracle::of(fresh));
    assert_eq!(ring.fingerprint(), fresh.fingerprint());
    assert!(ring.nodes().eq(fresh.nodes()));
    assert_eq!(ring.points(), fresh.points());
    assert_eq!(ring.balance(), fresh.balance());
    assert_owners(ring, &Oracle::of(fresh));
}

fn assert_batches<P: Placement + Clone>(placement: &P, first: &Members, batches: &[Vec<Op>]) {
    let mut members = first.clone();
    let mut ring = build(placement.clone(), 5, nodes(first));
    for batch in batches {
        let mut changed = members.clone();
        let expected = batch.iter().try_for_each(|op| op.apply(&mut changed));
        let before = ring.fingerprint();
        let applied = ring.apply(batch.iter().map(Op::change));
        assert_eq!(ring.fingerprint(), before, "the old ring changed");
        match (applied, expected) {
            (Ok(next), Ok(())) => {
                assert_eq!(next.epoch(), ring.epoch() + 1);
                (ring, members) = (next, changed);
            }
            (Err(found), Err(expected)) => assert_eq!(found, expected),
            (found, expected) => panic!("{found:?} where {expected:?} was due"),
        }
        assert_equal(&ring, &build(placement.clone(), 5, nodes(&members)));
    }
}

/// Owners before and after at every edge of both rings: that is, everywhere.
fn owners<P: Placement>(
    old: &HashRing<(), P>,
    new: &HashRing<(), P>,
) -> Vec<(Option<String>, Option<String>)> {
    let owner = |ring: &HashRing<(), P>, hash| name_of(ring.owner_of_hash(hash)).map(str::to_owned);
    let edges = edges([&Oracle::of(old), &Oracle::of(new)]);
    edges
        .into_iter()
        .map(|hash| (owner(old, hash), owner(new, hash)))
        .collect()
}

fn assert_minimal_moves<P: Placement + Clone>(placement: &P, members: &Members, weight: u32) {
    let newcomer = Some("newcomer".to_owned());
    let old = build(placement.clone(), 5, nodes(members));
    let grown = old
        .apply([Change::Add(node("newcomer", weight, None))])
        .unwrap();
    for (from, to) in owners(&old, &grown) {
        assert!(from == to || to == newcomer, "{from:?} → {to:?} on joining");
    }
    let heavier = grown
        .apply([Change::SetWeight(id("newcomer"), weight + 2)])
        .unwrap();
    for (from, to) in owners(&grown, &heavier) {
        assert!(from == to || to == newcomer, "{from:?} → {to:?} on raising");
    }
    let lighter = heavier
        .apply([Change::SetWeight(id("newcomer"), 1)])
        .unwrap();
    for (from, to) in owners(&heavier, &lighter) {
        let own = from == newcomer;
        assert!(from == to || own, "{from:?} → {to:?} on lowering");
    }
    let smaller = lighter.apply([Change::Remove(id("newcomer"))]).unwrap();
    for (from, to) in owners(&lighter, &smaller) {
        let own = from == newcomer;
        assert!(from == to || own, "{from:?} → {to:?} on leaving");
    }
    assert_equal(&smaller, &old);
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn insertion_order_changes_nothing(
        (sorted, shuffled) in members(8)
            .prop_map(|members| nodes(&members))
            .prop_flat_map(|nodes| (Just(nodes.clone()), Just(nodes).prop_shuffle()))
    ) {
        let one_by_one = |ring: &HashRing<()>| {
            shuffled.iter().cloned().fold(ring.clone(), |ring, node| {
                ring.apply([Change::Add(node)]).unwrap()
            })
        };
        let sha = build(Sha256V1, 7, sorted.clone());
        assert_equal(&sha, &build(Sha256V1, 7, shuffled.clone()));
        assert_equal(&one_by_one(&build(Sha256V1, 7, [])), &sha);
        assert_equal(&build(Xxh3V1, 7, sorted.clone()), &build(Xxh3V1, 7, shuffled.clone()));
        assert_equal(&build(Tiny, 7, sorted), &build(Tiny, 7, shuffled.clone()));
    }

    #[test]
    fn applied_batches_equal_a_fresh_build(
        first in members(6),
        batches in prop::collection::vec(prop::collection::vec(op(), 0..5), 1..8),
    ) {
        assert_batches(&Sha256V1, &first, &batches);
        assert_batches(&Xxh3V1, &first, &batches);
    }

    #[test]
    fn applied_batches_equal_a_fresh_build_where_points_collide(
        first in members(6),
        batches in prop::collection::vec(prop::collection::vec(op(), 0..5), 1..8),
        shape in 0..Odd::ALL.len(),
    ) {
        assert_batches(&Tiny, &first, &batches);
        assert_batches(&Odd::ALL[shape], &first, &batches);
    }

    #[test]
    fn a_change_of_one_node_moves_only_its_keys(members in members(8), weight in 1_u32..4) {
        assert_minimal_moves(&Sha256V1, &members, weight);
        assert_minimal_moves(&Xxh3V1, &members, weight);
        assert_minimal_moves(&Tiny, &members, weight);
    }

    #[test]
    fn weight_is_a_prefix_of_points(light in 0_u32..5, more in 1_u32..5) {
        fn points<P: Placement + Clone>(placement: P, weight: u32) -> BTreeSet<u64> {
            let ring = build(placement, 7, [node("a", weight, None)]);
            ring.vnodes().map(|(point, _)| point).collect()
        }
        prop_assert!(points(Sha256V1, light).is_subset(&points(Sha256V1, light + more)));
        prop_assert!(points(Xxh3V1, light).is_subset(&points(Xxh3V1, light + more)));
        prop_assert_eq!(points(Sha256V1, light).len(), 7 * light as usize);
    }
}

#[test]
fn weight_zero_drains_but_stays_a_member() {
    let ring = build(Sha256V1, 16, ["a", "b"].map(|id| node(id, 1, None)));
    let drained = ring.apply([Change::SetWeight(id("a"), 0)]).unwrap();
    assert_eq!((drained.len(), drained.points()), (2, 16));
    assert_eq!(drained.node("a").unwrap().weight(), 0);
    assert!((0..100).all(|key| name_of(drained.owner(&format!("{key}"))) == Some("b")));
    let back = drained.apply([Change::SetWeight(id("a"), 1)]).unwrap();
    assert_eq!(back.fingerprint(), ring.fingerprint());

    let none = drained.apply([Change::SetWeight(id("b"), 0)]).unwrap();
    assert_eq!(none.owner("key"), None);
    assert_eq!((none.len(), none.points(), none.is_empty()), (2, 0, false));
}

#[test]
fn an_empty_batch_is_an_epoch_too() {
    let ring = build(Sha256V1, 4, [node("a", 1, None)]);
    let next = ring.apply([]).unwrap();
    assert_eq!((ring.epoch(), next.epoch()), (0, 1));
    assert_equal(&next, &ring);
}

#[test]
fn a_refused_batch_leaves_the_changes_before_it_undone() {
    let ring = build(Sha256V1, 4, [node("a", 1, None)]);
    let twice = [
        Change::Add(node("b", 1, None)),
        Change::Add(node("b", 2, None)),
    ];
    let refused = ring.apply(twice).unwrap_err();
    assert_eq!(refused, ChangeError::Duplicate { id: id("b") });
    let gone = [Change::Remove(id("a")), Change::SetWeight(id("a"), 2)];
    let refused = ring.apply(gone).unwrap_err();
    assert_eq!(refused, ChangeError::Unknown { id: id("a") });
    assert_eq!((ring.len(), ring.points(), ring.epoch()), (1, 4, 0));
}

#[test]
fn removing_and_adding_again_in_one_batch_changes_nothing() {
    let ring = build(Sha256V1, 9, ["a", "b", "c"].map(|id| node(id, 1, None)));
    let changes = [
        Change::Remove(id("b")),
        Change::Add(node("b", 3, None)),
        Change::Remove(id("b")),
        Change::Add(node("b", 1, None)),
    ];
    assert_equal(&ring.apply(changes).unwrap(), &ring);
}

#[test]
fn a_builder_refuses_the_same_id_twice() {
    let twice = [node("a", 1, None), node("a", 1, None)];
    let refused = HashRing::builder().nodes(twice).build().unwrap_err();
    assert_eq!(refused, ChangeError::Duplicate { id: id("a") });
}

#[test]
fn replacing_swaps_the_payload_and_moves_no_key() {
    let nodes = ["a", "b"].map(|id| node(id, 2, None).with_payload("old"));
    let ring = HashRing::builder().nodes(nodes).build().unwrap();
    let newer = node("a", 2, None).with_payload("new");
    let next = ring.apply([Change::Replace(newer)]).unwrap();
    assert_eq!(next.fingerprint(), ring.fingerprint());
    assert_eq!(*next.node("a").unwrap().payload(), "new");
    assert_eq!(*ring.node("a").unwrap().payload(), "old");
    let owner = (0..100).find_map(|key| {
        let owner = next.owner(&format!("{key}"))?;
        (owner.id().as_str() == "a").then_some(owner)
    });
    assert_eq!(*owner.unwrap().payload(), "new");
}
