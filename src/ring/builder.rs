//! The first nodes of a ring.

use std::fmt;
use std::num::NonZeroU32;

use super::change::{Change, redraft};
use super::error::ChangeError;
use super::hash_ring::HashRing;
use super::layout::Layout;
use super::node::Node;
use super::placement::{Placement, Sha256V1};

/// Gathers the first nodes of a [`HashRing`].
#[must_use = "a builder does nothing until it builds"]
pub struct Builder<T, P> {
    placement: P,
    vnodes: NonZeroU32,
    nodes: Vec<Node<T>>,
}

impl<T> HashRing<T> {
    /// Begins a ring with the default placement, [`Sha256V1`].
    pub fn builder() -> Builder<T, Sha256V1> {
        Self::builder_with(Sha256V1)
    }
}

impl<T, P: Placement + Clone> HashRing<T, P> {
    /// Begins a ring with a placement of your choice.
    pub fn builder_with(placement: P) -> Builder<T, P> {
        let vnodes = NonZeroU32::new(placement.rules().vnodes()).unwrap_or(NonZeroU32::MIN);
        Builder {
            placement,
            vnodes,
            nodes: Vec::new(),
        }
    }
}

impl<T, P: Placement + Clone> Builder<T, P> {
    /// Adds nodes. Their order matters only to placements that number nodes as configured (see
    /// [`Ties`](super::Ties)).
    pub fn nodes(mut self, nodes: impl IntoIterator<Item = Node<T>>) -> Self {
        self.nodes.extend(nodes);
        self
    }

    /// Sets the vnodes for each unit of weight. Default: the placement's, 160 for
    /// [`Sha256V1`]. More even out the shares (the spread of a node's share is about
    /// 1/√vnodes) and cost memory; the total over all nodes is at most
    /// [`VNODES_MAX`](super::VNODES_MAX).
    /// Every process that is to agree on owners must use the same number.
    pub fn vnodes(mut self, vnodes: NonZeroU32) -> Self {
        self.vnodes = vnodes;
        self
    }

    /// Builds the ring, at epoch 0. O(points × log points).
    ///
    /// # Errors
    /// [`ChangeError`] for a duplicate id, or more nodes or vnodes than a ring may hold.
    pub fn build(self) -> Result<HashRing<T, P>, ChangeError> {
        let rules = self.placement.rules();
        let drafts = redraft(&[], rules.ties(), self.nodes.into_iter().map(Change::Add))?;
        HashRing::draw(self.placement, self.vnodes, 0, drafts, &Layout::default())
    }
}

impl<T, P: fmt::Debug> fmt::Debug for Builder<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("placement", &self.placement)
            .field("vnodes", &self.vnodes)
            .field("nodes", &self.nodes)
            .finish()
    }
}
