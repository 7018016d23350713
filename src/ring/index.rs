//! The lookup table: from a hash to its owner, exact on all 64 bits.
//!
//! The circle is cut into equal buckets, about one for each three points. A bucket is 16 bytes:
//! the number of its first point, and for six points the next 16 bits of where in the bucket
//! they lie. A lookup scales the hash to a bucket and a fraction with one multiplication, counts
//! without branching how many of the six fractions are below its own, and so knows the number of
//! its successor. Only where the fractions are equal, or more than six points crowd into the
//! bucket, does it compare the points themselves, by a binary search among that crowd.
//!
//! That is two dependent reads, in tables of 5 and 2 bytes a point (4 on rings of more than 65,536
//! nodes): what counts is how much of them stays in the cache.
//!
//! Pure: no I/O, no clock, no randomness.

use super::owners::Owners;
use super::vnode::Vnode;

/// Points for each bucket when a table is filled. With more, more lookups pass all six fractions
/// (one in 60 at 3, one in 20 at 4); with fewer, less of the table stays in the cache.
const LOAD: usize = 3;
/// A table is patched while its load stays in this range, and filled anew outside of it.
const LOADS: std::ops::Range<usize> = 2..4;
/// How many points a bucket describes.
const WIDTH: usize = 6;

/// Sorted points with their owners, and the buckets that lead to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Sorted.
    points: Vec<u64>,
    /// The owner of each point, then the first owner again, for hashes past the last point.
    owners: Owners,
    /// Empty on a ring without points.
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
struct Bucket {
    /// Where the first points of the bucket lie, in 2^-16 of it; `u16::MAX` past the last.
    fractions: [u16; WIDTH],
    /// The number of the first point at or after the bucket's start.
    first: u32,
}

/// The bucket of a hash, of this many, and where in the bucket it lies in 2^-16. Both grow with
/// the hash.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the product's high half is below the number of buckets"
)]
fn locate(hash: u64, buckets: usize) -> (usize, u16) {
    let scaled = u128::from(hash) * buckets as u128;
    ((scaled >> 64) as usize, (scaled as u64 >> 48) as u16)
}

impl Index {
    /// The owner of the first point at or after `hash`, clockwise.
    #[inline]
    pub(crate) fn owner(&self, hash: u64) -> Option<u32> {
        self.owners.get(self.successor(hash)?)
    }

    /// The number of the first point at or after `hash`; the number of points where that is the
    /// first one again. `None` on a ring without points.
    #[inline]
    pub(crate) fn successor(&self, hash: u64) -> Option<usize> {
        let (number, fraction) = locate(hash, self.buckets.len());
        let bucket = self.buckets.get(number)?;
        let below: usize = bucket
            .fractions
            .iter()
            .map(|other| usize::from(*other < fraction))
            .sum();
        let successor = bucket.first as usize + below;
        match bucket.fractions.get(below) {
            Some(other) if *other != fraction => Some(successor),
            _ => Some(self.crowded(successor, hash)),
        }
    }

    /// The successor of a hash whose successor is number `from` or, most likely soon, after:
    /// O(log of how far).
    #[cold]
    fn crowded(&self, from: usize, hash: u64) -> usize {
        let mut at = from;
        let mut step = 1;
        let mut rest = self.points.get(from..).unwrap_or_default();
        while let Some((head, tail)) = rest.split_at_checked(step) {
            if head.last().is_some_and(|point| *point >= hash) {
                rest = head;
                break;
            }
            at += step;
            step *= 2;
            rest = tail;
        }
        at + rest.partition_point(|point| *point < hash)
    }

    /// The sorted points.
    pub(crate) fn points(&self) -> &[u64] {
        &self.points
    }

    /// The owner of each point, by the point's number; after the last comes the first again.
    pub(crate) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// The points with their owners, sorted.
    pub(crate) fn vnodes(&self) -> impl Iterator<Item = Vnode> + '_ {
        let points = self.points.iter().enumerate();
        points.filter_map(|(at, point)| Some(Vnode::new(*point, self.owners.get(at)?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// Heap bytes in use.
    pub(crate) fn bytes(&self) -> usize {
        self.points.capacity() * size_of::<u64>()
            + self.owners.bytes()
            + self.buckets.capacity() * size_of::<Bucket>()
    }

    /// This index with its owners renumbered (`None` drops an owner's points) to numbers below
    /// `nodes`, and the sorted `added` points merged in. Linear in the number of points, most of
    /// it copying; after a small change the table is patched, after a large one filled anew.
    pub(crate) fn splice(&self, renumber: &[Option<u32>], added: &[Vnode], nodes: usize) -> Self {
        let dropped = self.dropped(renumber);
        let room = self.len() - dropped.len() + added.len();
        let owners = Owners::with_capacity(room + 1, nodes);
        let mut merge = Merge {
            old: self,
            renumber,
            dropped: &dropped,
            points: Vec::with_capacity(room),
            owners,
        };
        let mut from = 0;
        let mut left = added;
        while let Some((next, _)) = left.split_first() {
            let upto = self.rank(*next, renumber);
            // Past the last old point, and so on a ring that is empty, the rest follows at once.
            let run = if upto == self.len() { left.len() } else { 1 };
            let (now, later) = left.split_at(run);
            merge.copy(from..upto);
            merge.extend(now);
            (from, left) = (upto, later);
        }
        merge.copy(from..self.len());
        let Merge {
            points, mut owners, ..
        } = merge;
        let Some(first) = owners.get(0) else {
            return Self::default();
        };
        owners.extend(std::iter::once(first));
        let mut index = Self {
            points,
            owners,
            buckets: Vec::new(),
        };
        let load = index.len().checked_div(self.buckets.len());
        let few = dropped.len() + added.len() < index.len() / 4;
        if few && load.is_some_and(|load| LOADS.contains(&load)) {
            index.patch(self, &dropped, added);
        } else {
            index.fill();
        }
        index
    }

    /// The positions of the points whose owner goes.
    fn dropped(&self, renumber: &[Option<u32>]) -> Vec<usize> {
        if renumber.iter().all(Option::is_some) {
            return Vec::new();
        }
        let goes = |owner: u32| renumber.get(owner as usize).copied().flatten().is_none();
        let positions = 0..self.len();
        positions
            .filter(|at| self.owners.get(*at).is_some_and(goes))
            .collect()
    }

    /// How many points of this index come before `vnode`.
    fn rank(&self, vnode: Vnode, renumber: &[Option<u32>]) -> usize {
        let mut at = self.successor(vnode.point()).unwrap_or(0);
        let number = |at: usize| {
            let owner = self.owners.get(at)?;
            renumber.get(owner as usize).copied().flatten()
        };
        // Equal points are ordered by their owners' new numbers.
        while self.points().get(at) == Some(&vnode.point())
            && number(at).is_none_or(|owner| owner < vnode.node())
        {
            at += 1;
        }
        at
    }

    /// Fills the whole table in one sweep over the points.
    fn fill(&mut self) {
        let buckets = self.len().div_ceil(LOAD);
        let mut table = Vec::with_capacity(buckets);
        let mut first = 0;
        for number in 0..buckets {
            let (bucket, points) = self.bucket(number, buckets, first);
            table.push(bucket);
            first += points;
        }
        self.buckets = table;
    }

    /// Takes the table over from `before`: past each edit the first points' numbers move by one,
    /// and only the edited buckets are looked at again.
    fn patch(&mut self, before: &Self, dropped: &[usize], added: &[Vnode]) {
        let buckets = before.buckets.len();
        let number = |point: u64| locate(point, buckets).0;
        let gone = dropped.iter().filter_map(|at| before.points.get(*at));
        let gone = gone.map(|point| (number(*point), u32::MAX));
        let came = added.iter().map(|vnode| (number(vnode.point()), 1));
        let mut edits: Vec<(usize, u32)> = gone.chain(came).collect();
        edits.sort_unstable();
        let mut table = Vec::with_capacity(buckets);
        // A removal adds 2^32 - 1: the sum wraps to the right number of either sign.
        let mut delta = 0_u32;
        let mut copy_upto = |end: usize, delta: u32| {
            let old = before.buckets.get(table.len()..end).unwrap_or_default();
            table.extend(old.iter().map(|old| Bucket {
                first: old.first.wrapping_add(delta),
                ..*old
            }));
        };
        for (number, step) in &edits {
            copy_upto(number + 1, delta);
            delta = delta.wrapping_add(*step);
        }
        copy_upto(buckets, delta);
        edits.dedup_by_key(|(number, _)| *number);
        for (number, _) in edits {
            if let Some(bucket) = table.get_mut(number) {
                *bucket = self.bucket(number, buckets, bucket.first as usize).0;
            }
        }
        self.buckets = table;
    }

    /// The bucket of this number whose first point is number `first`, and how many points it has.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "points are fewer than 2^25"
    )]
    fn bucket(&self, number: usize, buckets: usize, first: usize) -> (Bucket, usize) {
        let mut bucket = Bucket {
            fractions: [u16::MAX; WIDTH],
            first: first as u32,
        };
        let rest = self.points.get(first..).unwrap_or_default();
        let located = rest.iter().map(|point| locate(*point, buckets));
        let mut points = 0;
        for (_, fraction) in located.take_while(|(other, _)| *other == number) {
            if let Some(described) = bucket.fractions.get_mut(points) {
                *described = fraction;
            }
            points += 1;
        }
        (bucket, points)
    }
}

/// The points and owners of a new index while they are gathered.
struct Merge<'a> {
    old: &'a Index,
    renumber: &'a [Option<u32>],
    dropped: &'a [usize],
    points: Vec<u64>,
    owners: Owners,
}

impl Merge<'_> {
    fn extend(&mut self, vnodes: &[Vnode]) {
        self.points.extend(vnodes.iter().map(|vnode| vnode.point()));
        self.owners.extend(vnodes.iter().map(|vnode| vnode.node()));
    }

    /// Copies a range of old points, the dropped ones left out.
    fn copy(&mut self, range: std::ops::Range<usize>) {
        let mut from = range.start;
        while let Some((at, rest)) = self
            .dropped
            .split_first()
            .filter(|(at, _)| **at < range.end)
        {
            self.run(from..*at);
            from = at + 1;
            self.dropped = rest;
        }
        self.run(from..range.end);
    }

    fn run(&mut self, range: std::ops::Range<usize>) {
        self.points
            .extend_from_slice(self.old.points.get(range.clone()).unwrap_or_default());
        // Owners without a new number were dropped above.
        let renumber = |owner: u32| {
            self.renumber
                .get(owner as usize)
                .copied()
                .flatten()
                .unwrap_or_default()
        };
        self.owners.extend_from(&self.old.owners, range, renumber);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points as even as can be, so that a table filled for them has an exact number of buckets.
    fn spread(points: u64) -> Vec<Vnode> {
        let step = u64::MAX / points;
        (0..points)
            .map(|point| Vnode::new(point * step, 0))
            .collect()
    }

    #[test]
    fn a_small_change_patches_the_table_and_a_large_one_fills_it() {
        let index = Index::default().splice(&[], &spread(3000), 1);
        assert_eq!(index.buckets.len(), 1000);

        let few: Vec<Vnode> = (0..160)
            .map(|point| Vnode::new(point << 56 | 5, 1))
            .collect();
        let patched = index.splice(&[Some(0)], &few, 2);
        // Filled anew, it would have 1054 buckets.
        assert_eq!((patched.len(), patched.buckets.len()), (3160, 1000));

        let many: Vec<Vnode> = (0..1500)
            .map(|point| Vnode::new(point << 53 | 5, 1))
            .collect();
        let filled = index.splice(&[Some(0)], &many, 2);
        assert_eq!((filled.len(), filled.buckets.len()), (4500, 1500));
    }
}
