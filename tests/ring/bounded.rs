//! The bound holds at the instant of each assignment, reckoned here in exact integers.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;
use tripod::ring::{BoundedLoads, Change, HashRing, LoadFactor, LoadPermit, Placement, Sha256V1};

use crate::oracle::{build, cases, id, members, node, nodes};
use crate::placements::Tiny;

fn loads(percent: u32) -> BoundedLoads {
    BoundedLoads::new(LoadFactor::from_percent(percent).unwrap())
}

/// ⌈c × w/W × m⌉.
fn bound(percent: u32, weight: u32, weights: u64, total: u64) -> u128 {
    let product = u128::from(percent) * u128::from(weight) * u128::from(total);
    product.div_ceil(100 * u128::from(weights))
}

/// The sum of the weights of the nodes with points.
fn weights<P: Placement>(ring: &HashRing<(), P>) -> u64 {
    let balance = ring.balance();
    let placed = balance.shares().filter(|share| share.vnodes() > 0);
    placed.map(|share| u64::from(share.weight())).sum()
}

/// Whom the law gives the unit: the first on the walk that stays within its bound.
fn expected<'a, P: Placement>(
    ring: &'a HashRing<(), P>,
    counts: &BTreeMap<String, u64>,
    key: &[u8],
    percent: u32,
) -> Option<&'a str> {
    let total = counts.values().sum::<u64>() + 1;
    let fits = |node: &&tripod::ring::Node| {
        let load = counts.get(node.id().as_str()).copied().unwrap_or(0) + 1;
        u128::from(load) <= bound(percent, node.weight(), weights(ring), total)
    };
    let node = ring.preference_list(key).find(fits)?;
    Some(node.id().as_str())
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn each_unit_goes_to_the_first_node_within_its_bound(
        members in members(8),
        percent in prop_oneof![Just(100), Just(101), Just(125), 100_u32..1000, Just(100_000)],
        // A key of few, or hot; and every third time, which permit is dropped before.
        steps in prop::collection::vec((0_u8..6, prop::option::weighted(0.3, any::<usize>())), 0..150),
    ) {
        let ring = build(Tiny, 4, nodes(&members));
        let loads = loads(percent);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut permits: Vec<LoadPermit> = Vec::new();
        for (key, dropped) in steps {
            if let Some(at) = dropped.filter(|_| !permits.is_empty()) {
                let permit = permits.swap_remove(at % permits.len());
                *counts.get_mut(permit.node().id().as_str()).unwrap() -= 1;
            }
            let key = [key.saturating_sub(2) * 60];
            let due = expected(&ring, &counts, &key, percent);
            let permit = loads.assign(&ring, &key);
            let given = permit.as_ref().map(|permit| permit.node().id().as_str());
            prop_assert_eq!(given, due);
            let Some(permit) = permit else { break };
            *counts.entry(permit.node().id().to_string()).or_default() += 1;
            permits.push(permit);
            prop_assert_eq!(loads.total(), permits.len() as u64);
            for (name, count) in &counts {
                prop_assert_eq!(loads.load(&id(name)), *count);
            }
        }
        drop(permits);
        prop_assert_eq!(loads.total(), 0);
        prop_assert!(counts.keys().all(|name| loads.load(&id(name)) == 0));
    }

    #[test]
    fn a_unit_always_finds_a_node_where_one_has_points(members in members(8), count in 1_usize..100) {
        let ring = build(Sha256V1, 4, nodes(&members));
        let loads = loads(100);
        let permits: Vec<_> = (0..count).filter_map(|_| loads.assign(&ring, "hot")).collect();
        let placed = members.values().any(|(weight, _)| *weight > 0);
        prop_assert_eq!(permits.len(), if placed { count } else { 0 });
    }
}

#[test]
fn a_hot_key_at_one_hundred_per_cent_spreads_as_evenly_as_integers_do() {
    let ring = build(
        Sha256V1,
        20,
        (0..7).map(|n| node(&format!("n{n}"), 1, None)),
    );
    let loads = loads(100);
    let permits: Vec<_> = (0..70)
        .map(|_| loads.assign(&ring, "hot").unwrap())
        .collect();
    assert!(ring.nodes().all(|node| loads.load(node.id()) == 10));
    drop(permits);
    assert_eq!(loads.total(), 0);
}

#[test]
fn a_huge_factor_leaves_keys_with_their_owner() {
    let ring = build(
        Sha256V1,
        20,
        (0..7).map(|n| node(&format!("n{n}"), 1, None)),
    );
    let loads = loads(100_000);
    for _ in 0..50 {
        let permit = loads.assign(&ring, "hot").unwrap();
        assert_eq!(Some(permit.node()), ring.owner("hot"));
    }
    let held: Vec<_> = (0..500)
        .map(|_| loads.assign(&ring, "hot").unwrap())
        .collect();
    assert!(
        held.iter()
            .all(|permit| Some(permit.node()) == ring.owner("hot"))
    );
}

#[test]
fn the_heaviest_weights_do_not_overflow() {
    let nodes = [("a", u32::MAX), ("b", u32::MAX)].map(|(id, weight)| node(id, weight, None));
    // One point each, whatever the weight.
    let ring = build(OnePoint, 1, nodes);
    let loads = loads(100_000);
    let permits: Vec<_> = (0..100)
        .map(|_| loads.assign(&ring, "key").unwrap())
        .collect();
    assert_eq!(loads.total(), permits.len() as u64);
}

#[derive(Clone, Debug)]
struct OnePoint;

impl Placement for OnePoint {
    fn name(&self) -> std::borrow::Cow<'_, str> {
        "one-point".into()
    }

    fn rules(&self) -> tripod::ring::Rules {
        tripod::ring::Rules::independent(1)
    }

    fn hash(&self, key: &[u8]) -> u64 {
        Sha256V1.hash(key)
    }

    fn place(
        &self,
        membership: &tripod::ring::Membership<'_>,
    ) -> Result<Vec<tripod::ring::Vnode>, tripod::ring::PlacementError> {
        let point = |node: u32| tripod::ring::Vnode::new(u64::from(node) << 60, node);
        Ok(membership.joining().map(|(node, _)| point(node)).collect())
    }
}

#[test]
fn drained_nodes_receive_nothing() {
    let ring = build(Sha256V1, 8, [node("a", 0, None), node("b", 1, None)]);
    let loads = loads(100);
    let permits: Vec<_> = (0..9)
        .map(|_| loads.assign(&ring, "key").unwrap())
        .collect();
    assert_eq!((loads.load(&id("a")), loads.load(&id("b"))), (0, 9));
    drop(permits);
    let empty = build(Sha256V1, 8, [node("a", 0, None)]);
    assert!(loads.assign(&empty, "key").is_none());
    assert_eq!(loads.total(), 0);
}

#[test]
fn loads_outlive_changes_of_the_ring() {
    let ring = build(Sha256V1, 8, ["a", "b"].map(|id| node(id, 1, None)));
    let loads = loads(100);
    let held: Vec<_> = (0..10)
        .map(|_| loads.assign(&ring, "key").unwrap())
        .collect();
    let grown = ring.apply([Change::Add(node("c", 1, None))]).unwrap();
    // Ten units weigh on the old nodes: the newcomer takes the next ones.
    let next: Vec<_> = (0..5)
        .map(|_| loads.assign(&grown, "key").unwrap())
        .collect();
    assert!(next.iter().all(|permit| permit.node().id() == &id("c")));
    let without = grown.apply([Change::Remove(id("a"))]).unwrap();
    assert_eq!(loads.load(&id("a")), 5);
    drop(held);
    assert_eq!((loads.load(&id("a")), loads.total()), (0, 5));
    let last = loads.assign(&without, "key").unwrap();
    assert_eq!(last.node().id(), &id("b"));
}

#[test]
fn clones_count_together() {
    let ring = build(Sha256V1, 8, [node("a", 1, None)]);
    let loads = loads(125);
    let permit = loads.clone().assign(&ring, "key").unwrap();
    assert_eq!(loads.total(), 1);
    drop(permit);
    assert_eq!(loads.total(), 0);
}

#[test]
fn threads_that_hold_on_stay_within_the_bound_together() {
    let ring = build(
        Sha256V1,
        20,
        (1..=5).map(|n| node(&format!("n{n}"), n, None)),
    );
    let loads = loads(110);
    let barrier = Barrier::new(4);
    let held: Vec<LoadPermit> = thread::scope(|scope| {
        let run = |thread: usize| {
            let (ring, loads, barrier) = (&ring, &loads, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let key = |n: usize| {
                    if n.is_multiple_of(2) {
                        0
                    } else {
                        n * 4 + thread
                    }
                };
                let assign = |n| loads.assign(ring, &key(n).to_be_bytes()).unwrap();
                (0..300).map(assign).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..4).map(run).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(loads.total(), 1200);
    // Nothing was given back, so what held at each node's last assignment holds now.
    for node in ring.nodes() {
        let most = bound(110, node.weight(), weights(&ring), 1200);
        assert!(u128::from(loads.load(node.id())) <= most, "{node:?}");
    }
    drop(held);
    assert_eq!(loads.total(), 0);
}

#[test]
fn threads_that_give_back_leave_no_load_behind() {
    let ring = build(
        Sha256V1,
        20,
        (0..5).map(|n| node(&format!("n{n}"), 1, None)),
    );
    let loads = loads(125);
    thread::scope(|scope| {
        for thread in 0..4_usize {
            let (ring, loads) = (&ring, &loads);
            scope.spawn(move || {
                let mut held = Vec::new();
                for n in 0..2000 {
                    held.push(loads.assign(ring, &(n * 4 + thread).to_be_bytes()).unwrap());
                    if n % 3 != 0 {
                        drop(held.swap_remove(n % held.len()));
                    }
                }
            });
        }
    });
    assert_eq!(loads.total(), 0);
    assert!(ring.nodes().all(|node| loads.load(node.id()) == 0));
}

#[test]
fn a_factor_is_between_one_and_a_thousand() {
    for percent in [0, 1, 99, 100_001, u32::MAX] {
        let refused = LoadFactor::from_percent(percent).unwrap_err();
        assert!(
            refused.to_string().contains(&percent.to_string()),
            "{refused}"
        );
    }
    assert!(LoadFactor::from_percent(100).is_ok() && LoadFactor::from_percent(100_000).is_ok());
    assert_eq!(
        LoadFactor::default(),
        LoadFactor::from_percent(125).unwrap()
    );
}

#[test]
fn an_excluded_node_gets_nothing_and_the_others_keep_their_bounds() {
    let ring = HashRing::builder()
        .nodes([node("a", 1, None), node("b", 3, None), node("c", 2, None)])
        .build()
        .unwrap();
    let loads = BoundedLoads::new(LoadFactor::from_percent(110).unwrap());
    let down = |node: &tripod::ring::Node| node.id().as_str() == "b";
    let mut permits = Vec::new();
    for total in 1..=300_u64 {
        let permit = loads.assign_excluding(&ring, "hot", down).unwrap();
        let node = permit.node();
        assert_ne!(node.id().as_str(), "b");
        // Shares are of the three units of weight that are left.
        let bound = (110 * u64::from(node.weight()) * total).div_ceil(100 * 3);
        assert!(loads.load(node.id()) <= bound);
        permits.push(permit);
    }
    assert!(loads.assign_excluding(&ring, "hot", |_| true).is_none());
    assert_eq!(loads.total(), 300);
}
