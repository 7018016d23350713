//! An inbox in memory.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use parking_lot::Mutex;

use super::{InboxError, kept};
use crate::transaction::message::envelope::Message;
use crate::transaction::message::step::{StepReply, StepRequest};

/// Remembers the replies to the last messages, for examples and tests: *it does not outlive the
/// process*, and neither do effects that it is right for.
#[derive(Default)]
pub struct MemoryInbox {
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    by_key: HashMap<String, ([u8; 32], Vec<u8>)>,
    by_age: VecDeque<String>,
}

impl MemoryInbox {
    /// Messages that are remembered; the oldest is forgotten for one more.
    pub const LEN_MAX: usize = 100_000;

    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has the effect of a message, and keeps its reply, in one step; or answers the reply that was
    /// kept. Others wait meanwhile, so the effect had better be short.
    ///
    /// # Errors
    /// [`InboxError::Conflict`]: there was no effect.
    pub fn once(
        &self,
        message: &Message,
        effect: impl FnOnce() -> Vec<u8>,
    ) -> Result<Vec<u8>, InboxError> {
        let digest = message.digest();
        let mut rows = self.rows.lock();
        match rows.by_key.get(message.key()) {
            Some((known, reply)) if *known == digest => return Ok(reply.clone()),
            Some(_) => return Err(InboxError::Conflict),
            None => {}
        }
        let reply = effect();
        if rows.by_age.len() >= Self::LEN_MAX
            && let Some(oldest) = rows.by_age.pop_front()
        {
            rows.by_key.remove(&oldest);
        }
        rows.by_age.push_back(message.key().to_owned());
        let row = (digest, reply.clone());
        rows.by_key.insert(message.key().to_owned(), row);
        Ok(reply)
    }

    /// Has a step of a saga done or undone once, and keeps what it is answered, unless it could not
    /// be undone. An action that comes after its compensation is not done. Others wait meanwhile.
    ///
    /// # Errors
    /// [`InboxError`]: nothing was done. The action may be excluded by it.
    pub fn step(
        &self,
        request: &StepRequest,
        act: impl FnOnce() -> StepReply,
        undo: impl FnOnce(&StepReply) -> StepReply,
    ) -> Result<StepReply, InboxError> {
        let reply = match request.undoes() {
            None => self.once(request.message(), || act().to_bytes())?,
            Some(action) => {
                let acted = self.once(action, || StepReply::excluded().to_bytes())?;
                let acted = kept(&acted)?;
                let undone = || match acted.outcome() {
                    Ok(()) => undo(&acted),
                    Err(_) => StepReply::done(()),
                };
                let reply = self.once(request.message(), || undone().to_bytes())?;
                if kept(&reply)?.outcome().is_err() {
                    // It may be asked for again, once somebody has seen to it.
                    self.rows.lock().by_key.remove(request.message().key());
                }
                reply
            }
        };
        kept(&reply)
    }
}

impl fmt::Debug for MemoryInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryInbox").finish_non_exhaustive()
    }
}
