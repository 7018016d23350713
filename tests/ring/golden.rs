//! Frozen vectors: what is in `golden/` stays, or it is a breaking release.
//!
//! To write the files anew, run the tests with `TRIPOD_BLESS=1`.

use std::fmt::Write;
use std::fs;

use tripod::ring::{Allocated, Change, HashRing, Node, Placement, Sha256V1, Xxh3V1};

use crate::oracle::{
    Members, Oracle, Rule, build, id, node, nodes, sha256_hash, sha256_points, xxh3_points,
};

/// Name, vnodes for each unit of weight, and nodes with their weights.
type Config = (&'static str, u32, &'static [(&'static str, u32)]);

const CONFIGS: [Config; 4] = [
    ("three", 160, &[("node-1", 1), ("node-2", 1), ("node-3", 1)]),
    (
        "weights",
        40,
        &[("a", 1), ("a1", 2), ("a11", 5), ("drained", 0)],
    ),
    (
        "unicode",
        7,
        &[("größe", 1), ("日本語", 2), ("🦀", 1), ("e\u{301}", 1)],
    ),
    ("single", 1, &[("only", 1)]),
];

fn members(config: &Config) -> Members {
    let pairs = config.2.iter();
    pairs
        .map(|(id, weight)| ((*id).to_owned(), (*weight, None)))
        .collect()
}

/// Short and long, text and not.
fn keys() -> Vec<Vec<u8>> {
    let text = (0..40).map(|n| format!("user:{n}").into_bytes());
    let bytes = (0..12_u8).map(|n| vec![n.wrapping_mul(37); usize::from(n) * 21]);
    let odd = [
        "",
        "\0",
        "a",
        "schlüssel",
        "鍵",
        "🔑",
        "with space\ttab\n",
        "A",
    ];
    text.chain(bytes)
        .chain(odd.map(|key| key.as_bytes().to_vec()))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A ring as lines: its fingerprint, some points, and the owner of each key.
fn lines<P: Placement>(name: &str, ring: &HashRing<(), P>, out: &mut String) {
    writeln!(out, "{name}\tfingerprint\t{}", ring.fingerprint()).unwrap();
    let step = ring.points().div_ceil(12);
    for (at, (point, node)) in ring.vnodes().enumerate().step_by(step) {
        writeln!(out, "{name}\tpoint {at}\t{point:016x}\t{}", node.id()).unwrap();
    }
    for key in keys() {
        let owner = ring.owner(&key).unwrap();
        let hash = ring.hash(&key);
        writeln!(
            out,
            "{name}\tkey {}\t{hash:016x}\t{}",
            hex(&key),
            owner.id()
        )
        .unwrap();
    }
}

fn assert_golden(file: &str, found: &str) {
    let path = format!("{}/tests/ring/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TRIPOD_BLESS").is_some_and(|bless| bless == "1") {
        fs::write(&path, found).unwrap();
        panic!("{file} is written anew: look at the difference, and run again without blessing");
    }
    let frozen = fs::read_to_string(&path).unwrap();
    for (frozen, found) in frozen.lines().zip(found.lines()) {
        assert_eq!(found, frozen, "{file}");
    }
    assert_eq!(found.lines().count(), frozen.lines().count(), "{file}");
}

fn text<P: Placement + Clone>(placement: &P) -> String {
    let mut out = String::new();
    for config in &CONFIGS {
        let ring = build(placement.clone(), config.1, nodes(&members(config)));
        lines(config.0, &ring, &mut out);
    }
    out
}

fn assert_by_hand<P: Placement + Clone>(placement: &P, rule: Rule, hash: fn(&[u8]) -> u64) {
    for config in &CONFIGS {
        let members = members(config);
        let ring = build(placement.clone(), config.1, nodes(&members));
        let oracle = Oracle::by_hand(&members, config.1, rule);
        assert_eq!(Oracle::of(&ring), oracle);
        for key in keys() {
            let owner = ring.owner(&key).map(Node::id);
            assert_eq!(
                owner.map(tripod::ring::NodeId::as_str),
                oracle.owner(hash(&key))
            );
        }
    }
}

#[test]
fn sha256_v1_places_as_it_always_has() {
    assert_golden("sha256-v1.tsv", &text(&Sha256V1));
}

#[test]
fn xxh3_v1_places_as_it_always_has() {
    assert_golden("xxh3-v1.tsv", &text(&Xxh3V1));
}

#[test]
fn allocated_v1_places_as_it_always_has() {
    let allocated = Allocated::new(Sha256V1);
    let mut out = text(&allocated);
    // A history: it is the order of the changes that counts.
    let mut ring = build(allocated, 8, ["z", "y"].map(|id| node(id, 1, None)));
    for change in [
        Change::Add(node("m", 2, None)),
        Change::Remove(id("z")),
        Change::Add(node("b", 1, None)),
        Change::SetWeight(id("m"), 1),
        Change::Add(node("z", 3, None)),
    ] {
        ring = ring.apply([change]).unwrap();
    }
    lines("history", &ring, &mut out);
    assert_golden("allocated-v1.tsv", &out);
}

#[test]
fn sha256_v1_is_what_its_documentation_says() {
    assert_by_hand(&Sha256V1, sha256_points, sha256_hash);
}

#[test]
fn xxh3_v1_is_what_its_documentation_says() {
    assert_by_hand(&Xxh3V1, xxh3_points, xxhash_rust::xxh3::xxh3_64);
}

#[test]
fn a_published_digest_is_the_point_of_its_key() {
    // FIPS 180's examples: SHA-256 of "abc" and of nothing.
    let ring = build(Sha256V1, 1, []);
    assert_eq!(ring.hash("abc"), 0xba78_16bf_8f01_cfea);
    assert_eq!(ring.hash(""), 0xe3b0_c442_98fc_1c14);
    // XXH3's specification gives its 64 bits of nothing.
    assert_eq!(build(Xxh3V1, 1, []).hash(""), 0x2d06_8005_38d3_94c2);
}
