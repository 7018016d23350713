//! What a coordinator keeps of a transaction beside its state: who waits, and what is due.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::member::{Member, Seat};
use crate::transaction::id::TransactionId;
use crate::transaction::log::Reservation;
use crate::transaction::participant::ParticipantError;
use crate::transaction::two_phase::event::{Action, Answer};

/// A transaction that is under way.
pub(super) struct Run {
    pub(super) id: TransactionId,
    pub(super) began: Instant,
    wake: Notify,
    /// Whose records are being appended: the driver's, or those of a caller who enlists.
    appends: tokio::sync::Mutex<()>,
    own: Mutex<Own>,
}

#[derive(Default)]
struct Own {
    /// Whether somebody performs its actions.
    driven: bool,
    /// What an operator or a deadline has brought about, for whoever drives.
    inbox: Vec<Action>,
    waiting: Option<oneshot::Sender<Answer>>,
    /// For the decision and the end.
    space: Option<Reservation>,
    permit: Option<OwnedSemaphorePermit>,
    branches: Vec<Known>,
    /// Operators who wait until their word is durable.
    words: Vec<(u16, oneshot::Sender<bool>)>,
    /// Whether its caller knows what became of it.
    told: bool,
}

/// A branch, and whom to ask about it: nobody, if no such participant is registered.
struct Known {
    number: u16,
    member: Option<Seat>,
    error: Option<Arc<ParticipantError>>,
}

impl Run {
    pub(super) fn new(id: TransactionId, space: Option<Reservation>) -> Self {
        Self {
            id,
            began: Instant::now(),
            wake: Notify::new(),
            appends: tokio::sync::Mutex::new(()),
            own: Mutex::new(Own {
                space,
                ..Own::default()
            }),
        }
    }

    /// Keeps the place among those that may be under way, until the caller is answered.
    pub(super) fn admit(&self, permit: OwnedSemaphorePermit) {
        self.own.lock().permit = Some(permit);
    }

    /// Gives these actions to whoever performs them already; or else back to the caller, who is
    /// the one from now on.
    pub(super) fn hand_over(&self, actions: Vec<Action>) -> Option<Vec<Action>> {
        let mut own = self.own.lock();
        if !own.driven {
            own.driven = true;
            return Some(actions);
        }
        own.inbox.extend(actions);
        drop(own);
        self.wake.notify_one();
        None
    }

    /// Stops performing, but for what was left in the meantime.
    pub(super) fn let_go(&self) -> Option<Vec<Action>> {
        let mut own = self.own.lock();
        own.driven = !own.inbox.is_empty();
        own.driven.then(|| std::mem::take(&mut own.inbox))
    }

    /// Waits until something was left.
    pub(super) async fn left(&self) {
        self.wake.notified().await;
    }

    /// What was left.
    pub(super) fn inbox(&self) -> Vec<Action> {
        std::mem::take(&mut self.own.lock().inbox)
    }

    /// Waits for the fate of an operator's word for what this branch did.
    pub(super) fn await_word(&self, branch: u16) -> oneshot::Receiver<bool> {
        let (sender, receiver) = oneshot::channel();
        self.own.lock().words.push((branch, sender));
        receiver
    }

    /// An operator's word for this branch is durable, or is not.
    pub(super) fn resolved(&self, branch: u16, durable: bool) {
        let words = std::mem::take(&mut self.own.lock().words);
        let (these, others): (Vec<_>, Vec<_>) =
            words.into_iter().partition(|(word, _)| *word == branch);
        self.own.lock().words.extend(others);
        for (_, word) in these {
            let _ = word.send(durable);
        }
    }

    /// Waits until nobody appends records of it: they go one after the other, and the fate of each
    /// is told before the next.
    pub(super) async fn append_turn(&self) -> MutexGuard<'_, ()> {
        self.appends.lock().await
    }

    pub(super) fn await_answer(&self) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.own.lock().waiting = Some(sender);
        receiver
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.own.lock().waiting.is_some()
    }

    /// Answers who waits. The place is free for another: what is left to be done waits for others.
    pub(super) fn answer(&self, answer: Answer) {
        let certain = answer != Answer::Unknown;
        let waiting = self.own.lock().waiting.take();
        self.vacate();
        if let Some(waiting) = waiting {
            let told = waiting.send(answer).is_ok() && certain;
            self.own.lock().told |= told;
        }
    }

    /// Gives up its place among those that are under way: its caller has the answer, or has left.
    pub(super) fn vacate(&self) {
        let permit = self.own.lock().permit.take();
        drop(permit);
    }

    /// Whether its caller knows what became of it.
    pub(super) fn is_told(&self) -> bool {
        self.own.lock().told
    }

    pub(super) fn know(&self, number: u16, member: Option<Arc<Member>>) {
        self.own.lock().branches.push(Known {
            number,
            member: member.map(Seat::take),
            error: None,
        });
    }

    pub(super) fn member(&self, number: u16) -> Option<Arc<Member>> {
        let own = self.own.lock();
        let known = own.branches.iter().find(|known| known.number == number)?;
        known.member.as_ref().map(Seat::member)
    }

    pub(super) fn note(&self, number: u16, error: Option<Arc<ParticipantError>>) {
        let mut own = self.own.lock();
        let known = own.branches.iter_mut().find(|known| known.number == number);
        if let Some(known) = known {
            known.error = error;
        }
    }

    pub(super) fn error(&self, number: u16) -> Option<Arc<ParticipantError>> {
        let own = self.own.lock();
        let known = own.branches.iter().find(|known| known.number == number)?;
        known.error.clone()
    }

    pub(super) fn add_space(&self, more: Reservation) {
        let mut own = self.own.lock();
        match &mut own.space {
            Some(space) => space.absorb(more),
            None => own.space = Some(more),
        }
    }

    /// So much of the space that was set aside, or what there is of it.
    pub(super) fn take_space(&self, bytes: u64) -> Option<Reservation> {
        self.own
            .lock()
            .space
            .as_mut()
            .map(|space| space.split(bytes))
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
