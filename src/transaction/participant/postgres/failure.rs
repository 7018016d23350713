//! What went wrong, and what may be concluded.

use std::error::Error;

use tokio_postgres::error::SqlState;

use crate::postgres::{NoConnection, SchemaTrouble, cause, is_refused, is_undone, refuses};
use crate::transaction::participant::{ParticipantError, ParticipantOpenError};

pub(super) type Source = Box<dyn Error + Send + Sync>;

/// What the server said to a statement. Its details are left out, for they quote what users sent.
#[derive(Debug, thiserror::Error)]
#[error("{message} (SQLSTATE {})", code.code())]
pub(super) struct ServerError {
    pub(super) code: SqlState,
    message: String,
    /// Whether the statement was undone, and the connection is as good as before.
    pub(super) is_undone: bool,
    /// Whether it would be refused again.
    refuses: bool,
}

/// Why a statement was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing was sent.
    Unsent(NoConnection),
    Server(ServerError),
    /// It may be done.
    Lost(Source),
}

/// The server's own error, or what says most where it is the client's.
pub(super) fn trouble(error: tokio_postgres::Error) -> Trouble {
    match error.as_db_error() {
        Some(answer) => Trouble::Server(ServerError {
            code: answer.code().clone(),
            message: answer.message().to_owned(),
            is_undone: is_undone(&error),
            refuses: refuses(answer),
        }),
        None => Trouble::Lost(cause(error)),
    }
}

impl Trouble {
    pub(super) fn silent() -> Self {
        Self::Lost("no answer in time".into())
    }

    pub(super) fn garbled() -> Self {
        Self::Lost("the server answered what was not understood".into())
    }

    pub(super) fn is(&self, code: &SqlState) -> bool {
        match self {
            Self::Server(error) => error.is_undone && error.code == *code,
            Self::Unsent(_) | Self::Lost(_) => false,
        }
    }

    fn is_refusal(&self) -> bool {
        match self {
            Self::Unsent(NoConnection::Unreached(error)) => is_refused(error),
            Self::Server(error) => error.is_undone && error.refuses,
            Self::Unsent(NoConnection::Closed | NoConnection::Late) | Self::Lost(_) => false,
        }
    }

    pub(super) fn into_source(self) -> Source {
        match self {
            Self::Unsent(NoConnection::Unreached(error)) => match trouble(error) {
                Self::Server(error) => error.into(),
                Self::Lost(source) => source,
                Self::Unsent(why) => why.into(),
            },
            Self::Unsent(why) => why.into(),
            Self::Server(error) => error.into(),
            Self::Lost(source) => source,
        }
    }
}

impl From<Trouble> for ParticipantError {
    fn from(trouble: Trouble) -> Self {
        if trouble.is_refusal() {
            Self::Refused(trouble.into_source())
        } else {
            Self::Unknown(trouble.into_source())
        }
    }
}

impl From<Trouble> for ParticipantOpenError {
    fn from(trouble: Trouble) -> Self {
        if trouble.is_refusal() {
            Self::Unfit(trouble.into_source())
        } else {
            Self::Unknown(trouble.into_source())
        }
    }
}

/// What a migration or a check that did not end well means for a participant.
pub(super) fn unfit(error: SchemaTrouble) -> ParticipantOpenError {
    use crate::postgres::Misfit;
    let why = match error {
        SchemaTrouble::Unreached(error) => {
            return Trouble::Unsent(NoConnection::Unreached(error)).into();
        }
        SchemaTrouble::Failed(error) => return trouble(error).into(),
        SchemaTrouble::Lost(why) => return ParticipantOpenError::Unknown(why),
        SchemaTrouble::Garbled => return Trouble::garbled().into(),
        SchemaTrouble::Misfit(Misfit::ReadOnly) => {
            let why = "the server takes no writes: is it a replica?";
            return ParticipantOpenError::Unknown(why.into());
        }
        SchemaTrouble::Misfit(Misfit::Missing) => {
            "the tables are missing: run PostgresParticipant::migrate".to_owned()
        }
        SchemaTrouble::Misfit(Misfit::Older { found, known }) => format!(
            "the tables have version {found}, not {known}: run PostgresParticipant::migrate"
        ),
        SchemaTrouble::Misfit(Misfit::Newer { found, known }) => {
            format!("the tables have version {found}, and this program knows {known} only")
        }
        SchemaTrouble::Misfit(Misfit::Foreign) => {
            "the schema tripod belongs to somebody else".to_owned()
        }
        SchemaTrouble::Misfit(Misfit::Server) => {
            "the server is older than PostgreSQL 12".to_owned()
        }
    };
    ParticipantOpenError::Unfit(why.into())
}
