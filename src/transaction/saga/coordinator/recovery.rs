//! Opening: what the log tells of is taken up, and what is unfinished goes on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::case::{Case, Driven, Live, Stranding};
use super::codec::{Created, Digest, Entry, Facts};
use super::course::{Course, Stage};
use super::driver::Driver;
use super::engine::Options;
use super::engine::{Definitions, Engine, State};
use super::status::SagaEvent;
use super::writing::set_aside;
use crate::transaction::health::Health;
use crate::transaction::id::{Epoch, TransactionId};
use crate::transaction::log::{LiveRecord, Opened, Subject, TransactionLog};
use crate::transaction::saga::blueprint::Blueprint;
use crate::transaction::saga::event::{Event, Transition};
use crate::transaction::saga::fact::Fact;
use crate::transaction::saga::key::SagaKey;
use crate::transaction::saga::state::Execution;

/// What stays the same through all epochs.
pub(super) struct Lasting {
    pub(super) log: Arc<dyn TransactionLog>,
    pub(super) definitions: Arc<Definitions>,
    pub(super) options: Options,
    pub(super) events: broadcast::Sender<SagaEvent>,
    pub(super) permits: Arc<Semaphore>,
}

/// Goes on with what the log tells. `before` is the epoch before, if this process had one.
pub(super) fn take_over(opened: Opened, lasting: &Lasting, before: Option<&Engine>) -> Arc<Engine> {
    let (coordinator, epoch) = (opened.coordinator(), opened.epoch());
    let waiting = before.map(|before| before.state.lock().cases.clone());
    let waiting = waiting.unwrap_or_default();
    let engine = Arc::new(Engine {
        coordinator,
        epoch,
        log: Arc::clone(&lasting.log),
        definitions: Arc::clone(&lasting.definitions),
        options: lasting.options,
        events: lasting.events.clone(),
        permits: Arc::clone(&lasting.permits),
        health: watch::Sender::new(Health::Serving),
        closing: CancellationToken::new(),
        state: Mutex::new(State::default()),
        runtime: Handle::current(),
    });
    let told = read(opened.into_live());
    tracing::info!(%coordinator, %epoch, sagas = told.len(), "sagas opened");
    for (key, entries) in told {
        engine.take_up(&key, entries, &waiting, epoch);
    }
    engine.part(&waiting);
    let mut state = engine.state.lock();
    let ended = state.ended.make_contiguous();
    ended.sort_by_key(|(until, ..)| *until);
    drop(state);
    engine.runtime.spawn(Arc::clone(&engine).forget());
    engine
}

/// What the log tells of each saga, in its order; nothing of those that cannot be read.
fn read(live: Vec<LiveRecord>) -> BTreeMap<SagaKey, Option<Vec<Entry>>> {
    let mut told: BTreeMap<SagaKey, Option<Vec<Entry>>> = BTreeMap::new();
    for record in live {
        let Subject::Saga(key) = record.record().subject() else {
            continue;
        };
        let Some(key) = SagaKey::read(key) else {
            tracing::error!(?key, "a record is of no saga: it is left alone");
            continue;
        };
        let entries = told.entry(key).or_insert_with(|| Some(Vec::new()));
        match Entry::decode(record.record().payload()) {
            Some(entry) => {
                if let Some(entries) = entries {
                    entries.push(entry);
                }
            }
            None => *entries = None,
        }
    }
    told
}

impl Engine {
    /// Takes up a saga where the log says that it is.
    fn take_up(
        self: &Arc<Self>,
        key: &SagaKey,
        entries: Option<Vec<Entry>>,
        waiting: &HashMap<SagaKey, Arc<Case>>,
        epoch: Epoch,
    ) {
        let mut entries = entries.unwrap_or_default().into_iter();
        let first = entries.next();
        let facts = entries.map(|entry| match entry {
            Entry::Facts(facts) => Some(facts),
            Entry::Created(..) | Entry::Finished(_) => None,
        });
        let facts: Option<Vec<Facts>> = facts.collect();
        let course = |id: TransactionId| {
            let before = waiting.get(key).filter(|case| case.id == id);
            let course = before.map(|case| Arc::clone(&case.course));
            course.unwrap_or_else(|| Course::new(Stage::UnderWay))
        };
        match (first, facts) {
            (Some(Entry::Created(created, begun)), Some(facts)) => {
                let course = course(created.id);
                let (live, resumed) = self.replay(&created, &begun, &facts);
                let case = Arc::new(Case::new(
                    (key.clone(), created.id),
                    (created.name, created.version),
                    resumed.clone(),
                    created.digest,
                    created.at,
                    course,
                    Some(live),
                ));
                case.remember(created.at, &begun);
                for Facts { at, facts } in &facts {
                    case.remember(*at, facts);
                }
                let permit = waiting.get(key).and_then(|before| before.take_permit());
                let permits = Arc::clone(&self.permits);
                case.admit(permit.or_else(|| permits.try_acquire_owned().ok()));
                case.started();
                self.keep(&case);
                let mut first = Transition::default();
                if let Some(blueprint) = resumed
                    && case.step(Event::Resume, &mut first).is_ok()
                {
                    self.drive(&case, blueprint, first);
                }
            }
            (Some(Entry::Finished(finished)), Some(facts)) if facts.is_empty() => {
                let finished = Arc::new(finished);
                let case = Arc::new(Case::new(
                    (key.clone(), finished.id),
                    (Arc::clone(&finished.name), finished.version),
                    self.definition(&finished.name, finished.version),
                    finished.digest,
                    finished.created,
                    course(finished.id),
                    None,
                ));
                self.keep(&case);
                self.retain(&case, &finished, true);
                case.end(finished);
            }
            _ => {
                tracing::error!(saga = %key, "a saga's records make no sense: it is left alone");
                let id = TransactionId::new(self.coordinator, epoch, u64::MAX);
                let case = Case::new(
                    (key.clone(), id),
                    (Arc::from("?"), 0),
                    None,
                    Digest([0; 16]),
                    0,
                    course(id),
                    Some(Live::Stranded(Stranding::Unreadable)),
                );
                self.keep(&Arc::new(case));
            }
        }
    }

    fn keep(&self, case: &Arc<Case>) {
        let mut state = self.state.lock();
        state.cases.insert(case.key.clone(), Arc::clone(case));
    }

    /// What a saga is, and by which definition it goes on.
    fn replay(
        &self,
        created: &Created,
        begun: &[Fact],
        facts: &[Facts],
    ) -> (Live, Option<Arc<Blueprint>>) {
        let strand = |why: Stranding| {
            tracing::error!(saga = %created.id, name = %created.name, version = created.version,
                ?why, "a saga is left alone");
            (Live::Stranded(why), None)
        };
        let Some(blueprint) = self.definition(&created.name, created.version) else {
            return strand(Stranding::Unregistered);
        };
        if blueprint.fingerprint != created.fingerprint {
            return strand(Stranding::Changed);
        }
        let mut execution = Execution::new(Arc::clone(&blueprint.shape));
        let later = facts.iter().flat_map(|facts| &facts.facts);
        let mut facts = begun.iter().chain(later);
        if !facts.all(|fact| execution.apply(fact)) {
            return strand(Stranding::Unreadable);
        }
        let driven = Driven::new(&blueprint, created.input.clone(), execution);
        (Live::Driven(driven), Some(blueprint))
    }

    fn definition(&self, name: &Arc<str>, version: u32) -> Option<Arc<Blueprint>> {
        let named = (Arc::clone(name), version);
        self.definitions.get(&named).cloned()
    }

    /// Tells those who wait for what is not in the log: it never began, or is over and forgotten.
    fn part(&self, waiting: &HashMap<SagaKey, Arc<Case>>) {
        let state = self.state.lock();
        for (key, case) in waiting {
            let kept = state.cases.get(key);
            if kept.is_none_or(|kept| kept.id != case.id) {
                case.course.lose();
            }
        }
    }

    /// Has it driven.
    fn drive(self: &Arc<Self>, case: &Arc<Case>, blueprint: Arc<Blueprint>, first: Transition) {
        let (engine, case) = (Arc::clone(self), Arc::clone(case));
        self.runtime.spawn(async move {
            // Where there is no room now, there may be when it is needed.
            let _ = set_aside(&engine, &case).await;
            Driver::new((&engine, &case), blueprint, None, first).await;
        });
    }

    /// Has a new one driven: what can be done at once is done here.
    pub(super) fn drive_new(
        self: &Arc<Self>,
        case: &Arc<Case>,
        blueprint: Arc<Blueprint>,
        created: Vec<u8>,
        first: Transition,
    ) {
        let _runtime = self.runtime.enter();
        let mut driver = Driver::new((self, case), blueprint, Some(created), first);
        if (&mut driver).now_or_never().is_none() {
            self.runtime.spawn(driver);
        }
    }
}
