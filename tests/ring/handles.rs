//! The types can go where users take them, and print without secrets.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Debug;
use std::num::NonZeroU32;

use tripod::ring::{
    Allocated, Balance, BoundedLoads, Builder, Change, HashRing, KeyRange, LoadFactor, LoadPermit,
    Move, Node, NodeId, PreferenceList, RingRef, Sha256V1, SharedRing, SnapshotError, Xxh3V1,
};

fn shareable<T: Send + Sync + 'static>() {}
fn cloneable<T: Clone>() {}

/// Neither `Clone` nor `Debug`: a pool of connections.
struct Pool;

#[test]
fn handles_can_be_shared_between_threads() {
    shareable::<HashRing<String>>();
    shareable::<HashRing<Pool, Allocated<Xxh3V1>>>();
    shareable::<SharedRing<Pool>>();
    shareable::<BoundedLoads>();
    shareable::<LoadPermit<Pool>>();
    shareable::<Node<Pool>>();
    shareable::<Balance>();
    shareable::<SnapshotError>();
    shareable::<KeyRange>();
    shareable::<Move<'static>>();
    shareable::<PreferenceList<'static, Pool>>();
    shareable::<Builder<Pool, Sha256V1>>();
}

#[test]
fn handles_are_cloneable_whatever_the_payload() {
    cloneable::<HashRing<Pool>>();
    cloneable::<SharedRing<Pool>>();
    cloneable::<BoundedLoads>();
    cloneable::<NodeId>();
}

const CANARY: &str = "hunter2-canary";

fn assert_discreet(printed: &dyn Debug) {
    for text in [format!("{printed:?}"), format!("{printed:#?}")] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.is_empty());
    }
}

#[test]
fn debug_never_prints_a_payload() {
    let node = Node::new("a").unwrap().with_payload(CANARY);
    let builder = HashRing::builder()
        .vnodes(NonZeroU32::MIN)
        .nodes([node.clone()]);
    assert_discreet(&builder);
    let ring = builder.build().unwrap();
    let shared = SharedRing::new(ring.clone());
    let loads = BoundedLoads::new(LoadFactor::default());
    let borrowed: RingRef<_> = shared.load();
    assert_discreet(&node);
    assert_discreet(&ring);
    assert_discreet(&shared);
    assert_discreet(&borrowed);
    assert_discreet(&ring.preference_list("key"));
    assert_discreet(&loads.assign(&ring, "key").unwrap());
    assert_discreet(&loads);
    assert_discreet(&Change::Add(node.clone()));
    assert_discreet(&Change::Replace(node.clone()));
    assert_discreet(&ring.apply([Change::Add(node)]).unwrap_err());
    assert_discreet(&ring.balance());
    assert_discreet(&ring.replicas("key", 2, tripod::ring::ZonePolicy::Any));
}

#[test]
fn ids_are_found_in_maps_by_their_text() {
    let hashed: HashMap<NodeId, u8> = [(NodeId::new("a").unwrap(), 1)].into();
    let sorted: BTreeMap<NodeId, u8> = [(NodeId::new("ü").unwrap(), 2)].into();
    assert_eq!((hashed.get("a"), sorted.get("ü")), (Some(&1), Some(&2)));
}

#[test]
fn errors_say_what_is_wrong_and_lead_to_their_cause() {
    let heavy = Node::new("heavy").unwrap().with_weight(u32::MAX);
    let ring = HashRing::builder().build().unwrap();
    let shared = SharedRing::new(ring);
    let error = shared.apply_at(0, [Change::Add(heavy)]).unwrap_err();
    let mut causes = Vec::new();
    let mut next: Option<&dyn Error> = Some(&error);
    while let Some(error) = next {
        causes.push(error.to_string());
        next = error.source();
    }
    assert_eq!(causes.len(), 3, "{causes:?}");
    let wanted = (u64::from(u32::MAX) * 160).to_string();
    assert!(causes[2].contains(&wanted), "{causes:?}");
    // Each says its own part only, so that a report of the chain does not repeat itself.
    assert!(!causes[0].contains(&wanted) && !causes[1].contains(&wanted));
}

#[test]
fn a_clone_is_the_same_ring() {
    let ring = HashRing::builder()
        .nodes(["a", "b"].map(|id| Node::new(id).unwrap()))
        .build()
        .unwrap();
    let clone = ring.clone();
    assert!(std::ptr::eq(
        ring.node("a").unwrap(),
        clone.node("a").unwrap()
    ));
    let grown = clone.apply([Change::Add(Node::new("c").unwrap())]).unwrap();
    assert_eq!((ring.len(), clone.len(), grown.len()), (2, 2, 3));
    // Nodes that stay are shared between the epochs, payload and all.
    assert!(std::ptr::eq(
        ring.node("a").unwrap(),
        grown.node("a").unwrap()
    ));
}

#[test]
fn an_index_takes_few_bytes_a_point() {
    let nodes = (0..100).map(|n| Node::new(format!("n{n}")).unwrap());
    let ring = HashRing::builder().nodes(nodes).build().unwrap();
    assert!(ring.index_bytes() <= 80 * ring.points());
}

#[test]
fn a_payload_needs_no_traits() {
    struct Connection;
    let nodes = ["a", "b"].map(|id| Node::new(id).unwrap().with_payload(Connection));
    let ring = HashRing::builder().nodes(nodes).build().unwrap();
    let ring = ring
        .apply([Change::SetWeight("a".try_into().unwrap(), 2)])
        .unwrap();
    assert_eq!(ring.node("a").unwrap().weight(), 2);
    assert!(format!("{:?}", ring.preference_list("k")).len() < 200);
}
