//! Whom actions and compensations ask: it remembers keys, as the law of steps wants it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tripod::BoxFuture;

use super::flaw::Flaw;
use super::world::World;
use crate::counts::Count;
use crate::network::Letter;
use crate::process::Process;

/// What has become of actions, by their keys.
#[derive(Debug, Default)]
pub struct Service(Mutex<BTreeMap<String, Effect>>);

#[derive(Clone, Debug)]
pub struct Effect {
    /// Whose it is: a tale, and a part of it.
    pub of: (usize, usize),
    pub state: State,
    /// What the action gave, if it ever had its effect.
    pub output: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing has landed, or nothing is left of it but a wish to try again.
    Fresh,
    Done,
    /// Its last word.
    Refused,
    /// It was compensated, or is kept from happening.
    Marked,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Act,
    Undo,
}

#[derive(Clone, Debug)]
pub enum Said {
    Done(String),
    Undone,
    Refused,
}

/// A request to it.
pub struct Order {
    pub world: Arc<World>,
    pub process: Arc<Process>,
    pub of: (usize, usize),
    /// The key of the action, also of what undoes it.
    pub key: String,
    pub wish: Wish,
}

impl Letter for Order {
    type Answer = Said;

    fn is_reachable(&self) -> bool {
        true
    }

    fn land(&self) -> BoxFuture<'_, Said> {
        let said = match self.wish {
            Wish::Act => self.act(),
            Wish::Undo => self.undo(),
        };
        self.world.say(|| format!("{}: {said:?}", self.tell()));
        Box::pin(std::future::ready(said))
    }

    fn unheard(&self) {}

    fn tell(&self) -> String {
        let (tale, part) = self.of;
        format!("{:?} t{tale} part {part} under {}", self.wish, self.key)
    }
}

impl Order {
    fn act(&self) -> Said {
        let world = &self.world;
        if self.process.is_dead() {
            world.count(Count::LateAction);
        }
        world.service.with(&self.key, self.of, |effect| {
            match effect.state {
                State::Marked => {
                    world.count(Count::LateRefused);
                    return Said::Refused;
                }
                State::Refused => return Said::Refused,
                State::Fresh if world.chance(world.weather().refuses) => {
                    world.count(Count::Refused);
                    if !world.has(Flaw::RefusalsAreForgotten) {
                        effect.state = State::Refused;
                    }
                    return Said::Refused;
                }
                State::Fresh => effect.state = State::Done,
                State::Done => world.count(Count::Repeated),
            }
            let output = effect.output.get_or_insert_with(|| output(world));
            Said::Done(output.clone())
        })
    }

    fn undo(&self) -> Said {
        let world = &self.world;
        world.service.with(&self.key, self.of, |effect| {
            if effect.state != State::Marked && world.chance(world.weather().refuses) {
                world.count(Count::UndoRefused);
                return Said::Refused;
            }
            let fresh = effect.state == State::Fresh;
            if !fresh || !world.has(Flaw::LeavesNoMark) {
                effect.state = State::Marked;
            }
            Said::Undone
        })
    }
}

/// Now and then one that has a record of its own.
fn output(world: &World) -> String {
    let number = world.within(1, 99_999_999);
    let long = if world.chance(30) { 1200 } else { 0 };
    format!("o{number:08}{}", "-".repeat(long))
}

impl Service {
    fn with<T>(&self, key: &str, of: (usize, usize), change: impl FnOnce(&mut Effect) -> T) -> T {
        let mut effects = self.0.lock();
        let effect = effects.entry(key.to_owned()).or_insert(Effect {
            of,
            state: State::Fresh,
            output: None,
        });
        change(effect)
    }

    pub fn find(&self, key: &str) -> Option<Effect> {
        self.0.lock().get(key).cloned()
    }

    pub fn state(&self, key: &str) -> State {
        self.find(key).map_or(State::Fresh, |effect| effect.state)
    }

    /// How many effects of this part of a tale there are, whatever the key.
    pub fn net(&self, of: (usize, usize)) -> usize {
        let effects = self.0.lock();
        let of_it = effects.values().filter(|effect| effect.of == of);
        of_it.filter(|effect| effect.state == State::Done).count()
    }

    /// Somebody sees to it that it can be done now.
    pub fn allow(&self, key: &str, of: (usize, usize)) {
        self.with(key, of, |effect| {
            if effect.state == State::Refused {
                effect.state = State::Fresh;
            }
        });
    }

    /// Somebody does it by hand, unless it is done. What it gives.
    pub fn do_by_hand(&self, world: &World, key: &str, of: (usize, usize)) -> String {
        self.with(key, of, |effect| {
            effect.state = State::Done;
            effect.output.get_or_insert_with(|| output(world)).clone()
        })
    }

    /// Somebody sees to it by hand that nothing is left of it.
    pub fn undo_by_hand(&self, key: &str, of: (usize, usize)) {
        self.with(key, of, |effect| effect.state = State::Marked);
    }
}
