//! Transfers of money: what a coordinator's process does, and says of what became of them.

use std::error::Error;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tripod::transaction::participant::{MysqlParticipant, PostgresParticipant};
use tripod::transaction::two_phase::{ActiveTransaction, CommitOutcome, Coordinator};

use crate::random::Random;
use crate::watched::Watched;

/// In each database, numbered from 1.
pub const ACCOUNTS: u32 = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From one database to the other.
    Between,
    /// Within one database: one phase.
    InPostgres,
    InMysql,
    /// Reads in `PostgreSQL`, and writes in `MariaDB`.
    HalfReads,
    /// Reads only, in both.
    Reads,
}

/// What its caller does in the end.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Commit,
    RollBack,
    Drop,
    /// Asks for the commit, and waits no longer than this.
    DropCommit(Duration),
}

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub end: End,
    pub amount: i64,
    /// Two accounts, the lower one first: whoever locks both does so in this order.
    pub accounts: (i32, i32),
}

impl Plan {
    pub fn random(random: &mut Random) -> Self {
        let kind = match random.below(20) {
            0..12 => Kind::Between,
            12..14 => Kind::InPostgres,
            14..16 => Kind::InMysql,
            16..19 => Kind::HalfReads,
            _ => Kind::Reads,
        };
        let end = match random.below(20) {
            0..16 => End::Commit,
            16 | 17 => End::RollBack,
            18 => End::Drop,
            _ => End::DropCommit(Duration::from_micros(random.below(20_000))),
        };
        let low = random.within(1, u64::from(ACCOUNTS) - 1);
        let high = random.within(low + 1, u64::from(ACCOUNTS));
        let number = |account: u64| i32::try_from(account).unwrap();
        Self {
            kind,
            end,
            amount: i64::try_from(random.below(200)).unwrap() - 100,
            accounts: (number(low), number(high)),
        }
    }
}

/// Whoever transfers money.
pub struct Teller {
    pub coordinator: Coordinator,
    pub postgres: Watched<PostgresParticipant>,
    pub mysql: Watched<MysqlParticipant>,
}

type Done = Result<(), Box<dyn Error + Send + Sync>>;

impl Teller {
    /// One of each kind, one after the other.
    pub async fn script(&self) {
        let plan = |kind, end| Plan {
            kind,
            end,
            amount: 5,
            accounts: (1, 2),
        };
        for plan in [
            plan(Kind::Between, End::Commit),
            plan(Kind::Between, End::RollBack),
            plan(Kind::InPostgres, End::Commit),
            plan(Kind::InMysql, End::Commit),
            plan(Kind::HalfReads, End::Commit),
            plan(Kind::Between, End::Commit),
        ] {
            self.transfer(plan).await;
        }
    }

    /// Does this, and says what became of it.
    pub async fn transfer(&self, plan: Plan) {
        let mut transaction = match self.coordinator.begin().await {
            Ok(transaction) => transaction,
            Err(error) => {
                println!("idle {error}");
                return sleep(Duration::from_millis(20)).await;
            }
        };
        let kind = match plan.kind {
            Kind::Between => "between",
            Kind::InPostgres => "postgres",
            Kind::InMysql | Kind::HalfReads => "mysql",
            Kind::Reads => "reads",
        };
        let name = format!("{}/{kind}", transaction.id());
        if let Err(error) = self.work(&mut transaction, &name, plan).await {
            drop(transaction);
            println!("aborted {name} {error}");
            // A server that is away is not asked all the time.
            return sleep(Duration::from_millis(20)).await;
        }
        let outcome = match plan.end {
            End::Commit => transaction.commit().await,
            End::RollBack => {
                transaction.rollback();
                return println!("aborted {name} rolled back");
            }
            End::Drop => {
                drop(transaction);
                return println!("aborted {name} dropped");
            }
            End::DropCommit(patience) => match timeout(patience, transaction.commit()).await {
                Ok(outcome) => outcome,
                Err(_) => return println!("unknown {name} dropped"),
            },
        };
        match outcome {
            CommitOutcome::Committed { .. } => println!("committed {name}"),
            CommitOutcome::Aborted { reason, .. } => println!("aborted {name} {reason:?}"),
            CommitOutcome::Unknown(_) => println!("unknown {name}"),
        }
    }

    async fn work(&self, transaction: &mut ActiveTransaction, name: &str, plan: Plan) -> Done {
        let Plan {
            accounts: (low, high),
            amount,
            kind,
            ..
        } = plan;
        match kind {
            Kind::Between => {
                self.put_in_postgres(transaction, name, &[(low, -amount)])
                    .await?;
                self.put_in_mysql(transaction, name, &[(high, amount)])
                    .await
            }
            Kind::InPostgres => {
                let moves = [(low, -amount), (high, amount)];
                self.put_in_postgres(transaction, name, &moves).await
            }
            Kind::InMysql => {
                let moves = [(low, -amount), (high, amount)];
                self.put_in_mysql(transaction, name, &moves).await
            }
            Kind::HalfReads => {
                self.read_in_postgres(transaction).await?;
                let moves = [(low, -amount), (high, amount)];
                self.put_in_mysql(transaction, name, &moves).await
            }
            Kind::Reads => {
                self.read_in_postgres(transaction).await?;
                let mut branch = transaction.enlist(&self.mysql).await?;
                let sql = "SELECT count(*) FROM accounts";
                branch.query_first::<(i64,)>(sql, ()).await?;
                Ok(())
            }
        }
    }

    async fn read_in_postgres(&self, transaction: &mut ActiveTransaction) -> Done {
        let mut branch = transaction.enlist(&self.postgres).await?;
        branch.query("SELECT count(*) FROM accounts", &[]).await?;
        Ok(())
    }

    async fn put_in_postgres(
        &self,
        transaction: &mut ActiveTransaction,
        name: &str,
        moves: &[(i32, i64)],
    ) -> Done {
        let mut branch = transaction.enlist(&self.postgres).await?;
        for (account, amount) in moves {
            let sql = "UPDATE accounts SET balance = balance + $1 WHERE id = $2";
            branch.execute(sql, &[amount, account]).await?;
        }
        let amount: i64 = moves.iter().map(|(_, amount)| amount).sum();
        let sql = "INSERT INTO transfers (id, amount) VALUES ($1, $2)";
        branch.execute(sql, &[&name, &amount]).await?;
        Ok(())
    }

    async fn put_in_mysql(
        &self,
        transaction: &mut ActiveTransaction,
        name: &str,
        moves: &[(i32, i64)],
    ) -> Done {
        let mut branch = transaction.enlist(&self.mysql).await?;
        for (account, amount) in moves {
            let sql = "UPDATE accounts SET balance = balance + ? WHERE id = ?";
            branch.execute(sql, (amount, account)).await?;
        }
        let amount: i64 = moves.iter().map(|(_, amount)| amount).sum();
        let sql = "INSERT INTO transfers (id, amount) VALUES (?, ?)";
        branch.execute(sql, (name, amount)).await?;
        Ok(())
    }
}
