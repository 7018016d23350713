//! Lookups of the same keys through other crates beside ours, in one run:
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`
//!
//! Each keeps its own hash, as its users would have it. The rounds alternate between the crates,
//! so that a machine that slows down slows all of them down; medians are printed.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use tripod::ring::{HashRing, Node, Placement, Sha256V1, Xxh3V1};

const KEYS: u64 = 500_000;
const VNODES: u32 = 160;
const ROUNDS: usize = 21;

/// Some crates keep the type of their keys, lifetime included.
type Keys = &'static [String];

/// A ring by its name, and a lookup of every key.
struct Peer {
    name: &'static str,
    is_ring: bool,
    run: Box<dyn Fn(Keys)>,
    nanos: Vec<f64>,
}

fn peer(name: &'static str, is_ring: bool, run: impl Fn(Keys) + 'static) -> Peer {
    Peer {
        name,
        is_ring,
        run: Box::new(run),
        nanos: Vec::new(),
    }
}

/// Looks every key up, one after another.
fn each<R>(keys: Keys, lookup: impl Fn(&'static String) -> R) {
    for key in keys {
        black_box(lookup(key));
    }
}

fn main() {
    // An odd multiplier permutes the numbers below 2^30: distinct keys in random order.
    let key = |i: u64| format!("user:{:09}", i.wrapping_mul(0x2545_f491) & 0x3fff_ffff);
    let keys: Keys = (0..KEYS).map(key).collect::<Vec<_>>().leak();
    for nodes in [10, 100, 1000] {
        let mut peers = peers(nodes);
        for _ in 0..ROUNDS {
            for peer in &mut peers {
                let start = Instant::now();
                (peer.run)(keys);
                peer.nanos
                    .push(start.elapsed().as_nanos() as f64 / KEYS as f64);
            }
        }
        report(nodes, &mut peers);
    }
}

fn peers(nodes: u32) -> Vec<Peer> {
    vec![
        ours("tripod xxh3-v1", Xxh3V1, nodes),
        ours("tripod sha256-v1", Sha256V1, nodes),
        pingora(nodes),
        hashring(nodes),
        consistent_hash_ring(nodes),
        anchorhash(nodes),
        jumphash(nodes),
    ]
}

fn name(node: u32) -> String {
    format!("node-{node}")
}

fn ours<P: Placement + Clone>(label: &'static str, placement: P, nodes: u32) -> Peer {
    let nodes = (0..nodes).map(|node| Node::new(name(node)).expect("a name"));
    let ring = HashRing::builder_with(placement)
        .nodes(nodes)
        .build()
        .expect("a ring");
    peer(label, true, move |keys| each(keys, |key| ring.owner(key)))
}

fn pingora(nodes: u32) -> Peer {
    // One bucket of weight 1 has 160 points.
    let address = |node| SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + node), 80));
    let buckets: Vec<_> = (0..nodes)
        .map(|node| pingora_ketama::Bucket::new(address(node), 1))
        .collect();
    let ring = pingora_ketama::Continuum::new(&buckets);
    peer("pingora-ketama", true, move |keys| {
        each(keys, |key| ring.node(key.as_bytes()))
    })
}

fn hashring(nodes: u32) -> Peer {
    // It has no vnodes of its own: each is a member.
    let mut ring = hashring::HashRing::new();
    ring.batch_add(
        (0..nodes)
            .flat_map(|node| (0..VNODES).map(move |vnode| (node, vnode)))
            .collect(),
    );
    peer("hashring", true, move |keys| {
        each(keys, |key| ring.get(key))
    })
}

fn consistent_hash_ring(nodes: u32) -> Peer {
    let ring = consistent_hash_ring::RingBuilder::default()
        .vnodes(VNODES as usize)
        .nodes_iter((0..nodes).map(name))
        .build();
    peer("consistent_hash_ring", true, move |keys| {
        each(keys, |key| ring.get(key))
    })
}

fn anchorhash(nodes: u32) -> Peer {
    let capacity = u16::try_from(nodes).expect("at most 65,535 nodes");
    let anchor = anchorhash::Builder::default()
        .with_resources((0..nodes).map(name))
        .build(capacity);
    peer("anchorhash", false, move |keys| {
        each(keys, |key| anchor.get_resource(key.as_str()))
    })
}

fn jumphash(nodes: u32) -> Peer {
    let jump = jumphash::JumpHasher::new();
    peer("jumphash", false, move |keys| {
        each(keys, |key| jump.slot(key, nodes))
    })
}

fn report(nodes: u32, peers: &mut [Peer]) {
    for peer in &mut *peers {
        peer.nanos.sort_by(f64::total_cmp);
    }
    let median = |peer: &Peer| peer.nanos[ROUNDS / 2];
    let ours = median(&peers[0]);
    println!("\n{nodes} nodes x {VNODES} vnodes, {KEYS} keys, median of {ROUNDS}");
    println!("{:<22} {:>9} {:>14}", "", "ns/lookup", "x tripod xxh3");
    for peer in &*peers {
        let kind = if peer.is_ring {
            ""
        } else {
            "  (not a ring: no weights, no chosen names)"
        };
        println!(
            "{:<22} {:>9.1} {:>14.2}{kind}",
            peer.name,
            median(peer),
            median(peer) / ours
        );
    }
    let others = peers.iter().skip(2).filter(|peer| peer.is_ring).map(median);
    let fastest = others.fold(f64::INFINITY, f64::min);
    println!(
        "the fastest other ring takes {:.1} times as long",
        fastest / ours
    );
}
