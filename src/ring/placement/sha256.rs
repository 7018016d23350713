//! `sha256-v1`, the default placement.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::{Membership, Placement, PlacementError, Rules, Vnode};

/// Placement by SHA-256, version 1: the default.
///
/// - The point of a key is the first 8 bytes of its digest, big endian.
/// - Points 4i to 4i + 3 of a node are the four 8-byte parts, big endian, of the digest of: the
///   length of its id in bytes as 8 bytes big endian, the id, and i as 8 bytes big endian. The
///   length keeps the points of "a" with i = 11… apart from those of "a1" with i = 1….
///
/// Points are as good as random, and to aim keys at a place on the circle is to try keys one by
/// one: about n tries for a key of one among n nodes, which is not many. No placement whose ids
/// are known keeps chosen keys apart. [`Xxh3V1`](super::Xxh3V1) is an order of magnitude faster.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sha256V1;

impl Placement for Sha256V1 {
    fn name(&self) -> Cow<'_, str> {
        "sha256-v1".into()
    }

    fn rules(&self) -> Rules {
        Rules::independent(160)
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        let digest: [u8; 32] = Sha256::digest(key).into();
        digest
            .first_chunk()
            .map_or(0, |point| u64::from_be_bytes(*point))
    }

    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
        membership.place_each(|seat, push| {
            let id = seat.id().as_str().as_bytes();
            // The digest of the id is begun once and continued for each block, so that a node
            // with a name of a megabyte costs no more than one with a short name.
            let begun = Sha256::new()
                .chain_update((id.len() as u64).to_be_bytes())
                .chain_update(id);
            for block in 0..seat.vnodes().div_ceil(4) {
                let digest: [u8; 32] = begun
                    .clone()
                    .chain_update(block.to_be_bytes())
                    .finalize()
                    .into();
                let left = seat.vnodes() - block * 4;
                for (point, _) in quarters(&digest).into_iter().zip(0..left) {
                    push(point);
                }
            }
        })
    }
}

fn quarters(digest: &[u8; 32]) -> [u64; 4] {
    let mut points = [0; 4];
    for (point, bytes) in points.iter_mut().zip(digest.chunks_exact(8)) {
        *point = bytes
            .iter()
            .fold(0, |point, byte| point << 8 | u64::from(*byte));
    }
    points
}
