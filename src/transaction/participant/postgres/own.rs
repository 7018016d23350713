//! Branches on connections that users bring along.

use std::convert::identity;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::Mutex as ShortMutex;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;
use crate::transaction::name::ParticipantName;
use crate::transaction::participant::{
    Enlist, Opening, Participant, ParticipantError, ParticipantOpenError, Report, SqlConnection,
    Vote, requests,
};

use super::branch::BranchError;
use super::failure::Source;
use super::protocol::{beginning, execute, roll_back};
use super::session::{Kept, Session, State};
use super::{PostgresParticipant, text};

/// A participant together with a connection of yours, for one branch; made by
/// [`PostgresParticipant::with`].
///
/// Enlist it, and the branch works on that connection. It must be of the same database as the
/// participant's own, as the same role, and in no transaction: else it is refused.
pub struct WithConnection<C> {
    participant: PostgresParticipant,
    connection: ShortMutex<Option<C>>,
}

/// A branch that works on a connection of its user.
///
/// While it works, the connection is in a transaction that must not be ended by other means than
/// the coordinator's: a branch that was votes no. What
/// [`PostgresBranch`](super::PostgresBranch) says of savepoints and the like holds here too.
pub struct ConnectionBranch<C> {
    session: Arc<Mutex<Session<Own<C>>>>,
}

/// The connection of a branch, for some statements. The branch does not end while this is there.
pub struct ConnectionGuard<'a, C>(MappedMutexGuard<'a, C>);

/// A connection that stays with its user when the branch is over.
pub(super) struct Own<C>(C);

impl<C: SqlConnection> Kept for Own<C> {
    fn keep(_: &mut Option<Self>) {}
}

impl<C: SqlConnection> SqlConnection for Own<C> {
    fn execute<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<u64, Source>> {
        self.0.execute(sql)
    }
}

impl<C: SqlConnection> WithConnection<C> {
    pub(super) fn new(participant: PostgresParticipant, connection: C) -> Self {
        Self {
            participant,
            connection: ShortMutex::new(Some(connection)),
        }
    }

    /// Takes the connection back, if no branch has got it and it is as it was.
    pub fn into_connection(self) -> Option<C> {
        self.connection.into_inner()
    }

    async fn begin(&self, branch: BranchId) -> Result<ConnectionBranch<C>, ParticipantError> {
        let inner = &self.participant.0;
        inner.refuse_settled(branch).await?;
        let home = inner.store.home().await?;
        let taken = self.connection.lock().take();
        let used = || ParticipantError::refused("the connection was given to a branch before");
        // Dropped in the middle, it is not given back: nobody knows what it is in the middle of.
        let mut own = Own(taken.ok_or_else(used)?);
        match self.begin_on(&mut own, branch, &home).await {
            Ok(()) => {
                let session = Arc::new(Mutex::new(Session::new(own)));
                inner.working.enter(branch, Arc::clone(&session) as _);
                Ok(ConnectionBranch { session })
            }
            Err((error, is_as_before)) => {
                if is_as_before || roll_back(&mut own).await.is_ok() {
                    *self.connection.lock() = Some(own.0);
                }
                Err(error)
            }
        }
    }

    /// An error says whether the connection is as before.
    async fn begin_on(
        &self,
        own: &mut Own<C>,
        branch: BranchId,
        home: &str,
    ) -> Result<(), (ParticipantError, bool)> {
        let inner = &self.participant.0;
        let unknown = |error: Source| (ParticipantError::Unknown(error), false);
        // Outside of a transaction, it is over with the statement.
        let gid = text::gid(branch);
        let set = format!("SET LOCAL tripod.branch = '{gid}'");
        execute(own, &set).await.map_err(unknown)?;
        let is_set = format!(
            "SELECT 1 WHERE pg_catalog.current_setting('tripod.branch', true)
                OPERATOR(pg_catalog.=) '{gid}'"
        );
        if execute(own, &is_set).await.map_err(unknown)? != 0 {
            let why = "the connection is in the middle of a transaction";
            return Err((ParticipantError::refused(why), true));
        }
        let is_home = format!("SELECT 1 FROM tripod.at_home('{home}')");
        if execute(own, &is_home).await.map_err(unknown)? != 1 {
            let why =
                "the connection is of another server, database or role than the participant's";
            return Err((ParticipantError::refused(why), true));
        }
        for statement in beginning(branch, inner.limits) {
            execute(own, &statement).await.map_err(unknown)?;
        }
        Ok(())
    }
}

impl<C: SqlConnection> ConnectionBranch<C> {
    /// The connection, to do the branch's work on.
    ///
    /// # Errors
    /// [`BranchError::Over`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn connection(&mut self) -> Result<ConnectionGuard<'_, C>, BranchError> {
        let session = self.session.lock().await;
        if session.state != State::Working {
            return Err(BranchError::Over);
        }
        let own = MutexGuard::try_map(session, |session| session.connection.as_mut());
        let own = own.map_err(|_| BranchError::Over)?;
        Ok(ConnectionGuard(MappedMutexGuard::map(own, |own| {
            &mut own.0
        })))
    }

    /// Takes the connection back once the branch is prepared or over: it is in no transaction then.
    /// None while the branch works; none if the connection broke, or is taken already.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn take_connection(&mut self) -> Option<C> {
        let mut session = self.session.lock().await;
        match session.state {
            State::Free => session.connection.take().map(|own| own.0),
            State::Working | State::Lost => None,
        }
    }
}

impl<C> Deref for ConnectionGuard<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C> DerefMut for ConnectionGuard<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.0
    }
}

impl<C> fmt::Debug for WithConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithConnection")
            .field("participant", &self.participant)
            .finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for ConnectionBranch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionBranch").finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for ConnectionGuard<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionGuard").finish_non_exhaustive()
    }
}

/// All but the work is the participant's.
#[deny(clippy::missing_trait_methods)]
impl<C: SqlConnection> Participant for WithConnection<C> {
    fn name(&self) -> &ParticipantName {
        self.participant.name()
    }

    fn persistence(&self) -> Persistence {
        self.participant.persistence()
    }

    fn lists(&self) -> bool {
        self.participant.lists()
    }

    requests!(self, self.participant, identity);
}

impl<C: SqlConnection> Enlist for WithConnection<C> {
    type Branch = ConnectionBranch<C>;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<Self::Branch, ParticipantError>> {
        Box::pin(self.begin(branch))
    }
}
