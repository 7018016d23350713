//! Shares: how much of the circle each node owns.

use std::fmt;

use super::hash_ring::HashRing;
use super::node::NodeId;
use super::placement::Placement;

/// The exact share of each node. Prints as a table.
///
/// ```
/// use tripod::ring::{HashRing, Node};
///
/// let ring = HashRing::builder().nodes([Node::new("a")?, Node::new("b")?.with_weight(3)]).build()?;
/// let balance = ring.balance();
/// assert_eq!(balance.shares().map(|share| share.hashes()).sum::<u128>(), 1 << 64);
/// println!("{balance}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    shares: Vec<Share>,
    weight: u64,
}

/// What one node owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    id: NodeId,
    weight: u32,
    vnodes: u32,
    hashes: u128,
}

impl<T, P: Placement> HashRing<T, P> {
    /// The exact share of each node. O(points).
    #[must_use]
    pub fn balance(&self) -> Balance {
        let layout = self.layout();
        let shares = self.nodes().zip(&layout.vnodes);
        let mut shares: Vec<Share> = shares
            .map(|(node, vnodes)| Share {
                id: node.id().clone(),
                weight: node.weight(),
                vnodes: *vnodes,
                hashes: 0,
            })
            .collect();
        let mut before = layout.index.points().last().copied();
        let mut whole = true;
        for vnode in layout.index.vnodes() {
            let Some(after) = before.replace(vnode.point()) else {
                break;
            };
            let hashes = match vnode.point().wrapping_sub(after) {
                // Only on the first point: all points are one, and it owns the circle.
                0 if whole => 1 << 64,
                hashes => u128::from(hashes),
            };
            whole = false;
            if let Some(share) = shares.get_mut(vnode.node() as usize) {
                share.hashes += hashes;
            }
        }
        Balance {
            shares,
            weight: self.placed_weight(),
        }
    }
}

impl Balance {
    /// The shares, in the ring's order of nodes. Their hashes add up to exactly 2^64 where any
    /// node has points.
    #[must_use]
    pub fn shares(&self) -> impl ExactSizeIterator<Item = &Share> + '_ {
        self.shares.iter()
    }

    /// The largest share relative to what its node is due by weight: 1.0 is perfect, 1.25 means
    /// that the busiest node gets a quarter more than its part. `None` where no node of weight
    /// above 0 has points.
    #[must_use]
    pub fn peak_to_average(&self) -> Option<f64> {
        self.shares
            .iter()
            .filter_map(|share| self.relative(share))
            .reduce(f64::max)
    }

    /// A share relative to what its node is due by weight.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio for people: 53 bits are plenty"
    )]
    fn relative(&self, share: &Share) -> Option<f64> {
        let due = f64::from(share.weight) / self.weight as f64;
        (share.vnodes > 0 && share.weight > 0).then(|| share.fraction() / due)
    }
}

impl Share {
    /// The node.
    #[must_use]
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Its weight.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// How many points it has.
    #[must_use]
    pub fn vnodes(&self) -> u32 {
        self.vnodes
    }

    /// How many of the 2^64 hashes it owns.
    #[must_use]
    pub fn hashes(&self) -> u128 {
        self.hashes
    }

    /// The same as a fraction, 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio for people: 53 bits are plenty"
    )]
    pub fn fraction(&self) -> f64 {
        self.hashes as f64 / (1_u128 << 64) as f64
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self
            .shares
            .iter()
            .map(|share| share.id.as_str().chars().count())
            .max();
        let width = longest.unwrap_or(0).clamp(4, 48);
        writeln!(
            f,
            "{:<width$}  {:>7}  {:>7}  {:>8}  {:>7}",
            "node", "weight", "vnodes", "share", "of due"
        )?;
        for share in &self.shares {
            let Share {
                id, weight, vnodes, ..
            } = share;
            write!(
                f,
                "{id:<width$}  {weight:>7}  {vnodes:>7}  {:>7.3}%  ",
                share.fraction() * 100.0
            )?;
            match self.relative(share) {
                Some(relative) => writeln!(f, "{:>6.1}%", relative * 100.0)?,
                None => writeln!(f, "{:>7}", "-")?,
            }
        }
        match self.peak_to_average() {
            Some(peak) => write!(f, "peak-to-average {peak:.3}"),
            None => write!(f, "no node has points"),
        }
    }
}
