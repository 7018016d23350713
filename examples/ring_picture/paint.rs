//! Colours and letters.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A part of the picture, with pixels counted from its own corner.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) type Drawn = Result<(), Box<dyn Error>>;

pub(crate) const INK: RGBColor = RGBColor(38, 42, 51);
pub(crate) const FAINT: RGBColor = RGBColor(98, 104, 116);
pub(crate) const GRID: RGBColor = RGBColor(228, 230, 235);
pub(crate) const RANDOM: RGBColor = RGBColor(158, 168, 186);
pub(crate) const ALLOCATED: RGBColor = RGBColor(26, 115, 171);
pub(crate) const IDEAL: RGBColor = RGBColor(200, 42, 42);

/// The colour of a node.
pub(crate) fn color(number: usize) -> RGBColor {
    /// Those that are alike stand apart.
    const PALETTE: [RGBColor; 12] = [
        RGBColor(31, 119, 180),
        RGBColor(255, 158, 74),
        RGBColor(44, 140, 60),
        RGBColor(225, 87, 89),
        RGBColor(148, 103, 189),
        RGBColor(140, 86, 75),
        RGBColor(240, 160, 200),
        RGBColor(120, 124, 132),
        RGBColor(200, 190, 60),
        RGBColor(60, 190, 207),
        RGBColor(150, 200, 245),
        RGBColor(150, 215, 140),
    ];
    let color = PALETTE.iter().cycle().nth(number);
    color.copied().unwrap_or(INK)
}

pub(crate) fn text(size: u32, color: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&color)
}

pub(crate) fn centred(size: u32, color: RGBColor) -> TextStyle<'static> {
    text(size, color).pos(Pos::new(HPos::Center, VPos::Center))
}
