//! The ring itself: members, the index over their points, and an epoch.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

use super::change::{Change, Draft, position, redraft};
use super::error::{ChangeError, ReplicasError};
use super::layout::Layout;
use super::node::Node;
use super::placement::{Placement, Rules, Sha256V1};
use super::preference::PreferenceList;
use super::replicas::{ZonePolicy, Zones};

/// A consistent-hash ring: an immutable value, cheap to clone, that says which node owns a key.
///
/// `T` is your payload for each node, `P` the [`Placement`]. A change gives a new ring with the
/// next epoch; the old one stays as it was. To change one under readers, put it into a
/// [`SharedRing`](super::SharedRing).
///
/// Keys are bytes. Text is looked up by its UTF-8 bytes; for a number decide how to write it
/// (say `&id.to_be_bytes()`), for that choice is part of your data's placement.
///
/// ```
/// use tripod::ring::{Change, HashRing, Node};
///
/// let ring = HashRing::builder()
///     .nodes([Node::new("a")?, Node::new("b")?.with_weight(2)])
///     .build()?;
/// assert!(ring.owner("user:17").is_some());
///
/// let grown = ring.apply([Change::Add(Node::new("c")?)])?;
/// assert_eq!((ring.epoch(), grown.epoch()), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct HashRing<T = (), P = Sha256V1> {
    epoch: u64,
    inner: Arc<Inner<T, P>>,
}

struct Inner<T, P> {
    placement: P,
    rules: Rules,
    vnodes_per_weight: NonZeroU32,
    nodes: Vec<Arc<Node<T>>>,
    layout: Layout,
    placed_weight: u64,
    /// Worked out when replicas are first asked for.
    zones: OnceLock<Zones>,
}

impl<T, P: Placement + Clone> HashRing<T, P> {
    /// The ring after `changes`, one epoch on. It equals a ring built afresh from the same
    /// nodes, but costs only the hashing of the points that are new and one pass that copies
    /// the others: O(points + new × log new).
    ///
    /// # Errors
    /// [`ChangeError`]; then none of the changes was made.
    pub fn apply(&self, changes: impl IntoIterator<Item = Change<T>>) -> Result<Self, ChangeError> {
        let inner = &*self.inner;
        let drafts = redraft(&inner.nodes, inner.rules.ties(), changes)?;
        let epoch = self.epoch.checked_add(1).ok_or(ChangeError::LastEpoch)?;
        Self::draw(
            inner.placement.clone(),
            inner.vnodes_per_weight,
            epoch,
            drafts,
            &inner.layout,
        )
    }

    /// A ring of the drafted nodes: those that were on the `old` layout keep their points.
    pub(crate) fn draw(
        placement: P,
        vnodes_per_weight: NonZeroU32,
        epoch: u64,
        drafts: Vec<Draft<T>>,
        old: &Layout,
    ) -> Result<Self, ChangeError> {
        let layout = old.redraw(&placement, vnodes_per_weight, &drafts)?;
        let nodes = drafts.into_iter().map(|draft| draft.node).collect();
        Ok(Self::assemble(
            placement,
            vnodes_per_weight,
            epoch,
            nodes,
            layout,
        ))
    }

    /// A ring of the given parts, which the caller has made to fit.
    pub(crate) fn assemble(
        placement: P,
        vnodes_per_weight: NonZeroU32,
        epoch: u64,
        nodes: Vec<Arc<Node<T>>>,
        layout: Layout,
    ) -> Self {
        let rules = placement.rules();
        let placed = nodes
            .iter()
            .zip(&layout.vnodes)
            .filter(|(_, vnodes)| **vnodes > 0);
        let placed_weight = placed.map(|(node, _)| u64::from(node.weight())).sum();
        let zones = OnceLock::new();
        Self {
            epoch,
            inner: Arc::new(Inner {
                placement,
                rules,
                vnodes_per_weight,
                nodes,
                layout,
                placed_weight,
                zones,
            }),
        }
    }
}

impl<T, P: Placement> HashRing<T, P> {
    /// The node that owns `key`: the one whose point is the first at or after the key's,
    /// clockwise. `None` only where no node has a point. O(1) expected, and allocates nothing.
    #[inline]
    pub fn owner<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> Option<&Node<T>> {
        self.owner_of_hash(self.hash(key))
    }

    /// The owner of a point that [`hash`](Self::hash) gave: for keys looked up again and again,
    /// or hashed where they came in.
    #[inline]
    #[must_use]
    pub fn owner_of_hash(&self, hash: u64) -> Option<&Node<T>> {
        self.numbered(self.inner.layout.index.owner(hash)?)
    }

    /// The owners of many keys, appended to `owners` in the keys' order; the same as asking one
    /// by one, but the reads from memory overlap.
    pub fn owners<'a, K: AsRef<[u8]>>(&'a self, keys: &[K], owners: &mut Vec<Option<&'a Node<T>>>) {
        /// Enough reads to fill a core's line-fill buffers (10 to 16), few enough for the stack.
        const BATCH: usize = 16;
        owners.reserve(keys.len());
        for keys in keys.chunks(BATCH) {
            let mut hashes = [0; BATCH];
            for (hash, key) in hashes.iter_mut().zip(keys) {
                *hash = self.hash(key);
            }
            let hashes = hashes.iter().take(keys.len());
            owners.extend(hashes.map(|hash| self.owner_of_hash(*hash)));
        }
    }

    /// The owner when the nodes for which `excluded` answers true are skipped (down, draining):
    /// only the keys of those nodes move, each to the next node clockwise. `excluded` is asked
    /// about each node at most once.
    pub fn owner_excluding<K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &K,
        mut excluded: impl FnMut(&Node<T>) -> bool,
    ) -> Option<&Node<T>> {
        self.preference_list(key).find(|node| !excluded(node))
    }

    /// Every node with points, in the order in which the walk clockwise from `key` meets them;
    /// the first is the owner. Lazy: taking n nodes costs O(n) expected. Allocates only after
    /// the eighth node.
    pub fn preference_list<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> PreferenceList<'_, T> {
        self.preference_list_of_hash(self.hash(key))
    }

    /// The preference list of a point that [`hash`](Self::hash) gave.
    pub fn preference_list_of_hash(&self, hash: u64) -> PreferenceList<'_, T> {
        let start = self.inner.layout.index.successor(hash).unwrap_or(0);
        self.preference_list_at(start)
    }

    /// The preference list of the keys owned by point number `start`.
    pub(crate) fn preference_list_at(&self, start: usize) -> PreferenceList<'_, T> {
        PreferenceList::new(&self.inner.nodes, &self.inner.layout, start)
    }

    /// The first `replicas` nodes for `key`, chosen by `zones` from its preference list; the
    /// first is the owner. Fewer where the ring has fewer nodes with points. O(replicas) expected
    /// for [`ZonePolicy::Any`]; the others walk on until the zones are met, which is far where
    /// a zone owns little.
    ///
    /// # Errors
    /// [`ReplicasError::NotEnoughZones`] under [`ZonePolicy::Strict`].
    pub fn replicas<K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &K,
        replicas: usize,
        zones: ZonePolicy,
    ) -> Result<Vec<&Node<T>>, ReplicasError> {
        let mut chosen = Vec::new();
        self.replicas_into(self.preference_list(key), replicas, zones, &mut chosen)?;
        Ok(self.all_numbered(&chosen))
    }

    /// The replicas of `key` when the nodes for which `excluded` answers true are skipped (down,
    /// draining): chosen among the others as [`replicas`](Self::replicas) chooses among all.
    /// `excluded` is asked about each node with points once: O(nodes).
    ///
    /// # Errors
    /// [`ReplicasError::NotEnoughZones`] under [`ZonePolicy::Strict`].
    pub fn replicas_excluding<K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &K,
        replicas: usize,
        zones: ZonePolicy,
        excluded: impl FnMut(&Node<T>) -> bool,
    ) -> Result<Vec<&Node<T>>, ReplicasError> {
        let mut chosen = Vec::new();
        let left = Zones::new(&self.inner.nodes, &self.inner.layout, excluded);
        left.choose(self.preference_list(key), replicas, zones, &mut chosen)?;
        Ok(self.all_numbered(&chosen))
    }

    /// The point of `key`, for [`owner_of_hash`](Self::owner_of_hash) on any ring of the same
    /// placement.
    #[inline]
    pub fn hash<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> u64 {
        self.inner.placement.hash(key.as_ref())
    }

    /// Counts the changes since the ring was built; ends at 2^64 - 1. It tells which of two rings
    /// of one history is later; to compare rings across processes use
    /// [`fingerprint`](Self::fingerprint).
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The same ring at a later epoch.
    pub(crate) fn at_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// The nodes, drained ones included: by id, or as configured where the placement numbers
    /// them so.
    #[must_use]
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node<T>> + '_ {
        self.inner.nodes.iter().map(|node| &**node)
    }

    /// The node of this id. O(log nodes); O(nodes) where nodes are numbered as configured.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Node<T>> {
        let at = position(&self.inner.nodes, self.inner.rules.ties(), id)?;
        self.inner.nodes.get(at).map(|node| &**node)
    }

    /// How many nodes, drained ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.nodes.len()
    }

    /// Whether there are no nodes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.nodes.is_empty()
    }

    /// How many points there are in all.
    #[must_use]
    pub fn points(&self) -> usize {
        self.inner.layout.index.len()
    }

    /// The points with their owners, clockwise from 0.
    pub fn vnodes(&self) -> impl Iterator<Item = (u64, &Node<T>)> + '_ {
        let vnodes = self.inner.layout.index.vnodes();
        vnodes.filter_map(|vnode| Some((vnode.point(), self.numbered(vnode.node())?)))
    }

    /// Vnodes for each unit of weight.
    #[must_use]
    pub fn vnodes_per_weight(&self) -> NonZeroU32 {
        self.inner.vnodes_per_weight
    }

    /// The placement.
    #[must_use]
    pub fn placement(&self) -> &P {
        &self.inner.placement
    }

    /// Heap memory of the points and the lookup table, in bytes; the nodes themselves come on
    /// top.
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        self.inner.layout.index.bytes() + self.inner.layout.vnodes.capacity() * size_of::<u32>()
    }

    fn all_numbered(&self, numbers: &[u32]) -> Vec<&Node<T>> {
        let nodes = numbers.iter().map(|number| self.numbered(*number));
        nodes.flatten().collect()
    }

    #[inline]
    pub(crate) fn numbered(&self, number: u32) -> Option<&Node<T>> {
        self.shared_node(number).map(|node| &**node)
    }

    #[inline]
    pub(crate) fn shared_node(&self, number: u32) -> Option<&Arc<Node<T>>> {
        self.inner.nodes.get(number as usize)
    }

    /// The numbers of the replicas that `zones` chooses on `walk`, into a vector used again.
    pub(crate) fn replicas_into(
        &self,
        walk: PreferenceList<'_, T>,
        replicas: usize,
        zones: ZonePolicy,
        chosen: &mut Vec<u32>,
    ) -> Result<(), ReplicasError> {
        if zones == ZonePolicy::Any {
            chosen.clear();
            let mut walk = walk;
            chosen.extend(std::iter::from_fn(|| walk.next_number()).take(replicas));
            return Ok(());
        }
        let inner = &*self.inner;
        let known = inner
            .zones
            .get_or_init(|| Zones::new(&inner.nodes, &inner.layout, |_| false));
        known.choose(walk, replicas, zones, chosen)
    }

    /// The sum of the weights of the nodes that have points.
    pub(crate) fn placed_weight(&self) -> u64 {
        self.inner.placed_weight
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }
}

impl<T, P> Clone for HashRing<T, P> {
    fn clone(&self) -> Self {
        Self {
            epoch: self.epoch,
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T, P: Placement> fmt::Debug for HashRing<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashRing")
            .field("placement", &self.inner.placement.name())
            .field("epoch", &self.epoch)
            .field("nodes", &self.inner.nodes)
            .field("points", &self.points())
            .finish_non_exhaustive()
    }
}
