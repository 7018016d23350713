//! `--then-add` and `--then-remove`: what moves, beside the least that could.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use tripod::ring::{Change, Node, NodeId, Placement, ZonePolicy, diff};

use crate::failure::Failure;
use crate::options::{NodeOption, Options};
use crate::seat::{Ring, Seat, check_owners, seated, up_owner};
use crate::table::{fraction, label, peak, percent, width};

/// The ring after the changes that were asked for: first the removals, then the additions.
pub(crate) fn changed<P: Placement + Clone>(
    ring: &Ring<P>,
    options: &Options,
) -> Result<Ring<P>, Failure> {
    let removals = options.then_remove.iter().cloned().map(Change::Remove);
    // A name that leaves and comes back is the same node to count by.
    let known = |option: &NodeOption| ring.node(option.node.id().as_str());
    let newcomers = (ring.len()..).zip(&options.then_add);
    let additions = newcomers.map(|(next, option)| {
        let number = known(option).map_or(next, |node| node.payload().number);
        Change::Add(seated(option, number))
    });
    let changed = ring.apply(removals.chain(additions))?;
    check_owners(&changed)?;
    Ok(changed)
}

/// What moves from one ring to another.
pub(crate) struct Moves<'a, P> {
    old: &'a Ring<P>,
    new: &'a Ring<P>,
    any_down: bool,
    /// How many ranges of hashes move.
    ranges: usize,
    /// By the numbers of the nodes from which and to which keys move.
    pairs: BTreeMap<(usize, usize), Moved>,
}

/// What moves from one node to another.
#[derive(Debug, Default)]
struct Moved {
    /// Of the keys read.
    keys: u64,
    /// Of all 2^64 hashes.
    hashes: u128,
}

impl<'a, P: Placement> Moves<'a, P> {
    pub(crate) fn new(old: &'a Ring<P>, new: &'a Ring<P>) -> Result<Self, Failure> {
        let numbers: HashMap<&NodeId, usize> = old
            .nodes()
            .chain(new.nodes())
            .map(|node| (node.id(), node.payload().number))
            .collect();
        let number = |id: Option<&NodeId>| id.and_then(|id| numbers.get(id).copied());
        let ranges = diff(old, new, 1, ZonePolicy::Any)?;
        let mut pairs: BTreeMap<_, Moved> = BTreeMap::new();
        for moved in &ranges {
            if let (Some(from), Some(to)) = (number(moved.from()), number(moved.to())) {
                pairs.entry((from, to)).or_default().hashes += moved.range().hashes();
            }
        }
        let mut nodes = old.nodes().chain(new.nodes());
        Ok(Self {
            old,
            new,
            any_down: nodes.any(|node| node.payload().down),
            ranges: ranges.len(),
            pairs,
        })
    }

    /// Counts a key with this hash, which `from` has on the old ring, if it moves.
    pub(crate) fn count(&mut self, from: &Node<Seat>, hash: u64) {
        let Some(to) = up_owner(self.new, hash, self.any_down) else {
            return;
        };
        if from.id() != to.id() {
            let pair = (from.payload().number, to.payload().number);
            self.pairs.entry(pair).or_default().keys += 1;
        }
    }

    /// Prints the moves of the `keys` that were read.
    pub(crate) fn write(&self, keys: u64, out: &mut impl Write) -> io::Result<()> {
        let names: HashMap<usize, String> = self
            .old
            .nodes()
            .chain(self.new.nodes())
            .map(|node| (node.payload().number, label(node)))
            .collect();
        let name = |number: &usize| names.get(number).map_or("?", String::as_str);
        let width = width(names.values().cloned());
        writeln!(
            out,
            "\n{:<width$}  {:<width$}  {:>12}  {:>8}  {:>8}",
            "from", "to", "keys moved", "of keys", "of ring"
        )?;
        for ((from, to), moved) in &self.pairs {
            let (from, to) = (name(from), name(to));
            let part = percent(moved.keys, keys);
            let exact = fraction(moved.hashes) * 100.0;
            writeln!(
                out,
                "{from:<width$}  {to:<width$}  {:>12}  {part}  {exact:>7.3}%",
                moved.keys
            )?;
        }
        self.write_totals(keys, out)
    }

    fn write_totals(&self, keys: u64, out: &mut impl Write) -> io::Result<()> {
        let moved = self.pairs.values().map(|moved| moved.keys).sum();
        let exact = fraction(self.pairs.values().map(|moved| moved.hashes).sum());
        let ranges = self.ranges;
        let part = percent(moved, keys);
        writeln!(out, "{moved} of {keys} keys moved, {}", part.trim_start())?;
        writeln!(
            out,
            "{:.3}% of the ring moved, in {ranges} ranges",
            exact * 100.0
        )?;
        writeln!(out, "{:.3}% ideal by weight", self.ideal() * 100.0)?;
        writeln!(
            out,
            "peak-to-average {:.3} by share now",
            peak(&self.new.balance())
        )?;
        if self.any_down {
            writeln!(out, "(all but the keys: as if no node were down)")?;
        }
        Ok(())
    }

    /// The least that must move for every node to have its share by weight on both rings: what
    /// those gain whose share grows. For a newcomer of weight w that is w / (total + w), for a
    /// node that leaves its share.
    fn ideal(&self) -> f64 {
        let old = due(self.old);
        let due = due(self.new).into_iter();
        due.map(|(id, due)| (due - old.get(id).copied().unwrap_or(0.0)).max(0.0))
            .sum()
    }
}

/// What each node with vnodes is due by weight, 0 to 1.
fn due<P: Placement>(ring: &Ring<P>) -> HashMap<&NodeId, f64> {
    let balance = ring.balance();
    let shares = ring.nodes().zip(balance.shares());
    let weights: Vec<(&NodeId, f64)> = shares
        .filter(|(_, share)| share.vnodes() > 0)
        .map(|(node, share)| (node.id(), f64::from(share.weight())))
        .collect();
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let due = weights.into_iter().map(|(id, weight)| (id, weight / total));
    due.collect()
}
