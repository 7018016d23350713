//! Draws the ring as SVG: who owns which part of the circle, and how even the shares are with
//! random and with allocated vnodes, before and after a node leaves.
//!
//! ```text
//! cargo run --release --example ring_picture -- ring.svg
//! ```

use std::error::Error;
use std::f64::consts::TAU;
use std::path::PathBuf;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use tripod::ring::{Allocated, Change, HashRing, Node, NodeId, Placement, Sha256V1};

const NODES: usize = 12;
const VNODES: u32 = 16;
const LEAVER: usize = 4;

const SIZE: (u32, u32) = (1400, 1000);
const CIRCLES_WIDTH: u32 = 470;
const HEADER_HEIGHT: u32 = 110;
const FONT: &str = "sans-serif";

const INK: RGBColor = RGBColor(38, 42, 51);
const FAINT: RGBColor = RGBColor(104, 110, 122);
const GRID: RGBColor = RGBColor(228, 230, 235);
const RANDOM: RGBColor = RGBColor(150, 160, 178);
const ALLOCATED: RGBColor = RGBColor(26, 115, 171);
const IDEAL: RGBColor = RGBColor(200, 42, 42);

/// One for each node, neighbours far apart.
const PALETTE: [RGBColor; NODES] = [
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
    RGBColor(130, 200, 240),
    RGBColor(150, 215, 140),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

fn main() -> Drawn {
    let path = std::env::args_os().nth(1);
    let path = path.map_or_else(|| PathBuf::from("ring.svg"), PathBuf::from);
    let random = ring(Sha256V1)?;
    let allocated = ring(Allocated::new(Sha256V1))?;

    let root = SVGBackend::new(&path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (header, body) = root.split_vertically(HEADER_HEIGHT);
    let (circles, charts) = body.split_horizontally(CIRCLES_WIDTH);
    draw_header(&header)?;

    let (upper, lower) = circles.split_vertically((SIZE.1 - HEADER_HEIGHT) / 2);
    draw_circle(&upper, &random, "random")?;
    draw_circle(&lower, &allocated, "allocated")?;

    let (upper, lower) = charts.split_vertically((SIZE.1 - HEADER_HEIGHT) / 2);
    draw_shares(&upper, "Shares of 12 nodes", &random, &allocated)?;
    let leaves = || Ok::<_, Box<dyn Error>>([Change::Remove(NodeId::new(name(LEAVER))?)]);
    let (random, allocated) = (random.apply(leaves()?)?, allocated.apply(leaves()?)?);
    let title = format!("After {} has left: the others keep what they had", name(LEAVER));
    draw_shares(&lower, &title, &random, &allocated)?;

    root.present()?;
    println!("wrote {}", path.display());
    Ok(())
}

fn name(number: usize) -> String {
    format!("node-{}", number + 1)
}

/// The payload is the node's number, from 0.
fn ring<P: Placement + Clone>(placement: P) -> Result<HashRing<usize, P>, Box<dyn Error>> {
    let nodes: Result<Vec<_>, _> = (0..NODES)
        .map(|number| Ok::<_, Box<dyn Error>>(Node::new(name(number))?.with_payload(number)))
        .collect();
    let builder = HashRing::builder_with(placement).nodes(nodes?);
    Ok(builder.vnodes(VNODES.try_into()?).build()?)
}

fn draw_header(area: &Area<'_>) -> Drawn {
    let title = format!("One ring, {NODES} nodes of {VNODES} vnodes: random or allocated");
    area.draw(&Text::new(title, (40, 26), text(30, INK)))?;
    let note = "A key belongs to the first vnode clockwise from its hash. Random vnodes stand where \
                their hashes fall; allocated ones where they even out the shares.";
    area.draw(&Text::new(note, (40, 70), text(16, FAINT)))?;
    Ok(())
}

fn text(size: u32, color: RGBColor) -> TextStyle<'static> {
    (FONT, size).into_font().color(&color)
}

fn centred(size: u32, color: RGBColor) -> TextStyle<'static> {
    text(size, color).pos(Pos::new(HPos::Center, VPos::Center))
}

/// The circle, each arc in the colour of the node that owns it, with a legend to its right.
fn draw_circle<P: Placement>(
    area: &Area<'_>,
    ring: &HashRing<usize, P>,
    kind: &str,
) -> Drawn {
    const CENTRE: (i32, i32) = (205, 215);
    const INNER: f64 = 105.0;
    const OUTER: f64 = 165.0;
    let at = |turn: f64, radius: f64| {
        let (sin, cos) = (turn * TAU).sin_cos();
        (CENTRE.0 + round(sin * radius), CENTRE.1 - round(cos * radius))
    };
    let points: Vec<(f64, usize)> = ring
        .vnodes()
        .map(|(point, node)| (turn(point), *node.payload()))
        .collect();
    // The arc of a point begins at the point before it: the first one's at the last, a turn ago.
    let mut after = points.last().map_or(0.0, |(last, _)| last - 1.0);
    for (upto, number) in &points {
        let steps = ((upto - after) * 360.0).ceil().max(1.0);
        let turns = || {
            let step = move |i: u32| after + (upto - after) * (f64::from(i) / steps).min(1.0);
            (0..=steps_u32(steps)).map(step)
        };
        let outer = turns().map(|turn| at(turn, OUTER));
        let inner: Vec<_> = turns().map(|turn| at(turn, INNER)).collect();
        let outline: Vec<_> = outer.chain(inner.into_iter().rev()).collect();
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
    area.draw(&Text::new("peak-to-average", (x, y + 12), centred(15, FAINT)))?;
    area.draw(&Text::new(format!("{peak:.2}"), (x, y + 36), centred(22, INK)))?;
    draw_legend(area, (395, 85))
}
