//! Tokens chosen to even out the shares.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::{Dependence, Membership, Placement, PlacementError, Rules, Sha256V1, Vnode};

/// Placement by allocation: each joining node takes equal pieces from the nodes that own the
/// most for their weight, so that few vnodes give even shares. Keys are hashed by `P`.
///
/// With 16 vnodes a node, the peak-to-average load of equal nodes added one by one stays below
/// 1.05, where random points need some 20,000 vnodes a node for that. The idea is Cassandra's
/// token allocation (CASSANDRA-7032) for one replica; the rule here is simpler: a token takes
/// 1/k of what the newcomer is due, from the longest arc of the node with the largest share per
/// weight.
///
/// The points depend on who stood on the ring when a node joined. So two processes agree only if
/// one sends the other its ring ([`HashRing::encode`](crate::ring::HashRing::encode)), or both
/// make the same changes in the same order. A removal leaves its keys to the neighbours, and so
/// shares uneven until nodes join again: after 50 of 100 nodes have left, expect the busiest some
/// 50 % above the average. A node whose weight changes leaves and joins again, which moves more
/// keys than the difference, all of them from it or to it.
///
/// ```
/// use tripod::ring::{Allocated, HashRing, Node, Sha256V1};
///
/// let nodes = (0..10).map(|i| Node::new(format!("node-{i}")).unwrap());
/// let ring = HashRing::builder_with(Allocated::new(Sha256V1)).nodes(nodes).build()?;
/// assert_eq!(ring.points(), 160);
/// assert!(ring.balance().peak_to_average().unwrap() < 1.05);
/// # Ok::<(), tripod::ring::ChangeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocated<P = Sha256V1> {
    keys: P,
}

impl<P: Placement> Allocated<P> {
    /// Allocation on a circle on which `keys` hashes the keys.
    #[must_use]
    pub fn new(keys: P) -> Self {
        Self { keys }
    }
}

impl<P: Placement> Placement for Allocated<P> {
    fn name(&self) -> Cow<'_, str> {
        format!("allocated-v1+{}", self.keys.name()).into()
    }

    fn rules(&self) -> Rules {
        Rules::independent(16).with_dependence(Dependence::History)
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        self.keys.hash(key)
    }

    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
        let mut vnodes = membership.room(membership.joining().map(|(_, seat)| seat.vnodes()))?;
        let mut circle = Circle::of(membership);
        for (node, seat) in membership.joining().filter(|(_, seat)| seat.vnodes() > 0) {
            let start = self.keys.hash(seat.id().as_str().as_bytes());
            let tokens = circle.join(node, seat.weight(), seat.vnodes(), start);
            vnodes.extend(tokens.into_iter().map(|token| Vnode::new(token, node)));
        }
        Ok(vnodes)
    }
}

/// All hashes: 2^64.
const CIRCLE: u128 = 1 << 64;

/// The arc that ends in a point, ordered by length and then by point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Arc {
    len: u128,
    end: u64,
}

/// What a node owns; the greatest is the one with the largest share per weight, and of equals
/// the one with the lowest number.
struct Holding {
    node: u32,
    weight: u32,
    share: u128,
    arcs: BinaryHeap<Arc>,
}

impl Ord for Holding {
    fn cmp(&self, other: &Self) -> Ordering {
        // A share is at most 2^64 and a weight below 2^32: the products fit.
        let ours = self.share * u128::from(other.weight);
        let theirs = other.share * u128::from(self.weight);
        (ours, Reverse(self.node)).cmp(&(theirs, Reverse(other.node)))
    }
}

impl PartialOrd for Holding {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Holding {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Holding {}

/// The nodes that own keys.
struct Circle {
    weight: u128,
    holdings: BinaryHeap<Holding>,
}

impl Circle {
    fn of(membership: &Membership<'_>) -> Self {
        let mut holdings: Vec<Holding> = (0..)
            .zip(membership.seats())
            .map(|(node, seat)| Holding {
                node,
                weight: seat.weight(),
                share: 0,
                arcs: BinaryHeap::new(),
            })
            .collect();
        let mut before = membership.kept().last().map(|last| last.point());
        for vnode in membership.kept() {
            let Some(after) = before.replace(vnode.point()) else {
                break;
            };
            let len = arc_len(after, vnode.point(), membership.kept().len());
            if let Some(holding) = holdings.get_mut(vnode.node() as usize) {
                holding.share += len;
                holding.arcs.push(Arc {
                    len,
                    end: vnode.point(),
                });
            }
        }
        let holdings: BinaryHeap<Holding> = holdings
            .into_iter()
            .filter(|holding| holding.share > 0)
            .collect();
        let weight = holdings
            .iter()
            .map(|holding| u128::from(holding.weight))
            .sum();
        Self { weight, holdings }
    }

    /// Lets a node of at least one vnode join, and returns its tokens.
    fn join(&mut self, node: u32, weight: u32, vnodes: u64, start: u64) -> Vec<u64> {
        self.weight += u128::from(weight);
        let arcs = if self.holdings.is_empty() {
            even_arcs(vnodes, start)
        } else {
            let mut due = CIRCLE * u128::from(weight) / self.weight;
            let mut arcs = BinaryHeap::new();
            for left in (1..=u128::from(vnodes)).rev() {
                let Some(arc) = self.take(due / left) else {
                    break;
                };
                due = due.saturating_sub(arc.len);
                arcs.push(arc);
            }
            arcs
        };
        let tokens = arcs.iter().map(|arc| arc.end).collect();
        let share = arcs.iter().map(|arc| arc.len).sum();
        self.holdings.push(Holding {
            node,
            weight,
            share,
            arcs,
        });
        tokens
    }

    /// Takes the first `wanted` hashes, at least one, of the longest arc of the node that owns
    /// the most for its weight; the node keeps its token and at least one hash with it.
    fn take(&mut self, wanted: u128) -> Option<Arc> {
        let mut donor = self.holdings.peek_mut()?;
        let mut longest = donor.arcs.peek_mut()?;
        // A circle of 2^24 points at the most has an arc of 2^40: there is always room.
        let len = wanted.clamp(1, longest.len.saturating_sub(1).max(1));
        longest.len = longest.len.saturating_sub(len);
        let end = longest.end.wrapping_sub(low_bits(longest.len));
        drop(longest);
        donor.share = donor.share.saturating_sub(len);
        Some(Arc { len, end })
    }
}

/// The arcs of the first node of a circle: as even as integers are.
fn even_arcs(vnodes: u64, start: u64) -> BinaryHeap<Arc> {
    let end = |vnode: u64| CIRCLE * u128::from(vnode) / u128::from(vnodes);
    (0..vnodes)
        .map(|vnode| Arc {
            len: end(vnode + 1) - end(vnode),
            end: start.wrapping_add(low_bits(end(vnode + 1))),
        })
        .collect()
}

/// How many hashes lie in (after, end].
fn arc_len(after: u64, end: u64, points: usize) -> u128 {
    if points == 1 {
        CIRCLE
    } else {
        u128::from(end.wrapping_sub(after))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "points wrap at 2^64")]
fn low_bits(wide: u128) -> u64 {
    wide as u64
}
