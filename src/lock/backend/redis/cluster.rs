//! A cluster: a link to each master, and who has which slot.
//!
//! The client's own cluster is one task for all servers, which answers nobody while it looks for a
//! server that hangs. Here each server has its own, and none waits for another.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::ConnectionInfo;
use tokio::time::{Instant, sleep};

use crate::lock::backend::BackendErrorKind;

use super::failure::{Failure, Redirect};
use super::link::{Answer, Link};
use super::live::{Live, TIMEOUT};
use super::place::Place;
use super::slots::Address;
use super::step::Step;
use super::subscription::Subscription;
use super::topology::Topology;

/// How often a step may be sent on by servers that do not take it: to one that had the slot, to the
/// one that has it, to the one that gets it, and some more, should slots move meanwhile.
const REDIRECTS_MAX: u32 = 8;

/// The pause after the slots were asked for, before they are again.
const REFRESH_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Cluster {
    core: Arc<Core>,
    /// What is published at any server is heard at all.
    ear: Link,
}

struct Core {
    topology: Arc<Topology>,
    links: Mutex<HashMap<Address, Arc<Link>>>,
    refreshes: AtomicBool,
}

/// A master, and where it is.
pub(super) type Node = (Address, Arc<Link>);

impl Cluster {
    /// Connects to the cluster's masters. One that is out of reach will be connected to later.
    pub(super) async fn connect(
        node: ConnectionInfo,
        seeds: Vec<Address>,
        subscription: Subscription,
    ) -> Result<Self, Failure> {
        let topology = Arc::new(Topology::new(node, seeds));
        topology.refresh().await?;
        let links = connect_all(&topology).await?;
        let place = Place::Cluster(Arc::clone(&topology));
        let ear = Link::connect(place, Some(subscription)).await?;
        let core = Core {
            topology,
            links: Mutex::new(links),
            refreshes: AtomicBool::new(false),
        };
        let core = Arc::new(core);
        Ok(Self { core, ear })
    }

    /// Takes a step at the server that has its slot, wherever that is by now.
    pub(super) async fn call(&self, step: &Step) -> Result<Answer, Failure> {
        self.ear.revive();
        let deadline = Instant::now() + TIMEOUT;
        let mut node = self.owner(step)?;
        let mut asking = false;
        for _ in 0..REDIRECTS_MAX {
            let (there, live) = self.live(node, step.slot(), deadline).await?;
            let (address, link) = &there;
            let failure = match link.send(live, step, asking, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let elsewhere = |told: &str| {
                let next = Address::parse(told, address)?;
                Some(self.core.node(next))
            };
            let next = match failure.redirect() {
                Some(Redirect::Moved(told)) => {
                    self.core.refresh();
                    elsewhere(&told).map(|node| (node, false))
                }
                Some(Redirect::Ask(told)) => elsewhere(&told).map(|node| (node, true)),
                None => None,
            };
            let Some(next) = next else {
                return Err(self.failed(failure));
            };
            (node, asking) = next;
        }
        let why = "the step was sent from server to server";
        Err(Failure::new(BackendErrorKind::Unavailable, why))
    }

    /// A connection to this server, or to the one that takes the slot over meanwhile.
    async fn live(
        &self,
        mut node: Node,
        slot: u16,
        deadline: Instant,
    ) -> Result<(Node, Live), Failure> {
        loop {
            let (address, link) = &node;
            if !link.is_up() {
                self.core.refresh();
            }
            tokio::select! {
                biased;
                live = link.live(deadline) => match live {
                    Ok(live) => return Ok((node, live)),
                    Err(failure) => return Err(self.failed(failure)),
                },
                successor = self.core.topology.successor(address, slot) => {
                    node = self.core.node(successor);
                }
                () = sleep(REFRESH_PAUSE) => {}
            }
        }
    }

    /// The server that has the step's slot, as far as is known.
    pub(super) fn owner(&self, step: &Step) -> Result<Node, Failure> {
        let master = self.core.topology.master(step.slot());
        let node = master.map(|address| self.core.node(address));
        let why = "no server has the slot";
        node.ok_or_else(|| self.failed(Failure::new(BackendErrorKind::Unavailable, why)))
    }

    /// Another server may have taken over.
    fn failed(&self, failure: Failure) -> Failure {
        if matches!(
            failure.kind(),
            BackendErrorKind::Unavailable | BackendErrorKind::Indeterminate
        ) {
            self.core.refresh();
        }
        failure
    }
}

impl Core {
    /// The server at this address. Of servers that are not known to be masters only the last is
    /// kept, so that they are few whatever is told.
    fn node(&self, address: Address) -> Node {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&address) {
            return (address, Arc::clone(link));
        }
        let masters = self.topology.masters();
        links.retain(|address, _| masters.contains(address));
        let place = Place::Member(self.topology.info(&address));
        let link = Arc::new(Link::connecting(place));
        links.insert(address.clone(), Arc::clone(&link));
        (address, link)
    }

    /// Asks in the background who has which slot, unless that is under way.
    fn refresh(self: &Arc<Self>) {
        if self.refreshes.swap(true, Ordering::AcqRel) {
            return;
        }
        let refreshing = Refreshing(Arc::clone(self));
        tokio::spawn(async move {
            let core = &refreshing.0;
            if core.topology.refresh().await.is_ok() {
                let masters = core.topology.masters();
                core.links
                    .lock()
                    .retain(|address, _| masters.contains(address));
            }
            sleep(REFRESH_PAUSE).await;
        });
    }
}

/// Lets another refresh begin, be it that the runtime of this one ends.
struct Refreshing(Arc<Core>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.refreshes.store(false, Ordering::Release);
    }
}

async fn connect_all(topology: &Topology) -> Result<HashMap<Address, Arc<Link>>, Failure> {
    let each = topology.masters().into_iter().map(async |address| {
        let place = || Place::Member(topology.info(&address));
        let link = match Link::connect(place(), None).await {
            Ok(link) => link,
            Err(failure) if failure.kind() == BackendErrorKind::Unavailable => {
                Link::connecting(place())
            }
            Err(failure) => return Err(failure),
        };
        Ok((address, Arc::new(link)))
    });
    join_all(each).await.into_iter().collect()
}
