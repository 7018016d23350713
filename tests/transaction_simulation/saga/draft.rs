//! Definitions as a seed draws them, and what has to be true of their steps.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use tripod::transaction::saga::{Definition, Kind, Retry, Run, Step};

use super::flaw::Flaw;
use super::site::Site;
use super::world::World;
use crate::chronicle::ms;
use crate::process::Process;
use crate::random::Random;

/// What sagas are started with: the number of a tale, and a payload.
pub type Input = (usize, u64);

#[derive(Debug)]
pub struct Draft {
    pub name: String,
    pub version: u32,
    pub parts: Vec<Part>,
    deadline: Option<u64>,
}

/// A step.
#[derive(Clone, Debug)]
pub struct Part {
    /// With that of its saga within the saga before it.
    pub name: String,
    version: u32,
    pub kind: Kind,
    /// Whether it has a compensation.
    pub undone: bool,
    /// Whether anybody is asked; a saga within the saga only begins.
    pub asks: bool,
    /// All parts that it comes after, however far back.
    pub earlier: BTreeSet<usize>,
    /// The units that it is said to come after.
    after: Vec<String>,
    retry: Retry,
    compensation_retry: Retry,
    timeout: u64,
}

/// What others come after: a step, or a saga within the saga.
struct Unit {
    name: String,
    last: Vec<usize>,
    followed: bool,
}

fn retry(random: &mut Random) -> Retry {
    let attempts = u32::try_from(random.within(1, 4)).unwrap();
    Retry::attempts(NonZeroU32::new(attempts).unwrap()).pauses(ms(2), ms(10))
}

impl Draft {
    pub fn draw(random: &mut Random, name: &str, version: u32) -> Self {
        let mut draft = Self {
            name: name.to_owned(),
            version,
            parts: Vec::new(),
            deadline: random.chance(200).then(|| random.within(10, 150)),
        };
        let mut units = Vec::new();
        let count = random.within(1, 4);
        let nested = random.chance(300).then(|| random.below(count));
        for number in 0..count {
            if nested == Some(number) {
                // It comes after the unit before it.
                let after = units.len().checked_sub(1);
                let after = follow(after.into_iter().collect(), &mut units);
                draft.nest(random, &after, &mut units);
            } else {
                let after = chosen(random, &units);
                let after = follow(after, &mut units);
                let undone = !random.chance(100);
                draft.add(
                    random,
                    &mut units,
                    &after,
                    (Kind::Compensatable, undone, true),
                );
            }
        }
        if random.chance(700) {
            let last = (0..units.len()).filter(|at| !units[*at].followed);
            let after = follow(last.collect(), &mut units);
            draft.add(random, &mut units, &after, (Kind::Pivot, false, true));
            let pivot = units.len() - 1;
            for number in 0..random.below(3) {
                let mut after = vec![pivot];
                if number > 0 && random.chance(500) {
                    after = vec![units.len() - 1];
                }
                draft.add(random, &mut units, &after, (Kind::Retriable, false, true));
            }
        }
        draft
    }

    /// Another definition of the same name and version.
    pub fn changed(&self) -> Self {
        let mut parts = self.parts.clone();
        let first = parts.iter_mut().find(|part| part.asks);
        first.unwrap().version += 1;
        Self {
            name: self.name.clone(),
            parts,
            ..*self
        }
    }

    /// Adds a step, as a unit of its own.
    fn add(
        &mut self,
        random: &mut Random,
        units: &mut Vec<Unit>,
        after: &[usize],
        what: (Kind, bool, bool),
    ) {
        let name = format!("s{}", units.len());
        let right = after.iter().flat_map(|at| units[*at].last.clone());
        let names = after.iter().map(|at| units[*at].name.clone()).collect();
        let right: Vec<_> = right.collect();
        let part = self.part(random, name.clone(), names, &right, what);
        units.push(Unit {
            name,
            last: vec![part],
            followed: false,
        });
    }

    /// Adds a saga within the saga: its beginning, and one or two steps.
    fn nest(&mut self, random: &mut Random, after: &[usize], units: &mut Vec<Unit>) {
        let (begins, compensated) = (
            (Kind::Compensatable, false, false),
            (Kind::Compensatable, true, true),
        );
        self.add(random, units, after, begins);
        let unit = units.last_mut().unwrap();
        let first = unit.last[0];
        let one = format!("{}/a", unit.name);
        let one = self.part(random, one, Vec::new(), &[first], compensated);
        unit.last = vec![one];
        if random.chance(600) {
            let aside = random.chance(500);
            let (after, right) = if aside {
                (Vec::new(), first)
            } else {
                (vec!["a".to_owned()], one)
            };
            let two = format!("{}/b", unit.name);
            let two = self.part(random, two, after, &[right], compensated);
            unit.last = if aside { vec![one, two] } else { vec![two] };
        }
    }

    fn part(
        &mut self,
        random: &mut Random,
        name: String,
        after: Vec<String>,
        right: &[usize],
        (kind, undone, asks): (Kind, bool, bool),
    ) -> usize {
        let far = right.iter().flat_map(|at| self.parts[*at].earlier.clone());
        let earlier = far.chain(right.iter().copied()).collect();
        let endless = kind == Kind::Retriable && random.chance(500);
        self.parts.push(Part {
            name,
            version: 1,
            kind,
            undone,
            asks,
            earlier,
            after,
            retry: if endless {
                Retry::forever().pauses(ms(2), ms(20))
            } else {
                retry(random)
            },
            compensation_retry: retry(random),
            timeout: random.within(40, 100),
        });
        self.parts.len() - 1
    }

    /// All that comes after this part.
    pub fn later(&self, part: usize) -> impl Iterator<Item = usize> {
        let all = self.parts.iter().enumerate();
        let later = all.filter(move |(_, it)| it.earlier.contains(&part));
        later.map(|(at, _)| at)
    }

    /// The parts that none comes after.
    pub fn last(&self) -> impl Iterator<Item = usize> {
        (0..self.parts.len()).filter(|at| self.later(*at).next().is_none())
    }

    pub fn pivot(&self) -> Option<usize> {
        self.parts.iter().position(|part| part.kind == Kind::Pivot)
    }

    /// The definition, for a process.
    pub fn build(
        self: &Arc<Self>,
        world: &Arc<World>,
        process: &Arc<Process>,
    ) -> Definition<Input> {
        let site = |part: usize| Site {
            world: Arc::clone(world),
            process: Arc::clone(process),
            draft: Arc::clone(self),
            part,
        };
        let mut builder = Definition::builder(self.name.as_str(), self.version);
        if let Some(deadline) = self.deadline {
            builder = builder.deadline(ms(deadline));
        }
        for (at, part) in self.parts.iter().enumerate() {
            if part.name.contains('/') {
                continue;
            }
            if part.asks {
                builder = builder.step(part.step(&part.name, site(at)));
                continue;
            }
            let mut inner = Definition::builder("inner", 1);
            for (at, within) in self.parts.iter().enumerate() {
                if let Some(name) = within.name.strip_prefix(&format!("{}/", part.name)) {
                    inner = inner.step(within.step(name, site(at)));
                }
            }
            let inner = inner.build().unwrap();
            builder = builder.saga(part.name.as_str(), &inner, |run: &Run<Input>| {
                Ok(*run.input())
            });
        }
        builder.build().unwrap()
    }
}

impl Part {
    /// Whether it may be left when all is compensated.
    pub fn is_harmless(&self) -> bool {
        self.kind == Kind::Compensatable && !self.undone
    }

    fn step(&self, name: &str, site: Site) -> Step<Input, String> {
        let backwards = site.world.has(Flaw::CompensatesThePivot);
        let (acts, undoes) = (site.clone(), site);
        let step = Step::new(name, self.version, move |run| acts.clone().act(run));
        let step = match self.kind {
            Kind::Pivot if !backwards => step.pivot(),
            Kind::Retriable if !backwards => step.retriable(),
            Kind::Compensatable if !self.undone => step.harmless(),
            _ => step.compensate(move |run, output| undoes.clone().undo(run, output)),
        };
        step.after(&self.after)
            .retry(self.retry)
            .compensation_retry(self.compensation_retry)
            .timeout(ms(self.timeout))
    }
}

/// The units after which the next one comes.
fn chosen(random: &mut Random, units: &[Unit]) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    if let Some(last) = units.len().checked_sub(1) {
        if random.chance(500) {
            chosen.insert(last);
        } else {
            for _ in 0..random.below(3) {
                chosen.insert(usize::try_from(random.below(units.len() as u64)).unwrap());
            }
        }
    }
    chosen
}

fn follow(after: BTreeSet<usize>, units: &mut [Unit]) -> Vec<usize> {
    for at in &after {
        units[*at].followed = true;
    }
    after.into_iter().collect()
}
