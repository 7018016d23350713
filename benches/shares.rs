//! `cargo bench --bench shares`: how even the shares are, by vnodes a node, as a table; with
//! `-- --write`, also as the picture `benches/shares.svg`.
//!
//! A bench of quality: no time is taken, and every run gives the same.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench may stop, and its figures are for people"
)]

use std::error::Error;

use plotters::prelude::*;
use tripod::ring::{Allocated, HashRing, Node, Placement, Xxh3V1};

/// Sets of nodes with other names, to tell the rule from the chance.
const SETS: u32 = 15;
const VNODES: [u32; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];
const SIZES: [u32; 3] = [3, 10, 100];
const ALLOCATED_NODES: u32 = 100;

const INK: RGBColor = RGBColor(38, 42, 51);
const FAINT: RGBColor = RGBColor(98, 104, 116);
const GRID: RGBColor = RGBColor(228, 230, 235);
const RANDOM: [RGBColor; 3] = [
    RGBColor(158, 168, 186),
    RGBColor(112, 124, 150),
    RGBColor(66, 76, 104),
];
const ALLOCATED: RGBColor = RGBColor(26, 115, 171);

/// Peak-to-average by vnodes.
struct Curve {
    name: String,
    color: RGBColor,
    peaks: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let random = SIZES.iter().zip(RANDOM).map(|(nodes, color)| Curve {
        name: format!("{nodes} nodes, random"),
        color,
        peaks: VNODES.map(|vnodes| peak(&Xxh3V1, *nodes, vnodes)).to_vec(),
    });
    let allocated = VNODES.map(|vnodes| peak(&Allocated::new(Xxh3V1), ALLOCATED_NODES, vnodes));
    let mut curves: Vec<_> = random.collect();
    curves.push(Curve {
        name: format!("{ALLOCATED_NODES} nodes, allocated"),
        color: ALLOCATED,
        peaks: allocated.to_vec(),
    });
    print(&curves);
    if std::env::args().any(|option| option == "--write") {
        draw("benches/shares.svg", &curves)?;
    }
    Ok(())
}

/// The median over sets of nodes.
fn peak<P: Placement + Clone>(placement: &P, nodes: u32, vnodes: u32) -> f64 {
    let mut peaks: Vec<f64> = (0..SETS)
        .map(|set| {
            let node = |number| Node::new(format!("set-{set}-node-{number}")).unwrap();
            let ring: HashRing<(), P> = HashRing::builder_with(placement.clone())
                .nodes((0..nodes).map(node))
                .vnodes(vnodes.try_into().unwrap())
                .build()
                .unwrap();
            ring.balance().peak_to_average().unwrap()
        })
        .collect();
    peaks.sort_by(f64::total_cmp);
    peaks[peaks.len() / 2]
}

fn print(curves: &[Curve]) {
    let heads = VNODES.map(|vnodes| format!(" {vnodes} |")).concat();
    println!(
        "| vnodes a node |{heads}\n|---|{}",
        "---|".repeat(VNODES.len())
    );
    for curve in curves {
        let peaks = curve.peaks.iter().map(|peak| format!(" {peak:.2} |"));
        println!("| {} |{}", curve.name, peaks.collect::<String>());
    }
}

fn draw(path: &str, curves: &[Curve]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (760, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let text = |size: u32, color: RGBColor| ("sans-serif", size).into_font().color(&color);
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .margin_top(52)
        .margin_right(24)
        .set_label_area_size(LabelAreaPosition::Left, 58)
        .set_label_area_size(LabelAreaPosition::Bottom, 46)
        .build_cartesian_2d(3.0..10.0, 1.0..2.2)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .label_style(text(14, FAINT))
        .x_labels(VNODES.len())
        .x_label_formatter(&|power: &f64| format!("{:.0}", power.exp2()))
        .y_labels(7)
        .y_label_formatter(&|peak| format!("{peak:.1}"))
        .x_desc("vnodes a node")
        .y_desc("busiest node / average")
        .axis_desc_style(text(15, INK))
        .draw()?;
    for (line, curve) in (0_i32..).zip(curves) {
        let points = VNODES.iter().zip(&curve.peaks);
        let points = points.map(|(vnodes, peak)| (f64::from(*vnodes).log2(), *peak));
        let points: Vec<_> = points.collect();
        chart.draw_series(
            points
                .iter()
                .map(|at| Circle::new(*at, 3, curve.color.filled())),
        )?;
        chart.draw_series([PathElement::new(points, curve.color.stroke_width(2))])?;
        let (left, top) = (540, 74 + 22 * line);
        let mark = [(left, top), (left + 14, top + 14)];
        area.draw(&Rectangle::new(mark, curve.color.filled()))?;
        area.draw(&Text::new(
            curve.name.clone(),
            (left + 22, top),
            text(14, INK),
        ))?;
    }
    let title = "How even shares are: peak-to-average by vnodes";
    area.draw(&Text::new(title, (16, 14), text(20, INK)))?;
    area.present()?;
    Ok(())
}
