//! Which servers will do.

use crate::transaction::participant::ParticipantOpenError;

use super::failure::MysqlError;
use super::way::Session;

/// Why a server, or its tables, will not do. It is the source of
/// [`ParticipantOpenError::Unfit`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The name of the database is not plain.
    #[error("a database's name has 1 to 64 of A-Z, a-z, 0-9 and _")]
    Database,
    /// It loses prepared branches when their connection ends, or is no server that we know.
    #[error("server version {0}: it takes MariaDB 10.5.2 or later, or MySQL 8.0 or later")]
    Version(String),
    /// It may lose what it said to be prepared or committed.
    #[error("innodb_flush_log_at_trx_commit is {0}, not 1: a loss of power would lose votes")]
    Flush(String),
    /// It refuses to write at the isolation level READ COMMITTED.
    #[error("binlog_format is STATEMENT: let it be MIXED or ROW")]
    Binlog,
    /// XA is not for clusters.
    #[error("the server is part of a Galera cluster, which has no XA")]
    Cluster,
    /// The tables are missing. Run [`MysqlParticipant::migrate`](super::MysqlParticipant::migrate).
    #[error("the tables are missing: run migrate")]
    Missing,
    /// The tables are older than this program needs. Run
    /// [`MysqlParticipant::migrate`](super::MysqlParticipant::migrate).
    #[error("the tables have version {found}, not {known}: run migrate")]
    Older {
        /// Their version.
        found: u32,
        /// The version that this program needs.
        known: u32,
    },
    /// A newer version of this crate has migrated the tables. Use that version.
    #[error("the tables have version {found}, and this program knows {known} only")]
    Newer {
        /// Their version.
        found: u32,
        /// The latest version that this program knows.
        known: u32,
    },
}

impl From<Unfit> for ParticipantOpenError {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit.into())
    }
}

/// Refuses a server that cannot keep its promises.
pub(in crate::transaction::participant) async fn check_server(
    session: &mut Session,
) -> Result<(), ParticipantOpenError> {
    let versions = session.rows::<(String,)>("SELECT VERSION()").await?;
    let [(version,)] = versions.as_slice() else {
        return Err(MysqlError::garbled("no version").into());
    };
    if !survives_disconnecting(version) {
        return Err(Unfit::Version(version.clone()).into());
    }
    let sql = "SHOW SESSION VARIABLES WHERE Variable_name IN \
        ('innodb_flush_log_at_trx_commit', 'log_bin', 'binlog_format', 'wsrep_on')";
    let variables = session.rows::<(String, String)>(sql).await?;
    let of = |name: &str| {
        let found = variables.iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_str())
    };
    if let Some(flush) = of("innodb_flush_log_at_trx_commit")
        && flush != "1"
    {
        return Err(Unfit::Flush(flush.into()).into());
    }
    if of("wsrep_on") == Some("ON") {
        return Err(Unfit::Cluster.into());
    }
    if of("log_bin") == Some("ON") && of("binlog_format") == Some("STATEMENT") {
        return Err(Unfit::Binlog.into());
    }
    Ok(())
}

/// Whether a prepared branch outlives its connection, says `VERSION()`.
fn survives_disconnecting(version: &str) -> bool {
    let digits = |c: char| !c.is_ascii_digit();
    let mut numbers = version.splitn(4, digits).map(str::parse::<u32>);
    let mut number = || numbers.next().and_then(Result::ok).unwrap_or(0);
    let found = (number(), number(), number());
    if version.contains("MariaDB") {
        found >= (10, 5, 2)
    } else {
        (8..10).contains(&found.0)
    }
}

#[cfg(test)]
mod tests {
    use super::survives_disconnecting;

    #[test]
    fn versions_that_lose_prepared_branches_are_refused() {
        for fit in [
            "10.5.2-MariaDB",
            "10.11.19-MariaDB-0+deb12u1",
            "11.4.1-MariaDB-log",
            "8.0.11",
            "8.4.3-commercial",
            "9.1.0",
        ] {
            assert!(survives_disconnecting(fit), "{fit}");
        }
        for unfit in [
            "10.4.32-MariaDB",
            "10.5.1-MariaDB",
            "5.5.5-10.4.1-MariaDB",
            "5.7.44-log",
            "5.7.25-TiDB-v7.5.0",
            "",
            "MariaDB",
            "ten",
        ] {
            assert!(!survives_disconnecting(unfit), "{unfit}");
        }
    }
}
