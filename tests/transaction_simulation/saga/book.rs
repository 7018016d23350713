//! The sagas of a schedule, what was said about them, and the laws that every call has to keep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;
use tripod::transaction::saga::Run;

use super::draft::{Draft, Input};
use super::service::State;
use super::world::World;
use crate::counts::Count;

/// A saga that somebody wanted to start.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is so or not, whatever the others are"
)]
pub struct Tale {
    pub key: String,
    pub draft: Arc<Draft>,
    pub input: Input,
    /// Whether it may have been started, as far as its callers know.
    pub maybe: bool,
    /// How often it was started.
    pub starts: u64,
    /// Its id, once somebody was told that it has begun.
    pub id: Option<String>,
    pub told: Option<Told>,
    /// Whether somebody was told that it will be compensated.
    pub cancelled: bool,
    /// Whether it was ever seen stranded.
    pub stranded: bool,
    traces: Vec<Trace>,
    /// Whether a compensation was run.
    turned: bool,
    failed: CancellationToken,
}

/// What its callers were told in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Completed,
    Compensated,
    Abandoned,
}

/// What was run of a part.
#[derive(Clone, Debug, Default)]
struct Trace {
    /// Of the action, and of the compensation.
    keys: [Option<String>; 2],
    acted_by: Option<u64>,
    undone_by: Option<u64>,
    /// Whether a request to act was sent.
    sent: bool,
    /// Whether all were told that it has succeeded.
    succeeded: bool,
}

/// A part that acts, of a tale, in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Under {
    pub tale: usize,
    pub part: usize,
    pub epoch: u64,
}

/// An action or a compensation that is run.
#[derive(Clone, Debug)]
pub struct Call {
    pub tale: usize,
    pub part: usize,
    pub saga: String,
    pub key: String,
    pub action_key: String,
    pub epoch: u64,
    pub process: u64,
}

impl Call {
    pub fn under(&self) -> Under {
        Under {
            tale: self.tale,
            part: self.part,
            epoch: self.epoch,
        }
    }
}

#[derive(Debug, Default)]
pub struct Book {
    pub tales: Vec<Tale>,
    /// The keys of those that an operator may have given up.
    pub abandoned: BTreeSet<String>,
    keys: BTreeMap<String, (usize, usize, bool)>,
    acting: Vec<Under>,
}

impl Book {
    /// Another tale; its number.
    pub fn begin(&mut self, key: &str, draft: &Arc<Draft>, payload: u64) -> usize {
        let number = self.tales.len();
        self.tales.push(Tale {
            key: key.to_owned(),
            draft: Arc::clone(draft),
            input: (number, payload),
            maybe: false,
            starts: 0,
            id: None,
            told: None,
            cancelled: false,
            stranded: false,
            traces: vec![Trace::default(); draft.parts.len()],
            turned: false,
            failed: CancellationToken::new(),
        });
        number
    }

    pub fn key_of(&self, tale: usize, part: usize) -> Option<String> {
        self.tales[tale].traces[part].keys[0].clone()
    }

    /// Whether anything was ever run of it.
    pub fn has_run(&self, tale: usize) -> bool {
        let traces = &self.tales[tale].traces;
        traces.iter().any(|it| it.keys.iter().any(Option::is_some))
    }

    /// Which tale has this key and id.
    pub fn find(&self, key: &str, id: &str) -> Option<usize> {
        let begins = |it: &Tale| {
            let keys = it.traces.iter().flat_map(|it| it.keys.iter().flatten());
            keys.take(1).any(|key| key.starts_with(&format!("{id}/")))
        };
        let known = |it: &Tale| it.id.as_deref() == Some(id) || begins(it);
        let mut tales = self.tales.iter();
        tales.position(|it| it.key == key && known(it))
    }

    /// Others of the same key.
    pub fn rivals(&self, tale: usize) -> impl Iterator<Item = &Tale> {
        let key = &self.tales[tale].key;
        let all = self.tales.iter().enumerate();
        let others = all.filter(move |(at, it)| *at != tale && it.key == *key);
        others.map(|(_, it)| it)
    }

    /// A request is sent; what is cancelled once an action fails.
    pub fn sends(&mut self, under: Under) -> CancellationToken {
        self.tales[under.tale].traces[under.part].sent = true;
        self.tales[under.tale].failed.clone()
    }

    pub fn leaves(&mut self, under: Under) {
        let at = self.acting.iter().position(|it| *it == under);
        if let Some(at) = at {
            self.acting.swap_remove(at);
        }
    }

    /// All were told that this has succeeded.
    pub fn succeeds(&mut self, key: &str, step: &str) {
        for tale in self.tales.iter_mut().filter(|it| it.key == key) {
            let part = tale.draft.parts.iter().position(|it| it.name == step);
            if let Some(part) = part.filter(|part| tale.traces[*part].keys[0].is_some()) {
                tale.traces[part].succeeded = true;
            }
        }
    }

    /// The key is the same each time, and that of nothing else.
    fn keep(&mut self, call: &Call, undoes: bool) -> Result<(), String> {
        let of = (call.tale, call.part, undoes);
        let other = *self.keys.entry(call.key.clone()).or_insert(of);
        if other != of {
            return Err(format!("key {} is that of {other:?} and {of:?}", call.key));
        }
        let trace = &mut self.tales[call.tale].traces[call.part];
        for (at, key) in [(usize::from(undoes), &call.key), (0, &call.action_key)] {
            let before = trace.keys[at].get_or_insert_with(|| key.clone());
            if before != key {
                return Err(format!("the key was {before}, and is {key}"));
            }
        }
        Ok(())
    }
}

impl World {
    /// An action is run.
    pub fn acts(&self, draft: &Draft, call: &Call, run: &Run<Input>) {
        let mut book = self.book.lock();
        let name = &draft.parts[call.part].name;
        self.say(|| format!("acts: {call:?} as {name}"));
        let wrong = |what: String| self.wrong(format!("t{} {name}: {what}", call.tale));
        if let Err(what) = book.keep(call, false) {
            wrong(what);
        }
        let tale = &book.tales[call.tale];
        if tale.key != call.saga
            || tale.draft.name != draft.name
            || tale.draft.version != draft.version
        {
            wrong(format!("it runs as {} of {}", call.saga, draft.name));
        }
        if !tale.maybe {
            wrong("nobody has started it".into());
        }
        let trace = &tale.traces[call.part];
        let done = self.service.state(&call.action_key) == State::Done;
        if trace.acted_by.is_some_and(|by| by != call.process) {
            self.count(Count::ActedAgain);
            if done {
                self.count(Count::EffectNotRecorded);
            }
        }
        if call.epoch == self.latest.load(Ordering::Relaxed) {
            if tale.turned {
                wrong("it goes forward, and was compensated".into());
            }
            if trace.succeeded {
                wrong("it has succeeded, and runs again".into());
            }
            if let Some(later) = draft
                .later(call.part)
                .find(|at| tale.traces[*at].acted_by.is_some())
            {
                let later = &draft.parts[later].name;
                wrong(format!("it runs again, and {later} has relied on it"));
            }
            for earlier in &draft.parts[call.part].earlier {
                if let Err(what) = self.reads(tale, name, *earlier, run) {
                    wrong(what);
                }
            }
        }
        let trace = &mut book.tales[call.tale].traces[call.part];
        trace.acted_by = Some(call.process);
        book.acting.push(call.under());
    }

    /// What it comes after is done, and gave what is read.
    fn reads(&self, tale: &Tale, by: &str, earlier: usize, run: &Run<Input>) -> Result<(), String> {
        let part = &tale.draft.parts[earlier];
        if !part.asks {
            return Ok(());
        }
        let key = tale.traces[earlier].keys[0].as_ref();
        let effect = key.and_then(|key| self.service.find(key));
        let effect = effect.filter(|it| it.state == State::Done);
        let effect = effect.ok_or_else(|| format!("it runs, and {} is not done", part.name))?;
        let Some(name) = within(&part.name, by) else {
            return Ok(());
        };
        match run.output::<String>(name) {
            Ok(read) if Some(&read) == effect.output.as_ref() => Ok(()),
            Ok(read) => Err(format!(
                "{} gave {:?}, and it reads {read}",
                part.name, effect.output
            )),
            Err(error) => Err(format!("the output of {} is lost: {error:?}", part.name)),
        }
    }

    /// A compensation is run.
    pub fn undoes(&self, draft: &Draft, call: &Call, output: Option<&String>) {
        let mut book = self.book.lock();
        let name = &draft.parts[call.part].name;
        self.say(|| format!("undoes: {call:?} as {name}"));
        let wrong = |what: String| self.wrong(format!("t{} {name}: {what}", call.tale));
        if let Err(what) = book.keep(call, true) {
            wrong(what);
        }
        let tale = &book.tales[call.tale];
        let trace = &tale.traces[call.part];
        let effect = self.service.find(&call.action_key);
        let given = effect.as_ref().and_then(|it| it.output.as_ref());
        match output {
            Some(output) if Some(output) != given => {
                wrong(format!("gave {given:?}, and {output} is compensated"));
            }
            None if trace.succeeded => wrong("what it gave is lost".into()),
            Some(_) => {}
            None => self.count(match effect {
                Some(effect) if effect.state == State::Done => Count::MaybeHadRun,
                _ => Count::MaybeHadNotRun,
            }),
        }
        if trace.undone_by.is_some_and(|by| by != call.process) {
            self.count(Count::UndoneAgain);
        }
        if call.epoch == self.latest.load(Ordering::Relaxed) {
            let sibling = |it: &&Under| it.tale == call.tale && it.epoch == call.epoch;
            if let Some(sibling) = book.acting.iter().find(sibling) {
                wrong(format!("it is compensated while {sibling:?} acts"));
            }
            let pivot = draft.pivot();
            let later = draft.later(call.part).filter(|at| draft.parts[*at].undone);
            for other in later.chain(pivot) {
                let trace = &tale.traces[other];
                let state = trace.keys[0]
                    .as_ref()
                    .map_or(State::Fresh, |key| self.service.state(key));
                if state == State::Done || state == State::Fresh && trace.sent {
                    let other = &draft.parts[other].name;
                    wrong(format!("it is compensated, and {other} is {state:?}"));
                }
            }
        }
        let tale = &mut book.tales[call.tale];
        tale.turned = true;
        tale.traces[call.part].undone_by = Some(call.process);
    }

    /// An action is refused.
    pub fn fails(&self, under: Under) {
        let book = self.book.lock();
        let beside =
            |it: &&Under| it.tale == under.tale && it.epoch == under.epoch && it.part != under.part;
        if book.acting.iter().any(|it| beside(&it)) {
            self.count(Count::SiblingAwaited);
        }
    }
}

/// How a step is called by one that reads it: those of a saga within a saga know only their own.
fn within<'a>(name: &'a str, by: &str) -> Option<&'a str> {
    match by.split_once('/') {
        Some((group, _)) => name.strip_prefix(group)?.strip_prefix('/'),
        None => Some(name),
    }
}
