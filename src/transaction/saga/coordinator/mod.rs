//! Runs sagas: performs what follows, and goes on after a restart.

mod attempts;
mod batch;
mod case;
mod codec;
mod course;
mod driver;
mod engine;
mod facts;
mod handle;
mod open;
mod operator;
mod recovery;
mod status;
mod supervisor;
mod writing;

use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::blueprint::Blueprint;
use super::definition::Definition;
use super::error::StartError;
use super::event::{Event, Transition};
use super::fact::Json;
use super::key::SagaKey;
use super::state::Execution;
use crate::transaction::health::Health;
use crate::transaction::id::TransactionId;
use crate::transaction::log::{LogError, TransactionLog};
use case::{Case, Driven, Live};
use codec::{Created, Digest, encode_created};
use course::{Course, Stage};
use engine::Options;
use engine::{Definitions, Engine};

pub use case::Stranding;
pub use handle::{OutputError, Outputs, SagaHandle, SagaLost, SagaOutcome};
pub use open::OpenSagas;
pub use status::{SagaEvent, SagaFilter, SagaStatus, StepStatus};

/// Runs sagas over a log.
///
/// Clones are handles of the same. It lives in the runtime in which it was opened, and goes on with
/// what the log says was unfinished. When the last clone is gone it stops as in a crash; the
/// [handles](SagaHandle) of single sagas do not keep it.
#[derive(Clone)]
pub struct Sagas(Arc<Shared>);

struct Shared {
    log: Arc<dyn TransactionLog>,
    definitions: Arc<Definitions>,
    options: Options,
    events: broadcast::Sender<SagaEvent>,
    engine: Mutex<Arc<Engine>>,
    /// One for each saga that was started here and is not over.
    permits: Arc<Semaphore>,
    closed: AtomicBool,
    stop: CancellationToken,
    /// The log is not being opened again, and will not be.
    supervised: CancellationToken,
}

impl Sagas {
    /// Opens the sagas of this log. A handle of a log is taken by value: clone it to keep one. No
    /// other coordinator uses it.
    pub fn open(log: impl TransactionLog) -> OpenSagas {
        OpenSagas::new(Arc::new(log))
    }

    /// Starts a saga, or attaches to the one that was started under this key. When this returns the
    /// saga is durable: it goes to its end, or is compensated, whatever dies. Waits while as many
    /// are under way as may be.
    ///
    /// The key is remembered for as long as the saga is under way, and then for the
    /// [retention](OpenSagas::retention). Under it, the same definition and input attach; others
    /// are refused; an input with a hash set in it is another one each time. Another version of the definition attaches to what an earlier one has begun.
    ///
    /// # Errors
    /// [`StartError`]; each says whether anything happened.
    ///
    /// # Cancel safety
    /// If the future is dropped the saga may have been started, and then goes on. Start it again
    /// with the same key to attach.
    pub async fn start<I: Serialize>(
        &self,
        definition: &Definition<I>,
        key: &SagaKey,
        input: &I,
    ) -> Result<SagaHandle, StartError> {
        // Maps in their order, so that equal inputs are the same text.
        let input = serde_json::to_value(input).and_then(|input| serde_json::to_string(&input));
        let input = Json::new(input.map_err(StartError::Input)?);
        let digest = digest(definition.name(), &input);
        if let Some(case) = self.0.engine().case(key) {
            return attach(&case, digest).await;
        }
        let permit = Arc::clone(&self.0.permits).acquire_owned().await;
        let engine = self.0.engine();
        self.0.refuse(&engine)?;
        let permit = permit.map_err(|_| StartError::Closed)?;
        let unregistered = || StartError::Unregistered {
            name: definition.name().to_owned(),
            version: definition.version(),
        };
        let named = (Arc::clone(&definition.blueprint.name), definition.version());
        let registered = engine.definitions.get(&named);
        let same = |it: &&Arc<Blueprint>| it.fingerprint == definition.blueprint.fingerprint;
        let blueprint = registered.filter(same).ok_or_else(unregistered)?;
        let begun = engine.begin(key, permit, blueprint, (digest, input));
        attach(&begun, digest).await
    }

    /// The saga of this key, if it is under way or remembered.
    #[must_use]
    pub fn find(&self, key: &SagaKey) -> Option<SagaHandle> {
        let case = self.0.engine().case(key)?;
        Some(SagaHandle::new(&case))
    }

    /// What happens from now on, to whatever saga, once it is durable: for displays of progress. A
    /// receiver that is more than 1024 events behind misses some, and is told so.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<SagaEvent> {
        self.0.events.subscribe()
    }

    /// Whether another process has opened the log: then this one is of no more use.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.0.engine().health() == Health::Superseded
    }

    /// Ends it cleanly: nothing more is started; waits at most so long until what is under way is
    /// over, parked sagas left aside; closes the log. What is not over goes on when the log is
    /// opened again. Answers how many those are.
    ///
    /// # Errors
    /// The log was not closed cleanly. What was durable stands.
    ///
    /// # Cancel safety
    /// A dropped future leaves it so that nothing is started any more. Call it again.
    pub async fn shutdown(&self, patience: Duration) -> Result<usize, LogError> {
        let shared = &self.0;
        shared.closed.store(true, Ordering::Release);
        shared.permits.close();
        shared.stop.cancel();
        shared.supervised.cancelled().await;
        let engine = shared.engine();
        let until = Instant::now().checked_add(patience);
        let waits = || until.is_none_or(|until| Instant::now() < until);
        while engine.serves() && engine.unfinished(true) > 0 && waits() {
            sleep(Duration::from_millis(5)).await;
        }
        engine.close();
        let closed = engine.log.close(engine.epoch).await;
        let unfinished = engine.unfinished(false);
        engine.lose_all();
        closed.map(|()| unfinished)
    }
}

/// Waits until it is durable that the saga has begun.
async fn attach(case: &Arc<Case>, digest: Digest) -> Result<SagaHandle, StartError> {
    if case.digest != digest {
        return Err(StartError::Conflict(case.key.clone()));
    }
    let begun = |stage: &Stage| !matches!(stage, Stage::Starting);
    match case.course.reach(begun).await {
        Stage::NotStarted(error) => Err(StartError::Log(error)),
        Stage::Lost => Err(StartError::Unknown),
        Stage::Starting | Stage::UnderWay | Stage::Ended(_) => Ok(SagaHandle::new(case)),
    }
}

/// What tells this input from another.
fn digest(name: &str, input: &Json) -> Digest {
    let mut hash = Sha256::new();
    hash.update((name.len() as u64).to_be_bytes());
    hash.update(name);
    hash.update(input.as_str());
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    Digest(short)
}

impl Engine {
    fn case(&self, key: &SagaKey) -> Option<Arc<Case>> {
        self.state.lock().cases.get(key).cloned()
    }

    /// How many are not over; or only those that may come to an end by themselves.
    fn unfinished(&self, moving: bool) -> usize {
        let cases = self.cases();
        let open = cases.iter().filter(|case| case.is_open(moving));
        open.count()
    }

    /// Begins a saga of this key, if there is none.
    fn begin(
        self: &Arc<Self>,
        key: &SagaKey,
        permit: OwnedSemaphorePermit,
        blueprint: &Arc<Blueprint>,
        (digest, input): (Digest, Json),
    ) -> Arc<Case> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let place = match state.cases.entry(key.clone()) {
            Entry::Occupied(case) => return Arc::clone(case.get()),
            Entry::Vacant(place) => place,
        };
        let created = Created {
            id: TransactionId::new(self.coordinator, self.epoch, state.started),
            name: Arc::clone(&blueprint.name),
            version: blueprint.version,
            fingerprint: blueprint.fingerprint,
            digest,
            at: engine::now(),
            input,
        };
        let execution = Execution::new(Arc::clone(&blueprint.shape));
        let live = Live::Driven(Driven::new(blueprint, created.input.clone(), execution));
        let case = Arc::new(Case::new(
            (key.clone(), created.id),
            (Arc::clone(&created.name), created.version),
            Some(Arc::clone(blueprint)),
            created.digest,
            created.at,
            Course::new(Stage::Starting),
            Some(live),
        ));
        case.admit(Some(permit));
        state.started += 1;
        place.insert(Arc::clone(&case));
        drop(guard);
        let mut first = Transition::default();
        if case.step(Event::Resume, &mut first).is_ok() {
            let created = encode_created(&created, first.facts.len());
            self.drive_new(&case, Arc::clone(blueprint), created, first);
        }
        case
    }
}

impl Shared {
    fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine.lock())
    }

    fn refuse(&self, engine: &Engine) -> Result<(), StartError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StartError::Closed);
        }
        match engine.health() {
            Health::Serving => Ok(()),
            Health::Failed => Err(StartError::Reopening),
            Health::Superseded => Err(StartError::Superseded),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
        let engine = self.engine.get_mut();
        engine.close();
        engine.lose_all();
    }
}

impl fmt::Debug for Sagas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sagas")
            .field("engine", &self.0.engine())
            .finish_non_exhaustive()
    }
}
