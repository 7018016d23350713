//! What a schedule has in common: chance, weather, participants, and what is written down.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::counts::{Count, Counts};
use crate::deals::Deals;
use crate::flaw::Flaw;
use crate::node::Node;
use crate::random::Random;

/// How often the network fails, per mille.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub lost_request: u64,
    pub lost_answer: u64,
    pub late: u64,
    pub duplicate: u64,
    pub votes_no: u64,
}

impl Weather {
    pub const CALM: Self = Self {
        lost_request: 0,
        lost_answer: 0,
        late: 0,
        duplicate: 0,
        votes_no: 0,
    };

    pub fn draw(random: &mut Random) -> Self {
        let rates = [0, 10, 50, 200];
        Self {
            lost_request: random.of(&rates),
            lost_answer: random.of(&rates),
            late: random.of(&rates),
            duplicate: random.of(&rates),
            votes_no: random.of(&[0, 0, 30]),
        }
    }
}

/// The longest that a request is under way, in milliseconds.
pub const LATEST: u64 = 600;

#[derive(Debug)]
pub struct World {
    pub flaw: Option<Flaw>,
    pub nodes: Vec<Arc<Node>>,
    pub deals: Mutex<Deals>,
    weather: Mutex<Weather>,
    random: Mutex<Random>,
    counts: Mutex<Counts>,
    wrong: Mutex<Vec<String>>,
    /// What happened when, if somebody wants to read it.
    story: Option<Mutex<Vec<String>>>,
    began: Instant,
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
            deals: Mutex::default(),
            weather: Mutex::new(weather),
            random: Mutex::new(random.fork(2)),
            counts: Mutex::default(),
            wrong: Mutex::default(),
            story: told.then(Mutex::default),
            began: Instant::now(),
        })
    }

    pub fn count(&self, count: Count) {
        self.counts.lock().add(count, 1);
    }

    pub fn count_many(&self, count: Count, times: u64) {
        self.counts.lock().add(count, times);
    }

    pub fn wrong(&self, what: String) {
        self.say(|| format!("WRONG {what}"));
        self.wrong.lock().push(what);
    }

    pub fn say(&self, what: impl FnOnce() -> String) {
        if let Some(story) = &self.story {
            let line = format!("{:>6} {}", self.began.elapsed().as_millis(), what());
            story.lock().push(line);
        }
    }

    pub fn chance(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.random.lock().chance(per_mille)
    }

    pub fn within(&self, low: u64, high: u64) -> u64 {
        self.random.lock().within(low, high)
    }

    pub fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    pub fn weather(&self) -> Weather {
        *self.weather.lock()
    }

    /// From here on nothing fails.
    pub fn calm(&self) {
        *self.weather.lock() = Weather::CALM;
    }

    pub fn take(&self) -> (Counts, Vec<String>, Vec<String>) {
        let story = self.story.as_ref();
        let story = story.map(|it| std::mem::take(&mut *it.lock()));
        let wrong = std::mem::take(&mut *self.wrong.lock());
        (self.counts.lock().clone(), wrong, story.unwrap_or_default())
    }
}

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
