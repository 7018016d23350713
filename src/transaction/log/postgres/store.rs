//! What the server is asked, and what it answers.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, RowStream};

use crate::postgres::{Pool, Schema};
use crate::transaction::id::{CoordinatorId, Epoch};
use crate::transaction::postgres::{ANSWER_MAX, Link, Trouble, bytes, trouble};

use super::super::bytes::Reader;
use super::super::error::LogError;
use super::super::live::Live;
use super::super::record::{LiveRecord, Record, Subject};
use super::batch::Batch;
use super::failure::{asking, since, unfit};
use super::name::LogName;

/// Beside those of locks, participants and messages, with versions of its own.
pub(super) const SCHEMA: Schema = Schema {
    table: "tripod.log_migration",
    versions: &[include_str!("v1.sql")],
    words: &[],
};

/// How long the server may take from one row of a replay to the next; the first may have to wait
/// until all are sorted.
const ROW_MAX: Duration = Duration::from_secs(30);

/// How long the server may take over the whole of it, whatever the role's own limit is: an opening
/// that fails has raised the epoch all the same. It has a snapshot meanwhile, and holds up nobody. At
/// 10 MB/s, which is slow, that is more than most machines hold.
const REPLAY_MAX: Duration = Duration::from_secs(600);

/// A log's row, and how it is reached.
pub(super) struct Store {
    pool: Pool,
    name: LogName,
    lease: Duration,
}

/// What the row of a log says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) coordinator: CoordinatorId,
    /// 0 before the first.
    pub(super) epoch: u64,
    pub(super) after: Option<Epoch>,
}

/// An append's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) coordinator: CoordinatorId,
    pub(super) epoch: Epoch,
    pub(super) tail: i64,
    pub(super) next: i64,
}

/// What became of an append that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// And so much space is free, in bytes.
    Freed(u64),
    Superseded,
    /// The log does not end where it did.
    Lost,
}

impl Store {
    pub(super) fn new(pool: Pool, name: LogName, lease: Duration) -> Self {
        Self { pool, name, lease }
    }

    pub(super) fn name(&self) -> &LogName {
        &self.name
    }

    /// Refuses a server, tables or a role that do not do.
    pub(super) async fn check(&self) -> Result<(), LogError> {
        let link = Link::new(&self.pool).await.map_err(asking)?;
        let client = link.client().ok_or_else(|| asking(Trouble::silent()))?;
        let checked = timeout(ANSWER_MAX, SCHEMA.check(client)).await;
        let checked = checked.map_err(|_| asking(Trouble::silent()))?;
        checked.map_err(unfit)?;
        let (misfit, _) = link
            .ask("SELECT tripod.log_misfit()")
            .await
            .map_err(asking)?;
        link.give_back();
        match misfit.into_iter().flatten().next() {
            None => Ok(()),
            Some(misfit) => Err(LogError::Unfit(misfit.into())),
        }
    }

    /// The log's row, if it has one.
    pub(super) async fn look(&self) -> Result<Option<Head>, Trouble> {
        let sql = format!(
            "SELECT pg_catalog.encode(coordinator || epoch || coalesce(came_after, ''), 'hex')
            FROM tripod.log WHERE name = '{}'",
            self.name
        );
        let cells = self.transact(&sql).await?;
        let Some(cell) = cells.into_iter().next() else {
            return Ok(None);
        };
        let head = cell.and_then(|cell| head(&cell));
        head.map(Some).ok_or_else(Trouble::garbled)
    }

    pub(super) async fn create(&self, coordinator: CoordinatorId) -> Result<(), Trouble> {
        let id = bytes(&coordinator.as_u128().to_be_bytes());
        let sql = format!("SELECT tripod.log_create('{}', {id})", self.name);
        self.transact(&sql).await.map(drop)
    }

    /// Raises the epoch from the one that was seen, and answers where the log ends. `None`: another
    /// was first.
    pub(super) async fn raise(
        &self,
        seen: u64,
        epoch: Epoch,
        after: Option<Epoch>,
    ) -> Result<Option<i64>, Trouble> {
        let number = |number: u64| bytes(&number.to_be_bytes());
        let after = after.map_or_else(|| "NULL".into(), |after| number(after.as_u64()));
        let (name, seen, epoch) = (&self.name, number(seen), number(epoch.as_u64()));
        let sql = format!("SELECT tripod.log_raise('{name}', {seen}, {epoch}, {after})");
        let cells = self.transact(&sql).await?;
        let cell = cells.into_iter().next().ok_or_else(Trouble::garbled)?;
        let tail = cell.map(|cell| cell.parse().map_err(|_| Trouble::garbled()));
        tail.transpose()
    }

    /// All that lives, in a snapshot in which this epoch may append: of a server that takes writes,
    /// and not of one that follows it.
    pub(super) async fn replay(&self, head: Head, epoch: Epoch) -> Result<Live, LogError> {
        let link = Link::new(&self.pool).await.map_err(since)?;
        let id = bytes(&head.coordinator.as_u128().to_be_bytes());
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;
            SET LOCAL lock_timeout = {};
            SET LOCAL statement_timeout = {};
            SET LOCAL idle_in_transaction_session_timeout = {};
            SELECT pg_catalog.encode(epoch, 'hex') FROM tripod.log WHERE coordinator = {id}",
            self.lease_millis(),
            REPLAY_MAX.as_millis(),
            ROW_MAX.as_millis()
        );
        let (cells, _) = link
            .ask_within(self.answer_max(), &begin)
            .await
            .map_err(since)?;
        let present = cells.into_iter().flatten().next();
        if present != Some(format!("{:016x}", epoch.as_u64())) {
            return Err(LogError::Superseded { epoch });
        }
        let client = link.client().ok_or_else(|| since(Trouble::silent()))?;
        let select = "SELECT lsn, epoch, subject, payload FROM tripod.log_record
            WHERE log = $1 ORDER BY lsn";
        let id = head.coordinator.as_u128().to_be_bytes().to_vec();
        let arguments: [(&(dyn ToSql + Sync), Type); 1] = [(&id, Type::BYTEA)];
        let asked = timeout(ROW_MAX, client.query_typed_raw(select, arguments)).await;
        let rows = asked.map_err(|_| since(Trouble::silent()))?;
        let rows = rows.map_err(|error| since(trouble(error)))?;
        let live = read(rows).await?;
        link.ask("COMMIT").await.map_err(since)?;
        link.give_back();
        Ok(live)
    }

    pub(super) async fn append(
        &self,
        place: Place,
        batch: &Batch,
        forced: bool,
    ) -> Result<Appended, Trouble> {
        let cells = self.transact(&appending(place, batch, forced)).await?;
        let cell = cells.into_iter().flatten().next();
        match cell.ok_or_else(Trouble::garbled)?.as_str() {
            "superseded" => Ok(Appended::Superseded),
            "lost" => Ok(Appended::Lost),
            freed => {
                let freed = freed.parse().map_err(|_| Trouble::garbled())?;
                Ok(Appended::Freed(freed))
            }
        }
    }

    /// The rows of a statement, which is a transaction of its own: one message, so that the server
    /// never waits for us while it holds a lock. A connection on which it fails is closed: it is in
    /// the middle of the transaction.
    async fn transact(&self, statement: &str) -> Result<Vec<Option<String>>, Trouble> {
        let millis = self.lease_millis();
        let whole = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
            SET LOCAL lock_timeout = {millis};
            SET LOCAL statement_timeout = {millis};
            SET LOCAL idle_in_transaction_session_timeout = {millis};
            {statement};
            COMMIT"
        );
        let link = Link::new(&self.pool).await?;
        let (cells, _) = link.ask_within(self.answer_max(), &whole).await?;
        link.give_back();
        Ok(cells)
    }

    /// As the server counts. What is not set is not 0, which would be no limit.
    fn lease_millis(&self) -> u128 {
        self.lease.as_millis().clamp(1, i32::MAX as u128)
    }

    /// How long the server may take to answer what is limited to the lease.
    fn answer_max(&self) -> Duration {
        self.lease.saturating_add(ANSWER_MAX)
    }
}

fn appending(place: Place, batch: &Batch, forced: bool) -> String {
    let Place {
        coordinator,
        epoch,
        tail,
        next,
    } = place;
    let id = bytes(&coordinator.as_u128().to_be_bytes());
    let epoch = bytes(&epoch.as_u64().to_be_bytes());
    let ended = array("bytea", batch.ended().map(subject));
    let subjects = batch.added().map(|record| subject(record.subject()));
    let subjects = array("bytea", subjects);
    let payloads = array("bytea", batch.added().map(|it| bytes(it.payload())));
    let spaces = array("bigint", batch.added().map(|it| it.space().to_string()));
    format!(
        "SELECT tripod.log_append({id}, {epoch}, {forced}, {tail}, {next},
            {ended}, {subjects}, {payloads}, {spaces})"
    )
}

fn array(kind: &str, items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    format!("ARRAY[{}]::{kind}[]", items.join(","))
}

fn subject(subject: &Subject) -> String {
    let mut out = Vec::new();
    subject.put(&mut out);
    bytes(&out)
}

fn head(cell: &str) -> Option<Head> {
    let digits = |from: usize, to: usize| cell.get(from..to);
    let coordinator = u128::from_str_radix(digits(0, 32)?, 16).ok()?;
    let epoch = u64::from_str_radix(digits(32, 48)?, 16).ok()?;
    let after = match cell.len() {
        48 => None,
        64 => Some(Epoch::new(u64::from_str_radix(digits(48, 64)?, 16).ok()?)?),
        _ => return None,
    };
    Some(Head {
        coordinator: CoordinatorId::from_u128(coordinator),
        epoch,
        after,
    })
}

/// Row by row: beside what lives, memory holds a few of them.
async fn read(rows: RowStream) -> Result<Live, LogError> {
    let mut rows = pin!(rows);
    let mut live = Live::default();
    loop {
        let next = timeout(ROW_MAX, rows.next()).await;
        let Some(row) = next.map_err(|_| since(Trouble::silent()))? else {
            return Ok(live);
        };
        let row = row.map_err(|error| since(trouble(error)))?;
        let lsn = row.try_get(0).map_err(|_| since(Trouble::garbled()))?;
        live.carry(record(&row).ok_or(LogError::Unreadable { lsn })?);
    }
}

fn record(row: &Row) -> Option<LiveRecord> {
    let epoch = Epoch::new(number(row, 1)?)?;
    let subject: &[u8] = row.try_get(2).ok()?;
    let mut reader = Reader::new(subject);
    let subject = Subject::read(&mut reader).filter(|_| reader.is_empty())?;
    let payload: &[u8] = row.try_get(3).ok()?;
    Some(LiveRecord::new(epoch, Record::new(subject, payload).ok()?))
}

fn number(row: &Row, column: usize) -> Option<u64> {
    let bytes: &[u8] = row.try_get(column).ok()?;
    bytes.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_cannot_be_is_not_understood() {
        let (id, one) = ("0".repeat(31) + "7", "0000000000000001");
        let found = head(&format!("{id}{one}")).map(|head| (head.epoch, head.after));
        assert_eq!(found, Some((1, None)));
        let found = head(&format!("{id}{one}{one}")).map(|head| (head.epoch, head.after));
        assert_eq!(found, Some((1, Epoch::new(1))));
        for garbled in [
            String::new(),
            id.clone(),
            format!("{id}{one}0"),
            format!("{id}{one}0000000000000000"),
            format!("{id}{one}{one}{one}"),
            format!("{id}000000000000000g"),
            "é".repeat(24),
        ] {
            assert!(head(&garbled).is_none(), "{garbled}");
        }
    }
}
