//! `xxh3-v1`, the fast placement.

use std::borrow::Cow;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{Membership, Placement, PlacementError, Rules, Vnode};

/// Placement by XXH3, version 1: the fast one, for keys that nobody forges.
///
/// - The point of a key is its 64-bit XXH3 with seed 0.
/// - Point i of a node is the 64-bit XXH3 of 24 bytes: the 128-bit XXH3 of (the length of its id
///   in bytes as 8 bytes big endian, the id), big endian, then i as 8 bytes big endian.
///
/// XXH3 is not a cryptographic hash: who chooses keys can make any number of them fall on one
/// point without trying.
#[derive(Clone, Copy, Debug, Default)]
pub struct Xxh3V1;

impl Placement for Xxh3V1 {
    fn name(&self) -> Cow<'_, str> {
        "xxh3-v1".into()
    }

    fn rules(&self) -> Rules {
        Rules::independent(160)
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64(key)
    }

    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
        membership.place_each(|seat, push| {
            let id = seat.id().as_str().as_bytes();
            let label = [&(id.len() as u64).to_be_bytes(), id].concat();
            let node = xxh3_128(&label).to_be_bytes();
            for vnode in 0..seat.vnodes() {
                let mut label = [0; 24];
                for (to, from) in label
                    .iter_mut()
                    .zip(node.into_iter().chain(vnode.to_be_bytes()))
                {
                    *to = from;
                }
                push(xxh3_64(&label));
            }
        })
    }
}
