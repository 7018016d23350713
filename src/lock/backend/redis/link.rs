//! A connection that is made again whenever it is lost, for as long as it is wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::chance::pause;
use crate::lock::backend::BackendErrorKind;

use super::failure::{Failure, ends_connection};
use super::live::{Live, TIMEOUT};
use super::place::Place;
use super::step::Step;
use super::subscription::Subscription;

/// How often a server is asked whether it is there: messages would not come from one that hangs,
/// and nobody would miss them.
const PULSE: Duration = Duration::from_secs(1);

/// The longest pause before the first of several tries to connect. It doubles with each further one,
/// and half of it is left to chance, so that clients that lost a server together come back one by
/// one.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause before any try: a server that is back has its clients soon after.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The least and the most time that a server is given before others are not kept waiting for it.
/// The least is a stutter of a busy machine; the most leaves time where round trips take long.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

pub(super) struct Link {
    core: Arc<Core>,
    task: Mutex<JoinHandle<()>>,
}

struct Core {
    place: Place,
    subscription: Option<Subscription>,
    state: watch::Sender<State>,
    /// Whether the server left somebody waiting and has not answered since.
    is_silent: AtomicBool,
    doubt: Notify,
    /// In microseconds.
    round_trip: AtomicU64,
}

enum State {
    Up(Live),
    /// Since a connection was lost or could not be made for this reason.
    Down(Failure),
}

/// What a server answered to a request that was sent at this time.
pub(super) struct Answer {
    pub(super) sent: Instant,
    pub(super) words: Vec<String>,
}

impl Link {
    /// A link that is up. It hears what is published for the subscription.
    pub(super) async fn connect(
        place: Place,
        subscription: Option<Subscription>,
    ) -> Result<Self, Failure> {
        let core = Core::new(place, subscription);
        let live = core.place.open(core.subscription.as_ref()).await?;
        Ok(Self::begin(core, Some(live)))
    }

    /// A link that will be up.
    pub(super) fn connecting(place: Place) -> Self {
        Self::begin(Core::new(place, None), None)
    }

    fn begin(core: Core, live: Option<Live>) -> Self {
        if let Some(live) = &live {
            core.up(live);
        }
        let core = Arc::new(core);
        let task = tokio::spawn(Arc::clone(&core).keep(live));
        let task = Mutex::new(task);
        Self { core, task }
    }

    /// Takes a step. Ends at the deadline.
    pub(super) async fn call(&self, step: &Step, deadline: Instant) -> Result<Answer, Failure> {
        let live = self.live(deadline).await?;
        self.send(live, step, false, deadline).await
    }

    /// Takes a step over this connection of the link's, with leave to take it where the slot is
    /// still on its way. Ends at the deadline.
    pub(super) async fn send(
        &self,
        mut live: Live,
        step: &Step,
        asking: bool,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let sent = Instant::now();
        match timeout_at(deadline, step.take(&mut live.connection, asking)).await {
            Ok(Ok(words)) => Ok(Answer { sent, words }),
            Ok(Err(error)) => {
                if ends_connection(&error) {
                    live.gone.notify_one();
                }
                Err(Failure::of_call(error))
            }
            Err(_) => {
                self.doubt();
                let why = "the server did not answer in time";
                Err(Failure::new(BackendErrorKind::Indeterminate, why))
            }
        }
    }

    /// The connection, once it is there. Ends at the deadline.
    pub(super) async fn live(&self, deadline: Instant) -> Result<Live, Failure> {
        self.revive();
        if let Some(live) = self.core.state.borrow().live() {
            return Ok(live);
        }
        let mut states = self.core.state.subscribe();
        let up = states.wait_for(|state| matches!(state, State::Up(_)));
        let live = match timeout_at(deadline, up).await {
            Ok(Ok(state)) => state.live(),
            // The sender is ours, so that only the time can have run out.
            Ok(Err(_)) | Err(_) => None,
        };
        live.ok_or_else(|| self.core.state.borrow().why_down())
    }

    /// Whether the server is connected and answers.
    pub(super) fn is_well(&self) -> bool {
        self.is_up() && !self.core.is_silent.load(Ordering::Relaxed)
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.core.state.borrow(), State::Up(_))
    }

    /// For how long a server that is well may be waited for: some round trips.
    pub(super) fn patience(&self) -> Duration {
        let round_trip = Duration::from_micros(self.core.round_trip.load(Ordering::Relaxed));
        let (least, most) = PATIENCE;
        (round_trip * 4).clamp(least, most)
    }

    /// Says that the server left somebody waiting. It is silent until it answers again.
    pub(super) fn doubt(&self) {
        self.core.is_silent.store(true, Ordering::Relaxed);
        self.core.doubt.notify_one();
    }

    /// The task may have ended with the runtime that it was begun in.
    pub(super) fn revive(&self) {
        let mut task = self.task.lock();
        if task.is_finished() {
            let lost = "the runtime of the connection has ended";
            self.core
                .down(Failure::new(BackendErrorKind::Unavailable, lost));
            *task = tokio::spawn(Arc::clone(&self.core).keep(None));
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.get_mut().abort();
    }
}

impl State {
    fn live(&self) -> Option<Live> {
        match self {
            Self::Up(live) => Some(live.clone()),
            Self::Down(_) => None,
        }
    }

    fn why_down(&self) -> Failure {
        match self {
            Self::Up(_) => Failure::new(BackendErrorKind::Unavailable, "connected too late"),
            Self::Down(failure) => failure.clone().unsent(),
        }
    }
}

impl Core {
    fn new(place: Place, subscription: Option<Subscription>) -> Self {
        let not_yet = Failure::new(BackendErrorKind::Unavailable, "not connected yet");
        Self {
            place,
            subscription,
            state: watch::Sender::new(State::Down(not_yet)),
            is_silent: AtomicBool::new(false),
            doubt: Notify::new(),
            round_trip: AtomicU64::new(0),
        }
    }

    /// Connects again whenever the connection is lost.
    async fn keep(self: Arc<Self>, mut first: Option<Live>) {
        let mut tries = 0;
        loop {
            let live = match first.take() {
                Some(live) => Ok(live),
                None => self.place.open(self.subscription.as_ref()).await,
            };
            match live {
                Ok(live) => {
                    let began = Instant::now();
                    self.up(&live);
                    self.watch(&live).await;
                    let lost = "the connection was lost";
                    self.down(Failure::new(BackendErrorKind::Unavailable, lost));
                    // One that is lost at once is to be given time.
                    if began.elapsed() > PAUSE_MAX {
                        tries = 0;
                    }
                }
                Err(failure) => self.down(failure),
            }
            sleep(pause(PAUSE_MIN, tries, PAUSE_MAX)).await;
            tries = tries.saturating_add(1);
        }
    }

    fn up(&self, live: &Live) {
        self.answered(live.round_trip);
        self.state.send_replace(State::Up(live.clone()));
        if let Some(subscription) = &self.subscription {
            // What was told meanwhile was missed.
            subscription.bells().ring_all();
        }
    }

    fn down(&self, failure: Failure) {
        self.state.send_replace(State::Down(failure));
    }

    /// Ends when the connection is of no more use.
    async fn watch(&self, live: &Live) {
        loop {
            tokio::select! {
                () = live.gone.notified() => return,
                () = self.doubt.notified() => {}
                () = sleep(PULSE) => {}
            }
            tokio::select! {
                () = live.gone.notified() => return,
                answer = timeout(TIMEOUT, live.ping()) => match answer {
                    Ok(Ok(round_trip)) => self.answered(round_trip),
                    Ok(Err(_)) | Err(_) => return,
                },
            }
        }
    }

    /// One that took long is given time for a while.
    fn answered(&self, round_trip: Duration) {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        let before = self.round_trip.load(Ordering::Relaxed);
        let now = micros.max(before - before / 8);
        self.round_trip.store(now, Ordering::Relaxed);
        self.is_silent.store(false, Ordering::Relaxed);
    }
}
