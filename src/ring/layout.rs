//! The points of a ring, and how a change of members changes them.

use std::num::NonZeroU32;

use super::change::Draft;
use super::error::PlacementError;
use super::index::Index;
use super::placement::{Dependence, Membership, Placement, Seat, Ties, VNODES_MAX};
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
        let afresh =
            rules.dependence() == Dependence::Membership || rules.ties() == Ties::FirstConfigured;
        let stays = |draft: &Draft<T>| draft.was.filter(|_| !afresh);
        let mut renumber = vec![None; self.vnodes.len()];
        for (number, draft) in (0..).zip(drafts) {
            if let Some(old) = stays(draft).and_then(|was| renumber.get_mut(was as usize)) {
                *old = Some(number);
            }
        }
        let kept: Vec<Vnode> = match rules.dependence() {
            Dependence::History => self.kept(&renumber).collect(),
            Dependence::Node | Dependence::Membership => Vec::new(),
        };
        let seats: Vec<Seat<'_>> = drafts
            .iter()
            .map(|draft| {
                let node = &draft.node;
                Seat::new(
                    node.id(),
                    node.weight(),
                    vnodes_per_weight.get(),
                    stays(draft).is_none(),
                )
            })
            .collect();
        let mut added =
            placement.place(&Membership::new(vnodes_per_weight.get(), &seats, &kept))?;
        added.sort_unstable();
        if rules.ties() == Ties::FirstConfigured {
            added.dedup_by_key(|vnode| vnode.point());
        }
        let counts = |was: u32| self.vnodes.get(was as usize).copied();
        let mut vnodes: Vec<u32> = drafts
            .iter()
            .map(|draft| stays(draft).and_then(counts).unwrap_or(0))
            .collect();
        for vnode in &added {
            let node = vnode.node();
            let joining = drafts
                .get(node as usize)
                .is_some_and(|draft| stays(draft).is_none() && draft.node.weight() > 0);
            let count = vnodes.get_mut(node as usize).filter(|_| joining);
            *count.ok_or(PlacementError::UnknownNode { node })? += 1;
        }
        Self::check_total(&vnodes)?;
        Ok(Self {
            index: self.index.splice(&renumber, &added, drafts.len()),
            ..Self::counted(vnodes)
        })
    }

    /// The points that stay, under their owners' new numbers.
    fn kept(&self, renumber: &[Option<u32>]) -> impl Iterator<Item = Vnode> {
        self.index.vnodes().filter_map(|vnode| {
            let owner = renumber.get(vnode.node() as usize).copied().flatten()?;
            Some(Vnode::new(vnode.point(), owner))
        })
    }

    fn check_total(vnodes: &[u32]) -> Result<(), PlacementError> {
        let wanted = vnodes.iter().map(|count| u64::from(*count)).sum();
        if wanted > VNODES_MAX {
            return Err(PlacementError::TooManyVnodes { wanted });
        }
        Ok(())
    }

    fn counted(vnodes: Vec<u32>) -> Self {
        let placed = vnodes.iter().filter(|count| **count > 0).count();
        Self {
            index: Index::default(),
            vnodes,
            placed,
        }
    }

    /// A layout of points that were placed before: sorted, and owned by the first `nodes` numbers.
    pub(crate) fn restore(vnodes: &[Vnode], nodes: usize) -> Option<Self> {
        let mut counts = vec![0_u32; nodes];
        for vnode in vnodes {
            *counts.get_mut(vnode.node() as usize)? += 1;
        }
        let sorted = vnodes.is_sorted();
        Self::check_total(&counts).ok().filter(|()| sorted)?;
        Some(Self {
            index: Index::default().splice(&[], vnodes, nodes),
            ..Self::counted(counts)
        })
    }
}
