//! The points of a ring, and how a change of members changes them.

use std::num::NonZeroU32;

use super::change::Draft;
use super::error::PlacementError;
use super::index::Index;
use super::limits::VNODES_MAX;
use super::placement::{Dependence, Membership, Placement, Seat, Ties};
use super::vnode::Vnode;

/// The index over a ring's points, with each node's part in it.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) index: Index,
    /// How many points each node has.
    pub(crate) vnodes: Vec<u32>,
    /// How many nodes have any.
    pub(crate) placed: usize,
}

impl Layout {
    /// This layout with the drafted nodes placed: points of nodes that were here stay, the
    /// others are asked of the placement.
    pub(crate) fn redraw<T, P: Placement>(
        &self,
        placement: &P,
        vnodes_per_weight: NonZeroU32,
        drafts: &[Draft<T>],
    ) -> Result<Self, PlacementError> {
        let rules = placement.rules();
        let nothing = Self::default();
        // Where every change places everybody anew, nothing stays.
        let afresh = rules.dependence() == Dependence::Membership;
        let old = if afresh { &nothing } else { self };
        let stays = |draft: &Draft<T>| draft.was.filter(|was| (*was as usize) < old.vnodes.len());
        let renumber = old.renumber(drafts.iter().map(stays));
        let counts = drafts.iter().map(|draft| old.vnodes_of(stays(draft)));
        let mut vnodes: Vec<u32> = counts.collect();
        let kept: Vec<Vnode> = match rules.dependence() {
            Dependence::History => old.kept(&renumber).collect(),
            Dependence::Node | Dependence::Membership => Vec::new(),
        };
        let seats = drafts.iter().map(|draft| {
            let (id, weight) = (draft.node.id(), draft.node.weight());
            Seat::new(id, weight, vnodes_per_weight.get(), stays(draft).is_none())
        });
        let seats: Vec<Seat<'_>> = seats.collect();
        let membership = Membership::new(vnodes_per_weight.get(), &seats, &kept, total(&vnodes));
        let mut added = placement.place(&membership)?;
        added.sort_unstable();
        if rules.ties() == Ties::FirstConfigured {
            added.dedup_by_key(|vnode| vnode.point());
        }
        count(&added, &mut vnodes, |node| {
            seats
                .get(node as usize)
                .is_some_and(|seat| seat.is_joining() && seat.weight() > 0)
        })?;
        Ok(Self::new(
            old.index.splice(&renumber, &added, drafts.len()),
            vnodes,
        ))
    }

    /// A layout of points that were placed before: sorted, and owned by nodes with weight.
    pub(crate) fn restore<T>(points: &[Vnode], drafts: &[Draft<T>]) -> Option<Self> {
        let mut vnodes = vec![0; drafts.len()];
        let has_weight = |node: u32| {
            drafts
                .get(node as usize)
                .is_some_and(|draft| draft.node.weight() > 0)
        };
        count(points, &mut vnodes, has_weight).ok()?;
        let index = || Index::default().splice(&[], points, drafts.len());
        points.is_sorted().then(|| Self::new(index(), vnodes))
    }

    fn new(index: Index, vnodes: Vec<u32>) -> Self {
        let placed = vnodes.iter().filter(|count| **count > 0).count();
        Self {
            index,
            vnodes,
            placed,
        }
    }

    /// The new number of each node, from the old number that each new one had.
    fn renumber(&self, stays: impl Iterator<Item = Option<u32>>) -> Vec<Option<u32>> {
        let mut renumber = vec![None; self.vnodes.len()];
        for (number, was) in (0..).zip(stays) {
            if let Some(old) = was.and_then(|was| renumber.get_mut(was as usize)) {
                *old = Some(number);
            }
        }
        renumber
    }

    fn vnodes_of(&self, node: Option<u32>) -> u32 {
        let vnodes = node.and_then(|node| self.vnodes.get(node as usize));
        vnodes.copied().unwrap_or(0)
    }

    /// The points that stay, under their owners' new numbers.
    fn kept(&self, renumber: &[Option<u32>]) -> impl Iterator<Item = Vnode> {
        self.index.vnodes().filter_map(|vnode| {
            let owner = renumber.get(vnode.node() as usize).copied().flatten()?;
            Some(Vnode::new(vnode.point(), owner))
        })
    }
}

/// Counts `points` for their owners, and checks that these `may_own` and that all are not too
/// many.
fn count(
    points: &[Vnode],
    vnodes: &mut [u32],
    may_own: impl Fn(u32) -> bool,
) -> Result<(), PlacementError> {
    for point in points {
        let node = point.node();
        let owner = vnodes.get_mut(node as usize).filter(|_| may_own(node));
        *owner.ok_or(PlacementError::UnknownNode { node })? += 1;
    }
    match total(vnodes) {
        wanted if wanted > VNODES_MAX => Err(PlacementError::TooManyVnodes { wanted }),
        _ => Ok(()),
    }
}

fn total(vnodes: &[u32]) -> u64 {
    vnodes.iter().map(|count| u64::from(*count)).sum()
}
