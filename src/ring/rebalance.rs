//! What moves between two rings.

use std::collections::HashMap;

use super::error::DiffError;
use super::hash_ring::HashRing;
use super::node::NodeId;
use super::owners::Owners;
use super::placement::Placement;
use super::replicas::ZonePolicy;

/// The hashes from just past one point up to and including another, clockwise: `(after, upto]`.
/// Where both are the same point, it is the whole circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyRange {
    after: u64,
    upto: u64,
}

impl KeyRange {
    /// The point just before the range.
    #[must_use]
    pub fn after(self) -> u64 {
        self.after
    }

    /// The last point of the range.
    #[must_use]
    pub fn upto(self) -> u64 {
        self.upto
    }

    /// Whether a key with this hash is in the range.
    #[must_use]
    pub fn contains(self, hash: u64) -> bool {
        if self.after < self.upto {
            self.after < hash && hash <= self.upto
        } else {
            self.after < hash || hash <= self.upto
        }
    }

    /// How many hashes are in the range: 1 to 2^64.
    #[must_use]
    pub fn hashes(self) -> u128 {
        match self.upto.wrapping_sub(self.after) {
            0 => 1 << 64,
            hashes => u128::from(hashes),
        }
    }
}

/// A range of keys whose replica of some rank is another node's on the new ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Move<'a> {
    range: KeyRange,
    rank: usize,
    from: Option<&'a NodeId>,
    to: Option<&'a NodeId>,
}

impl<'a> Move<'a> {
    /// Which keys.
    #[must_use]
    pub fn range(&self) -> KeyRange {
        self.range
    }

    /// Which replica: 0 is the owner.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Whose it was; `None` where the old ring has no replica of this rank.
    #[must_use]
    pub fn from(&self) -> Option<&'a NodeId> {
        self.from
    }

    /// Whose it is; `None` where the new ring has no replica of this rank.
    #[must_use]
    pub fn to(&self) -> Option<&'a NodeId> {
        self.to
    }
}

/// Compares two rings of one placement: every range of keys whose replica of some rank changes,
/// as few ranges as there can be, by rank and then clockwise.
///
/// Replicas are compared rank by rank, as [`HashRing::replicas`] gives them: when two nodes swap
/// ranks over a range, that is two moves though neither needs the data. A ring on which no node
/// has points has no replicas, whatever the policy.
///
/// For one replica the cost is O(points of both rings + nodes); for more, each point costs a
/// choice of replicas on each ring, as [`HashRing::replicas`] does.
///
/// ```
/// use tripod::ring::{Change, HashRing, Node, ZonePolicy, diff};
///
/// let old = HashRing::builder().nodes([Node::new("a")?, Node::new("b")?]).build()?;
/// let new = old.apply([Change::Add(Node::new("c")?)])?;
/// for moved in diff(&old, &new, 1, ZonePolicy::Any)? {
///     assert_eq!(moved.to().unwrap().as_str(), "c");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`DiffError::PlacementMismatch`] if the rings hash keys differently, and
/// [`DiffError::Replicas`] if `zones` is strict and cannot be met on one of them.
pub fn diff<'a, T, P: Placement, U, Q: Placement>(
    old: &'a HashRing<T, P>,
    new: &'a HashRing<U, Q>,
    replicas: usize,
    zones: ZonePolicy,
) -> Result<Vec<Move<'a>>, DiffError> {
    let (old_name, new_name) = (old.placement().name(), new.placement().name());
    if old_name != new_name {
        return Err(DiffError::PlacementMismatch {
            old: old_name.into(),
            new: new_name.into(),
        });
    }
    let mut old_side = Side::new(old, replicas, zones);
    let mut new_side = Side::new(new, replicas, zones);
    let same = Numbers::new(old, new);
    let mut ranks: Vec<Vec<Numbered>> = Vec::new();
    let last = old_side.points.last().max(new_side.points.last()).copied();
    let mut after = last.unwrap_or(0);
    while let Some(upto) = nearest(old_side.next_point(), new_side.next_point()) {
        let range = KeyRange { after, upto };
        old_side.choose()?;
        new_side.choose()?;
        for rank in 0..old_side.chosen.len().max(new_side.chosen.len()) {
            let from = old_side.chosen.get(rank).copied();
            let to = new_side.chosen.get(rank).copied();
            if rank == ranks.len() {
                ranks.push(Vec::new());
            }
            if let Some(moves) = ranks.get_mut(rank).filter(|_| !same.same(from, to)) {
                append(moves, Numbered { range, from, to });
            }
        }
        old_side.pass(upto);
        new_side.pass(upto);
        after = upto;
    }
    ranks.iter_mut().for_each(join_ends);
    let named = |rank, moved: &Numbered| Move {
        range: moved.range,
        rank,
        from: moved
            .from
            .and_then(|node| old.numbered(node))
            .map(super::node::Node::id),
        to: moved
            .to
            .and_then(|node| new.numbered(node))
            .map(super::node::Node::id),
    };
    let moves = ranks.iter().enumerate();
    Ok(moves
        .flat_map(|(rank, moves)| moves.iter().map(move |moved| named(rank, moved)))
        .collect())
}

/// A move between nodes by their numbers.
struct Numbered {
    range: KeyRange,
    from: Option<u32>,
    to: Option<u32>,
}

impl Numbered {
    fn continues(&self, other: &Self) -> bool {
        self.range.after == other.range.upto && (self.from, self.to) == (other.from, other.to)
    }
}

fn append(moves: &mut Vec<Numbered>, next: Numbered) {
    match moves.last_mut() {
        Some(last) if next.continues(last) => last.range.upto = next.range.upto,
        _ => moves.push(next),
    }
}

/// Makes one range of the last and the first, where they are one across the wrap.
fn join_ends(moves: &mut Vec<Numbered>) {
    if let [first, .., last] = moves.as_mut_slice()
        && first.continues(last)
    {
        first.range.after = last.range.after;
        moves.pop();
    }
}

fn nearest(old: Option<u64>, new: Option<u64>) -> Option<u64> {
    old.into_iter().chain(new).min()
}

/// One of the two rings while its points are passed.
struct Side<'a, T, P> {
    ring: &'a HashRing<T, P>,
    replicas: usize,
    zones: ZonePolicy,
    points: &'a [u64],
    owners: &'a Owners,
    /// The number of the next point.
    at: usize,
    /// The replicas of the keys that end there.
    chosen: Vec<u32>,
    /// Whether `chosen` is still that of `at`.
    fresh: bool,
}

impl<'a, T, P: Placement> Side<'a, T, P> {
    fn new(ring: &'a HashRing<T, P>, replicas: usize, zones: ZonePolicy) -> Self {
        let index = &ring.layout().index;
        let (points, owners) = (index.points(), index.owners());
        Self {
            ring,
            replicas,
            zones,
            points,
            owners,
            at: 0,
            chosen: Vec::new(),
            fresh: false,
        }
    }

    fn next_point(&self) -> Option<u64> {
        self.points.get(self.at).copied()
    }

    fn choose(&mut self) -> Result<(), DiffError> {
        if self.fresh || self.points.is_empty() {
            return Ok(());
        }
        self.fresh = true;
        if self.replicas == 1 {
            self.chosen.clear();
            self.chosen.extend(self.owners.get(self.at));
            return Ok(());
        }
        let walk = self.ring.preference_list_at(self.at);
        Ok(self
            .ring
            .replicas_into(walk, self.replicas, self.zones, &mut self.chosen)?)
    }

    fn pass(&mut self, point: u64) {
        while self.next_point() == Some(point) {
            self.at += 1;
            self.fresh = false;
        }
    }
}

/// Which number of the new ring an old one has become.
struct Numbers {
    new_of_old: Vec<Option<u32>>,
}

impl Numbers {
    fn new<T, P: Placement, U, Q: Placement>(old: &HashRing<T, P>, new: &HashRing<U, Q>) -> Self {
        let new: HashMap<&NodeId, u32> = new.nodes().map(super::node::Node::id).zip(0..).collect();
        Self {
            new_of_old: old
                .nodes()
                .map(|node| new.get(node.id()).copied())
                .collect(),
        }
    }

    fn same(&self, old: Option<u32>, new: Option<u32>) -> bool {
        let renumbered = old.map(|old| self.new_of_old.get(old as usize).copied().flatten());
        match (renumbered, new) {
            (None, None) => true,
            (Some(Some(old)), Some(new)) => old == new,
            (None | Some(None), Some(_)) | (Some(_), None) => false,
        }
    }
}
