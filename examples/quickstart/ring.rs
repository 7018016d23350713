//! The ring: owners, replicas, shares, and what moves when nodes come and go.

use std::error::Error;

use tripod::ring::{Change, HashRing, Node, NodeId, ZonePolicy, diff};

const KEYS: [&str; 5] = [
    "user:ada@example.org",
    "cart:88121",
    "session:5f2c9e07",
    "/img/2024/harbour.webp",
    "invoice:DE-10443",
];

/// A node's payload is yours: here, the address to connect to.
type Ring = HashRing<&'static str>;

pub(crate) fn tour() -> Result<(), Box<dyn Error + Send + Sync>> {
    let ring: Ring = HashRing::builder()
        .nodes([
            node("cache-1", "eu-a", "10.0.1.1:6379")?,
            node("cache-2", "eu-b", "10.0.2.1:6379")?,
            node("cache-3", "eu-c", "10.0.3.1:6379")?,
            node("cache-4", "eu-a", "10.0.1.2:6379")?,
            node("cache-5", "eu-b", "10.0.2.2:6379")?.with_weight(2),
        ])
        .build()?;
    println!(
        "A ring of {} nodes in 3 zones. Nodes and keys are hashed to points on a circle;\n\
         a key belongs to the first node clockwise from it. Each node has 160 points for\n\
         each unit of its weight.",
        ring.len()
    );

    who_owns_what(&ring)?;
    println!("\nThe share of all possible keys, exactly (\"of due\": against the weight)");
    println!("{}", ring.balance());

    println!(
        "\nNodes come and go, and few keys move (hash % nodes would move 80% and more);\n\
         ideal is the newcomer's or the leaver's part of the weight"
    );
    let grown = ring.apply([Change::Add(node("cache-6", "eu-c", "10.0.3.2:6379")?)])?;
    what_moves("cache-6 joins", &ring, &grown)?;
    let shrunk = ring.apply([Change::Remove(NodeId::new("cache-2")?)])?;
    what_moves("cache-2 leaves", &ring, &shrunk)?;

    while_a_node_is_down(&ring, "cache-1");
    Ok(())
}

fn node(
    id: &str,
    zone: &str,
    address: &'static str,
) -> Result<Node<&'static str>, Box<dyn Error + Send + Sync>> {
    Ok(Node::new(id)?.with_zone(zone).with_payload(address))
}

fn who_owns_what(ring: &Ring) -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("\n{:<24}{:<26}three replicas, a zone each", "key", "owner");
    for key in KEYS {
        let owner = ring.owner(key).ok_or("no node owns keys")?;
        let address = format!("{} at {}", owner.id(), owner.payload());
        let replicas = ring.replicas(key, 3, ZonePolicy::Spread)?;
        let replicas: Vec<&str> = replicas.iter().map(|node| node.id().as_str()).collect();
        println!("{key:<24}{address:<26}{}", replicas.join(", "));
    }
    Ok(())
}

/// Counts the moved keys among many, adds up the ranges that move, and compares both with the
/// least that has to move for the new shares by weight.
fn what_moves(event: &str, old: &Ring, new: &Ring) -> Result<(), Box<dyn Error + Send + Sync>> {
    const MANY: u32 = 100_000;
    let owner = |ring: &Ring, key: &str| ring.owner(key).map(|node| node.id().clone());
    let moved = (0..MANY)
        .map(|user| format!("user:{user}"))
        .filter(|key| owner(old, key) != owner(new, key))
        .count();

    let ranges = diff(old, new, 1, ZonePolicy::Any)?;
    let exact = fraction(ranges.iter().map(|moved| moved.range().hashes()).sum());

    let weight = |ring: &Ring| {
        ring.nodes()
            .map(|node| f64::from(node.weight()))
            .sum::<f64>()
    };
    let (before, after) = (weight(old), weight(new));
    let ideal = (after - before).abs() / after.max(before);
    println!(
        "  {event:<16}{moved} of {MANY} keys; exactly {:.2}% in {} ranges; ideal {:.2}%",
        exact * 100.0,
        ranges.len(),
        ideal * 100.0
    );
    Ok(())
}

/// The ring stays as it is; lookups skip the node.
fn while_a_node_is_down(ring: &Ring, down: &str) {
    println!("\nWhile {down} is down, its keys go to the next node; the others stay");
    for key in KEYS {
        let owner = ring.owner(key);
        let stand_in = ring.owner_excluding(key, |node| node.id().as_str() == down);
        if let (Some(owner), Some(stand_in)) = (owner, stand_in) {
            let note = if owner.id() == stand_in.id() {
                "stays on"
            } else {
                "goes to"
            };
            println!("  {key:<24}{note:<10}{}", stand_in.id());
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "printed with four digits")]
fn fraction(hashes: u128) -> f64 {
    hashes as f64 / (1_u128 << 64) as f64
}
