//! Bounded loads: no node far above its share of what is in flight.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::hash_ring::HashRing;
use super::node::{Node, NodeId};
use super::placement::Placement;
use super::preference::PreferenceList;

/// How far above its share of the load in flight a node may go: c of the paper, in per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadFactor(u32);

impl LoadFactor {
    /// 100 to 100,000 per cent. At 100 the loads are as even as integers can be, and most keys
    /// leave their owner; the larger, the more keys stay with their owner and the more uneven
    /// the loads. 125 is a common choice, and the default.
    ///
    /// # Errors
    /// [`LoadFactorError`] outside that range.
    pub fn from_percent(percent: u32) -> Result<Self, LoadFactorError> {
        match percent {
            100..=100_000 => Ok(Self(percent)),
            _ => Err(LoadFactorError { percent }),
        }
    }

    /// The factor in per cent.
    #[must_use]
    pub fn percent(self) -> u32 {
        self.0
    }
}

impl Default for LoadFactor {
    fn default() -> Self {
        Self(125)
    }
}

/// A load factor outside 100 to 100,000 per cent. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a load factor of {percent} % is outside 100 % to 100,000 %")]
pub struct LoadFactorError {
    percent: u32,
}

/// Counts the load in flight on each node, and gives each unit to the first node of its key's
/// preference list that has room.
///
/// The law: at the instant a node receives a unit, and counting it, the node has at most
/// ⌈c × w/W × m⌉ units, where w/W is its part of the weights of the ring's nodes with points and
/// m all units in flight. There always is such a node (V. Mirrokni, M. Thorup, M. Zadimoghaddam:
/// *Consistent Hashing with Bounded Loads*, SODA 2018, §1.1).
///
/// The counts are by node id and outlive changes of the ring: each call names the ring it is
/// for. They are this process's; several balancers each bound their own load. Clones count
/// together. Decisions are made one at a time under a short lock.
///
/// ```
/// use tripod::ring::{BoundedLoads, HashRing, LoadFactor, Node};
///
/// let ring = HashRing::builder().nodes(["a", "b", "c"].map(|id| Node::new(id).unwrap())).build()?;
/// let loads = BoundedLoads::new(LoadFactor::default());
///
/// // Thirty requests for one hot key: no node gets more than ⌈1.25 × 30/3⌉ = 13 of them.
/// let permits: Vec<_> = (0..30).map(|_| loads.assign(&ring, "hot").unwrap()).collect();
/// assert!(ring.nodes().all(|node| loads.load(node.id()) <= 13));
/// drop(permits);
/// assert_eq!(loads.total(), 0);
/// # Ok::<(), tripod::ring::ChangeError>(())
/// ```
#[derive(Clone)]
pub struct BoundedLoads {
    factor: LoadFactor,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    total: u64,
    /// Nodes with load; the others have no entry.
    by_node: HashMap<NodeId, u64>,
}

impl BoundedLoads {
    /// A tracker with no load.
    #[must_use]
    pub fn new(factor: LoadFactor) -> Self {
        Self {
            factor,
            counts: Arc::default(),
        }
    }

    /// Gives one unit of load for `key` to a node of `ring`. The unit is in flight until the
    /// permit is dropped. `None` only where no node has points. O(1) expected, as long as few
    /// nodes are full.
    pub fn assign<T, P: Placement, K: AsRef<[u8]> + ?Sized>(
        &self,
        ring: &HashRing<T, P>,
        key: &K,
    ) -> Option<LoadPermit<T>> {
        let walk = ring.preference_list(key);
        self.assign_first(ring, walk, ring.placed_weight(), |_| true)
    }

    /// The same when the nodes for which `excluded` answers true get nothing (down, draining):
    /// shares are of the weights of the others. `None` where no other node has points.
    /// `excluded` is asked about each node once: O(nodes).
    pub fn assign_excluding<T, P: Placement, K: AsRef<[u8]> + ?Sized>(
        &self,
        ring: &HashRing<T, P>,
        key: &K,
        mut excluded: impl FnMut(&Node<T>) -> bool,
    ) -> Option<LoadPermit<T>> {
        let nodes = ring.nodes().zip(&ring.layout().vnodes);
        let weights: Vec<u32> = nodes
            .map(|(node, vnodes)| {
                if *vnodes > 0 && !excluded(node) {
                    node.weight()
                } else {
                    0
                }
            })
            .collect();
        let left = |number: u32| {
            weights
                .get(number as usize)
                .is_some_and(|weight| *weight > 0)
        };
        let total = weights.iter().map(|weight| u64::from(*weight)).sum();
        self.assign_first(ring, ring.preference_list(key), total, left)
    }

    /// Gives a unit to the first node of `walk` that is `eligible` and has room by its part of
    /// `weights`.
    fn assign_first<T, P: Placement>(
        &self,
        ring: &HashRing<T, P>,
        mut walk: PreferenceList<'_, T>,
        weights: u64,
        eligible: impl Fn(u32) -> bool,
    ) -> Option<LoadPermit<T>> {
        let mut counts = self.counts.lock();
        let total = counts.total + 1;
        let room = |node: &Node<T>| {
            let load = counts.by_node.get(node.id()).copied().unwrap_or(0);
            load < self.capacity(node.weight(), weights, total)
        };
        let node = loop {
            let number = walk.next_number()?;
            let node = ring.shared_node(number).filter(|_| eligible(number));
            if let Some(node) = node.filter(|node| room(node)) {
                break Arc::clone(node);
            }
        };
        counts.total = total;
        *counts.by_node.entry(node.id().clone()).or_default() += 1;
        Some(LoadPermit {
            node,
            counts: Arc::clone(&self.counts),
        })
    }

    /// The load factor.
    #[must_use]
    pub fn factor(&self) -> LoadFactor {
        self.factor
    }

    /// The units in flight on a node.
    #[must_use]
    pub fn load(&self, id: &NodeId) -> u64 {
        self.counts.lock().by_node.get(id).copied().unwrap_or(0)
    }

    /// The units in flight on all nodes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.lock().total
    }

    /// ⌈c × weight/weights × total⌉. The product is below 2^17 × 2^32 × 2^64.
    fn capacity(&self, weight: u32, weights: u64, total: u64) -> u64 {
        let share = u128::from(self.factor.0) * u128::from(weight) * u128::from(total);
        let capacity = share.div_ceil(100 * u128::from(weights.max(1)));
        u64::try_from(capacity).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for BoundedLoads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedLoads")
            .field("factor", &self.factor)
            .field("total", &self.total())
            .finish_non_exhaustive()
    }
}

/// One unit of load on a node, given back on drop.
#[must_use = "dropping the permit gives the unit back"]
pub struct LoadPermit<T = ()> {
    node: Arc<Node<T>>,
    counts: Arc<Mutex<Counts>>,
}

impl<T> LoadPermit<T> {
    /// The node that received the unit.
    #[must_use]
    pub fn node(&self) -> &Node<T> {
        &self.node
    }
}

impl<T> fmt::Debug for LoadPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadPermit")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl<T> Drop for LoadPermit<T> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        counts.total -= 1;
        let left = counts.by_node.get_mut(self.node.id()).map_or(0, |load| {
            *load -= 1;
            *load
        });
        if left == 0 {
            counts.by_node.remove(self.node.id());
        }
    }
}
