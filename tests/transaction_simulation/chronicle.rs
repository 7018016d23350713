//! What the parts of a schedule have in common: chance, weather, and what is written down.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::counts::{Count, Counts};
use crate::network::Weather;
use crate::random::Random;

#[derive(Debug)]
pub struct Chronicle {
    weather: Mutex<Weather>,
    random: Mutex<Random>,
    counts: Mutex<Counts>,
    wrong: Mutex<Vec<String>>,
    /// What happened when, if somebody wants to read it.
    story: Option<Mutex<Vec<String>>>,
    began: Instant,
}

impl Chronicle {
    pub fn new(random: Random, weather: Weather, told: bool) -> Self {
        Self {
            weather: Mutex::new(weather),
            random: Mutex::new(random),
            counts: Mutex::default(),
            wrong: Mutex::default(),
            story: told.then(Mutex::default),
            began: Instant::now(),
        }
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

    pub fn weather(&self) -> Weather {
        *self.weather.lock()
    }

    /// From here on nothing fails.
    pub fn calm(&self) {
        *self.weather.lock() = Weather::CALM;
    }

    pub fn is_calm(&self) -> bool {
        self.weather() == Weather::CALM
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
