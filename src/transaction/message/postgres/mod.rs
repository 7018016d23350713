//! The tables of inbox and outbox, by version.

use std::error::Error;

use tokio_postgres::Client;

use crate::postgres::{Misfit, NoWay, Schema, SchemaTrouble, Way, cause, is_refused, migration};
use crate::tls::Tls;

type Source = Box<dyn Error + Send + Sync>;

/// Beside those of locks and participants, with versions of its own.
const SCHEMA: Schema = Schema {
    table: "tripod.message_migration",
    versions: &[include_str!("v1.sql")],
    words: &[],
};

/// Tables that are not there, or not as they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TablesError {
    /// The URL is wrong, the server refuses, or the tables are missing or of another version. Mend
    /// it, and try again.
    #[error("the tables cannot be used as they are")]
    Unfit(#[source] Source),
    /// The server was not reached, or did not answer: it may have been done, or not. Try again.
    #[error("the server gave no answer to rely on")]
    Unknown(#[source] Source),
}

migration! {
    /// Creates the tables of [`Inbox`](super::Inbox) and [`Outbox`](super::Outbox) in the schema
    /// `tripod`, or brings them to this version; await it. Several may do so at a time. Within a minute
    /// it ends.
    ///
    /// # Errors
    /// [`TablesError`]. Nothing was changed, or all of it.
    ///
    /// # Cancel safety
    /// It is done, or not.
    MigrateMessages of SCHEMA, TablesError, no_way, unfit
}

pub(super) async fn way(url: &str, tls: Option<&Tls>) -> Result<Way, TablesError> {
    Way::new(url, tls).await.map_err(no_way)
}

fn no_way(error: NoWay) -> TablesError {
    TablesError::Unfit(error.into())
}

/// Refuses a server or tables that do not do.
pub(super) async fn check(client: &Client) -> Result<(), TablesError> {
    SCHEMA.check(client).await.map_err(unfit)
}

pub(super) fn unreached(error: tokio_postgres::Error) -> TablesError {
    if is_refused(&error) {
        TablesError::Unfit(cause(error))
    } else {
        TablesError::Unknown(cause(error))
    }
}

fn unfit(error: SchemaTrouble) -> TablesError {
    let why = match error {
        SchemaTrouble::Unreached(error) | SchemaTrouble::Failed(error) => return unreached(error),
        SchemaTrouble::Lost(why) => return TablesError::Unknown(why),
        SchemaTrouble::Garbled => {
            return TablesError::Unknown("the server answered what was not understood".into());
        }
        SchemaTrouble::Misfit(Misfit::ReadOnly) => {
            let why = "the server takes no writes: is it a replica?";
            return TablesError::Unknown(why.into());
        }
        SchemaTrouble::Misfit(Misfit::Missing) => {
            "the tables are missing: run Outbox::migrate".to_owned()
        }
        SchemaTrouble::Misfit(Misfit::Older { found, known }) => {
            format!("the tables have version {found}, not {known}: run Outbox::migrate")
        }
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
    TablesError::Unfit(why.into())
}
