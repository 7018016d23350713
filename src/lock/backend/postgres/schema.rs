//! The schema in the database, by version.

use tokio_postgres::Client;

use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::postgres::{Misfit, Schema, SchemaTrouble, migration};

use super::failure::{no_way, unanswered, unconnected, unreached};

const SCHEMA: Schema = Schema {
    table: "tripod.migration",
    versions: &[include_str!("v1.sql")],
    words: &[],
};

/// Why the schema in the database does not do. It is the source of the *rejected*
/// [`BackendError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// There is none. Run [`PostgresBackend::migrate`](super::PostgresBackend::migrate).
    #[error("the schema tripod is missing: run PostgresBackend::migrate")]
    Missing,
    /// It is older than this program needs. Run
    /// [`PostgresBackend::migrate`](super::PostgresBackend::migrate).
    #[error("the schema tripod has version {found}, not {known}: run PostgresBackend::migrate")]
    Older {
        /// Its version.
        found: u32,
        /// The version that this program needs.
        known: u32,
    },
    /// The schema `tripod` is there, and is neither this user's nor of a role that it is in.
    #[error("the schema tripod belongs to somebody else")]
    Foreign,
    /// A newer version of this crate has migrated it. Nothing was changed; use that version.
    #[error("the schema tripod has version {found}, and this program knows {known} only")]
    Newer {
        /// Its version.
        found: u32,
        /// The latest version that this program knows.
        known: u32,
    },
}

migration! {
    /// Creates the schema `tripod`, or brings it to this version; made by
    /// [`PostgresBackend::migrate`](super::PostgresBackend::migrate), and awaited.
    MigratePostgres of SCHEMA, BackendError, no_way, |trouble| conclude(trouble, unanswered)
}

/// Refuses a server or a schema that does not do.
pub(super) async fn check(client: &Client) -> Result<(), BackendError> {
    let checked = SCHEMA.check(client).await;
    checked.map_err(|trouble| conclude(trouble, |error, _| unconnected(error)))
}

fn conclude(
    trouble: SchemaTrouble,
    failed: impl FnOnce(tokio_postgres::Error, Verb) -> BackendError,
) -> BackendError {
    let error = |kind| BackendError::new(kind, Verb::Connect);
    let rejected = || error(BackendErrorKind::Rejected);
    match trouble {
        SchemaTrouble::Unreached(error) => unreached(error, Verb::Connect),
        SchemaTrouble::Failed(error) => failed(error, Verb::Connect),
        SchemaTrouble::Lost(why) => error(BackendErrorKind::Indeterminate).with_source(why),
        SchemaTrouble::Garbled => error(BackendErrorKind::Corrupt),
        SchemaTrouble::Misfit(misfit) => match misfit {
            Misfit::Missing => rejected().with_source(SchemaError::Missing),
            Misfit::Older { found, known } => {
                rejected().with_source(SchemaError::Older { found, known })
            }
            Misfit::Newer { found, known } => {
                rejected().with_source(SchemaError::Newer { found, known })
            }
            Misfit::Foreign => rejected().with_source(SchemaError::Foreign),
            Misfit::Server => rejected().with_source("the server is older than PostgreSQL 12"),
            Misfit::ReadOnly => error(BackendErrorKind::Unavailable)
                .with_source("the server takes no writes: is it a replica?"),
        },
    }
}
