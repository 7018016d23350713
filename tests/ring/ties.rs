//! Placements of one's own under every rule for ties and every dependence: changes equal a fresh
//! build from the same nodes in the same order.

use std::borrow::Cow;

use proptest::prelude::*;
use tripod::ring::{
    Change, Dependence, HashRing, Membership, Node, Placement, PlacementError, Rules, Ties, Vnode,
};

use crate::oracle::{build, cases, id, name_of, node};
use crate::placements::Tiny;

/// The tiny circle under rules of choice.
#[derive(Clone, Debug)]
struct Ruled(Dependence, Ties);

impl Placement for Ruled {
    fn name(&self) -> Cow<'_, str> {
        format!("tiny-v1 {:?} {:?}", self.0, self.1).into()
    }

    fn rules(&self) -> Rules {
        Tiny.rules().with_dependence(self.0).with_ties(self.1)
    }

    fn hash(&self, key: &[u8]) -> u64 {
        Tiny.hash(key)
    }

    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
        assert!(membership.kept().is_sorted());
        assert!(self.0 == Dependence::History || membership.kept().is_empty());
        if self.0 == Dependence::Membership {
            assert_eq!(membership.joining().count(), membership.seats().len());
        }
        Tiny.place(membership)
    }
}

const ALL: [Dependence; 3] = [
    Dependence::Node,
    Dependence::History,
    Dependence::Membership,
];
const TIES: [Ties; 3] = [Ties::ById, Ties::ByConfiguration, Ties::FirstConfigured];

/// The nodes in the order in which they were configured.
type Configured = Vec<(String, u32)>;

/// A change by name: adds what is missing; of what is there, the weight says what to do.
fn step(configured: &mut Configured, name: &str, weight: u32) -> Change {
    match configured.iter().position(|(other, _)| other == name) {
        None => {
            configured.push((name.to_owned(), weight));
            Change::Add(node(name, weight, None))
        }
        Some(at) if weight == 0 => {
            configured.remove(at);
            Change::Remove(id(name))
        }
        Some(at) if weight == 1 => {
            configured[at].1 = 2;
            Change::Replace(node(name, 2, None))
        }
        Some(at) => {
            configured[at].1 = weight;
            Change::SetWeight(id(name), weight)
        }
    }
}

/// The nodes of a walk by hand: points in order, ties by rank, one of equals where so ruled.
fn walk(configured: &Configured, ties: Ties, hash: u64) -> Vec<String> {
    let mut ranked = configured.clone();
    if ties == Ties::ById {
        ranked.sort();
    }
    let mut points: Vec<(u64, usize)> = Vec::new();
    for (rank, (name, weight)) in ranked.iter().enumerate() {
        let own = Tiny::points(name, u64::from(*weight) * 4);
        points.extend(own.into_iter().map(|point| (point, rank)));
    }
    points.sort_unstable();
    if ties == Ties::FirstConfigured {
        points.dedup_by_key(|(point, _)| *point);
    }
    let start = points
        .iter()
        .position(|(point, _)| *point >= hash)
        .unwrap_or(0);
    points.rotate_left(start);
    let mut names: Vec<String> = Vec::new();
    for (_, rank) in points {
        let (name, _) = &ranked[rank];
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn assert_walks(ring: &HashRing<(), Ruled>, configured: &Configured, ties: Ties) {
    for byte in 0..=255 {
        let hash = Tiny::hash_of(byte);
        let expected = walk(configured, ties, hash);
        let found: Vec<&str> = ring
            .preference_list(&[byte])
            .map(|node| node.id().as_str())
            .collect();
        assert_eq!(found, expected, "{ties:?}");
        let owner = name_of(ring.owner_of_hash(hash));
        assert_eq!(owner, expected.first().map(String::as_str));
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn changes_equal_a_fresh_build_under_every_rule(
        batches in prop::collection::vec(
            prop::collection::vec(("[a-d]|[x-z][0-9]", 0_u32..5), 1..5),
            1..6,
        ),
    ) {
        for dependence in ALL {
            for ties in TIES {
                let ruled = Ruled(dependence, ties);
                let mut configured = Configured::new();
                let mut ring = build(ruled.clone(), 4, []);
                for batch in &batches {
                    let changes: Vec<Change> = batch
                        .iter()
                        .map(|(name, weight)| step(&mut configured, name, *weight))
                        .collect();
                    ring = ring.apply(changes).unwrap();
                }
                let nodes: Vec<Node> = configured
                    .iter()
                    .map(|(name, weight)| node(name, *weight, None))
                    .collect();
                let fresh = build(ruled.clone(), 4, nodes);
                prop_assert_eq!(ring.fingerprint(), fresh.fingerprint());
                prop_assert!(ring.nodes().eq(fresh.nodes()));
                assert_walks(&ring, &configured, ties);
                let decoded = HashRing::decode(&ring.encode(), ruled).unwrap();
                prop_assert_eq!(decoded.fingerprint(), ring.fingerprint());
                assert_walks(&decoded, &configured, ties);
            }
        }
    }
}
