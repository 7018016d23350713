//! The tables in the database, by version.

use crate::postgres::{Schema, migration};
use crate::transaction::participant::ParticipantOpenError;

use super::failure::{no_way, unfit};

/// Beside that of the locks, with versions of its own.
pub(super) const SCHEMA: Schema = Schema {
    table: "tripod.transaction_migration",
    versions: &[concat!(include_str!("fence.sql"), include_str!("v1.sql"))],
    words: &[("{prefix}", ""), ("{open}", "open_coordinator")],
};

/// What the tables are migrated by.
pub(super) const MIGRATE: &str = "PostgresParticipant::migrate";

migration! {
    /// Creates the tables in the schema `tripod`, or brings them to this version; made by
    /// [`PostgresParticipant::migrate`](super::PostgresParticipant::migrate), and awaited.
    MigratePostgres of SCHEMA, ParticipantOpenError, no_way, |error| unfit(error, MIGRATE)
}
