//! The tables in the database, by version, and what else a server has to be.

use std::fmt;
use std::future::IntoFuture;

use crate::future::BoxFuture;
use crate::postgres::{Pool, Schema, Way};
use crate::tls::Tls;
use crate::transaction::participant::ParticipantOpenError;

use super::failure::{Trouble, unfit};
use super::link::Link;

/// Beside that of the locks, with versions of its own.
const SCHEMA: Schema = Schema {
    table: "tripod.transaction_migration",
    versions: &[include_str!("v1.sql")],
};

/// Creates the tables in the schema `tripod`, or brings them to this version; made by
/// [`PostgresParticipant::migrate`](super::PostgresParticipant::migrate), and awaited.
#[must_use = "nothing is done before it is awaited"]
pub struct MigratePostgres {
    url: String,
    tls: Option<Tls>,
}

impl MigratePostgres {
    pub(super) fn new(url: String) -> Self {
        Self { url, tls: None }
    }

    /// Connects by TLS only, and trusts whom this says. At first: as the URL's `sslmode` says.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    async fn run(self) -> Result<(), ParticipantOpenError> {
        let way = Way::new(&self.url, self.tls.as_ref()).await;
        let way = way.map_err(|error| ParticipantOpenError::Unfit(error.into()))?;
        SCHEMA.migrate(&way).await.map_err(unfit)
    }
}

impl IntoFuture for MigratePostgres {
    type Output = Result<(), ParticipantOpenError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for MigratePostgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigratePostgres").finish_non_exhaustive()
    }
}

/// Refuses a server, tables or a role that do not do.
pub(super) async fn check(pool: &Pool) -> Result<(), ParticipantOpenError> {
    let link = Link::new(pool).await?;
    let client = link.client().ok_or_else(Trouble::silent)?;
    let checked = tokio::time::timeout(super::link::ANSWER_MAX, SCHEMA.check(client)).await;
    checked.map_err(|_| Trouble::silent())?.map_err(unfit)?;
    let (misfits, _) = link.ask("SELECT * FROM tripod.misfits()").await?;
    link.give_back();
    match misfits.into_iter().flatten().next() {
        None => Ok(()),
        Some(misfit) => Err(ParticipantOpenError::Unfit(misfit.into())),
    }
}
