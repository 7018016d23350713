//! `--summary`: how many keys each node gets, and how many move.

use std::io::{self, BufWriter, Write};

use tripod::ring::{Balance, Node, Placement};

use crate::failure::Failure;
use crate::keys::Keys;
use crate::moves::{self, Moves};
use crate::options::Options;
use crate::seat::{Ring, Seat, up_owner};
use crate::table::{label, peak, percent, ratio, width};

/// Counts the keys of standard input and prints the tables.
pub(crate) fn run<P: Placement + Clone>(ring: &Ring<P>, options: &Options) -> Result<(), Failure> {
    let changed = options
        .changes()
        .then(|| moves::changed(ring, options))
        .transpose()?;
    let mut moves = changed
        .as_ref()
        .map(|changed| Moves::new(ring, changed))
        .transpose()?;
    let any_down = ring.nodes().any(|node| node.payload().down);
    let mut counts = vec![0_u64; ring.len()];
    let mut keys = Keys::new(false);
    while let Some(key) = keys.next()? {
        let hash = ring.hash(key);
        let Some(owner) = up_owner(ring, hash, any_down) else {
            continue;
        };
        if let Some(count) = counts.get_mut(owner.payload().number) {
            *count += 1;
        }
        if let Some(moves) = &mut moves {
            moves.count(owner, hash);
        }
    }
    let table = Table {
        balance: ring.balance(),
        counts,
        keys: keys.count(),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    table
        .write(ring, &mut out)
        .and_then(|()| moves.map_or(Ok(()), |moves| moves.write(table.keys, &mut out)))
        .and_then(|()| out.flush())
        .map_err(Failure::Write)
}

/// What each node owns: of the keys read, and of all hashes.
#[derive(Debug)]
struct Table {
    balance: Balance,
    counts: Vec<u64>,
    keys: u64,
}

impl Table {
    fn write<P: Placement>(&self, ring: &Ring<P>, out: &mut impl Write) -> io::Result<()> {
        let width = width(ring.nodes().map(label));
        writeln!(
            out,
            "{:<width$}  {:>10}  {:>8}  {:>12}  {:>8}  {:>8}",
            "node", "weight", "vnodes", "keys", "of keys", "share"
        )?;
        for (node, share) in ring.nodes().zip(self.balance.shares()) {
            let keys = self.count(node);
            writeln!(
                out,
                "{:<width$}  {:>10}  {:>8}  {keys:>12}  {}  {:>7.3}%",
                label(node),
                share.weight(),
                share.vnodes(),
                percent(keys, self.keys),
                share.fraction() * 100.0
            )?;
        }
        writeln!(out, "{} keys in all", self.keys)?;
        write!(out, "peak-to-average {:.3} by share", peak(&self.balance))?;
        if let Some(peak) = self.peak_of_keys(ring) {
            write!(out, ", {peak:.3} by keys read")?;
        }
        writeln!(out)
    }

    fn count(&self, node: &Node<Seat>) -> u64 {
        let count = self.counts.get(node.payload().number);
        count.copied().unwrap_or(0)
    }

    /// The most keys of a node relative to what it is due by its weight among those that are
    /// up. `None` where no keys were read.
    fn peak_of_keys<P: Placement>(&self, ring: &Ring<P>) -> Option<f64> {
        let up = || {
            let shares = ring.nodes().zip(self.balance.shares());
            shares.filter(|(node, share)| !node.payload().down && share.vnodes() > 0)
        };
        let weight: f64 = up().map(|(node, _)| f64::from(node.weight())).sum();
        let ratios = up().map(|(node, _)| {
            let due = f64::from(node.weight()) / weight;
            ratio(self.count(node), self.keys) / due
        });
        ratios.filter(|ratio| ratio.is_finite()).reduce(f64::max)
    }
}
