//! Placements of our own: a circle of 256 hashes, and points where they hurt.

use std::borrow::Cow;

use tripod::ring::{Membership, Placement, PlacementError, Rules, Vnode};

/// Each node's points by `points(id, count)`.
fn place_each(
    membership: &Membership<'_>,
    points: impl Fn(&str, u64) -> Vec<u64>,
) -> Result<Vec<Vnode>, PlacementError> {
    let mut vnodes = membership.room(membership.joining().map(|(_, seat)| seat.vnodes()))?;
    for (node, seat) in membership.joining() {
        let points = points(seat.id().as_str(), seat.vnodes());
        vnodes.extend(points.into_iter().map(|point| Vnode::new(point, node)));
    }
    Ok(vnodes)
}

fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn label(id: &str, number: u64) -> u64 {
    let hash = fnv(id.bytes().chain(number.to_be_bytes()));
    (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// 256 hashes, in the top byte: a key's first byte, so that collisions are the rule.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tiny;

impl Tiny {
    pub(crate) fn hash_of(byte: u8) -> u64 {
        u64::from(byte) << 56
    }

    pub(crate) fn points(id: &str, count: u64) -> Vec<u64> {
        (0..count)
            .map(|number| label(id, number) >> 56 << 56)
            .collect()
    }
}

impl Placement for Tiny {
    fn name(&self) -> Cow<'_, str> {
        "tiny-v1".into()
    }

    fn rules(&self) -> Rules {
        Rules::independent(4)
    }

    fn hash(&self, key: &[u8]) -> u64 {
        Self::hash_of(key.first().copied().unwrap_or(0))
    }

    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
        place_each(membership, Self::points)
    }
}

/// Where [`Odd`] puts its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All in one place.
    Equal(u64),
    /// At 0 and at 2^64 - 1.
    Ends,
    /// Next to each other in a 2^-48th of the circle.
    Crowd,
    /// Three of four in the crowd, the others anywhere.
    Mixed,
    /// At, before and after multiples of a 48th of the circle: where buckets begin and end.
    Grid,
}

/// Points that a lookup table likes least. A key's hash is its first eight bytes, big endian.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odd(pub(crate) Shape);

impl Odd {
    pub(crate) const ALL: [Self; 7] = [
        Self(Shape::Equal(0)),
        Self(Shape::Equal(1 << 63)),
        Self(Shape::Equal(u64::MAX)),
        Self(Shape::Ends),
        Self(Shape::Crowd),
        Self(Shape::Mixed),
        Self(Shape::Grid),
    ];

    fn points(self, id: &str, count: u64) -> Vec<u64> {
        const SPOT: u64 = 0x4242_4242_4242_0000;
        let point = |number: u64| match self.0 {
            Shape::Equal(point) => point,
            Shape::Ends if number.is_multiple_of(2) => 0,
            Shape::Ends => u64::MAX,
            Shape::Mixed if number.is_multiple_of(4) => label(id, number),
            Shape::Grid => {
                let label = label(id, number);
                let edge = (u128::from(label % 48) << 64) / 48;
                let beside = u64::try_from(edge).unwrap().wrapping_add(label >> 62);
                beside.wrapping_sub(1)
            }
            Shape::Crowd | Shape::Mixed => SPOT | label(id, number) >> 48,
        };
        (0..count).map(point).collect()
    }
}

impl Placement for Odd {
    fn name(&self) -> Cow<'_, str> {
        format!("odd-v1 {:?}", self.0).into()
    }

    fn rules(&self) -> Rules {
        Rules::independent(4)
    }

    fn hash(&self, key: &[u8]) -> u64 {
        let mut first = [0; 8];
        for (to, from) in first.iter_mut().zip(key) {
            *to = *from;
        }
        u64::from_be_bytes(first)
    }

    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
        place_each(membership, |id, count| self.points(id, count))
    }
}
