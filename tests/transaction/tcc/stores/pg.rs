//! Seats on `PostgreSQL`.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio_postgres::{Client, IsolationLevel, NoTls, Transaction};
use tripod::BoxFuture;
use tripod::transaction::participant::tcc::{BarrierError, Entry, PostgresBarrier};

use super::{Ends, Guard, Isolation, Step, Store, Verb, conclude, seat_of};
use crate::server::postgres::PostgresServer;

#[derive(Clone)]
pub(super) struct Pg {
    pub(super) server: Arc<PostgresServer>,
    barrier: PostgresBarrier,
    idle: Arc<Mutex<Vec<Client>>>,
}

impl Pg {
    pub(super) async fn start() -> Self {
        let server = PostgresServer::start_with(&["fsync=off", "max_connections=100"]);
        PostgresBarrier::migrate(server.url()).await.unwrap();
        server.query(
            "CREATE TABLE seat (id bigint PRIMARY KEY, held integer NOT NULL,
                booked integer NOT NULL);
             CREATE TABLE done (branch text NOT NULL, verb text NOT NULL);
             CREATE INDEX ON done (branch)",
        );
        let barrier = PostgresBarrier::connect(server.url()).await.unwrap();
        Self {
            server: Arc::new(server),
            barrier,
            idle: Arc::default(),
        }
    }

    pub(super) async fn client(&self) -> Client {
        let idle = self.idle.lock().pop();
        if let Some(client) = idle {
            return client;
        }
        for _ in 0..100 {
            // It may be ended at once.
            let connected = tokio_postgres::connect(&self.server.url(), NoTls).await;
            if let Ok((client, connection)) = connected {
                tokio::spawn(connection);
                return client;
            }
        }
        panic!("no connection");
    }

    async fn guard(
        &self,
        transaction: &Transaction<'_>,
        step: Step,
    ) -> Result<Entry, BarrierError> {
        let (barrier, branch) = (&self.barrier, step.branch);
        match (step.guard, step.verb) {
            (Guard::Nothing, _) => Ok(Entry::First(Vec::new())),
            (Guard::Reading, verb) => {
                let branch = step.branch.to_string();
                let sql = "SELECT verb FROM done WHERE branch = $1";
                let done = transaction.query(sql, &[&branch]).await.map_err(failed)?;
                let done: Vec<String> = done.iter().map(|row| row.get(0)).collect();
                let entry = conclude(verb, step.branch, &done)?;
                if !matches!(entry, Entry::Again(_)) {
                    let sql = "INSERT INTO done VALUES ($1, $2)";
                    let written = transaction.execute(sql, &[&branch, &verb.name()]).await;
                    written.map_err(failed)?;
                }
                Ok(entry)
            }
            (Guard::Barrier, Verb::Try) => {
                let note = step.seat.to_be_bytes();
                barrier.try_(transaction, branch, &note).await
            }
            (Guard::Barrier, Verb::Confirm) => barrier.confirm(transaction, branch).await,
            (Guard::Barrier, Verb::Cancel) => barrier.cancel(transaction, branch).await,
        }
    }

    async fn pass_on(&self, client: &mut Client, step: Step) -> Result<Entry, BarrierError> {
        let level = match step.isolation {
            Isolation::ReadCommitted => IsolationLevel::ReadCommitted,
            Isolation::RepeatableRead | Isolation::Stale => IsolationLevel::RepeatableRead,
            Isolation::Serializable => IsolationLevel::Serializable,
        };
        let transaction = client.build_transaction().isolation_level(level).start();
        let transaction = transaction.await.map_err(failed)?;
        if step.isolation == Isolation::Stale {
            let looked = transaction.query("SELECT count(*) FROM seat", &[]).await;
            looked.map_err(failed)?;
            tokio::time::sleep(step.age).await;
        }
        let entry = self.guard(&transaction, step).await?;
        if let Entry::First(note) = &entry
            && step.ends != Ends::Idle
        {
            let seat = i64::try_from(seat_of(note, step.seat)).unwrap();
            let (held, booked) = step.change();
            let sql = "INSERT INTO seat VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE
                SET held = seat.held + excluded.held, booked = seat.booked + excluded.booked";
            let changed = transaction.execute(sql, &[&seat, &held, &booked]).await;
            changed.map_err(failed)?;
        }
        match step.ends {
            Ends::Commits | Ends::Idle => transaction.commit().await.map_err(failed)?,
            Ends::RollsBack => transaction.rollback().await.map_err(failed)?,
        }
        Ok(entry)
    }
}

fn failed(error: tokio_postgres::Error) -> BarrierError {
    BarrierError::Database(error.into())
}

impl Store for Pg {
    type Barrier = PostgresBarrier;

    fn barrier(&self) -> BoxFuture<'_, PostgresBarrier> {
        Box::pin(async { PostgresBarrier::connect(self.server.url()).await.unwrap() })
    }

    fn cut(&self) {
        self.server.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        );
    }

    fn pass(&self, step: Step) -> BoxFuture<'_, Result<Entry, BarrierError>> {
        Box::pin(async move {
            let mut client = self.client().await;
            let passed = self.pass_on(&mut client, step).await;
            if !matches!(passed, Err(BarrierError::Database(_))) {
                self.idle.lock().push(client);
            }
            passed
        })
    }

    fn seat(&self, seat: u64) -> BoxFuture<'_, (i64, i64)> {
        Box::pin(async move {
            self.idle.lock().retain(|client| !client.is_closed());
            let client = self.client().await;
            let sql = "SELECT held::bigint, booked::bigint FROM seat WHERE id = $1";
            let seat = i64::try_from(seat).unwrap();
            let row = client.query_opt(sql, &[&seat]).await.unwrap();
            self.idle.lock().push(client);
            row.map_or((0, 0), |row| (row.get(0), row.get(1)))
        })
    }
}

impl std::fmt::Debug for Pg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pg")
    }
}
