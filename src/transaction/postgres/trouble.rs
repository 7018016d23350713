//! What went wrong, and what may be concluded.

use std::error::Error;

use tokio_postgres::error::SqlState;

use crate::postgres::{Misfit, NoConnection, SchemaTrouble, cause, is_refused, is_undone, refuses};

pub(in crate::transaction) type Source = Box<dyn Error + Send + Sync>;

/// What the server said to a statement. Its details are left out, for they quote what users sent.
#[derive(Debug, thiserror::Error)]
#[error("{message} (SQLSTATE {})", code.code())]
pub(in crate::transaction) struct ServerError {
    pub(in crate::transaction) code: SqlState,
    message: String,
    /// Whether the statement was undone, and the connection is as good as before.
    pub(in crate::transaction) is_undone: bool,
    /// Whether it would be refused again.
    refuses: bool,
}

/// Why a statement was not done.
#[derive(Debug)]
pub(in crate::transaction) enum Trouble {
    /// Nothing was sent.
    Unsent(NoConnection),
    Server(ServerError),
    /// It may be done.
    Lost(Source),
}

/// The server's own error, or what says most where it is the client's.
pub(in crate::transaction) fn trouble(error: tokio_postgres::Error) -> Trouble {
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
    pub(in crate::transaction) fn silent() -> Self {
        Self::Lost("no answer in time".into())
    }

    pub(in crate::transaction) fn garbled() -> Self {
        Self::Lost("the server answered what was not understood".into())
    }

    pub(in crate::transaction) fn is(&self, code: &SqlState) -> bool {
        match self {
            Self::Server(error) => error.is_undone && error.code == *code,
            Self::Unsent(_) | Self::Lost(_) => false,
        }
    }

    /// Whether it would be refused again, until somebody mends it.
    pub(in crate::transaction) fn is_refusal(&self) -> bool {
        match self {
            Self::Unsent(NoConnection::Unreached(error)) => is_refused(error),
            Self::Server(error) => error.is_undone && error.refuses,
            Self::Unsent(NoConnection::Closed | NoConnection::Late) | Self::Lost(_) => false,
        }
    }

    pub(in crate::transaction) fn into_source(self) -> Source {
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

/// Why tables that this migrates do not do.
///
/// # Errors
/// What may pass by itself.
pub(in crate::transaction) fn unfit(error: SchemaTrouble, migrate: &str) -> Result<Source, Source> {
    let passing = |trouble: Trouble| {
        let refused = trouble.is_refusal();
        let source = trouble.into_source();
        if refused { Ok(source) } else { Err(source) }
    };
    let why = match error {
        SchemaTrouble::Unreached(error) => {
            return passing(Trouble::Unsent(NoConnection::Unreached(error)));
        }
        SchemaTrouble::Failed(error) => return passing(trouble(error)),
        SchemaTrouble::Lost(why) => return Err(why),
        SchemaTrouble::Garbled => return passing(Trouble::garbled()),
        SchemaTrouble::Misfit(misfit) => match misfit {
            Misfit::ReadOnly => {
                return Err("the server takes no writes: is it a replica?".into());
            }
            Misfit::Missing => format!("the tables are missing: run {migrate}"),
            Misfit::Older { found, known } => {
                format!("the tables have version {found}, not {known}: run {migrate}")
            }
            Misfit::Newer { found, known } => {
                format!("the tables have version {found}, and this program knows {known} only")
            }
            Misfit::Foreign => "the schema tripod belongs to somebody else".to_owned(),
            Misfit::Server => "the server is older than PostgreSQL 12".to_owned(),
        },
    };
    Ok(why.into())
}
