//! Names, weights and placements chosen to break things: they give typed errors, or work.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::num::NonZeroU32;

use tripod::ring::{
    Change, ChangeError, Dependence, HashRing, Membership, NODES_MAX, Node, NodeId, NodeIdError,
    Placement, PlacementError, Rules, Sha256V1, VNODES_MAX, Vnode, Xxh3V1,
};

use crate::oracle::{build, id, name_of, node, sha256_hash, sha256_points, xxh3_points};

#[test]
fn names_that_concatenate_alike_share_no_points() {
    for rule in [sha256_points, xxh3_points] {
        let mut seen = BTreeSet::new();
        for name in ["a", "a1", "a11", "a111", "a\0", "a\0\0", "1", "11", "111"] {
            for point in rule(name, 1200) {
                assert!(seen.insert(point), "{name:?} has another's point");
            }
        }
    }
    assert_eq!(distinct_points(Sha256V1), 3600);
    assert_eq!(distinct_points(Xxh3V1), 3600);
}

fn distinct_points<P: Placement + Clone>(placement: P) -> usize {
    let names = ["a", "a1", "a11"].map(|id| node(id, 1, None));
    let ring = build(placement, 1200, names);
    let distinct: BTreeSet<u64> = ring.vnodes().map(|(point, _)| point).collect();
    distinct.len()
}

#[test]
fn names_of_a_megabyte_work() {
    let long = "n".repeat(1_000_000);
    let other = format!("{}m", "n".repeat(999_999));
    let ring = build(Sha256V1, 40, [node(&long, 1, None), node(&other, 1, None)]);
    assert_eq!(ring.points(), 80);
    let owners: BTreeSet<_> = (0..200)
        .map(|key| name_of(ring.owner(&format!("{key}"))))
        .collect();
    assert_eq!(owners.len(), 2);
    let expected: BTreeSet<u64> = sha256_points(&long, 4).into_iter().collect();
    let found: BTreeSet<u64> = ring.vnodes().map(|(point, _)| point).collect();
    assert!(expected.is_subset(&found));
}

#[test]
fn names_are_measured_before_they_are_taken() {
    assert_eq!(NodeId::new(""), Err(NodeIdError::Empty));
    let longest = "x".repeat(NodeId::LEN_MAX);
    assert!(NodeId::new(longest.as_str()).is_ok());
    let len = NodeId::LEN_MAX + 1;
    assert_eq!(
        NodeId::new(longest + "x"),
        Err(NodeIdError::TooLong { len })
    );
    assert!(Node::new("").is_err());
}

#[test]
fn names_are_compared_byte_for_byte() {
    // Composed and decomposed, upper and lower case, and a trailing blank are other nodes.
    let names = ["é", "e\u{301}", "E", "e", "e ", "\0"];
    let ring = build(Sha256V1, 8, names.map(|name| node(name, 1, None)));
    assert_eq!(ring.len(), names.len());
    assert!(names.iter().all(|name| ring.node(name).is_some()));
}

#[test]
fn keys_are_any_bytes() {
    let ring = build(Sha256V1, 160, ["a", "b", "c"].map(|id| node(id, 1, None)));
    let long = vec![0xff_u8; 1_000_000];
    for key in [&b""[..], b"\xff\xfe", b"\0", b"\xed\xa0\x80", &long] {
        assert_eq!(ring.hash(key), sha256_hash(key));
        assert!(ring.owner(key).is_some());
    }
    assert_eq!(ring.owner("text"), ring.owner(b"text"));
    assert_eq!(ring.owner("text"), ring.owner(&"text".to_owned()));
}

fn too_many<P: Placement + Clone>(placement: P, vnodes: u32, weights: &[u32]) -> u64 {
    let nodes = weights.iter().zip(0..);
    let nodes = nodes.map(|(weight, n)| node(&format!("n{n}"), *weight, None));
    let built = HashRing::builder_with(placement)
        .vnodes(NonZeroU32::new(vnodes).unwrap())
        .nodes(nodes)
        .build();
    let refused = built.unwrap_err();
    let ChangeError::Placement(PlacementError::TooManyVnodes { wanted }) = refused else {
        panic!("{refused:?}")
    };
    wanted
}

#[test]
fn extreme_weights_are_refused_before_anything_is_allocated() {
    let max = u32::MAX;
    let square = u64::from(max) * u64::from(max);
    assert_eq!(too_many(Sha256V1, 160, &[max]), u64::from(max) * 160);
    assert_eq!(too_many(Xxh3V1, max, &[max]), square);
    // The sum saturates: it does not wrap into something small.
    assert_eq!(too_many(Sha256V1, max, &[max; 9]), u64::MAX);
    assert_eq!(too_many(Xxh3V1, max, &[1, 1]), u64::from(max) * 2);
    let allocated = tripod::ring::Allocated::new(Sha256V1);
    assert_eq!(too_many(allocated, max, &[max]), square);
    assert_eq!(too_many(Sha256V1, 1, &[1 << 24, 1]), VNODES_MAX + 1);
}

#[test]
fn a_change_past_the_cap_leaves_the_ring_as_it_was() {
    let ring = build(Xxh3V1, 1, [node("a", 3, None)]);
    let most = u32::try_from(VNODES_MAX).unwrap();
    for weight in [most + 1, u32::MAX] {
        let refused = ring
            .apply([Change::SetWeight(id("a"), weight)])
            .unwrap_err();
        assert!(matches!(refused, ChangeError::Placement(_)), "{refused:?}");
        let refused = ring.apply([Change::Add(node("b", weight, None))]);
        assert!(refused.is_err());
    }
    assert_eq!((ring.points(), ring.epoch()), (3, 0));
}

#[test]
fn one_node_too_many_is_refused() {
    let names = (0..=NODES_MAX).map(|n| node(&n.to_string(), 0, None));
    let refused = HashRing::builder().nodes(names).build().unwrap_err();
    let wanted = NODES_MAX + 1;
    assert_eq!(refused, ChangeError::TooManyNodes { wanted });
}

/// A placement with a bug: what it returns is not checked by anybody but the ring.
#[derive(Clone, Debug)]
struct Broken(Dependence, Result<Vec<Vnode>, PlacementError>);

impl Placement for Broken {
    fn name(&self) -> Cow<'_, str> {
        "broken".into()
    }

    fn rules(&self) -> Rules {
        Rules::independent(0).with_dependence(self.0)
    }

    fn hash(&self, _: &[u8]) -> u64 {
        7
    }

    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
        if membership.joining().count() == 0 {
            return Ok(Vec::new());
        }
        self.1.clone()
    }
}

#[test]
fn a_placement_that_names_a_stranger_is_refused() {
    for dependence in [
        Dependence::Node,
        Dependence::History,
        Dependence::Membership,
    ] {
        for node_number in [1, 2, u32::MAX] {
            let broken = Broken(dependence, Ok(vec![Vnode::new(1, node_number)]));
            let built = HashRing::builder_with(broken)
                .nodes([node("a", 1, None)])
                .build();
            let expected = PlacementError::UnknownNode { node: node_number };
            assert_eq!(built.unwrap_err(), ChangeError::Placement(expected));
        }
    }
}

#[test]
fn a_placement_that_moves_a_node_that_stays_is_refused() {
    let broken = Broken(Dependence::Node, Ok(vec![Vnode::new(1, 0)]));
    let ring = HashRing::builder_with(broken)
        .nodes([node("a", 1, None)])
        .build()
        .unwrap();
    let refused = ring.apply([Change::Add(node("b", 1, None))]).unwrap_err();
    let expected = PlacementError::UnknownNode { node: 0 };
    assert_eq!(refused, ChangeError::Placement(expected));
}

#[test]
fn a_refusal_comes_through_in_the_placements_words() {
    let reason = PlacementError::Refused {
        reason: "no".to_owned(),
    };
    let broken = Broken(Dependence::Node, Err(reason.clone()));
    let built = HashRing::builder_with(broken)
        .nodes([node("a", 1, None)])
        .build();
    assert_eq!(built.unwrap_err(), ChangeError::Placement(reason));
}

#[test]
fn points_that_stay_count_towards_the_cap() {
    let ring = HashRing::builder()
        .nodes([node("a", 1, None)])
        .build()
        .unwrap();
    let per_weight = ring.vnodes_per_weight().get();
    // Alone it would fit; the room for it is refused before it is allocated.
    let weight = u32::try_from(VNODES_MAX).unwrap() / per_weight;
    let found = ring
        .apply([Change::Add(node("b", weight, None))])
        .unwrap_err();
    let wanted = u64::from(weight + 1) * u64::from(per_weight);
    assert!(wanted > VNODES_MAX && wanted - u64::from(per_weight) <= VNODES_MAX);
    assert_eq!(
        found,
        ChangeError::Placement(PlacementError::TooManyVnodes { wanted })
    );
}

#[test]
fn a_placement_that_gives_points_to_a_drained_node_is_refused() {
    /// One point for every joining node, weight or not.
    #[derive(Clone, Debug)]
    struct Generous;
    impl Placement for Generous {
        fn name(&self) -> Cow<'_, str> {
            "generous".into()
        }
        fn rules(&self) -> Rules {
            Rules::independent(1)
        }
        fn hash(&self, key: &[u8]) -> u64 {
            sha256_hash(key)
        }
        fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
            let joining = membership.joining();
            Ok(joining
                .map(|(node, _)| Vnode::new(u64::from(node), node))
                .collect())
        }
    }
    let ring = HashRing::builder_with(Generous)
        .nodes([node("a", 1, None)])
        .build()
        .unwrap();
    let found = ring.apply([Change::Add(node("b", 0, None))]).unwrap_err();
    let refused = PlacementError::UnknownNode { node: 1 };
    assert_eq!(found, ChangeError::Placement(refused));
}

#[test]
fn fingerprints_differ_by_everything_that_places() {
    let print = |name: &str, weight, zone, vnodes| {
        let builder = HashRing::builder().nodes([node(name, weight, zone), node("z", 1, None)]);
        let vnodes = NonZeroU32::new(vnodes).unwrap();
        builder.vnodes(vnodes).build().unwrap().fingerprint()
    };
    let prints = [
        print("a", 1, None, 8),
        print("a", 1, Some("x"), 8),
        print("a", 1, Some("y"), 8),
        print("a", 1, Some(""), 8),
        print("a", 2, None, 8),
        print("a", 0, None, 8),
        print("b", 1, None, 8),
        print("a", 1, None, 9),
    ];
    for (i, one) in prints.iter().enumerate() {
        assert!(prints[i + 1..].iter().all(|other| other != one), "{i}");
    }
}
