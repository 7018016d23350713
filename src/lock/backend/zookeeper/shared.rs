//! What the calls of a backend and its task share.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::lock::backend::bells::Bells;
use crate::lock::backend::encoding::encoded;
use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::lock::name::LockName;

use super::call::{Call, Known, TIMEOUT};
use super::ours::Ours;
use super::session::{Config, Session};

pub(super) struct Shared {
    pub(super) config: Config,
    /// Where the client's tasks run.
    pub(super) runtime: Handle,
    /// The session, while there is one.
    session: watch::Sender<Option<Arc<Session>>>,
    pub(super) ours: Ours,
    pub(super) bells: Bells,
    /// The bytes of paths that may yet be watched.
    pub(super) watched: Semaphore,
    turns: [Mutex<Known>; TURNS],
}

/// Locks that many tasks of this process want at once share so many turns: enough that two seldom
/// share one, few enough to be there from the start.
const TURNS: usize = 64;

/// So many bytes of paths are watched at once: after a reconnect the client sends them all again, in
/// one request if they are no more than 128 KiB; two of them get the same number, and that ends
/// every new connection. The rest is for watches that are being given up. Who finds no room is not
/// told of changes until others have gone, and looks again when its caller does.
pub(super) const WATCHED_MAX: u32 = 96 << 10;

impl Shared {
    pub(super) fn new(config: Config, session: Session, runtime: Handle) -> Self {
        Self {
            config,
            runtime,
            session: watch::Sender::new(Some(Arc::new(session))),
            ours: Ours::default(),
            bells: Bells::default(),
            watched: Semaphore::new(WATCHED_MAX as usize),
            turns: [const { Mutex::const_new(None) }; TURNS],
        }
    }

    /// The path of a lock's own node. The letter before the name keeps `.` and `..` from meaning
    /// something.
    pub(super) fn root(&self, name: &LockName) -> String {
        format!("{}/e{}", self.config.chroot, encoded(name, b"-_."))
    }

    /// Waits for the others of this process that try again on the same lock: two that look at the same
    /// state at once only undo each other's grants.
    pub(super) async fn turn(&self, root: &str) -> MutexGuard<'_, Known> {
        let mut hasher = DefaultHasher::new();
        root.hash(&mut hasher);
        let ([first, ..], [at, ..]) = (&self.turns, hasher.finish().to_ne_bytes());
        let turn = self.turns.get(usize::from(at) % TURNS);
        turn.unwrap_or(first).lock().await
    }

    /// Begins a call, once there is a connection.
    pub(super) async fn call(&self, verb: Verb) -> Result<Call, BackendError> {
        let until = Instant::now() + TIMEOUT;
        if let Ok(Some(session)) = timeout_at(until, self.connected()).await {
            return Ok(Call::new(session, verb, until));
        }
        let error = BackendError::new(BackendErrorKind::Unavailable, verb);
        Err(error.with_source("there is no connection to the store"))
    }

    async fn connected(&self) -> Option<Arc<Session>> {
        let mut sessions = self.session.subscribe();
        loop {
            let session = sessions.borrow_and_update().clone();
            let Some(session) = session else {
                sessions.changed().await.ok()?;
                continue;
            };
            let state = session.client.state();
            if session.is_connected() {
                return Some(session);
            }
            tokio::select! {
                () = session.changed(state) => {}
                changed = sessions.changed() => changed.ok()?,
            }
        }
    }

    pub(super) fn session(&self) -> Option<Arc<Session>> {
        self.session.borrow().clone()
    }

    /// Takes a new session into use, or none. What was entered by another is gone, or will be.
    pub(super) fn replace(&self, session: Option<Arc<Session>>) {
        let id = session.as_ref().map(|session| session.id());
        self.session.send_replace(session);
        self.ours.forget_all_but(id);
        self.bells.ring_all();
    }
}
