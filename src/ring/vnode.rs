//! A point on the circle and its owner.

/// A virtual node: a point on the 64-bit circle, and which node owns the keys that end there.
///
/// The order is the circle's: by point, then by node number, which is how ties are settled
/// (see [`Ties`](super::Ties) for how nodes are numbered).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vnode {
    point: u64,
    node: u32,
}

impl Vnode {
    /// A point owned by the node of this number in its [`Membership`](super::Membership).
    #[must_use]
    pub fn new(point: u64, node: u32) -> Self {
        Self { point, node }
    }

    /// Where on the circle.
    #[must_use]
    pub fn point(self) -> u64 {
        self.point
    }

    /// The owner's number.
    #[must_use]
    pub fn node(self) -> u32 {
        self.node
    }
}
