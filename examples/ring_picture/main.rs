//! Draws the ring as SVG: who owns which part of the circle, and how even the shares are with
//! random and with allocated vnodes, before and after a node leaves.
//!
//! ```text
//! cargo run --release --example ring_picture -- ring.svg
//! ```

mod bars;
mod circle;
mod paint;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use plotters::prelude::*;
use tripod::ring::{Allocated, Change, HashRing, Node, NodeId, Placement, Sha256V1};

use bars::Shares;
use paint::{Area, Drawn, FAINT, INK, text};

const NODES: usize = 12;
const VNODES: u32 = 16;
/// The number of the node that leaves: one of those that leave the allocated shares uneven.
const LEAVER: usize = 3;

const SIZE: (u32, u32) = (1400, 1000);
const CIRCLES_WIDTH: u32 = 490;
const HEADER_HEIGHT: u32 = 100;
const ROW_HEIGHT: u32 = (SIZE.1 - HEADER_HEIGHT) / 2;

/// A ring whose nodes' payload is their number, from 0.
type Ring<P> = HashRing<usize, P>;

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1);
    let path = path.map_or_else(|| PathBuf::from("ring.svg"), PathBuf::from);
    match draw(&path) {
        Ok(()) => {
            println!("wrote {}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: cannot draw {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn draw(path: &Path) -> Drawn {
    let random = ring(Sha256V1)?;
    let allocated = ring(Allocated::new(Sha256V1))?;

    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (header, body) = root.split_vertically(HEADER_HEIGHT);
    draw_header(&header)?;
    let (circles, charts) = body.split_horizontally(CIRCLES_WIDTH);
    let (upper, lower) = circles.split_vertically(ROW_HEIGHT);
    circle::draw(&upper, &random, "random")?;
    circle::draw(&lower, &allocated, "allocated")?;

    let (upper, lower) = charts.split_vertically(ROW_HEIGHT);
    let shares = (Shares::new(&random), Shares::new(&allocated));
    let title = format!("What each of the {NODES} nodes owns");
    bars::draw(&upper, &title, &shares.0, &shares.1)?;
    let shares = (without(&random, LEAVER)?, without(&allocated, LEAVER)?);
    let title = format!("After {} has left", name(LEAVER));
    bars::draw(&lower, &title, &shares.0, &shares.1)?;

    root.present()?;
    Ok(())
}

fn name(number: usize) -> String {
    format!("node-{}", number + 1)
}

fn ring<P: Placement + Clone>(placement: P) -> Result<Ring<P>, Box<dyn Error>> {
    let mut nodes = Vec::new();
    for number in 0..NODES {
        nodes.push(Node::new(name(number))?.with_payload(number));
    }
    let builder = HashRing::builder_with(placement).nodes(nodes);
    Ok(builder.vnodes(VNODES.try_into()?).build()?)
}

fn without<P: Placement + Clone>(ring: &Ring<P>, number: usize) -> Result<Shares, Box<dyn Error>> {
    let left = ring.apply([Change::Remove(NodeId::new(name(number))?)])?;
    Ok(Shares::new(&left))
}

fn draw_header(area: &Area<'_>) -> Drawn {
    let title = format!("Random and allocated vnodes: {NODES} nodes, {VNODES} vnodes each");
    area.draw(&Text::new(title, (40, 24), text(30, INK)))?;
    let note = "A key belongs to the first vnode clockwise from its hash. Random vnodes stand \
                where hashes fall; allocated ones where they even out the shares.";
    area.draw(&Text::new(note, (40, 66), text(16, FAINT)))?;
    Ok(())
}
