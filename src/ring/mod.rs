//! Consistent hashing with virtual nodes.
mod balance;
mod bounded;
mod builder;
mod change;
mod error;
mod fingerprint;
mod hash_ring;
mod index;
mod layout;
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
pub use bounded::{BoundedLoads, LoadFactor, LoadPermit};
pub use builder::Builder;
pub use change::{Change, NODES_MAX};
pub use error::{
    ChangeError, DiffError, LoadFactorError, NodeIdError, PlacementError, ReplicasError,
    SnapshotError, UpdateError,
};
pub use fingerprint::Fingerprint;
pub use hash_ring::HashRing;
pub use node::{Node, NodeId, Zone};
pub use placement::{
    Allocated, Dependence, Membership, Placement, Rules, Seat, Sha256V1, Ties, VNODES_MAX, Xxh3V1,
};
#[cfg(feature = "interop")]
pub use placement::{Ketama, KetamaWeighted, Nginx};
pub use preference::PreferenceList;
pub use rebalance::{KeyRange, Move, diff};
pub use replicas::ZonePolicy;
pub use shared::{RingRef, SharedRing};
pub use snapshot::SNAPSHOT_VERSION;
pub use vnode::Vnode;
