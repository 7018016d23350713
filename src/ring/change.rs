//! Changes to the membership, worked out before any point is placed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use super::error::ChangeError;
use super::limits::NODES_MAX;
use super::node::{Node, NodeId};
use super::placement::Ties;

/// One change to the membership of a ring. Those of a batch apply in order, all or none.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<T = ()> {
    /// Adds a node that is not on the ring.
    Add(Node<T>),
    /// Removes a node.
    Remove(NodeId),
    /// Gives a node another weight; 0 drains it.
    SetWeight(NodeId, u32),
    /// Gives a node on the ring another weight, zone and payload.
    Replace(Node<T>),
}

impl<T> Clone for Change<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Add(node) => Self::Add(node.clone()),
            Self::Remove(id) => Self::Remove(id.clone()),
            Self::SetWeight(id, weight) => Self::SetWeight(id.clone(), *weight),
            Self::Replace(node) => Self::Replace(node.clone()),
        }
    }
}

impl<T> fmt::Debug for Change<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(node) => f.debug_tuple("Add").field(node).finish(),
            Self::Remove(id) => f.debug_tuple("Remove").field(id).finish(),
            Self::SetWeight(id, weight) => {
                f.debug_tuple("SetWeight").field(id).field(weight).finish()
            }
            Self::Replace(node) => f.debug_tuple("Replace").field(node).finish(),
        }
    }
}

/// A member as it will be, and the number it has on the old ring if its points stay.
pub(crate) struct Draft<T> {
    pub(crate) node: Arc<Node<T>>,
    pub(crate) was: Option<u32>,
}

/// Applies `changes` to the `old` members, which are numbered by position as `ties` says.
pub(crate) fn redraft<T>(
    old: &[Arc<Node<T>>],
    ties: Ties,
    changes: impl IntoIterator<Item = Change<T>>,
) -> Result<Vec<Draft<T>>, ChangeError> {
    let mut editor = Editor {
        old,
        ties,
        edited: BTreeMap::new(),
        added: Vec::new(),
        added_at: HashMap::new(),
    };
    for change in changes {
        editor.apply(change)?;
    }
    let drafts = editor.finish();
    match drafts.len() {
        wanted if wanted > NODES_MAX => Err(ChangeError::TooManyNodes { wanted }),
        _ => Ok(drafts),
    }
}

/// Where a member is found while a batch is applied.
#[derive(Clone, Copy)]
enum Spot {
    Old(usize),
    Added(usize),
}

struct Editor<'a, T> {
    old: &'a [Arc<Node<T>>],
    ties: Ties,
    /// Old members that changed; `None` where removed.
    edited: BTreeMap<usize, Option<Draft<T>>>,
    /// Members that are new, in the order they came; `None` where removed again.
    added: Vec<Option<Draft<T>>>,
    added_at: HashMap<NodeId, usize>,
}

impl<T> Editor<'_, T> {
    fn apply(&mut self, change: Change<T>) -> Result<(), ChangeError> {
        match change {
            Change::Add(node) => self.add(node),
            Change::Remove(id) => {
                let (spot, _) = self.find(&id)?;
                self.put(spot, None);
                self.added_at.remove(&id);
                Ok(())
            }
            Change::SetWeight(id, weight) => {
                let (spot, node) = self.find(&id)?;
                let node = Node::clone(&node).with_weight(weight);
                self.replace(spot, node);
                Ok(())
            }
            Change::Replace(node) => {
                let (spot, _) = self.find(node.id())?;
                self.replace(spot, node);
                Ok(())
            }
        }
    }

    fn add(&mut self, node: Node<T>) -> Result<(), ChangeError> {
        if self.find(node.id()).is_ok() {
            return Err(ChangeError::Duplicate {
                id: node.id().clone(),
            });
        }
        self.added_at.insert(node.id().clone(), self.added.len());
        self.added.push(Some(Draft {
            node: Arc::new(node),
            was: None,
        }));
        Ok(())
    }

    /// Where the member of this id is now, and what it is.
    fn find(&self, id: &NodeId) -> Result<(Spot, Arc<Node<T>>), ChangeError> {
        let unknown = || ChangeError::Unknown { id: id.clone() };
        if let Some(at) = self.added_at.get(id) {
            let draft = self
                .added
                .get(*at)
                .and_then(Option::as_ref)
                .ok_or_else(unknown)?;
            return Ok((Spot::Added(*at), Arc::clone(&draft.node)));
        }
        let at = position(self.old, self.ties, id.as_str()).ok_or_else(unknown)?;
        let node = match self.edited.get(&at) {
            Some(edited) => edited.as_ref().map(|draft| &draft.node),
            None => self.old.get(at),
        };
        node.map(|node| (Spot::Old(at), Arc::clone(node)))
            .ok_or_else(unknown)
    }

    /// A member's points stay as long as its weight is the old ring's.
    fn replace(&mut self, spot: Spot, node: Node<T>) {
        let was = match spot {
            Spot::Old(at) => self
                .old
                .get(at)
                .filter(|old| old.weight() == node.weight())
                .and(number(at)),
            Spot::Added(_) => None,
        };
        self.put(
            spot,
            Some(Draft {
                node: Arc::new(node),
                was,
            }),
        );
    }

    fn put(&mut self, spot: Spot, draft: Option<Draft<T>>) {
        match spot {
            Spot::Old(at) => {
                self.edited.insert(at, draft);
            }
            Spot::Added(at) => {
                if let Some(added) = self.added.get_mut(at) {
                    *added = draft;
                }
            }
        }
    }

    fn finish(mut self) -> Vec<Draft<T>> {
        let old =
            self.old
                .iter()
                .enumerate()
                .filter_map(|(at, node)| match self.edited.remove(&at) {
                    Some(edited) => edited,
                    None => Some(Draft {
                        node: Arc::clone(node),
                        was: number(at),
                    }),
                });
        let mut drafts: Vec<_> = old.chain(self.added.into_iter().flatten()).collect();
        if self.ties == Ties::ById {
            // The old ones are sorted already: the sort merges two runs.
            drafts.sort_by(|a, b| a.node.id().cmp(b.node.id()));
        }
        drafts
    }
}

/// The number of the node of this id.
pub(crate) fn position<T>(nodes: &[Arc<Node<T>>], ties: Ties, id: &str) -> Option<usize> {
    match ties {
        Ties::ById => nodes
            .binary_search_by(|node| node.id().as_str().cmp(id))
            .ok(),
        Ties::ByConfiguration | Ties::FirstConfigured => {
            nodes.iter().position(|node| node.id().as_str() == id)
        }
    }
}

fn number(at: usize) -> Option<u32> {
    u32::try_from(at).ok()
}
