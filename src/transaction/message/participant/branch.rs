//! The caller's side of a branch behind a queue.

use std::fmt;
use std::sync::Arc;

use super::wire::{Answer, Ask, Done};
use super::{Inner, unexpected};
use crate::transaction::id::BranchId;
use crate::transaction::message::envelope::Message;
use crate::transaction::participant::ParticipantError;

/// The most of a payload that what goes with it takes.
const ENVELOPE: usize = 100;

/// Sends work to a branch of a [`QueueParticipant`](super::QueueParticipant), one request after the
/// other.
///
/// Dropping it does not end the branch; that is up to the coordinator.
pub struct QueueBranch {
    participant: Arc<Inner>,
    branch: BranchId,
    session: u128,
}

impl QueueBranch {
    pub(super) fn new(participant: Arc<Inner>, branch: BranchId, session: u128) -> Self {
        Self {
            participant,
            branch,
            session,
        }
    }

    /// The branch's id.
    #[must_use]
    pub fn id(&self) -> BranchId {
        self.branch
    }

    /// Has a request done by what serves the participant, within the branch, and answers what it
    /// says: at most 100 bytes less than a message's payload each.
    ///
    /// # Errors
    /// [`ParticipantError::Refused`] where it was not done, and says why: the work itself failed,
    /// the branch works no more, or its work was lost. [`ParticipantError::Unknown`] where it may
    /// have been done, or may yet be; the branch then votes no.
    ///
    /// # Cancel safety
    /// Dropped, it may be done, and the branch votes no.
    pub async fn ask(&mut self, request: impl Into<Vec<u8>>) -> Result<Vec<u8>, ParticipantError> {
        let payload: Vec<u8> = request.into();
        if payload.len() > Message::PAYLOAD_LEN_MAX - ENVELOPE {
            return Err(ParticipantError::refused("the request is too long"));
        }
        let done = self.begin()?;
        let branch = self.branch;
        let ask = Ask::Work {
            branch,
            done,
            payload,
        };
        let answer = self.participant.ask(ask).await;
        if let Ok(Answer::Worked(_)) | Err(ParticipantError::Refused(_)) = answer {
            self.answered(done);
        }
        let answer = answer?;
        if answer == Answer::Lost {
            return Err(ParticipantError::refused("the branch works no more"));
        }
        let Answer::Worked(reply) = answer else {
            return Err(unexpected());
        };
        Ok(reply)
    }

    /// The next request's number. Until it is answered the branch cannot be prepared.
    fn begin(&self) -> Result<Done, ParticipantError> {
        let mut works = self.participant.works.lock();
        let progress = works.get_mut(&self.branch);
        let progress = progress.filter(|progress| {
            progress.done.session == self.session && !progress.is_over && !progress.is_broken
        });
        let over = || ParticipantError::refused("the branch works no more");
        let progress = progress.ok_or_else(over)?;
        progress.done.number = progress.done.number.checked_add(1).ok_or_else(over)?;
        progress.is_broken = true;
        Ok(progress.done)
    }

    fn answered(&self, done: Done) {
        if let Some(progress) = self.participant.works.lock().get_mut(&self.branch)
            && progress.done == done
        {
            progress.is_broken = false;
        }
    }
}

impl fmt::Debug for QueueBranch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBranch")
            .field("participant", &self.participant.name)
            .field("id", &self.branch)
            .finish_non_exhaustive()
    }
}
