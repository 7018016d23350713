//! `cargo bench --bench ring`: lookups, changes and memory of the ring, as ratios to what bounds
//! them, measured in the same run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::semicolon_if_nothing_returned,
    reason = "a bench may stop, and its figures are for people"
)]

mod medians;

use std::hint::black_box;

use criterion::{Bencher, BenchmarkId, Criterion, Throughput};
use medians::Medians;
use sha2::{Digest, Sha256};
use tripod::ring::{
    Allocated, BoundedLoads, Change, HashRing, LoadFactor, Node, Placement, Sha256V1, Xxh3V1,
    ZonePolicy, diff,
};
use xxhash_rust::xxh3::xxh3_64;

const KEYS: usize = 500_000;
const SIZES: [u32; 3] = [10, 100, 1000];
const VNODES: usize = 160;
const BATCH: usize = 64;

/// A small generator with a fixed seed (splitmix64), so that every run measures the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Distinct keys in random order: an odd multiplier permutes the numbers below 2^30.
fn keys() -> Vec<String> {
    (0..KEYS as u64)
        .map(|i| format!("user:{:09}", i.wrapping_mul(0x2545_f491) & 0x3fff_ffff))
        .collect()
}

fn nodes(count: u32) -> Vec<Node> {
    (0..count)
        .map(|i| Node::new(format!("node-{i}")).unwrap())
        .collect()
}

fn ring<P: Placement + Clone>(placement: P, count: u32) -> HashRing<(), P> {
    HashRing::builder_with(placement)
        .nodes(nodes(count))
        .build()
        .unwrap()
}

/// Looks every key up, one after another.
fn each<R>(b: &mut Bencher<'_>, keys: &[String], lookup: impl Fn(&String) -> R) {
    b.iter(|| {
        for key in keys {
            black_box(lookup(key));
        }
    });
}

/// Looks the keys up in batches.
fn batches<P: Placement>(b: &mut Bencher<'_>, keys: &[String], ring: &HashRing<(), P>) {
    let mut owners = Vec::with_capacity(BATCH);
    b.iter(|| {
        for keys in keys.chunks(BATCH) {
            owners.clear();
            ring.owners(keys, &mut owners);
            black_box(&owners);
        }
    });
}

/// A read at random, wherever the hash says.
fn read(table: &[u64], hash: u64) -> u64 {
    // The high half of the product scales the hash to the table's length.
    table[((u128::from(hash) * table.len() as u128) >> 64) as usize]
}

fn first_eight(digest: &[u8]) -> u64 {
    u64::from_be_bytes(digest[..8].try_into().unwrap())
}

fn lookups(c: &mut Criterion) {
    let keys = keys();
    let mut group = c.benchmark_group("ring_lookup");
    group.throughput(Throughput::Elements(KEYS as u64));
    for size in SIZES {
        let id = |name: &str| BenchmarkId::new(name, format!("{size}x{VNODES}"));
        let (xxh3, sha256) = (ring(Xxh3V1, size), ring(Sha256V1, size));
        let mut random = Random(u64::from(size));
        let table: Vec<u64> = (0..xxh3.points()).map(|_| random.next()).collect();
        group.bench_function(id("hash_xxh3"), |b| {
            each(b, &keys, |key| xxh3_64(key.as_bytes()))
        });
        group.bench_function(id("limit"), |b| {
            each(b, &keys, |key| read(&table, xxh3_64(key.as_bytes())));
        });
        group.bench_function(id("xxh3"), |b| each(b, &keys, |key| xxh3.owner(key)));
        group.bench_function(id("xxh3_batch"), |b| batches(b, &keys, &xxh3));
        group.bench_function(id("hash_sha256"), |b| {
            each(b, &keys, |key| first_eight(&Sha256::digest(key.as_bytes())));
        });
        group.bench_function(id("limit_sha256"), |b| {
            each(b, &keys, |key| {
                read(&table, first_eight(&Sha256::digest(key.as_bytes())))
            });
        });
        group.bench_function(id("sha256"), |b| each(b, &keys, |key| sha256.owner(key)));
        group.bench_function(id("sha256_batch"), |b| batches(b, &keys, &sha256));
    }
}

/// The hashing and sorting that building a `sha256-v1` ring cannot do without.
fn hash_and_sort(nodes: &[Node]) -> Vec<(u64, u32)> {
    let mut points = Vec::with_capacity(nodes.len() * VNODES);
    for (number, node) in (0..).zip(nodes) {
        let id = node.id().as_str().as_bytes();
        let label = Sha256::new()
            .chain_update((id.len() as u64).to_be_bytes())
            .chain_update(id);
        for block in 0..VNODES as u64 / 4 {
            let digest = label.clone().chain_update(block.to_be_bytes()).finalize();
            for bytes in digest.chunks_exact(8) {
                points.push((u64::from_be_bytes(bytes.try_into().unwrap()), number));
            }
        }
    }
    points.sort_unstable();
    points
}

fn changes(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring_change");
    let id = |name: &str| BenchmarkId::new(name, "1000x160");
    let nodes = nodes(1000);
    let old = ring(Sha256V1, 1000);
    let newcomer = Node::new("newcomer").unwrap();
    let new = old.apply([Change::Add(newcomer.clone())]).unwrap();
    let leaver = nodes[500].id().clone();
    group.bench_function(id("hash_and_sort"), |b| {
        b.iter(|| hash_and_sort(black_box(&nodes)))
    });
    group.bench_function(id("build"), |b| {
        b.iter(|| {
            HashRing::builder()
                .nodes(black_box(&nodes).iter().cloned())
                .build()
                .unwrap()
        });
    });
    group.bench_function(id("add"), |b| {
        b.iter(|| {
            old.apply([Change::Add(black_box(&newcomer).clone())])
                .unwrap()
        });
    });
    group.bench_function(id("remove"), |b| {
        b.iter(|| {
            old.apply([Change::Remove(black_box(&leaver).clone())])
                .unwrap()
        });
    });
    group.bench_function(id("diff"), |b| {
        b.iter(|| diff(&old, &new, 1, ZonePolicy::Any).unwrap())
    });
    group.bench_function(id("diff_3_replicas"), |b| {
        b.iter(|| diff(&old, &new, 3, ZonePolicy::Any).unwrap())
    });
}

fn other_lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring_other");
    let id = |name: &str| BenchmarkId::new(name, "100x160");
    let ring = ring(Xxh3V1, 100);
    let loads = BoundedLoads::new(LoadFactor::default());
    let keys: Vec<String> = keys().into_iter().take(4096).collect();
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function(id("owner"), |b| each(b, &keys, |key| ring.owner(key)));
    group.bench_function(id("replicas_3"), |b| {
        each(b, &keys, |key| ring.replicas(key, 3, ZonePolicy::Any));
    });
    group.bench_function(id("bounded_assign"), |b| {
        each(b, &keys, |key| loads.assign(&ring, key))
    });
}

fn report(medians: &Medians) {
    println!("\nratios of medians of this run");
    for size in SIZES {
        let value = format!("{size}x{VNODES}");
        let target = if size == 1000 {
            "target: at most 3.0"
        } else {
            "target: at most 2.0"
        };
        let within = |functions, target| medians.ratio("ring_lookup", &value, functions, target);
        within(["xxh3", "limit"], target);
        within(["xxh3_batch", "limit"], "no target");
        within(["sha256", "hash_sha256"], "target: at most 1.25");
        within(["sha256_batch", "hash_sha256"], "no target");
        within(["limit_sha256", "hash_sha256"], "one random read, no ring");
    }
    let change = |functions, target| medians.ratio("ring_change", "1000x160", functions, target);
    change(["build", "hash_and_sort"], "target: at most 2");
    change(["build", "add"], "target: at least 20");
    change(["build", "remove"], "no target");
    change(["build", "diff"], "no target");
    change(["build", "diff_3_replicas"], "no target");
    println!("\nmemory of points and table");
    for (size, target) in [
        (10, "no target"),
        (100, "target: at most 80"),
        (1000, "target: at most 32"),
    ] {
        let ring = ring(Sha256V1, size);
        let each = ring.index_bytes() as f64 / ring.points() as f64;
        println!("{size:>5}x{VNODES}  {each:.1} bytes a point ({target})");
    }
    println!("\npeak-to-average of equal nodes: random points, allocated points");
    for size in SIZES {
        let allocated = ring(Allocated::new(Sha256V1), size)
            .balance()
            .peak_to_average()
            .unwrap();
        let random = ring(Sha256V1, size).balance().peak_to_average().unwrap();
        println!("{size:>5} nodes  {random:.3} at 160 vnodes, {allocated:.3} at 16 vnodes");
    }
}

fn main() {
    let medians = Medians::of("ring");
    let mut criterion = medians.criterion();
    lookups(&mut criterion);
    changes(&mut criterion);
    other_lookups(&mut criterion);
    criterion.final_summary();
    report(&medians);
}
