//! The shares as bars.

use plotters::prelude::*;
use tripod::ring::Placement;

use crate::paint::{ALLOCATED, Area, Drawn, FAINT, GRID, IDEAL, INK, RANDOM, centred, text};
use crate::{NODES, Ring};

/// The shares of a ring's nodes in per cent, by number, and its peak-to-average.
pub(crate) struct Shares {
    of: Vec<Option<f64>>,
    peak: f64,
}

impl Shares {
    pub(crate) fn new<P: Placement>(ring: &Ring<P>) -> Self {
        let balance = ring.balance();
        let mut of = vec![None; NODES];
        for (node, share) in ring.nodes().zip(balance.shares()) {
            if let Some(of) = of.get_mut(*node.payload()) {
                *of = Some(share.fraction() * 100.0);
            }
        }
        let peak = balance.peak_to_average().unwrap_or(f64::NAN);
        Self { of, peak }
    }

    /// The share of each node, were all alike.
    fn ideal(&self) -> f64 {
        let left = self.of.iter().flatten();
        100.0 / left.map(|_| 1.0).sum::<f64>()
    }
}

/// Two bars for each node, and a line at the share that is ideal.
pub(crate) fn draw(area: &Area<'_>, title: &str, random: &Shares, allocated: &Shares) -> Drawn {
    /// Both pictures to one scale, in per cent.
    const SHARE_MAX: f64 = 14.0;
    let nodes = f64::from(u32::try_from(random.of.len())?);
    let mut chart = ChartBuilder::on(area)
        .margin_top(72)
        .margin_right(30)
        .margin_bottom(8)
        .set_label_area_size(LabelAreaPosition::Left, 62)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d(0.0..nodes, 0.0..SHARE_MAX)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .label_style(text(14, FAINT))
        .y_labels(8)
        .y_label_formatter(&|share| format!("{share:.0}%"))
        .y_desc("share of all hashes")
        .axis_desc_style(text(15, INK))
        .draw()?;
    for (shares, color, offset) in [(random, RANDOM, 0.14), (allocated, ALLOCATED, 0.51)] {
        let bars = (0_u32..).zip(&shares.of).filter_map(|(number, share)| {
            let (x, share) = (f64::from(number) + offset, (*share)?);
            Some(Rectangle::new(
                [(x, 0.0), (x + 0.35, share)],
                color.filled(),
            ))
        });
        chart.draw_series(bars)?;
    }
    let ideal = random.ideal();
    let line = vec![(0.0, ideal), (nodes, ideal)];
    chart.draw_series([PathElement::new(line, IDEAL.stroke_width(2))])?;
    chart.draw_series((0_u32..).zip(&random.of).map(|(number, share)| {
        let (note, ink) = match share {
            Some(_) => ("", INK),
            None => (" left", IDEAL),
        };
        let label = format!("node-{}{note}", number + 1);
        EmptyElement::at((f64::from(number) + 0.5, 0.0))
            + Text::new(label, (0, 16), centred(14, ink))
    }))?;
    draw_heading(area, title, random, allocated)
}

/// The title, and what the colours mean.
fn draw_heading(area: &Area<'_>, title: &str, random: &Shares, allocated: &Shares) -> Drawn {
    area.draw(&Text::new(title.to_owned(), (62, 4), text(20, INK)))?;
    let legend = [
        (
            62,
            RANDOM,
            format!("random, peak-to-average {:.2}", random.peak),
        ),
        (
            330,
            ALLOCATED,
            format!("allocated, peak-to-average {:.2}", allocated.peak),
        ),
        (615, IDEAL, format!("ideal, {:.2}% each", random.ideal())),
    ];
    for (x, color, label) in legend {
        area.draw(&Rectangle::new([(x, 38), (x + 14, 52)], color.filled()))?;
        area.draw(&Text::new(label, (x + 22, 37), text(16, INK)))?;
    }
    Ok(())
}
