//! nginx's `hash … consistent`.

use std::borrow::Cow;

use crc32fast::Hasher;

use super::address::host_and_port;
use super::{Dependence, Membership, Placement, PlacementError, Rules, Ties, Vnode};

/// The placement of nginx's `hash KEY consistent`, measured on 1.22: node ids are the servers'
/// names as configured, `host:port` (also `[::1]:port`, `host`, or `unix:/path`), their order is
/// that of the configuration, and weights are the servers'.
///
/// A server marked `down` keeps its points: leave the node on the ring and skip it with
/// [`owner_excluding`](crate::ring::HashRing::owner_excluding).
///
/// CRC-32 is linear: who chooses keys can make any number of them fall on one point. Every change
/// places all nodes anew, and may move keys of any two nodes whose points are equal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nginx;

impl Placement for Nginx {
    fn name(&self) -> Cow<'_, str> {
        "nginx-consistent-v1".into()
    }

    fn rules(&self) -> Rules {
        Rules::independent(160)
            .with_dependence(Dependence::Membership)
            .with_ties(Ties::FirstConfigured)
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        u64::from(crc32fast::hash(key)) << 32
    }

    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
        membership.place_each(|seat, push| {
            let name = seat.id().as_str();
            let (host, port) = match name.split_at_checked(5) {
                Some((scheme, path)) if scheme.eq_ignore_ascii_case("unix:") => (path, ""),
                _ => host_and_port(name).unwrap_or((name, "")),
            };
            let mut begun = Hasher::new();
            begun.update(host.as_bytes());
            begun.update(b"\0");
            begun.update(port.as_bytes());
            let mut point = 0_u32;
            for _ in 0..seat.vnodes() {
                let mut hasher = begun.clone();
                hasher.update(&point.to_le_bytes());
                point = hasher.finalize();
                push(u64::from(point) << 32);
            }
        })
    }
}
