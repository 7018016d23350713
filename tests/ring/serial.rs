//! `serde`: a ring as a configuration file, written by us or by hand.

use proptest::prelude::*;
use serde_json::{Value, from_value, json, to_value};
use tripod::ring::{
    Allocated, Change, Fingerprint, HashRing, Node, NodeId, Sha256V1, Xxh3V1, ZonePolicy, diff,
};

use crate::oracle::{Oracle, assert_owners, build, cases, id, node};
use crate::placements::Tiny;

fn ring() -> HashRing {
    let nodes = [node("a", 1, None), node("ü", 2, Some("zone"))];
    build(Sha256V1, 5, nodes).apply([]).unwrap()
}

fn refusal(value: Value) -> String {
    from_value::<HashRing>(value).unwrap_err().to_string()
}

#[test]
fn a_ring_survives_the_round_trip_through_json() {
    let text = serde_json::to_string(&ring()).unwrap();
    let read: HashRing = serde_json::from_str(&text).unwrap();
    assert_eq!(read.fingerprint(), ring().fingerprint());
    assert_eq!((read.epoch(), read.vnodes_per_weight().get()), (1, 5));
    assert!(read.nodes().eq(ring().nodes()));
}

#[test]
fn payloads_survive_the_round_trip_through_json() {
    let nodes = ["a", "b"].map(|id| node(id, 1, None).with_payload(format!("{id}:6379")));
    let ring = HashRing::builder().nodes(nodes).build().unwrap();
    let text = serde_json::to_string(&ring).unwrap();
    let read: HashRing<String> = serde_json::from_str(&text).unwrap();
    assert!(read.nodes().eq(ring.nodes()));
}

#[test]
fn a_history_survives_the_round_trip_through_json() {
    let ring = build(
        Allocated::new(Sha256V1),
        4,
        ["a", "b", "c"].map(|id| node(id, 1, None)),
    );
    let ring = ring.apply([Change::Remove(id("a"))]).unwrap();
    let text = serde_json::to_string(&ring).unwrap();
    let read: HashRing<(), Allocated> = serde_json::from_str(&text).unwrap();
    assert_eq!(Oracle::of(&read), Oracle::of(&ring));
    assert_eq!(read.fingerprint(), ring.fingerprint());
}

#[test]
fn a_minimal_configuration_takes_the_defaults() {
    let read: HashRing = from_value(json!({"nodes": [{"id": "a", "payload": null}]})).unwrap();
    let built = build(Sha256V1, 160, [node("a", 1, None)]);
    assert_eq!(read.fingerprint(), built.fingerprint());
    assert_eq!((read.epoch(), read.len()), (0, 1));
    let empty: HashRing = from_value(json!({"nodes": []})).unwrap();
    assert!(empty.is_empty());
}

#[test]
fn a_configuration_may_leave_the_payload_out() {
    let read = from_value::<HashRing>(json!({"nodes": [{"id": "a"}]}));
    assert_eq!(
        read.map(|ring| ring.len())
            .map_err(|error| error.to_string()),
        Ok(1)
    );
}

#[test]
fn a_configuration_may_name_everything_but_points() {
    let value = json!({
        "placement": "xxh3-v1",
        "vnodes_per_weight": 7,
        "epoch": 9,
        "nodes": [{"id": "b", "weight": 3, "zone": "z", "payload": 1}, {"id": "a", "payload": 2}],
    });
    let read: HashRing<u8, Xxh3V1> = from_value(value).unwrap();
    let built = build(Xxh3V1, 7, [node("b", 3, Some("z")), node("a", 1, None)]);
    assert_eq!(read.fingerprint(), built.fingerprint());
    assert_eq!((read.epoch(), *read.node("a").unwrap().payload()), (9, 2));
}

#[test]
fn unknown_fields_are_errors() {
    let node = json!({"id": "a", "payload": null});
    assert!(refusal(json!({"nodes": [node], "vnodes": 3})).contains("vnodes"));
    let node = json!({"id": "a", "payload": null, "wieght": 3});
    assert!(refusal(json!({"nodes": [node]})).contains("wieght"));
    assert!(refusal(json!({})).contains("nodes"));
}

#[test]
fn values_that_make_no_ring_are_errors() {
    let a = || json!({"id": "a", "payload": null});
    assert!(refusal(json!({"nodes": [{"id": "", "payload": null}]})).contains("empty"));
    assert!(refusal(json!({"nodes": [a(), a()]})).contains("ring"));
    assert!(refusal(json!({"nodes": [a()], "placement": "xxh3-v1"})).contains("sha256-v1"));
    assert!(refusal(json!({"nodes": [a()], "points": [[1, 0]]})).contains("points"));
    for (field, value) in [
        ("vnodes_per_weight", json!(0)),
        ("vnodes_per_weight", json!(1_u64 << 32)),
        ("epoch", json!(-1)),
        ("nodes", json!("a")),
        ("fingerprint", json!("abc")),
    ] {
        let mut ring = json!({"nodes": [a()]});
        ring[field] = value;
        assert!(!refusal(ring).is_empty());
    }
    let heavy = json!({"id": "a", "payload": null, "weight": u32::MAX});
    let heavy = json!({"nodes": [heavy], "vnodes_per_weight": u32::MAX});
    assert!(!refusal(heavy).is_empty());
}

#[test]
fn a_wrong_fingerprint_is_an_error() {
    let mut value = to_value(ring()).unwrap();
    value["fingerprint"] = json!("0".repeat(64));
    assert!(refusal(value.clone()).contains("differently"));
    // The right one, for other nodes.
    let mut value = to_value(ring()).unwrap();
    value["nodes"][0]["weight"] = json!(2);
    assert!(!refusal(value).is_empty());
}

#[test]
fn forged_points_are_errors() {
    let forged = |points: Value| {
        let nodes = json!([{"id": "a", "payload": null}]);
        from_value::<HashRing<(), Allocated>>(json!({"nodes": nodes, "points": points}))
    };
    assert!(forged(json!([[1, 0], [2, 0]])).is_ok());
    for points in [
        json!([[2, 0], [1, 0]]),
        json!([[1, 1]]),
        json!([[1]]),
        json!([[-1, 0]]),
    ] {
        assert!(forged(points).is_err());
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn forged_histories_never_panic_later(
        mut points in prop::collection::vec(
            (prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()], 0_u32..3),
            0..12,
        ),
        weights in prop::array::uniform3(0_u32..3),
        joins in prop::collection::vec(prop_oneof![0_u32..4, Just(3000)], 1..4),
    ) {
        points.sort_unstable();
        let nodes: Vec<Value> = ["a", "b", "c"]
            .iter()
            .zip(weights)
            .map(|(id, weight)| json!({"id": id, "weight": weight, "payload": null}))
            .collect();
        let value = json!({"nodes": nodes, "points": points, "vnodes_per_weight": 3});
        let forged = from_value::<HashRing<(), Allocated>>(value);
        // What has no weight must own nothing.
        let drained = |node: u32| weights[node as usize] == 0;
        prop_assert_eq!(forged.is_err(), points.iter().any(|(_, node)| drained(*node)));
        let Ok(mut ring) = forged else { return Ok(()) };
        for (weight, n) in joins.into_iter().zip(0..) {
            let newcomer = format!("new-{n}");
            let next = ring.apply([Change::Add(node(&newcomer, weight, None))]).unwrap();
            assert_owners(&next, &Oracle::of(&next));
            let sum: u128 = next.balance().shares().map(tripod::ring::Share::hashes).sum();
            prop_assert_eq!(sum, if next.points() == 0 { 0 } else { 1 << 64 });
            for moved in diff(&ring, &next, 1, ZonePolicy::Any).unwrap() {
                prop_assert_eq!(moved.to(), Some(&id(&newcomer)));
            }
            ring = next;
        }
    }
}

#[test]
fn fingerprints_are_64_small_hex_digits() {
    let fingerprint = ring().fingerprint();
    let text = to_value(fingerprint).unwrap();
    assert_eq!(text, json!(fingerprint.to_string()));
    assert_eq!(from_value::<Fingerprint>(text).unwrap(), fingerprint);
    let good = fingerprint.to_string();
    let wrong = [
        String::new(),
        good[1..].to_owned(),
        format!("{good}0"),
        format!("{good}00"),
        format!("+{}", &good[1..]),
        format!("g{}", &good[1..]),
        "A".repeat(64),
        "é".repeat(32),
        format!("{}é", &good[1..63]),
    ];
    for text in wrong {
        assert!(from_value::<Fingerprint>(json!(text)).is_err(), "{text}");
    }
}

#[test]
fn ids_are_checked_wherever_they_are_read() {
    assert_eq!(from_value::<NodeId>(json!("a")).unwrap(), id("a"));
    assert!(from_value::<NodeId>(json!("")).is_err());
    assert!(from_value::<NodeId>(json!("x".repeat(NodeId::LEN_MAX + 1))).is_err());
    let read: Node = from_value(json!({"id": "a", "weight": 0, "payload": null})).unwrap();
    assert_eq!(read, node("a", 0, None));
}

#[test]
fn a_placement_of_ones_own_is_read_too() {
    let ring = build(Tiny, 3, ["a", "b"].map(|id| node(id, 1, None)));
    let read: HashRing<(), Tiny> = from_value(to_value(&ring).unwrap()).unwrap();
    assert_eq!(read.fingerprint(), ring.fingerprint());
}

#[test]
fn formats_that_do_not_name_fields_round_trip() {
    let nodes = || [node("a", 1, Some("x")), node("b", 3, None)];
    let ring = HashRing::builder().nodes(nodes()).build().unwrap();
    let bytes = postcard::to_stdvec(&ring).unwrap();
    let same: HashRing = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(same.fingerprint(), ring.fingerprint());

    let with_payload = nodes().map(|node| node.with_payload("10.0.0.1".to_owned()));
    let ring = HashRing::builder_with(Allocated::new(Sha256V1))
        .nodes(with_payload)
        .build()
        .unwrap();
    let bytes = postcard::to_stdvec(&ring).unwrap();
    let same: HashRing<String, Allocated> = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(same.fingerprint(), ring.fingerprint());
    assert!(same.nodes().all(|node| node.payload() == "10.0.0.1"));
}

#[test]
fn a_payload_that_is_missing_is_named() {
    let found = serde_json::from_str::<HashRing<String>>(r#"{"nodes":[{"id":"a"}]}"#).unwrap_err();
    assert!(
        found.to_string().contains("missing field `payload`"),
        "{found}"
    );
}
