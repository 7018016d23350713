//! `cargo bench --bench ring`: lookups, changes and memory of the ring, as ratios to what bounds
//! them, measured in the same run.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench may stop, and prints"
)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use sha2::{Digest, Sha256};
use tripod::ring::{
    Allocated, BoundedLoads, Change, HashRing, LoadFactor, Node, Placement, Sha256V1, Xxh3V1,
    ZonePolicy, diff,
};
use xxhash_rust::xxh3::xxh3_64;

const KEYS: usize = 500_000;
const SIZES: [u32; 3] = [10, 100, 1000];
const VNODES: usize = 160;

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
            b.iter(|| {
                keys.iter()
                    .for_each(|key| drop(black_box(xxh3_64(key.as_bytes()))))
            });
        });
        group.bench_function(id("limit"), |b| {
            b.iter(|| {
                for key in &keys {
                    // The high half of the product scales the hash to the table's length.
                    let at = (u128::from(xxh3_64(key.as_bytes())) * table.len() as u128) >> 64;
                    black_box(table.get(at as usize));
                    black_box(table[at as usize]);
                }
            });
        });
        group.bench_function(id("xxh3"), |b| {
            b.iter(|| keys.iter().for_each(|key| drop(black_box(xxh3.owner(key)))));
        });
        group.bench_function(id("xxh3_batch"), |b| {
            let mut owners = Vec::with_capacity(64);
            b.iter(|| {
                for keys in keys.chunks(64) {
                    owners.clear();
                    xxh3.owners(keys, &mut owners);
                    black_box(&owners);
                }
            });
        });
        group.bench_function(id("hash_sha256"), |b| {
            b.iter(|| {
                keys.iter()
                    .for_each(|key| drop(black_box(Sha256::digest(key.as_bytes()))))
            });
        });
        group.bench_function(id("sha256"), |b| {
            b.iter(|| {
                keys.iter()
                    .for_each(|key| drop(black_box(sha256.owner(key))))
            });
        });
    }
}

fn main() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    let mut criterion = Criterion::default()
        .output_directory(&dir)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    lookups(&mut criterion);
    criterion.final_summary();
    for size in SIZES {
        let r = ring(Xxh3V1, size);
        println!(
            "{size}: {:.1} bytes/pt",
            r.index_bytes() as f64 / r.points() as f64
        );
    }
}
