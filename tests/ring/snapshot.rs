//! Bytes from outside: a whole ring, or a typed error; never a panic, never half a ring.

use std::num::NonZeroU32;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tripod::ring::{
    Allocated, ChangeError, HashRing, Node, PlacementError, SNAPSHOT_VERSION, Sha256V1,
    SnapshotError, Xxh3V1,
};

use crate::oracle::{Oracle, assert_owners, build, cases, id, members, node, nodes};
use crate::placements::Tiny;

fn ring() -> HashRing {
    let nodes = [
        node("a", 1, None),
        node("bé", 2, Some("zone")),
        node("c", 0, Some("")),
    ];
    let ring = build(Sha256V1, 3, nodes);
    ring.apply([]).unwrap()
}

/// Bytes with the checksum made right again: what a forger would send.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let checksum = Sha256::digest(&body);
    body.extend(checksum);
    body
}

fn unsealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - 32);
    bytes
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_be_bytes());
    out.extend(text.as_bytes());
}

/// A snapshot's beginning, up to the number of nodes, as the documentation words it.
fn head(placement: &str, epoch: u64, vnodes: u32, nodes: u32) -> Vec<u8> {
    let mut out = b"tripring".to_vec();
    out.extend(1_u16.to_be_bytes());
    out.extend(epoch.to_be_bytes());
    text(&mut out, placement);
    out.extend(vnodes.to_be_bytes());
    out.extend(nodes.to_be_bytes());
    out
}

fn put_node(out: &mut Vec<u8>, id: &str, weight: u32, zone: Option<&str>, payload: &str) {
    text(out, id);
    out.extend(weight.to_be_bytes());
    out.push(u8::from(zone.is_some()));
    if let Some(zone) = zone {
        text(out, zone);
    }
    text(out, payload);
}

fn damaged(body: Vec<u8>) {
    let found = HashRing::decode(&sealed(body), Sha256V1).unwrap_err();
    assert_eq!(found, SnapshotError::Damaged);
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_ring_survives_the_round_trip(members in members(8), epochs in 0_u64..4) {
        let mut ring = build(Tiny, 3, nodes(&members));
        for _ in 0..epochs {
            ring = ring.apply([]).unwrap();
        }
        let decoded = HashRing::decode(&ring.encode(), Tiny).unwrap();
        prop_assert_eq!(decoded.fingerprint(), ring.fingerprint());
        prop_assert_eq!(decoded.epoch(), epochs);
        prop_assert!(decoded.nodes().eq(ring.nodes()));
        prop_assert_eq!(decoded.vnodes_per_weight(), ring.vnodes_per_weight());
        assert_owners(&decoded, &Oracle::of(&ring));
        prop_assert_eq!(decoded.encode(), ring.encode());
    }

    #[test]
    fn arbitrary_bytes_are_never_a_ring(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(HashRing::decode(&bytes, Sha256V1).is_err());
        prop_assert!(HashRing::decode(&bytes, Allocated::new(Sha256V1)).is_err());
    }

    #[test]
    fn arbitrary_bytes_under_a_right_checksum_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        keep in any::<prop::sample::Index>(),
        history in any::<bool>(),
    ) {
        let whole = if history {
            unsealed(build(Allocated::new(Sha256V1), 2, [node("a", 1, None)]).encode())
        } else {
            unsealed(ring().encode())
        };
        let mut body = whole[..keep.index(whole.len())].to_vec();
        body.extend(bytes);
        if history {
            let _ = HashRing::decode(&sealed(body), Allocated::new(Sha256V1));
        } else {
            let _ = HashRing::decode(&sealed(body), Sha256V1);
        }
    }

    #[test]
    fn a_flipped_byte_under_a_right_checksum_never_panics(
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let allocated = Allocated::new(Sha256V1);
        let mut body = unsealed(build(allocated, 3, ["a", "b"].map(|id| node(id, 1, None))).encode());
        let at = at.index(body.len());
        body[at] ^= flip;
        if let Ok(ring) = HashRing::decode(&sealed(body), allocated) {
            // Only the epoch is outside of the fingerprint.
            prop_assert_ne!(ring.epoch(), 0);
            let _ = ring.apply([tripod::ring::Change::Add(node("new", 1, None))]);
        }
    }
}

#[test]
fn payloads_survive_the_round_trip() {
    let nodes = [("a", 7_u16), ("b", 900)];
    let nodes = nodes.map(|(id, payload)| node(id, 1, None).with_payload(payload));
    let ring = HashRing::builder().nodes(nodes).build().unwrap();
    let bytes = ring.encode_with(|payload| payload.to_be_bytes().to_vec());
    let read = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.try_into().ok()?));
    let decoded = HashRing::decode_with(&bytes, Sha256V1, read).unwrap();
    assert!(decoded.nodes().eq(ring.nodes()));
    let refuse = |bytes: &[u8]| read(bytes).filter(|payload| *payload < 10);
    let refused = HashRing::decode_with(&bytes, Sha256V1, refuse).unwrap_err();
    assert_eq!(refused, SnapshotError::Payload { id: id("b") });
    // A ring with payloads is not taken for one without.
    let refused = HashRing::decode(&bytes, Sha256V1).unwrap_err();
    assert_eq!(refused, SnapshotError::Payload { id: id("a") });
}

#[test]
fn every_truncation_is_an_error() {
    let allocated = build(
        Allocated::new(Sha256V1),
        2,
        ["a", "b"].map(|id| node(id, 1, None)),
    );
    for bytes in [ring().encode(), allocated.encode()] {
        for len in 0..bytes.len() {
            let found = HashRing::decode(&bytes[..len], Sha256V1).unwrap_err();
            let expected = if len < 8 {
                SnapshotError::Foreign
            } else {
                SnapshotError::Damaged
            };
            assert_eq!(found, expected, "cut at {len}");
        }
    }
}

#[test]
fn every_flipped_byte_is_an_error() {
    let bytes = ring().encode();
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut flipped = bytes.clone();
            flipped[at] ^= flip;
            let found = HashRing::decode(&flipped, Sha256V1).unwrap_err();
            match at {
                0..8 => assert_eq!(found, SnapshotError::Foreign),
                8..10 => assert_ne!(found, SnapshotError::Foreign),
                _ => assert_eq!(found, SnapshotError::Damaged, "byte {at}"),
            }
        }
    }
}

#[test]
fn bytes_after_the_end_are_an_error() {
    let bytes = ring().encode();
    for tail in [&[0][..], &[0; 32], &bytes] {
        assert!(HashRing::decode(&[&bytes, tail].concat(), Sha256V1).is_err());
        damaged([&unsealed(bytes.clone()), tail].concat());
    }
}

#[test]
fn every_truncation_under_a_right_checksum_is_an_error() {
    let body = unsealed(ring().encode());
    for len in 10..body.len() {
        damaged(body[..len].to_vec());
    }
}

#[test]
fn foreign_and_newer_bytes_are_told_from_damaged_ones() {
    let decode = |bytes: &[u8]| HashRing::decode(bytes, Sha256V1).unwrap_err();
    assert_eq!(decode(b""), SnapshotError::Foreign);
    assert_eq!(decode(b"{\"nodes\":[]}"), SnapshotError::Foreign);
    let mut bytes = unsealed(ring().encode());
    for found in [SNAPSHOT_VERSION + 1, 0x0100, u16::MAX] {
        bytes[8..10].copy_from_slice(&found.to_be_bytes());
        assert_eq!(decode(&bytes), SnapshotError::Newer { found });
        assert_eq!(
            decode(&sealed(bytes.clone())),
            SnapshotError::Newer { found }
        );
    }
    bytes[8..10].copy_from_slice(&[0, 0]);
    damaged(bytes);
}

#[test]
fn a_snapshot_of_another_placement_is_refused() {
    let mismatch = |expected: &str, found: &str| SnapshotError::PlacementMismatch {
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    let refused = HashRing::decode(&ring().encode(), Xxh3V1).unwrap_err();
    assert_eq!(refused, mismatch("xxh3-v1", "sha256-v1"));
    let allocated = build(Allocated::new(Sha256V1), 2, [node("a", 1, None)]).encode();
    let refused = HashRing::decode(&allocated, Allocated::new(Xxh3V1)).unwrap_err();
    assert_eq!(
        refused,
        mismatch("allocated-v1+xxh3-v1", "allocated-v1+sha256-v1")
    );
}

#[test]
fn the_bytes_are_as_documented() {
    let mut body = head("sha256-v1", 1, 3, 3);
    put_node(&mut body, "a", 1, None, "");
    put_node(&mut body, "bé", 2, Some("zone"), "");
    put_node(&mut body, "c", 0, Some(""), "");
    body.push(0);
    body.extend(ring().fingerprint().as_bytes());
    assert_eq!(ring().encode(), sealed(body));
}

#[test]
fn the_bytes_of_a_history_are_as_documented() {
    let ring = build(
        Allocated::new(Sha256V1),
        2,
        ["a", "b"].map(|id| node(id, 1, None)),
    );
    let mut body = head("allocated-v1+sha256-v1", 0, 2, 2);
    put_node(&mut body, "a", 1, None, "");
    put_node(&mut body, "b", 1, None, "");
    body.push(1);
    body.extend(4_u32.to_be_bytes());
    for (point, node) in ring.vnodes() {
        body.extend(point.to_be_bytes());
        body.extend(u32::from(node.id().as_str() == "b").to_be_bytes());
    }
    body.extend(ring.fingerprint().as_bytes());
    assert_eq!(ring.encode(), sealed(body));
}

#[test]
fn huge_counts_are_refused_though_the_checksum_is_right() {
    damaged(head("sha256-v1", 0, 160, u32::MAX));
    let mut body = head("sha256-v1", 0, 160, 1);
    body.extend(u64::MAX.to_be_bytes());
    damaged(body);
    let mut body = head("sha256-v1", 0, 160, 1);
    body.extend((i64::MAX as u64).to_be_bytes());
    body.extend(b"name");
    damaged(body);
    let mut body = b"tripring\x00\x01".to_vec();
    body.extend([0; 8]);
    body.extend((1_u64 << 62).to_be_bytes());
    damaged(body);

    let mut body = head("allocated-v1+sha256-v1", 0, 16, 0);
    body.push(1);
    body.extend(u32::MAX.to_be_bytes());
    body.extend([0; 64]);
    let found = HashRing::decode(&sealed(body), Allocated::new(Sha256V1)).unwrap_err();
    assert_eq!(found, SnapshotError::Damaged);
}

#[test]
fn huge_weights_are_refused_though_the_checksum_is_right() {
    let mut body = head("sha256-v1", 0, u32::MAX, 1);
    put_node(&mut body, "a", u32::MAX, None, "");
    body.push(0);
    body.extend([0; 32]);
    let found = HashRing::decode(&sealed(body), Sha256V1).unwrap_err();
    let wanted = u64::from(u32::MAX) * u64::from(u32::MAX);
    let refused = ChangeError::Placement(PlacementError::TooManyVnodes { wanted });
    assert_eq!(found, SnapshotError::Change(refused));
}

#[test]
fn forged_nodes_are_refused() {
    damaged(head("sha256-v1", 0, 0, 0));
    let mut empty_id = head("sha256-v1", 0, 1, 1);
    put_node(&mut empty_id, "", 1, None, "");
    damaged(empty_id);
    let mut twice = head("sha256-v1", 0, 1, 2);
    put_node(&mut twice, "a", 1, None, "");
    put_node(&mut twice, "a", 1, None, "");
    twice.push(0);
    twice.extend([0; 32]);
    let found = HashRing::decode(&sealed(twice), Sha256V1).unwrap_err();
    let duplicate = ChangeError::Duplicate { id: id("a") };
    assert_eq!(found, SnapshotError::Change(duplicate));
    let mut odd_flag = head("sha256-v1", 0, 1, 0);
    odd_flag.push(2);
    odd_flag.extend([0; 32]);
    damaged(odd_flag);
    // Points where the placement works them out are as wrong as none where it does not.
    let mut points = head("sha256-v1", 0, 1, 0);
    points.extend([1, 0, 0, 0, 0]);
    points.extend([0; 32]);
    damaged(points);
}

#[test]
fn another_fingerprint_is_a_diverged_ring() {
    let mut body = unsealed(ring().encode());
    *body.last_mut().unwrap() ^= 1;
    let found = HashRing::decode(&sealed(body), Sha256V1).unwrap_err();
    assert_eq!(found, SnapshotError::Diverged);
}

#[test]
fn the_last_epoch_admits_no_change() {
    let mut body = unsealed(ring().encode());
    body[10..18].copy_from_slice(&u64::MAX.to_be_bytes());
    let ring = HashRing::decode(&sealed(body), Sha256V1).unwrap();
    assert_eq!(ring.epoch(), u64::MAX);
    assert_eq!(ring.apply([]).unwrap_err(), ChangeError::LastEpoch);
}

fn history(points: &[(u64, u32)]) -> Result<HashRing<(), Allocated>, SnapshotError> {
    let mut body = head("allocated-v1+sha256-v1", 0, 2, 1);
    put_node(&mut body, "a", 1, None, "");
    body.push(1);
    body.extend(u32::try_from(points.len()).unwrap().to_be_bytes());
    for (point, node) in points {
        body.extend(point.to_be_bytes());
        body.extend(node.to_be_bytes());
    }
    body.extend([0; 32]);
    HashRing::decode(&sealed(body), Allocated::new(Sha256V1))
}

#[test]
fn forged_points_are_refused() {
    let damaged = SnapshotError::Damaged;
    assert_eq!(
        history(&[(2, 0), (1, 0)]).unwrap_err(),
        damaged,
        "not sorted"
    );
    assert_eq!(
        history(&[(1, 0), (2, 1)]).unwrap_err(),
        damaged,
        "a stranger's"
    );
    assert_eq!(
        history(&[(1, u32::MAX)]).unwrap_err(),
        damaged,
        "a stranger's"
    );
    assert_eq!(
        history(&[(1, 0), (2, 0)]).unwrap_err(),
        SnapshotError::Diverged
    );
}

#[test]
fn a_decoded_ring_goes_on_as_the_encoded_one() {
    let nodes: Vec<Node> = ["x", "y"].map(|id| node(id, 2, None)).into();
    let ring = HashRing::builder()
        .vnodes(NonZeroU32::new(9).unwrap())
        .nodes(nodes)
        .build()
        .unwrap();
    let decoded = HashRing::decode(&ring.encode(), Sha256V1).unwrap();
    let change = || [tripod::ring::Change::Add(node("z", 1, None))];
    let (next, decoded_next) = (
        ring.apply(change()).unwrap(),
        decoded.apply(change()).unwrap(),
    );
    assert_eq!(next.encode(), decoded_next.encode());
}
