//! What can go wrong, one enum per family of operations.

use super::limits::{NODES_MAX, SNAPSHOT_VERSION, VNODES_MAX};
use super::node::NodeId;

/// A placement that could not place its nodes. The ring is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// More vnodes than a ring may hold: lower the weights (only their ratios matter) or the
    /// vnodes per unit of weight.
    #[error("{wanted} vnodes are more than the {} a ring may hold", VNODES_MAX)]
    TooManyVnodes {
        /// How many the weights asked for.
        wanted: u64,
    },
    /// The placement named a node that does not exist: a bug in that placement.
    #[error("the placement gave a point to node number {node}, which is not to be placed")]
    UnknownNode {
        /// The number it used.
        node: u32,
    },
    /// A placement of your own refused these nodes.
    #[error("{reason}")]
    Refused {
        /// Why, in the placement's words.
        reason: String,
    },
}

/// A change that was refused as a whole. The ring is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The id is a member already: use [`Change::Replace`](super::Change::Replace) to give it
    /// other attributes.
    #[error("node {id} is a member already")]
    Duplicate {
        /// The id that was added twice.
        id: NodeId,
    },
    /// The id is not a member.
    #[error("node {id} is not on the ring")]
    Unknown {
        /// The id that was asked for.
        id: NodeId,
    },
    /// More nodes than a ring may hold.
    #[error("{wanted} nodes are more than the {} a ring may hold", NODES_MAX)]
    TooManyNodes {
        /// How many there would have been.
        wanted: usize,
    },
    /// The ring is at the last epoch there is, 2^64 - 1: build it afresh.
    #[error("the ring is at its last epoch")]
    LastEpoch,
    /// The nodes could not be placed.
    #[error("the nodes could not be placed")]
    Placement(#[from] PlacementError),
}

/// Replicas that do not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicasError {
    /// [`ZonePolicy::Strict`](super::ZonePolicy::Strict) wants as many zones as replicas.
    #[error("{wanted} replicas in as many zones were asked for, and {found} zones can hold one")]
    NotEnoughZones {
        /// How many replicas were asked for.
        wanted: usize,
        /// How many zones have a node that may hold one.
        found: usize,
    },
}

/// Two rings that cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// The rings hash keys differently, so a range of one means nothing on the other. Compare
    /// key by key, or rebuild one of them.
    #[error("placements differ: {old} and {new}")]
    PlacementMismatch {
        /// The placement of the first ring.
        old: String,
        /// The placement of the second ring.
        new: String,
    },
    /// One of the rings has not the replicas that were asked for.
    #[error("one of the rings has not enough replicas")]
    Replicas(#[from] ReplicasError),
}

/// A [`SharedRing`](super::SharedRing) update that did not happen. The ring is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// Somebody else changed the ring since you read it: read it again and decide anew.
    #[error("the ring is at epoch {found}, not {expected}")]
    Stale {
        /// The epoch you had read.
        expected: u64,
        /// The epoch the ring is at.
        found: u64,
    },
    /// The change itself was refused.
    #[error("the change was refused")]
    Change(#[from] ChangeError),
}

/// Bytes that are not a snapshot this build can restore. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes do not begin like a snapshot of a ring.
    #[error("not a snapshot of a ring")]
    Foreign,
    /// A newer version of this crate wrote it.
    #[error("snapshot version {found} is newer than {}", SNAPSHOT_VERSION)]
    Newer {
        /// The version found.
        found: u16,
    },
    /// The checksum does not match, or the bytes end early.
    #[error("the snapshot is damaged")]
    Damaged,
    /// It was taken of a ring with another placement.
    #[error("the snapshot is of a {found} ring, not {expected}")]
    PlacementMismatch {
        /// The placement you asked for.
        expected: String,
        /// The placement in the snapshot.
        found: String,
    },
    /// The payload decoder refused the bytes of this node's payload.
    #[error("the payload of node {id} could not be decoded")]
    Payload {
        /// Whose payload.
        id: NodeId,
    },
    /// The nodes in it do not make a ring.
    #[error("the snapshot does not make a ring")]
    Change(#[from] ChangeError),
    /// This build places the same nodes elsewhere: a placement's rule has changed under an
    /// unchanged name.
    #[error("this build places the nodes of the snapshot differently")]
    Diverged,
}
