//! What an operator may do.

use std::sync::Arc;

use super::codec;
use super::engine::Engine;
use super::error::{ResolveError, RetireError};
use super::{Coordinator, Filter};
use crate::transaction::id::TransactionId;
use crate::transaction::log::{AppendError, Durability, Record, Subject};
use crate::transaction::name::ParticipantName;
use crate::transaction::two_phase::branch::Branch;
use crate::transaction::two_phase::event::{Event, Resolution};
use crate::transaction::two_phase::state::Transaction;

impl Coordinator {
    /// Asks every participant of this transaction again that has not acknowledged, at once, parked
    /// or not. Answers how many branches that are.
    pub fn retry(&self, id: TransactionId) -> usize {
        let engine = self.0.engine();
        let Some(run) = engine.run(id) else { return 0 };
        let open: Vec<u16> = {
            let state = engine.state.lock();
            let transaction = state.book.transaction(id);
            let branches = transaction.map(Transaction::branches).unwrap_or_default();
            let open = branches.iter().filter(|branch| !branch.is_done());
            open.map(Branch::number).collect()
        };
        let asked = open.into_iter().filter(|branch| {
            let event = Event::Retry { branch: *branch };
            engine.dispatch(&run, event) > 0
        });
        let asked = asked.count();
        tracing::warn!(transaction = %id, branches = asked, "an operator has them asked again");
        asked
    }

    /// Takes an operator's word: to abort what is not decided, or for what a branch did. The latter
    /// is durable when this returns, beside the decision, which it never changes.
    ///
    /// # Errors
    /// [`ResolveError`]. Nothing changed, but with [`ResolveError::Log`], where it may have.
    ///
    /// # Cancel safety
    /// A dropped future only stops waiting.
    pub async fn resolve(
        &self,
        id: TransactionId,
        resolution: Resolution,
    ) -> Result<(), ResolveError> {
        let engine = self.0.engine();
        let run = engine.run(id).ok_or(ResolveError::Unknown(id))?;
        if engine.closing.is_cancelled() {
            return Err(ResolveError::Log);
        }
        let word = match resolution {
            Resolution::Abort => None,
            Resolution::Did { branch, .. } => Some(run.await_word(branch)),
        };
        if let Some(refusal) = engine.resolve(&run, resolution) {
            return Err(ResolveError::Refused(refusal));
        }
        tracing::warn!(transaction = %id, ?resolution, "an operator steps in");
        let Some(word) = word else { return Ok(()) };
        if word.await == Ok(true) {
            Ok(())
        } else {
            Err(ResolveError::Log)
        }
    }

    /// Takes a participant off the log that will never be registered again: whatever it had in
    /// doubt has been seen to by hand.
    ///
    /// # Errors
    /// [`RetireError`]. Nothing changed.
    ///
    /// # Cancel safety
    /// A dropped future may have taken it off the log, and is asked again.
    pub async fn retire(&self, name: &ParticipantName) -> Result<(), RetireError> {
        let engine = self.0.engine();
        if engine.members.contains_key(name) {
            return Err(RetireError::Registered(name.clone()));
        }
        // Of one that cannot be read nobody knows whom it names.
        if let Some(id) = user(&engine, name).or_else(|| self.broken().first().copied()) {
            return Err(RetireError::InUse(id));
        }
        let end = Record::end(codec::fact(name)?);
        let ended = engine
            .log
            .append(engine.epoch, vec![end], Durability::Forced, None);
        ended.await.inspect_err(|error| engine.ail(error))?;
        engine.state.lock().book.retire(name);
        Ok(())
    }

    /// Transactions that are left alone, for their records contradict each other or cannot be read:
    /// a later version of this crate wrote them, or something else wrote to the log. Why was traced
    /// as an error when the log was opened. What they have prepared stays prepared.
    #[must_use]
    pub fn broken(&self) -> Vec<TransactionId> {
        self.0.engine().state.lock().book.broken().collect()
    }

    /// Takes a [broken](Self::broken) transaction off the log: each of its branches has been
    /// committed or aborted by hand. One that has not is found by the next scan, and aborted. False
    /// if it is none of the broken ones.
    ///
    /// # Errors
    /// The log did not take it. It may come to pass all the same, unless the error is definite.
    ///
    /// # Cancel safety
    /// A dropped future may have taken it off the log, and is asked again.
    pub async fn discard(&self, id: TransactionId) -> Result<bool, AppendError> {
        let engine = self.0.engine();
        if !engine.state.lock().book.broken().any(|it| it == id) {
            return Ok(false);
        }
        let end = Record::end(Subject::Transaction(id));
        let ended = engine
            .log
            .append(engine.epoch, vec![end], Durability::Forced, None);
        ended.await.inspect_err(|error| engine.ail(error))?;
        tracing::warn!(transaction = %id, "an operator discards what could not be read");
        engine.state.lock().book.discard(id);
        Ok(true)
    }
}

/// A transaction that has a branch of this participant, and is not over.
fn user(engine: &Arc<Engine>, name: &ParticipantName) -> Option<TransactionId> {
    let listed = super::status::list(engine, Filter::All);
    let uses = |branches: &[super::BranchStatus]| branches.iter().any(|it| it.participant == *name);
    listed.iter().find(|it| uses(&it.branches)).map(|it| it.id)
}
