//! Those who start sagas, and hear what becomes of them.

use std::sync::Arc;

use tokio::time::{sleep, timeout};
use tripod::transaction::log::AppendError;
use tripod::transaction::saga::{
    OperateError, Reason, Refusal, SagaHandle, SagaKey, SagaOutcome, Sagas, StartError,
};

use super::book::{Tale, Told};
use super::draft::Input;
use super::life::{Known, Registered};
use super::service::State;
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::process::Process;
use crate::random::Random;

pub struct Client {
    pub world: Arc<World>,
    pub process: Arc<Process>,
    pub sagas: Sagas,
    pub registered: Vec<Registered>,
    pub random: Random,
}

pub fn saga_key(key: &str) -> SagaKey {
    SagaKey::new(key).unwrap()
}

impl Client {
    /// So many calls, one after the other.
    pub async fn live(mut self, calls: u64) {
        for _ in 0..calls {
            sleep(ms(self.random.below(12))).await;
            self.call().await;
        }
    }

    async fn call(&mut self) {
        let tales = self.world.book.lock().tales.len() as u64;
        if tales == 0 || self.random.chance(550) {
            return self.start_new().await;
        }
        let tale = usize::try_from(self.random.below(tales)).unwrap();
        match self.random.below(10) {
            0..4 => self.start_again(tale).await,
            4..6 => self.start_other(tale).await,
            _ => {
                sleep(ms(self.random.below(20))).await;
                self.cancel(tale).await;
            }
        }
    }

    async fn start_new(&mut self) {
        let tale = {
            let mut book = self.world.book.lock();
            let key = format!("k{}", book.tales.len());
            let draft = self.random.below(self.registered.len() as u64);
            let draft = &self.registered[usize::try_from(draft).unwrap()].draft;
            book.begin(&key, draft, self.random.below(1000))
        };
        self.start(tale).await;
    }

    /// The same once more.
    async fn start_again(&mut self, tale: usize) {
        // One that is forgotten would begin again, rightly.
        if self.world.remembers() && !self.is_abandoned(tale) {
            self.start(tale).await;
        }
    }

    /// The same key, and another payload.
    async fn start_other(&mut self, tale: usize) {
        if !self.world.remembers() || self.is_abandoned(tale) {
            return;
        }
        let other = {
            let mut book = self.world.book.lock();
            let Tale {
                key, draft, input, ..
            } = book.tales[tale].clone();
            book.begin(&key, &draft, input.1 + 1)
        };
        self.start(other).await;
    }

    fn is_abandoned(&self, tale: usize) -> bool {
        let book = self.world.book.lock();
        book.abandoned.contains(&book.tales[tale].key)
    }

    /// Starts it, and waits for it for a while.
    pub async fn start(&mut self, number: usize) {
        let world = Arc::clone(&self.world);
        let tale = {
            let mut book = world.book.lock();
            let before = book.tales[number].clone();
            book.tales[number].maybe = true;
            book.tales[number].starts += 1;
            before
        };
        let same = |it: &&Registered| Arc::ptr_eq(&it.draft, &tale.draft);
        let registered = self.registered.iter().find(same).unwrap().clone();
        let (key, input): (SagaKey, Input) = (saga_key(&tale.key), tale.input);
        let sagas = self.sagas.clone();
        let starting = sagas.start(&registered.definition, &key, &input);
        let started = if self.random.chance(60) {
            let patience = ms(self.random.below(6));
            match timeout(patience, starting).await {
                Ok(started) => started,
                Err(_) => return world.count(Count::DroppedStart),
            }
        } else {
            starting.await
        };
        if self.process.is_dead() {
            // Nobody is there to hear it.
            return;
        }
        world.say(|| format!("start of t{number} {}: {started:?}", tale.key));
        match started {
            Ok(saga) => {
                world.begins(number, &saga, tale.id.is_some());
                self.wait(number, &saga).await;
            }
            Err(error) => self.refused(number, &tale, registered.known, &error),
        }
    }

    fn refused(&self, number: usize, before: &Tale, known: Known, error: &StartError) {
        let world = &self.world;
        let wrong = |what: &str| world.wrong(format!("t{number}: {what}: {error:?}"));
        let nothing = match error {
            StartError::Unregistered { .. } => {
                if known == Known::Well || before.id.is_some() && !self.is_abandoned(number) {
                    wrong("its definition is there");
                }
                true
            }
            StartError::Conflict(_) => {
                world.count(Count::Conflict);
                let rivals = world.book.lock().rivals(number).count();
                if rivals == 0 || before.id.is_some() {
                    wrong("it is the only one");
                }
                true
            }
            StartError::Log(error) => {
                match **error {
                    AppendError::Full { .. } => world.count(Count::StartRefused),
                    AppendError::TooLarge { .. } => wrong("it is small"),
                    _ => {}
                }
                error.is_definite()
            }
            StartError::Unknown => {
                world.count(Count::StartUnknown);
                if !self.process.is_troubled() {
                    wrong("nothing has failed");
                }
                false
            }
            StartError::Reopening | StartError::Closed | StartError::Superseded => true,
            _ => {
                wrong("why?");
                false
            }
        };
        // Another may have started it meanwhile.
        let tale = &mut world.book.lock().tales[number];
        if nothing && !before.maybe && tale.starts == before.starts + 1 {
            tale.maybe = false;
        }
    }

    async fn wait(&mut self, number: usize, saga: &SagaHandle) {
        let patience = ms(self.random.within(5, 300));
        let Ok(outcome) = timeout(patience, saga.outcome()).await else {
            return;
        };
        if self.process.is_dead() {
            return;
        }
        match outcome {
            Ok(outcome) => self.world.tell(number, &outcome),
            Err(_) if self.process.is_troubled() => {}
            Err(_) => {
                let what = format!("t{number} is lost, and nothing has failed");
                self.world.wrong(what);
            }
        }
    }

    async fn cancel(&mut self, number: usize) {
        let world = Arc::clone(&self.world);
        let Tale { key, id, .. } = world.book.lock().tales[number].clone();
        let cancelled = self.sagas.cancel(&saga_key(&key)).await;
        if self.process.is_dead() {
            return;
        }
        world.say(|| format!("cancel of t{number} {key}: {cancelled:?}"));
        match cancelled {
            Ok(()) => {
                world.count(Count::Cancelled);
                if id.is_some() {
                    world.book.lock().tales[number].cancelled = true;
                }
            }
            Err(OperateError::Refused(Refusal::TooLate)) => world.count(Count::CancelTooLate),
            Err(_) => {}
        }
    }
}

impl World {
    /// Somebody was told that it has begun.
    fn begins(&self, number: usize, saga: &SagaHandle, again: bool) {
        let mut book = self.book.lock();
        if again {
            self.count(Count::Attached);
        }
        let id = saga.id().to_string();
        let before = book.tales[number].id.replace(id.clone());
        if before.is_some_and(|before| before != id) {
            self.wrong(format!("t{number} was begun twice: {id}"));
        }
        let abandoned = book.abandoned.contains(&book.tales[number].key);
        if book.rivals(number).any(|it| it.id.is_some()) && !abandoned {
            self.wrong(format!("t{number} has begun, and another one of its key"));
        }
    }

    /// Somebody is told how it ended.
    pub fn tell(&self, number: usize, outcome: &SagaOutcome) {
        self.say(|| format!("t{number} ended: {outcome:?}"));
        let told = match outcome {
            SagaOutcome::Completed(outputs) => {
                self.count(Count::Completed);
                let book = self.book.lock();
                let draft = &book.tales[number].draft;
                for last in draft.last().filter(|at| draft.parts[*at].asks) {
                    let name = &draft.parts[last].name;
                    let key = book.key_of(number, last);
                    let effect = key.and_then(|key| self.service.find(&key));
                    let given = outputs.get::<String>(name).ok();
                    if given.is_none() || given != effect.and_then(|it| it.output) {
                        self.wrong(format!("t{number}: {name} is said to have given {given:?}"));
                    }
                }
                Told::Completed
            }
            SagaOutcome::Compensated { reason, .. } => {
                self.count(match reason {
                    Reason::Failed { .. } => Count::CompensatedFailed,
                    Reason::Doubtful { .. } => Count::CompensatedDoubtful,
                    Reason::Cancelled => Count::CompensatedCancelled,
                    Reason::Deadline => Count::CompensatedDeadline,
                    other => unreachable!("nobody counts {other:?}"),
                });
                Told::Compensated
            }
            SagaOutcome::Abandoned => Told::Abandoned,
        };
        let before = self.book.lock().tales[number].told.replace(told);
        if before.is_some_and(|before| before != told) {
            self.wrong(format!("t{number} was {before:?}, and is {told:?}"));
        }
        self.check(number, told);
    }

    /// What is there of it now is as it was told.
    pub fn check(&self, number: usize, told: Told) {
        let tale = self.book.lock().tales[number].clone();
        let wrong = |what: String| self.wrong(format!("t{number}, {told:?}: {what}"));
        if tale.cancelled && told == Told::Completed {
            wrong("its cancellation was accepted".into());
        }
        let given_up = self.book.lock().abandoned.contains(&tale.key);
        if told == Told::Abandoned && !given_up {
            wrong("nobody has given it up".into());
        }
        for (at, part) in tale
            .draft
            .parts
            .iter()
            .enumerate()
            .filter(|(_, it)| it.asks)
        {
            let net = self.service.net((number, at));
            let due = match told {
                Told::Completed => net == 1,
                Told::Compensated => net == 0 || net == 1 && part.is_harmless(),
                Told::Abandoned => net <= 1,
            };
            if !due {
                wrong(format!("{} happened {net} times", part.name));
            }
        }
    }

    /// Whether the pivot of a tale was taken.
    pub fn is_past_pivot(&self, number: usize) -> bool {
        let book = self.book.lock();
        let pivot = book.tales[number].draft.pivot();
        let key = pivot.and_then(|pivot| book.key_of(number, pivot));
        key.is_some_and(|key| self.service.state(&key) == State::Done)
    }
}
