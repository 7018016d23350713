//! Seats on `MariaDB`.

use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, IsolationLevel, Opts, OptsBuilder, Transaction, TxOpts};
use parking_lot::Mutex;
use tripod::BoxFuture;
use tripod::transaction::participant::tcc::{BarrierError, Entry, MysqlBarrier};

use super::{Ends, Guard, Isolation, Step, Store, Verb, conclude, seat_of};
use crate::server::mariadb::MariadbServer;

#[derive(Clone)]
pub(super) struct Maria {
    pub(super) server: Arc<MariadbServer>,
    barrier: MysqlBarrier,
    idle: Arc<Mutex<Vec<Conn>>>,
}

impl Maria {
    pub(super) async fn start() -> Self {
        let server = MariadbServer::start();
        MysqlBarrier::migrate(server.url()).await.unwrap();
        server.query(
            "CREATE TABLE seat (id BIGINT PRIMARY KEY, held INT NOT NULL, booked INT NOT NULL);
             CREATE TABLE done (branch VARCHAR(100) NOT NULL, verb VARCHAR(10) NOT NULL,
                 KEY (branch))",
        );
        let barrier = MysqlBarrier::connect(server.url()).await.unwrap();
        Self {
            server: Arc::new(server),
            barrier,
            idle: Arc::default(),
        }
    }

    pub(super) async fn conn(&self) -> Conn {
        let idle = self.idle.lock().pop();
        if let Some(conn) = idle {
            return conn;
        }
        let options = Opts::from_url(&self.server.url()).unwrap();
        let options = OptsBuilder::from_opts(options).prefer_socket(false);
        for _ in 0..100 {
            // It may be ended at once.
            if let Ok(conn) = Conn::new(options.clone()).await {
                return conn;
            }
        }
        panic!("no connection");
    }

    async fn guard(
        &self,
        transaction: &mut Transaction<'_>,
        step: Step,
    ) -> Result<Entry, BarrierError> {
        let (barrier, branch) = (&self.barrier, step.branch);
        match (step.guard, step.verb) {
            (Guard::Nothing, _) => Ok(Entry::First(Vec::new())),
            (Guard::Reading, verb) => {
                let branch = step.branch.to_string();
                let sql = "SELECT verb FROM done WHERE branch = ?";
                let done: Vec<String> = transaction.exec(sql, (&branch,)).await.map_err(failed)?;
                let entry = conclude(verb, step.branch, &done)?;
                if !matches!(entry, Entry::Again(_)) {
                    let sql = "INSERT INTO done VALUES (?, ?)";
                    let written = transaction.exec_drop(sql, (branch, verb.name()));
                    written.await.map_err(failed)?;
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

    async fn work(
        &self,
        transaction: &mut Transaction<'_>,
        step: Step,
    ) -> Result<Entry, BarrierError> {
        if step.isolation == Isolation::Stale {
            let looked = transaction.query_drop("SELECT COUNT(*) FROM seat").await;
            looked.map_err(failed)?;
            // The snapshot is of all tables.
            tokio::time::sleep(step.age).await;
        }
        let entry = self.guard(transaction, step).await?;
        if let Entry::First(note) = &entry
            && step.ends != Ends::Idle
        {
            let seat = seat_of(note, step.seat);
            let (held, booked) = step.change();
            let sql = "INSERT INTO seat VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE
                held = held + VALUES(held), booked = booked + VALUES(booked)";
            let changed = transaction.exec_drop(sql, (seat, held, booked)).await;
            changed.map_err(failed)?;
        }
        Ok(entry)
    }

    async fn pass_on(&self, conn: &mut Conn, step: Step) -> Result<Entry, BarrierError> {
        let level = match step.isolation {
            Isolation::ReadCommitted => IsolationLevel::ReadCommitted,
            Isolation::RepeatableRead | Isolation::Stale => IsolationLevel::RepeatableRead,
            Isolation::Serializable => IsolationLevel::Serializable,
        };
        let mut options = TxOpts::default();
        options.with_isolation_level(level);
        let mut transaction = conn.start_transaction(options).await.map_err(failed)?;
        let entry = match self.work(&mut transaction, step).await {
            Ok(entry) => entry,
            Err(error) => {
                transaction.rollback().await.map_err(failed)?;
                return Err(error);
            }
        };
        match step.ends {
            Ends::Commits | Ends::Idle => transaction.commit().await.map_err(failed)?,
            Ends::RollsBack => transaction.rollback().await.map_err(failed)?,
        }
        Ok(entry)
    }
}

fn failed(error: mysql_async::Error) -> BarrierError {
    BarrierError::Database(error.into())
}

impl Store for Maria {
    type Barrier = MysqlBarrier;

    fn barrier(&self) -> BoxFuture<'_, MysqlBarrier> {
        Box::pin(async { MysqlBarrier::connect(self.server.url()).await.unwrap() })
    }

    fn cut(&self) {
        let others = "SELECT CONCAT('KILL ', id) FROM information_schema.processlist
            WHERE id <> connection_id() AND user = 'root'";
        for kill in self.server.query(others) {
            // It may have ended meanwhile.
            self.server.allows(&kill);
        }
        self.idle.lock().clear();
    }

    fn pass(&self, step: Step) -> BoxFuture<'_, Result<Entry, BarrierError>> {
        Box::pin(async move {
            let mut conn = self.conn().await;
            let passed = self.pass_on(&mut conn, step).await;
            if !matches!(passed, Err(BarrierError::Database(_))) {
                self.idle.lock().push(conn);
            }
            passed
        })
    }

    fn seat(&self, seat: u64) -> BoxFuture<'_, (i64, i64)> {
        Box::pin(async move {
            let mut conn = self.conn().await;
            let sql = "SELECT held, booked FROM seat WHERE id = ?";
            let row = conn.exec_first(sql, (seat,)).await.unwrap();
            self.idle.lock().push(conn);
            row.unwrap_or_default()
        })
    }
}

impl std::fmt::Debug for Maria {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Maria")
    }
}
