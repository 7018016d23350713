//! The shape of a saga: its steps, what comes after what, and where the way back ends. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::DefinitionError;
use super::kind::Kind;

/// A step, as far as its order is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) name: Arc<str>,
    pub(super) version: u32,
    pub(super) kind: Kind,
    /// Whether there is something to run in order to compensate it.
    pub(super) undone: bool,
    /// The steps right before it, by number.
    pub(super) after: Vec<u16>,
    /// The steps right after it.
    pub(super) before: Vec<u16>,
}

/// The steps of a saga, each behind all that it comes after.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    nodes: Vec<Node>,
    pivot: Option<u16>,
}

/// A step as it was defined: its order is by name.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) name: Arc<str>,
    pub(super) version: u32,
    pub(super) kind: Kind,
    pub(super) undone: bool,
    pub(super) after: Vec<Arc<str>>,
}

/// The most steps of a saga. Each of its events looks at all of them.
pub const STEPS_MAX: usize = 1024;

impl Shape {
    /// Checks these steps and puts them into an order; also says where each has gone.
    pub(super) fn new(plans: &[Plan]) -> Result<(Self, Vec<usize>), DefinitionError> {
        if plans.is_empty() {
            return Err(DefinitionError::Empty);
        }
        if plans.len() > STEPS_MAX {
            return Err(DefinitionError::TooMany { max: STEPS_MAX });
        }
        let after = references(plans)?;
        let order = sorted(plans, &after)?;
        let mut place = vec![0; plans.len()];
        for (at, plan) in order.iter().enumerate() {
            if let Some(place) = place.get_mut(*plan) {
                *place = at;
            }
        }
        let number = |plan: &usize| {
            let at = place.get(*plan).copied().unwrap_or_default();
            u16::try_from(at).unwrap_or(u16::MAX)
        };
        let nodes = order.iter().filter_map(|at| {
            let (plan, after) = (plans.get(*at)?, after.get(*at)?);
            Some(Node {
                name: Arc::clone(&plan.name),
                version: plan.version,
                kind: plan.kind,
                undone: plan.undone,
                after: after.iter().map(number).collect(),
                before: Vec::new(),
            })
        });
        let mut shape = Self {
            nodes: nodes.collect(),
            pivot: None,
        };
        shape.link();
        shape.check()?;
        Ok((shape, order))
    }

    fn link(&mut self) {
        let mut links = Vec::new();
        for (number, node) in self.numbered() {
            links.extend(node.after.iter().map(|earlier| (*earlier, number)));
        }
        for (earlier, later) in links {
            if let Some(node) = self.nodes.get_mut(usize::from(earlier)) {
                node.before.push(later);
            }
        }
    }

    /// Every step is before the pivot and can be compensated, or after it and is retried.
    fn check(&mut self) -> Result<(), DefinitionError> {
        let pivots = self.numbered().filter(|(_, node)| node.kind == Kind::Pivot);
        let pivots: Vec<u16> = pivots.map(|(number, _)| number).collect();
        let name = |number: u16| self.name(number);
        if let [first, second, ..] = pivots.as_slice() {
            return Err(DefinitionError::TwoPivots(name(*first), name(*second)));
        }
        self.pivot = pivots.first().copied();
        let Some(pivot) = self.pivot else {
            let retriable = self.nodes.iter().find(|node| node.kind == Kind::Retriable);
            return match retriable {
                Some(node) => Err(DefinitionError::NoPivot(Arc::clone(&node.name))),
                None => Ok(()),
            };
        };
        let earlier = self.ancestors(pivot);
        let later = self.numbered().map(|(number, _)| number);
        let later = later.filter(|number| self.ancestors(*number).contains(&pivot));
        let later: BTreeSet<u16> = later.collect();
        let name = self.name(pivot);
        for (node, number) in self.nodes.iter_mut().zip(0..) {
            // With nothing to compensate, it goes with the side on which it is.
            if node.kind == Kind::Compensatable && !node.undone && later.contains(&number) {
                node.kind = Kind::Retriable;
            }
            let held = match node.kind {
                Kind::Pivot => true,
                Kind::Compensatable => earlier.contains(&number),
                Kind::Retriable => later.contains(&number),
            };
            if !held {
                return Err(DefinitionError::BesidePivot {
                    step: Arc::clone(&node.name),
                    kind: node.kind,
                    pivot: name,
                });
            }
        }
        Ok(())
    }

    /// All steps that have been taken once this one may be.
    pub(super) fn ancestors(&self, of: u16) -> BTreeSet<u16> {
        let mut found = BTreeSet::new();
        let mut open = vec![of];
        while let Some(number) = open.pop() {
            let after = self.node(number).map(|node| node.after.as_slice());
            for earlier in after.unwrap_or_default() {
                if found.insert(*earlier) {
                    open.push(*earlier);
                }
            }
        }
        found
    }

    pub(super) fn node(&self, number: u16) -> Option<&Node> {
        self.nodes.get(usize::from(number))
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The steps with their numbers.
    pub(super) fn numbered(&self) -> impl DoubleEndedIterator<Item = (u16, &Node)> {
        // There are at most `STEPS_MAX`.
        let numbered = self.nodes.iter().enumerate();
        numbered.map(|(number, node)| (u16::try_from(number).unwrap_or(u16::MAX), node))
    }

    pub(super) fn number(&self, name: &str) -> Option<u16> {
        let mut numbered = self.numbered();
        numbered
            .find(|(_, node)| &*node.name == name)
            .map(|(number, _)| number)
    }

    pub(super) fn name(&self, number: u16) -> Arc<str> {
        let node = self.node(number);
        node.map_or_else(|| Arc::from("?"), |node| Arc::clone(&node.name))
    }

    pub(super) fn pivot(&self) -> Option<u16> {
        self.pivot
    }
}

/// By position, the positions of the steps that each comes after.
fn references(plans: &[Plan]) -> Result<Vec<BTreeSet<usize>>, DefinitionError> {
    let mut places = BTreeMap::new();
    for (at, plan) in plans.iter().enumerate() {
        if places.insert(&*plan.name, at).is_some() {
            return Err(DefinitionError::Duplicate(Arc::clone(&plan.name)));
        }
    }
    let found = plans.iter().map(|plan| {
        let after = plan.after.iter().map(|name| {
            let unknown = || DefinitionError::UnknownStep {
                step: Arc::clone(&plan.name),
                after: Arc::clone(name),
            };
            places.get(&**name).copied().ok_or_else(unknown)
        });
        after.collect()
    });
    found.collect()
}

/// Positions in an order in which each comes after what it depends on; otherwise as defined.
fn sorted(plans: &[Plan], after: &[BTreeSet<usize>]) -> Result<Vec<usize>, DefinitionError> {
    let mut order: Vec<usize> = Vec::new();
    let mut placed = BTreeSet::new();
    while order.len() < plans.len() {
        let ready = after.iter().enumerate().find(|(at, after)| {
            !placed.contains(at) && after.iter().all(|earlier| placed.contains(earlier))
        });
        let Some((at, _)) = ready else {
            let circle = plans.iter().enumerate();
            let circle = circle.filter(|(at, _)| !placed.contains(at));
            let names = circle.map(|(_, plan)| Arc::clone(&plan.name)).collect();
            return Err(DefinitionError::Cycle(names));
        };
        placed.insert(at);
        order.push(at);
    }
    Ok(order)
}
