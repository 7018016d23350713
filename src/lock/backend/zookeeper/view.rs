//! A lock as one list of its children shows it. Pure.

use std::time::Duration;

use zookeeper_client::Stat;

use crate::lock::name::HolderId;
use crate::lock::queue::{Family, Verdict, Waiter, judge};

use super::child::{Child, Place, State};

/// Children that this crate cannot have made.
#[derive(Debug, thiserror::Error)]
#[error("a node of the lock has a name that was not understood")]
pub(super) struct Garbled;

/// A lock at one instant.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The lock's own node, if there is one.
    root: Option<Stat>,
    /// Those who hold, the first that was granted first.
    holders: Vec<Node>,
    /// Those who wait, in the queue's order.
    waiters: Vec<Node>,
    /// What is there and counts for nothing.
    void: Vec<Node>,
}

/// An entry, and what the node is called that it is.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) child: Child,
    place: Place,
}

/// What to watch for a waiter's turn to come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Blocker<'a> {
    /// There is nothing to wait for: it may hold, holds, or is not there.
    None,
    /// It cannot hold before this node is gone.
    Node(&'a str),
    /// Any change may let it hold.
    Any,
}

impl Node {
    /// Its place in the queue. The server counts a lock's arrivals in 32 bits and stops at 2^31, which
    /// takes a lock that was never left alone for a minute; then those who come are ordered by id.
    pub(super) fn waiter(&self) -> Waiter {
        let arrival = match self.place {
            Place::Holds(_) => 0,
            Place::Waits(count) => u64::from(count.abs_diff(i32::MIN)),
        };
        let Child {
            holder,
            mode,
            priority,
            ..
        } = self.child;
        Waiter::new(holder, mode, priority, arrival)
    }

    pub(super) fn holds(&self) -> bool {
        matches!(self.place, Place::Holds(_))
    }

    fn family(&self) -> Family {
        self.child.mode.family()
    }
}

impl View {
    /// What was listed, and the node that was listed.
    ///
    /// A grant that compared with the version of a node that the server has since removed and made
    /// anew is void, and so is whoever entered for another family than the name is used as.
    pub(super) fn new(names: Vec<String>, root: Stat) -> Result<Self, Garbled> {
        let mut view = Self {
            root: Some(root),
            ..Self::default()
        };
        for name in names {
            let (child, place) = Child::parse(&name).ok_or(Garbled)?;
            let node = Node { name, child, place };
            match place {
                Place::Holds(State { made, .. }) if made != 0 && made != root.czxid => {
                    view.void.push(node);
                }
                Place::Holds(_) => view.holders.push(node),
                Place::Waits(_) => view.waiters.push(node),
            }
        }
        view.holders
            .sort_by_key(|node| std::cmp::Reverse(age(node, root.version)));
        let first = |node: &&Node| (node.waiter().order().1, node.child.holder);
        let first = view.waiters.iter().min_by_key(first);
        if let Some(family) = view.holders.first().or(first).map(Node::family) {
            let entered = std::mem::take(&mut view.waiters).into_iter();
            let (waiters, foreign): (Vec<_>, Vec<_>) =
                entered.partition(|node| node.family() == family);
            view.waiters = waiters;
            view.void.extend(foreign);
        }
        view.waiters.sort_by_key(|node| node.waiter().order());
        Ok(view)
    }

    /// The lock's own node, if there is one.
    pub(super) fn root(&self) -> Option<&Stat> {
        self.root.as_ref()
    }

    pub(super) fn holders(&self) -> &[Node] {
        &self.holders
    }

    pub(super) fn waiters(&self) -> &[Node] {
        &self.waiters
    }

    /// The holder with the lowest fencing token.
    pub(super) fn oldest(&self) -> Option<&Node> {
        self.holders.first()
    }

    /// This id's entry: its holder if it has one.
    pub(super) fn find(&self, holder: HolderId) -> Option<&Node> {
        self.all_of(holder).next()
    }

    /// This id's nodes: more than one if a request came late over a lost connection.
    pub(super) fn all_of(&self, holder: HolderId) -> impl Iterator<Item = &Node> {
        let nodes = self.holders.iter().chain(&self.waiters).chain(&self.void);
        nodes.filter(move |node| node.child.holder == holder)
    }

    /// Whether this node counts for nothing, and what the name is used as.
    pub(super) fn is_void(&self, node: &Node) -> bool {
        self.void.iter().any(|void| void.name == node.name)
    }

    /// What the name is used as.
    pub(super) fn family(&self) -> Option<Family> {
        let mut counted = self.holders.iter().chain(&self.waiters);
        counted.next().map(Node::family)
    }

    pub(super) fn verdict(&self, candidate: &Waiter, waits: bool) -> Verdict {
        let holders = self.holders.iter().map(|node| node.child.mode);
        let waiters = self.waiters.iter().map(Node::waiter);
        judge(candidate, waits, holders, waiters)
    }

    /// When the first of those may be gone that stand in the way.
    pub(super) fn recheck(&self, candidate: &Waiter) -> Option<Duration> {
        let ahead = self.ahead(candidate);
        let in_the_way = self.holders.iter().chain(ahead);
        in_the_way.map(|node| node.child.ttl).min()
    }

    /// What this id is to watch. Whoever waits for others ahead watches the last of them alone, so
    /// that each release wakes only those that may hold then; what is watched has to go before it may.
    /// The first who waits for permits is let in by whichever holder ends.
    pub(super) fn blocker(&self, holder: HolderId) -> Blocker<'_> {
        let mut waiters = self.waiters.iter();
        let Some(own) = waiters.find(|node| node.child.holder == holder) else {
            return Blocker::None;
        };
        let candidate = own.waiter();
        if self.find(holder).is_some_and(Node::holds)
            || self.verdict(&candidate, true) != Verdict::Wait
        {
            return Blocker::None;
        }
        // Alone with this one it would have to wait.
        let blocks = |node: &&Node| {
            let ahead = [node.waiter()];
            judge(&candidate, true, [], ahead) == Verdict::Wait
        };
        let last = self.ahead(&candidate).filter(blocks).last();
        let excludes =
            |node: &&Node| judge(&candidate, true, [node.child.mode], []) == Verdict::Wait;
        match last.or_else(|| self.holders.iter().find(excludes)) {
            Some(node) => Blocker::Node(&node.name),
            None => Blocker::Any,
        }
    }

    fn ahead(&self, candidate: &Waiter) -> impl Iterator<Item = &Node> {
        let order = candidate.order();
        let ahead = move |node: &&Node| node.waiter().order() < order;
        self.waiters.iter().take_while(ahead)
    }
}

/// How many grants and arrivals ago this one was granted; versions go round.
fn age(node: &Node, version: i32) -> i64 {
    match node.place {
        Place::Holds(state) => i64::from(version.wrapping_sub(state.version)).rem_euclid(1 << 32),
        Place::Waits(_) => 0,
    }
}
