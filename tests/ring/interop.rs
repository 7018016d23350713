//! Vectors made by running nginx and libmemcached themselves: every line matches.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use tripod::ring::{
    Change, ChangeError, HashRing, Ketama, KetamaWeighted, Nginx, Node, Placement, PlacementError,
};

use crate::oracle::{Oracle, assert_owners, id, node};

const NGINX: &str = include_str!("vectors/nginx.tsv");
const LIBMEMCACHED: &str = include_str!("vectors/libmemcached.tsv");

/// The keys of each configuration in the files.
const KEYS: usize = 145;

struct Config<'a> {
    parameters: Vec<&'a str>,
    nodes: Vec<Node>,
    down: BTreeSet<&'a str>,
    /// Key and node.
    lines: Vec<(&'a str, &'a str)>,
}

fn configs(file: &str) -> BTreeMap<&str, Config<'_>> {
    let mut configs = BTreeMap::new();
    for line in file.lines().filter(|line| line.starts_with("#config")) {
        let mut fields = line.split('\t').skip(1);
        let name = fields.next().unwrap();
        let mut config = Config {
            parameters: Vec::new(),
            nodes: Vec::new(),
            down: BTreeSet::new(),
            lines: Vec::new(),
        };
        for field in fields {
            let Some(member) = field.strip_prefix("node=") else {
                config.parameters.push(field);
                continue;
            };
            let (member, down) = match member.strip_suffix("!down") {
                Some(member) => (member, true),
                None => (member, false),
            };
            let (id, weight) = member.rsplit_once('*').unwrap();
            config.nodes.push(node(id, weight.parse().unwrap(), None));
            if down {
                config.down.insert(id);
            }
        }
        assert!(configs.insert(name, config).is_none());
    }
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        let [name, key, node] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        configs.get_mut(name).unwrap().lines.push((key, node));
    }
    configs
}

fn ring<P: Placement + Clone>(placement: P, nodes: &[Node]) -> HashRing<(), P> {
    let builder = HashRing::builder_with(placement);
    builder.nodes(nodes.iter().cloned()).build().unwrap()
}

/// How many lines were compared.
fn compare<P: Placement + Clone>(placement: P, name: &str, config: &Config<'_>) -> usize {
    let at_once = ring(placement.clone(), &config.nodes);
    // Whatever the way to the ring, the order of configuration is kept.
    let joined = config.nodes.iter().cloned().map(Change::Add);
    let joined = joined.fold(ring(placement, &[]), |ring, add| ring.apply([add]).unwrap());
    assert_eq!(at_once.fingerprint(), joined.fingerprint());
    for (key, expected) in &config.lines {
        for ring in [&at_once, &joined] {
            let down = |node: &Node| config.down.contains(node.id().as_str());
            let found = ring.owner_excluding(*key, down).unwrap();
            assert_eq!(found.id().as_str(), *expected, "{name}, key {key:?}");
            if config.down.is_empty() {
                assert_eq!(ring.owner(*key), Some(found));
            }
        }
    }
    config.lines.len()
}

#[test]
fn every_line_of_nginx_matches() {
    let configs = configs(NGINX);
    let lines = configs
        .iter()
        .map(|(name, config)| compare(Nginx, name, config));
    assert_eq!(lines.sum::<usize>(), 6 * KEYS);
    assert!(configs.values().any(|config| !config.down.is_empty()));
}

#[test]
fn every_line_of_libmemcached_matches() {
    let lines = configs(LIBMEMCACHED).into_iter().map(|(name, config)| {
        if config.parameters.contains(&"mode=KETAMA") {
            compare(Ketama, name, &config)
        } else {
            assert!(config.parameters.contains(&"mode=KETAMA_WEIGHTED"));
            compare(KetamaWeighted, name, &config)
        }
    });
    assert_eq!(lines.sum::<usize>(), 4 * KEYS);
}

fn refusal<P: Placement + Clone>(placement: P, vnodes: u32) -> ChangeError {
    let builder = HashRing::builder_with(placement).vnodes(NonZeroU32::new(vnodes).unwrap());
    builder.nodes([node("a:1", 1, None)]).build().unwrap_err()
}

#[test]
fn ketama_refuses_another_number_of_vnodes() {
    for vnodes in [1, 99, 101, u32::MAX] {
        for refused in [refusal(Ketama, vnodes), refusal(KetamaWeighted, vnodes)] {
            let ChangeError::Placement(PlacementError::Refused { reason }) = refused else {
                panic!("{refused:?}")
            };
            assert!(reason.contains("points"), "{reason}");
        }
    }
}

#[test]
fn ketama_refuses_another_number_of_vnodes_on_an_empty_ring_too() {
    let vnodes = NonZeroU32::new(7).unwrap();
    let empty = HashRing::<(), _>::builder_with(Ketama)
        .vnodes(vnodes)
        .build();
    assert!(empty.is_err(), "built, and then every node will be refused");
}

#[test]
fn a_down_node_keeps_its_points_and_a_removed_one_does_not() {
    let nodes = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map(|id| node(id, 1, None));
    let ring = ring(Nginx, &nodes);
    for n in 0..500 {
        let key = format!("key:{n}");
        let owner = ring.owner(&key).unwrap();
        let up = ring.owner_excluding(&key, |node| node.id().as_str() == "10.0.0.2:80");
        if owner.id().as_str() != "10.0.0.2:80" {
            assert_eq!(up, Some(owner));
        }
    }
    let removed = ring.apply([Change::Remove(id("10.0.0.2:80"))]).unwrap();
    assert!(removed.points() < ring.points());
}

#[test]
fn nginx_keeps_one_of_equal_points_that_of_the_node_configured_first() {
    // "host" and "host:" have the same host and the same empty port, so every point is equal.
    for [first, second] in [["host", "host:"], ["host:", "host"]] {
        let ring = ring(Nginx, &[first, second].map(|id| node(id, 1, None)));
        assert_eq!(ring.points(), 160);
        assert!(ring.vnodes().all(|(_, node)| node.id().as_str() == first));
        assert_eq!(
            ring.owner_excluding("key", |node| node.id().as_str() == first),
            None
        );
    }
}

#[test]
fn ketama_keeps_equal_points_in_the_order_of_configuration() {
    // The default port is left out of the label, so both have the same points.
    for [first, second] in [["host", "host:11211"], ["host:11211", "host"]] {
        let ring = ring(Ketama, &[first, second].map(|id| node(id, 1, None)));
        assert_eq!(ring.points(), 200);
        assert_eq!(ring.owner("key").unwrap().id().as_str(), first);
        let other = ring.owner_excluding("key", |node| node.id().as_str() == first);
        assert_eq!(other.unwrap().id().as_str(), second);
        assert_owners_by_order(&ring, first);
    }
}

fn assert_owners_by_order<P: Placement>(ring: &HashRing<(), P>, first: &str) {
    for (point, _) in ring.vnodes() {
        let owner = ring.owner_of_hash(point).unwrap();
        assert_eq!(owner.id().as_str(), first);
    }
}

#[test]
fn changes_equal_a_fresh_build_in_the_same_order() {
    fn check<P: Placement + Clone>(placement: P) {
        let names = ["c:1", "a:1", "b:1", "d:1"].map(|id| node(id, 1, None));
        let whole = ring(placement.clone(), &names);
        let changed = whole
            .apply([
                Change::Remove(id("a:1")),
                Change::SetWeight(id("c:1"), 3),
                Change::Add(node("aa:1", 2, None)),
                Change::Add(node("a:1", 1, None)),
            ])
            .unwrap();
        let order = [("c:1", 3), ("b:1", 1), ("d:1", 1), ("aa:1", 2), ("a:1", 1)];
        let fresh = ring(placement, &order.map(|(id, weight)| node(id, weight, None)));
        assert_eq!(changed.fingerprint(), fresh.fingerprint());
        assert!(changed.nodes().eq(fresh.nodes()));
        assert_owners(&changed, &Oracle::of(&fresh));
    }
    check(Nginx);
    check(Ketama);
    check(KetamaWeighted);
}

#[test]
fn drained_servers_have_no_points() {
    for (ring, points) in [
        (points_of(Ketama), 100),
        (points_of(KetamaWeighted), 160),
        (points_of(Nginx), 160),
    ] {
        assert_eq!(ring, points);
    }
}

fn points_of<P: Placement + Clone>(placement: P) -> usize {
    ring(placement, &[node("a:1", 0, None), node("b:1", 1, None)]).points()
}
