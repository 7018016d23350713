//! libmemcached's two ketama distributions.

use std::borrow::Cow;

use md5::{Digest, Md5};

use super::address::host_and_port;
use super::{Dependence, Membership, Placement, PlacementError, Rules, Seat, Ties, Vnode};

/// The port that libmemcached leaves out of a server's label.
const DEFAULT_PORT: &str = "11211";

/// libmemcached's `MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA` with MD5, measured on 1.1: node ids
/// are `host:port`, in the order in which the servers were added.
///
/// Each node has 100 points whatever its weight, so a [`Balance`](crate::ring::Balance), which
/// compares shares to weights, says little unless they are equal; weight 0 drains. The number is the program's:
/// setting another one on the builder is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ketama;

/// libmemcached's `KETAMA_WEIGHTED` with MD5, measured on 1.1: node ids are `host:port`, in the
/// order in which the servers were added.
///
/// A node of weight w has 4 × ⌊w/W × 160/4 × N⌋ points, W being the sum of the weights and N the
/// number of nodes that are not drained, in the single precision in which the program reckons.
/// So every change may move any node's points. The number 160 is the program's: setting another
/// one on the builder is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct KetamaWeighted;

const POINTS: u32 = 100;
const POINTS_WEIGHTED: u32 = 160;

impl Placement for Ketama {
    fn name(&self) -> Cow<'_, str> {
        "ketama-md5-v1".into()
    }

    fn rules(&self) -> Rules {
        rules(POINTS)
    }

    fn hash(&self, key: &[u8]) -> u64 {
        hash(key)
    }

    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
        check_vnodes(membership, POINTS)?;
        let points = |seat: &Seat<'_>| {
            if seat.weight() == 0 {
                0
            } else {
                u64::from(POINTS)
            }
        };
        let mut vnodes = membership.room(membership.joining().map(|(_, seat)| points(seat)))?;
        for (node, seat) in membership.joining() {
            let labels = (0..points(seat)).map(|number| digest(seat, number));
            vnodes.extend(labels.map(|[point, ..]| Vnode::new(point, node)));
        }
        Ok(vnodes)
    }
}

impl Placement for KetamaWeighted {
    fn name(&self) -> Cow<'_, str> {
        "ketama-weighted-md5-v1".into()
    }

    fn rules(&self) -> Rules {
        rules(POINTS_WEIGHTED)
    }

    fn hash(&self, key: &[u8]) -> u64 {
        hash(key)
    }

    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
        check_vnodes(membership, POINTS_WEIGHTED)?;
        let weights = || {
            membership
                .seats()
                .iter()
                .map(super::Seat::weight)
                .filter(|weight| *weight > 0)
        };
        let (total, nodes) = (weights().map(u64::from).sum(), weights().count());
        let digests = |seat: &Seat<'_>| digests(seat.weight(), total, nodes);
        let mut vnodes =
            membership.room(membership.joining().map(|(_, seat)| 4 * digests(seat)))?;
        for (node, seat) in membership.joining() {
            let points = (0..digests(seat)).flat_map(|number| digest(seat, number));
            vnodes.extend(points.map(|point| Vnode::new(point, node)));
        }
        Ok(vnodes)
    }
}

fn rules(points: u32) -> Rules {
    Rules::independent(points)
        .with_dependence(Dependence::Membership)
        .with_ties(Ties::ByConfiguration)
}

fn check_vnodes(membership: &Membership<'_>, points: u32) -> Result<(), PlacementError> {
    if membership.vnodes_per_weight() == points {
        return Ok(());
    }
    let reason = format!("libmemcached fixes the number of points ({points}); do not set vnodes");
    Err(PlacementError::Refused { reason })
}

/// How many digests, of four points each, a node is due.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the program reckons in single precision, and so must we; the result is not negative, \
              and a cast saturates"
)]
fn digests(weight: u32, total: u64, nodes: usize) -> u64 {
    if weight == 0 {
        return 0;
    }
    let share = weight as f32 / total as f32;
    (share * POINTS_WEIGHTED as f32 / 4.0 * nodes as f32 + 0.000_000_000_1).floor() as u64
}

fn hash(key: &[u8]) -> u64 {
    let [first, ..] = quarters(Md5::digest(key).into());
    first
}

/// The four points of a node's label with this number.
fn digest(seat: &Seat<'_>, number: u64) -> [u64; 4] {
    let name = seat.id().as_str();
    let host = match host_and_port(name) {
        Some((host, port)) if port == DEFAULT_PORT => host,
        _ => name,
    };
    quarters(Md5::digest(format!("{host}-{number}")).into())
}

/// A digest as four little-endian 32-bit points, in the top bits of ours.
fn quarters(digest: [u8; 16]) -> [u64; 4] {
    let mut points = [0; 4];
    for (point, bytes) in points.iter_mut().zip(digest.chunks_exact(4)) {
        *point = bytes
            .iter()
            .rev()
            .fold(0, |point, byte| point << 8 | u64::from(*byte))
            << 32;
    }
    points
}
