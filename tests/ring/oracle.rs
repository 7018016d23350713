//! The ring said again, as plainly as it can be: sorted points and linear scans.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use proptest::prelude::*;
use proptest::test_runner::Config;
use sha2::{Digest, Sha256};
use tripod::ring::{HashRing, Node, NodeId, Placement, ZonePolicy};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// What a test knows of a node: weight and zone, by id.
pub(crate) type Members = BTreeMap<String, (u32, Option<String>)>;

/// The first points of a node, by its id.
pub(crate) type Rule = fn(&str, u64) -> Vec<u64>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Oracle {
    points: Vec<(u64, String)>,
    zones: BTreeMap<String, Option<String>>,
}

impl Oracle {
    /// Trusts the ring for its points, and for nothing else.
    pub(crate) fn of<T, P: Placement>(ring: &HashRing<T, P>) -> Self {
        let points = ring
            .vnodes()
            .map(|(point, node)| (point, node.id().to_string()))
            .collect();
        let zones = ring
            .nodes()
            .map(|node| (node.id().to_string(), node.zone().map(ToString::to_string)))
            .collect();
        Self::sorted(points, zones)
    }

    /// Trusts nothing: the points come from `rule`.
    pub(crate) fn by_hand(members: &Members, vnodes: u32, rule: Rule) -> Self {
        let mut points = Vec::new();
        for (id, (weight, _)) in members {
            let count = u64::from(*weight) * u64::from(vnodes);
            points.extend(rule(id, count).into_iter().map(|point| (point, id.clone())));
        }
        let zones = members
            .iter()
            .map(|(id, (_, zone))| (id.clone(), zone.clone()))
            .collect();
        Self::sorted(points, zones)
    }

    fn sorted(mut points: Vec<(u64, String)>, zones: BTreeMap<String, Option<String>>) -> Self {
        points.sort();
        Self { points, zones }
    }

    pub(crate) fn points(&self) -> &[(u64, String)] {
        &self.points
    }

    /// The same without the points of some nodes.
    pub(crate) fn without(&self, excluded: impl Fn(&str) -> bool) -> Self {
        let mut left = self.clone();
        left.points.retain(|(_, id)| !excluded(id));
        left
    }

    fn successor(&self, hash: u64) -> usize {
        let found = self.points.iter().position(|(point, _)| *point >= hash);
        found.unwrap_or(0)
    }

    pub(crate) fn owner(&self, hash: u64) -> Option<&str> {
        let (_, id) = self.points.get(self.successor(hash))?;
        Some(id)
    }

    /// The owners of ascending hashes, by one merge instead of a scan for each.
    pub(crate) fn owners_of_sorted(&self, hashes: &[u64]) -> Vec<Option<&str>> {
        let mut at = 0;
        let mut owners = Vec::with_capacity(hashes.len());
        for hash in hashes {
            while self.points.get(at).is_some_and(|(point, _)| point < hash) {
                at += 1;
            }
            let owner = self.points.get(at).or(self.points.first());
            owners.push(owner.map(|(_, id)| id.as_str()));
        }
        owners
    }

    pub(crate) fn preference(&self, hash: u64) -> Vec<&str> {
        let start = self.successor(hash);
        let mut nodes: Vec<&str> = Vec::new();
        for (_, id) in self.points[start..].iter().chain(&self.points[..start]) {
            if !nodes.contains(&id.as_str()) {
                nodes.push(id);
            }
        }
        nodes
    }

    /// `None` where a strict policy cannot be met.
    pub(crate) fn replicas(&self, hash: u64, n: usize, policy: ZonePolicy) -> Option<Vec<&str>> {
        let mut left = self.preference(hash);
        if policy == ZonePolicy::Any {
            left.truncate(n);
            return Some(left);
        }
        let (mut chosen, mut zones) = (Vec::new(), 0);
        while !left.is_empty() {
            // One round: each zone gives the first of its nodes that is left.
            let mut served: BTreeSet<&Option<String>> = BTreeSet::new();
            let (round, rest) = left
                .into_iter()
                .partition::<Vec<&str>, _>(|id| served.insert(&self.zones[*id]));
            if chosen.is_empty() {
                zones = round.len();
            }
            chosen.extend(round);
            left = rest;
        }
        if policy == ZonePolicy::Strict && n > zones {
            return None;
        }
        chosen.truncate(n);
        Some(chosen)
    }
}

/// Points of `sha256-v1`, as its documentation words them.
pub(crate) fn sha256_points(id: &str, count: u64) -> Vec<u64> {
    let point = |number: u64| {
        let mut label = (id.len() as u64).to_be_bytes().to_vec();
        label.extend(id.as_bytes());
        label.extend((number / 4).to_be_bytes());
        let digest: [u8; 32] = Sha256::digest(&label).into();
        let at = usize::try_from(number % 4).unwrap() * 8;
        u64::from_be_bytes(digest[at..at + 8].try_into().unwrap())
    };
    (0..count).map(point).collect()
}

pub(crate) fn sha256_hash(key: &[u8]) -> u64 {
    let digest: [u8; 32] = Sha256::digest(key).into();
    u64::from_be_bytes(digest[..8].try_into().unwrap())
}

/// Points of `xxh3-v1`, as its documentation words them.
pub(crate) fn xxh3_points(id: &str, count: u64) -> Vec<u64> {
    let mut named = (id.len() as u64).to_be_bytes().to_vec();
    named.extend(id.as_bytes());
    let node = xxh3_128(&named).to_be_bytes().to_vec();
    let point = |number: u64| xxh3_64(&[node.as_slice(), &number.to_be_bytes()].concat());
    (0..count).map(point).collect()
}

pub(crate) fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub(crate) fn node(name: &str, weight: u32, zone: Option<&str>) -> Node {
    let node = Node::new(name).unwrap().with_weight(weight);
    match zone {
        Some(zone) => node.with_zone(zone),
        None => node,
    }
}

pub(crate) fn nodes(members: &Members) -> Vec<Node> {
    let named = members.iter();
    named
        .map(|(id, (weight, zone))| node(id, *weight, zone.as_deref()))
        .collect()
}

pub(crate) fn build<P: Placement + Clone>(
    placement: P,
    vnodes: u32,
    nodes: impl IntoIterator<Item = Node>,
) -> HashRing<(), P> {
    HashRing::builder_with(placement)
        .vnodes(NonZeroU32::new(vnodes).unwrap())
        .nodes(nodes)
        .build()
        .unwrap()
}

pub(crate) fn name_of<T>(node: Option<&Node<T>>) -> Option<&str> {
    node.map(|node| node.id().as_str())
}

/// Hashes that tell two rings apart wherever they differ: owners are constant between points.
pub(crate) fn edges<'a>(oracles: impl IntoIterator<Item = &'a Oracle>) -> Vec<u64> {
    let mut edges = BTreeSet::from([0, 1, u64::MAX - 1, u64::MAX]);
    for oracle in oracles {
        for (point, _) in &oracle.points {
            edges.extend([point.wrapping_sub(1), *point, point.wrapping_add(1)]);
        }
    }
    edges.into_iter().collect()
}

/// Asks the ring at every edge, and the oracle too.
pub(crate) fn assert_owners<T, P: Placement>(ring: &HashRing<T, P>, oracle: &Oracle) {
    let edges = edges([oracle]);
    let expected = oracle.owners_of_sorted(&edges);
    for (hash, expected) in edges.into_iter().zip(expected) {
        let found = name_of(ring.owner_of_hash(hash));
        assert_eq!(found, expected, "hash {hash:#x} of {ring:?}");
    }
}

pub(crate) fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

/// Few ids, so that batches collide; drained nodes and shared zones among them.
pub(crate) fn members(most: usize) -> impl Strategy<Value = Members> {
    let attributes = (0_u32..4, prop::option::of("[xyz]"));
    prop::collection::btree_map("[a-c]{1,2}|n[0-9]", attributes, 0..=most)
}

pub(crate) const POLICIES: [ZonePolicy; 3] =
    [ZonePolicy::Any, ZonePolicy::Spread, ZonePolicy::Strict];
