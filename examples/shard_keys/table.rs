//! Names and figures as the tables print them.

use tripod::ring::{Balance, Node};

use crate::seat::Seat;

/// The largest share relative to what its node is due by weight.
pub(crate) fn peak(balance: &Balance) -> f64 {
    balance.peak_to_average().unwrap_or(f64::NAN)
}

/// How a node is named in a table.
pub(crate) fn label(node: &Node<Seat>) -> String {
    let mark = if node.payload().down { " (down)" } else { "" };
    format!("{}{mark}", node.id())
}

/// Wide enough for the longest name, within reason.
pub(crate) fn width(names: impl Iterator<Item = String>) -> usize {
    let longest = names.map(|name| name.chars().count()).max();
    longest.unwrap_or(0).clamp(4, 48)
}

/// A part as eight characters.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        format!("{:>8}", "-")
    } else {
        format!("{:>7.3}%", ratio(part, whole) * 100.0)
    }
}

/// A part of a whole, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// A part of the circle, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a fraction for people")]
pub(crate) fn fraction(hashes: u128) -> f64 {
    hashes as f64 / (1_u128 << 64) as f64
}
