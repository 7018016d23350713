//! Pictures of sagas, as text that others draw: Mermaid and Graphviz.

use std::fmt::Write;
use std::sync::Arc;

use super::coordinator::{SagaStatus, StepStatus};
use super::definition::Definition;
use super::kind::Kind;
use super::shape::Shape;
use super::state::Progress;

/// A step in a picture. Names have no characters that either language would take for its own.
struct Drawn {
    name: Arc<str>,
    kind: Kind,
    progress: Option<Progress>,
    after: Vec<usize>,
}

impl<I> Definition<I> {
    /// Its steps as a Mermaid flowchart: hexagons are the pivot, rounded ones are retriable.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        mermaid(&planned(&self.blueprint.shape))
    }

    /// Its steps as a Graphviz graph.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot(&planned(&self.blueprint.shape))
    }
}

impl SagaStatus {
    /// Its steps, and how far each is, as a Mermaid flowchart.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        mermaid(&seen(&self.steps))
    }

    /// Its steps, and how far each is, as a Graphviz graph.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot(&seen(&self.steps))
    }
}

fn planned(shape: &Shape) -> Vec<Drawn> {
    let nodes = shape.nodes().iter().map(|node| Drawn {
        name: Arc::clone(&node.name),
        kind: node.kind,
        progress: None,
        after: node
            .after
            .iter()
            .map(|earlier| usize::from(*earlier))
            .collect(),
    });
    nodes.collect()
}

fn seen(steps: &[StepStatus]) -> Vec<Drawn> {
    let number = |name: &Arc<str>| steps.iter().position(|step| step.name == *name);
    let drawn = steps.iter().map(|step| Drawn {
        name: Arc::clone(&step.name),
        kind: step.kind,
        progress: Some(step.progress),
        after: step.after.iter().filter_map(number).collect(),
    });
    drawn.collect()
}

fn mermaid(steps: &[Drawn]) -> String {
    let mut out = String::from("flowchart LR\n");
    for (number, step) in steps.iter().enumerate() {
        let (open, close) = match step.kind {
            Kind::Compensatable => ("[\"", "\"]"),
            Kind::Pivot => ("{{\"", "\"}}"),
            Kind::Retriable => ("([\"", "\"])"),
        };
        let state = step
            .progress
            .map(|progress| format!("<br/>{}", word(progress)));
        let (name, state) = (&step.name, state.unwrap_or_default());
        // Writing to a string does not fail.
        let _ = writeln!(out, "    s{number}{open}{name}{state}{close}");
    }
    for (number, step) in steps.iter().enumerate() {
        for earlier in &step.after {
            let _ = writeln!(out, "    s{earlier} --> s{number}");
        }
    }
    for (number, step) in steps.iter().enumerate() {
        if let Some(color) = step.progress.and_then(color) {
            let _ = writeln!(out, "    style s{number} fill:{color}");
        }
    }
    out
}

fn dot(steps: &[Drawn]) -> String {
    let mut out = String::from("digraph saga {\n    rankdir=LR\n");
    for (number, step) in steps.iter().enumerate() {
        let shape = match step.kind {
            Kind::Compensatable => "box",
            Kind::Pivot => "hexagon",
            Kind::Retriable => "ellipse",
        };
        let state = step
            .progress
            .map(|progress| format!("\\n{}", word(progress)));
        let (name, state) = (&step.name, state.unwrap_or_default());
        let fill = step.progress.and_then(color);
        let fill = fill.map(|color| format!(" style=filled fillcolor=\"{color}\""));
        let fill = fill.unwrap_or_default();
        let _ = writeln!(
            out,
            "    s{number} [label=\"{name}{state}\" shape={shape}{fill}]"
        );
    }
    for (number, step) in steps.iter().enumerate() {
        for earlier in &step.after {
            let _ = writeln!(out, "    s{earlier} -> s{number}");
        }
    }
    out.push_str("}\n");
    out
}

fn word(progress: Progress) -> &'static str {
    match progress {
        Progress::Waiting => "not run",
        Progress::Running => "running",
        Progress::Resting => "to be tried again",
        Progress::Succeeded => "done",
        Progress::Failed => "failed",
        Progress::Doubtful => "may have run",
        Progress::Compensating => "being compensated",
        Progress::CompensationResting => "to be compensated again",
        Progress::Compensated => "compensated",
        Progress::Parked(_) => "parked",
    }
}

/// Colours that also those tell apart who see no red.
fn color(progress: Progress) -> Option<&'static str> {
    match progress {
        Progress::Waiting => None,
        Progress::Running | Progress::Resting => Some("#cfe8ff"),
        Progress::Succeeded => Some("#9ecae1"),
        Progress::Failed | Progress::Doubtful => Some("#fdae6b"),
        Progress::Compensating | Progress::CompensationResting => Some("#fee6ce"),
        Progress::Compensated => Some("#d9d9d9"),
        Progress::Parked(_) => Some("#ffd92f"),
    }
}
