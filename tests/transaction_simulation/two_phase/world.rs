//! What a schedule has in common: participants, transactions, and what is written down.

use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::deals::Deals;
use super::flaw::Flaw;
use super::node::Node;
use crate::chronicle::Chronicle;
use crate::network::Weather;
use crate::random::Random;

#[derive(Debug)]
pub struct World {
    pub flaw: Option<Flaw>,
    pub nodes: Vec<Arc<Node>>,
    /// A participant that only the first process knows.
    pub past: OnceLock<Arc<Node>>,
    /// Whether an operator was told that the log knows it no more.
    pub retired: AtomicBool,
    pub deals: Mutex<Deals>,
    pub page: Arc<Chronicle>,
}

impl World {
    pub fn new(random: &Random, weather: Weather, flaw: Option<Flaw>, told: bool) -> Arc<Self> {
        let mut nodes = random.fork(1);
        let blind = nodes.chance(300);
        let nodes = ["a", "b", "c"].iter().enumerate();
        let nodes =
            nodes.map(|(index, name)| Arc::new(Node::new(index, name, !blind || index < 2)));
        Arc::new(Self {
            flaw,
            nodes: nodes.collect(),
            past: OnceLock::new(),
            retired: AtomicBool::new(false),
            deals: Mutex::default(),
            page: Arc::new(Chronicle::new(random.fork(2), weather, told)),
        })
    }

    pub fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}

impl Deref for World {
    type Target = Arc<Chronicle>;

    fn deref(&self) -> &Self::Target {
        &self.page
    }
}
