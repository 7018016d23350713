//! Consistent hashing with virtual nodes: which node owns a key, and what moves when nodes come
//! and go.
//!
//! Spreading keys over n servers by `hash % n` moves nearly every key when n changes. A
//! consistent-hash ring puts servers and keys on one circle; a key belongs to the first server
//! clockwise, so that a server that comes or goes moves only the keys next to it.
//!
//! ```
//! use tripod::ring::{Change, HashRing, Node};
//!
//! let ring = HashRing::builder()
//!     .nodes([Node::new("a")?, Node::new("b")?, Node::new("c")?.with_weight(2)])
//!     .build()?;
//! let owner = ring.owner("user:17").expect("three nodes own keys");
//!
//! // A node joins. The key stays, or goes to the newcomer; nothing else can happen.
//! let grown = ring.apply([Change::Add(Node::new("d")?)])?;
//! let after = grown.owner("user:17").expect("four nodes own keys");
//! assert!(after.id() == owner.id() || after.id().as_str() == "d");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The parts
//!
//! [`HashRing`] is an immutable value; [`Change`]s give the next one. [`SharedRing`] holds the
//! ring of the day for many threads. A [`Placement`] says where nodes and keys fall. [`diff`]
//! compares two rings, [`Balance`] shows the shares, [`BoundedLoads`] assigns by load in flight.
//! The module does no I/O, has no clock, and needs no runtime.
//!
//! # Guarantees
//!
//! For [`Sha256V1`] and [`Xxh3V1`]:
//!
//! 1. Placement depends on the set of nodes (ids, weights, vnodes per unit of weight), and on
//!    nothing else: not on the order of insertion, the process, the platform or the version.
//!    Equal points of several nodes are all kept, and the least id owns.
//! 2. Adding a node moves keys only to it; removing one moves only its keys; changing a weight
//!    moves only keys of that node, or to it. Skipping nodes
//!    ([`owner_excluding`](HashRing::owner_excluding)) moves only their keys.
//! 3. [`apply`](HashRing::apply) gives the ring that a fresh build of the same nodes would give.
//! 4. Lookups are exact: the answer is that of a linear scan over all points.
//!
//! For every placement: shares add up to exactly 2^64 where any node has points, [`diff`] equals
//! the comparison of every hash, a failed change leaves the ring as it was, and bad input is a
//! typed error. The nginx and ketama placements follow the rules of their program for ties,
//! duplicates and order; the weighted ketama may move keys between any nodes at any change.
//! [`Allocated`] depends on history: its snapshot carries the points, and guarantee 2 holds for
//! additions.
//!
//! # What it does not guarantee
//!
//! - *Even load.* With random points the spread of a node's share is about 1/√vnodes: expect the
//!   busiest of 100 equal nodes some 25 % above the average at 160 vnodes. More vnodes, or
//!   [`Allocated`], even out the shares; neither helps against one hot key. [`BoundedLoads`] does,
//!   by letting go of the owner.
//! - *Agreement between processes.* Who is a member is yours to settle; compare
//!   [`fingerprint`](HashRing::fingerprint)s to learn that you have not.
//! - *Moved data.* [`diff`] names ranges; moving what is in them, and serving meanwhile, is yours.
//! - *Safety from chosen keys.* Placement is public: who knows the ids finds keys for one node by
//!   trying, some n keys for each hit among n nodes, whatever the hash. With XXH3, CRC-32 and MD5
//!   there is no need to try. [`BoundedLoads`] limits the harm.
//!
//! # Cost
//!
//! A ring takes some 15 bytes a point. A lookup hashes the key and makes two dependent reads, in
//! tables of 5 and 2 bytes a point (5 and 4 above 65,536 nodes), and a third for the node, 8 bytes
//! each: O(1) expected, O(log k) where k points crowd into the space that is three points' due.
//! The table is a fixed part of the points, rather than as large as a cache allows: measured on
//! rings of 1,600 to 160,000 points, less to keep in the cache beat fewer comparisons.
//!
//! A change hashes and sorts the points that are new, and copies the others; the table is patched
//! where the points changed. A clone copies a pointer.
//!
//! # Sizing
//!
//! How many vnodes a node of weight 1 should have is a matter of how uneven shares may be. The
//! busiest of equal nodes has so many times the average:
//!
//! | vnodes a node | 8 | 16 | 32 | 64 | 128 | 256 | 512 | 1024 |
//! |---|---|---|---|---|---|---|---|---|
//! | 3 nodes, random | 1.35 | 1.17 | 1.22 | 1.06 | 1.07 | 1.04 | 1.03 | 1.02 |
//! | 10 nodes, random | 1.55 | 1.48 | 1.35 | 1.18 | 1.12 | 1.08 | 1.07 | 1.04 |
//! | 100 nodes, random | 2.09 | 1.76 | 1.48 | 1.34 | 1.22 | 1.16 | 1.11 | 1.08 |
//! | 100 nodes, allocated | 1.07 | 1.03 | 1.02 | 1.01 | 1.00 | 1.00 | 1.00 | 1.00 |
//!
//! This is what `cargo bench --bench shares` prints, and with `-- --write` draws: the median of 15
//! sets of nodes with other names. The more nodes there are, the further out is the busiest.
//!
//! - *Halving the spread takes four times the vnodes*, with random points. A ring of 1000 nodes with
//!   160 each takes 2.4 MB; past some hundreds a node, [`Allocated`] gets more for less.
//! - *Size for the smallest weight.* A node of weight 3 has three times the vnodes, and an evener
//!   share; one of weight 1 has the spread of the table.
//! - *Choose once.* Another number of vnodes is another ring, and moves most keys.
//! - *Allocated or random?* [`Allocated`] where one process makes the changes and hands the ring to
//!   the others by [`encode`](HashRing::encode), and nodes mostly come. Random points where every
//!   process computes from a list, or nodes come and go all the time.
//! - *Even shares are not even load.* Set [`BoundedLoads`] beside either where a key can be hot.
//!
//! # Stored forms
//!
//! [`encode`](HashRing::encode) writes bytes with a version and a checksum. With the feature
//! `serde`, a ring is a map of `nodes` and, where wanted, `placement`, `vnodes_per_weight`,
//! `epoch`, `points` and `fingerprint`; a node is a map of `id`, where wanted `weight` and `zone`,
//! and the `payload`, unless that is of a type that can be nothing. Unknown fields are errors, and
//! a fingerprint is checked. `points` are for placements that depend on history, and name nodes by
//! their place among the sorted ids. So this is a ring, in JSON:
//! `{"nodes": [{"id": "a"}, {"id": "b", "weight": 2, "zone": "eu-1"}]}`.
//!
//! # Sources
//!
//! - D. Karger and others: *Consistent Hashing and Random Trees*, STOC 1997, §4: the circle.
//! - G. `DeCandia` and others: *Dynamo: Amazon's Highly Available Key-value Store*, SOSP 2007,
//!   §4.2 and §4.3: virtual nodes and the preference list.
//! - V. Mirrokni, M. Thorup, M. Zadimoghaddam: *Consistent Hashing with Bounded Loads*, SODA 2018.
//! - CASSANDRA-7032, *Improve vnode allocation*, 2015: tokens chosen by the shares they leave.

mod balance;
mod bounded;
mod builder;
mod change;
mod error;
mod fingerprint;
mod hash_ring;
mod index;
mod layout;
mod limits;
mod node;
mod owners;
mod placement;
mod preference;
mod rebalance;
mod replicas;
#[cfg(feature = "serde")]
mod serial;
mod shared;
mod snapshot;
mod vnode;

pub use balance::{Balance, Share};
pub use bounded::{BoundedLoads, LoadFactor, LoadFactorError, LoadPermit};
pub use builder::Builder;
pub use change::Change;
pub use error::{
    ChangeError, DiffError, PlacementError, ReplicasError, SnapshotError, UpdateError,
};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use hash_ring::HashRing;
pub use limits::{NODES_MAX, SNAPSHOT_VERSION, VNODES_MAX};
pub use node::{Node, NodeId, NodeIdError, Zone};
pub use placement::{
    Allocated, Dependence, Membership, Placement, Rules, Seat, Sha256V1, Ties, Xxh3V1,
};
#[cfg(feature = "interop")]
pub use placement::{Ketama, KetamaWeighted, Nginx};
pub use preference::PreferenceList;
pub use rebalance::{KeyRange, Move, diff};
pub use replicas::ZonePolicy;
pub use shared::{RingRef, SharedRing};
pub use vnode::Vnode;
