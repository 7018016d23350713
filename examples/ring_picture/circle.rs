//! The circle, coloured by owner.

use std::f64::consts::TAU;

use plotters::prelude::*;
use tripod::ring::Placement;

use crate::paint::{Area, Drawn, FAINT, INK, centred, color, text};
use crate::{NODES, Ring, name};

/// The circle, each arc in the colour of the node that owns it, with a legend beside it.
pub(crate) fn draw<P: Placement>(area: &Area<'_>, ring: &Ring<P>, kind: &str) -> Drawn {
    const CENTRE: (i32, i32) = (205, 215);
    const INNER: f64 = 105.0;
    const OUTER: f64 = 165.0;
    /// Straight lines for each arc.
    const STEPS: u32 = 12;
    let at = |turn: f64, radius: f64| {
        let (sin, cos) = (turn * TAU).sin_cos();
        (
            CENTRE.0 + round(sin * radius),
            CENTRE.1 - round(cos * radius),
        )
    };
    let points: Vec<(f64, usize)> = ring
        .vnodes()
        .map(|(point, node)| (turn(point), *node.payload()))
        .collect();
    // The arc of a point begins at the point before it: the first one's at the last, a turn ago.
    let mut after = points.last().map_or(0.0, |(last, _)| last - 1.0);
    for (upto, number) in &points {
        let step = (upto - after) / f64::from(STEPS);
        let turns = (0..=STEPS).map(|steps| after + step * f64::from(steps));
        let outer = turns.clone().map(|turn| at(turn, OUTER));
        let inner = turns.rev().map(|turn| at(turn, INNER));
        let outline: Vec<_> = outer.chain(inner).collect();
        area.draw(&Polygon::new(outline, color(*number).filled()))?;
        after = *upto;
    }
    for (upto, _) in &points {
        let edge = vec![at(*upto, INNER), at(*upto, OUTER)];
        area.draw(&PathElement::new(edge, WHITE.stroke_width(1)))?;
    }
    let peak = ring.balance().peak_to_average().unwrap_or(f64::NAN);
    let (x, y) = CENTRE;
    area.draw(&Text::new(kind.to_owned(), (x, y - 22), centred(24, INK)))?;
    area.draw(&Text::new(
        "peak-to-average",
        (x, y + 12),
        centred(15, FAINT),
    ))?;
    area.draw(&Text::new(
        format!("{peak:.2}"),
        (x, y + 36),
        centred(22, INK),
    ))?;
    draw_legend(area, (398, 90))
}

fn draw_legend(area: &Area<'_>, (x, y): (i32, i32)) -> Drawn {
    for (number, y) in (0..NODES).zip((y..).step_by(22)) {
        area.draw(&Rectangle::new(
            [(x, y), (x + 14, y + 14)],
            color(number).filled(),
        ))?;
        area.draw(&Text::new(name(number), (x + 21, y), text(14, INK)))?;
    }
    Ok(())
}

/// Where a point is on the circle, in turns: 0 at the top, then clockwise.
#[expect(clippy::cast_precision_loss, reason = "a picture needs few digits")]
fn turn(point: u64) -> f64 {
    point as f64 / (1_u128 << 64) as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the picture is smaller than 2^31 pixels"
)]
fn round(pixels: f64) -> i32 {
    pixels.round() as i32
}
