//! What is in the databases: jobs, accounts, and what has become of them.

use std::collections::BTreeSet;
use std::error::Error;

use tokio_postgres::{Client, NoTls};

use crate::Failure;

/// In each database.
pub(crate) const ACCOUNTS: i32 = 100;

/// What each of them has at first.
pub(crate) const BALANCE: i64 = 1000;

pub(crate) struct Books {
    here: Client,
}

/// Something to do.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) account: i32,
    pub(crate) amount: i64,
}

/// A member's time with a partition.
pub(crate) struct Tenure {
    pub(crate) partition: String,
    pub(crate) member: String,
    /// How many there were, with this one.
    pub(crate) number: i64,
}

const MONEY: &str = "CREATE SCHEMA IF NOT EXISTS failover;
    DROP TABLE IF EXISTS failover.account, failover.entry;
    CREATE TABLE failover.account (id integer PRIMARY KEY, balance bigint NOT NULL);
    -- Nothing here keeps anybody from doing a job twice: if it happens, it shows.
    CREATE TABLE failover.entry (job text NOT NULL, amount bigint NOT NULL, branch_of text NOT NULL)";

const WORK: &str = "DROP TABLE IF EXISTS failover.job, failover.effect, failover.tenure;
    CREATE TABLE failover.job (id text PRIMARY KEY, partition text NOT NULL, kind text NOT NULL,
        account integer NOT NULL, amount bigint NOT NULL, done text);
    CREATE INDEX ON failover.job (partition) WHERE done IS NULL;
    CREATE TABLE failover.effect (key text PRIMARY KEY, trip text NOT NULL, step text NOT NULL,
        stands boolean NOT NULL);
    CREATE TABLE failover.tenure (partition text NOT NULL, member text NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp())";

impl Books {
    pub(crate) async fn open(url: &str) -> Result<Self, tokio_postgres::Error> {
        let (here, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("the books are gone: {error}");
                std::process::exit(1);
            }
        });
        Ok(Self { here })
    }

    /// The URL of the other database, beside this one.
    pub(crate) fn there(url: &str) -> Result<String, Failure> {
        let (server, _) = url.rsplit_once('/').ok_or("the URL names no database")?;
        Ok(format!("{server}/failover_there"))
    }

    /// Makes all tables anew.
    pub(crate) async fn make(url: &str) -> Result<Self, Failure> {
        let books = Self::open(url).await?;
        let accounts = format!(
            "INSERT INTO failover.account SELECT id, {BALANCE} FROM generate_series(1, {ACCOUNTS}) AS id"
        );
        books
            .here
            .batch_execute(&format!("{MONEY}; {WORK}; {accounts}"))
            .await?;
        if let Err(error) = books
            .here
            .batch_execute("CREATE DATABASE failover_there")
            .await
        {
            let there = error.code().is_some_and(|code| code.code() == "42P04");
            if !there {
                return Err(error.into());
            }
        }
        let there = Self::open(&Self::there(url)?).await?;
        there
            .here
            .batch_execute(&format!("{MONEY}; {accounts}"))
            .await?;
        Ok(books)
    }

    pub(crate) async fn add(&self, partition: &str, job: &Job) -> Result<(), Failure> {
        let add = "INSERT INTO failover.job VALUES ($1, $2, $3, $4, $5)";
        let Job {
            id,
            kind,
            account,
            amount,
        } = job;
        self.here
            .execute(add, &[id, &partition, kind, account, amount])
            .await?;
        Ok(())
    }

    /// Some that are not done, the oldest first.
    pub(crate) async fn open_jobs(
        &self,
        partition: &str,
    ) -> Result<Vec<Job>, tokio_postgres::Error> {
        let open = "SELECT id, kind, account, amount FROM failover.job
            WHERE partition = $1 AND done IS NULL ORDER BY id LIMIT 24";
        let rows = self.here.query(open, &[&partition]).await?;
        let job = |row: &tokio_postgres::Row| Job {
            id: row.get(0),
            kind: row.get(1),
            account: row.get(2),
            amount: row.get(3),
        };
        Ok(rows.iter().map(job).collect())
    }

    pub(crate) async fn finish(&self, job: &str, how: &str) -> Result<(), tokio_postgres::Error> {
        let finish = "UPDATE failover.job SET done = $2 WHERE id = $1 AND done IS NULL";
        self.here.execute(finish, &[&job, &how]).await.map(drop)
    }

    /// Has an effect under this key, or finds that it has been had; `false`: it was undone.
    pub(crate) async fn take_effect(
        &self,
        key: &str,
        trip: &str,
        step: &str,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let take = "INSERT INTO failover.effect VALUES ($1, $2, $3, true)
            ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING stands";
        let row = self.here.query_one(take, &[&key, &trip, &step]).await?;
        Ok(row.get(0))
    }

    /// Undoes what was done under this key, and what may be done under it later.
    pub(crate) async fn undo_effect(
        &self,
        key: &str,
        trip: &str,
        step: &str,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let undo = "INSERT INTO failover.effect VALUES ($1, $2, $3, false)
            ON CONFLICT (key) DO UPDATE SET stands = false";
        self.here.execute(undo, &[&key, &trip, &step]).await?;
        Ok(())
    }

    pub(crate) async fn note_tenure(&self, partition: &str, member: &str) -> Result<(), Failure> {
        let note = "INSERT INTO failover.tenure (partition, member) VALUES ($1, $2)";
        self.here.execute(note, &[&partition, &member]).await?;
        Ok(())
    }

    /// Who has begun last to work on each partition.
    pub(crate) async fn tenures(&self) -> Result<Vec<Tenure>, Failure> {
        let last = "SELECT DISTINCT ON (partition) partition, member,
                count(*) OVER (PARTITION BY partition)
            FROM failover.tenure ORDER BY partition, at DESC";
        let rows = self.here.query(last, &[]).await?;
        let tenure = |row: &tokio_postgres::Row| Tenure {
            partition: row.get(0),
            member: row.get(1),
            number: row.get(2),
        };
        Ok(rows.iter().map(tenure).collect())
    }

    /// Jobs that are not done.
    pub(crate) async fn not_done(&self) -> Result<BTreeSet<String>, Failure> {
        self.names("SELECT id FROM failover.job WHERE done IS NULL")
            .await
    }

    /// Branches that wait for a decision, in both databases, and transactions that a log has not
    /// seen the end of.
    pub(crate) async fn undecided(&self) -> Result<BTreeSet<String>, Failure> {
        self.names(UNDECIDED).await
    }

    async fn names(&self, sql: &str) -> Result<BTreeSet<String>, Failure> {
        let rows = self.here.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// How many jobs ended how.
    pub(crate) async fn tally(&self) -> Result<Vec<(String, i64)>, Failure> {
        let tally =
            "SELECT coalesce(done, 'open'), count(*) FROM failover.job GROUP BY 1 ORDER BY 1";
        let rows = self.here.query(tally, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// All that is wrong once nothing is under way: nothing lost, nothing twice, no money made.
    pub(crate) async fn audit(&self, url: &str) -> Result<Vec<String>, Failure> {
        let there = Self::open(&Self::there(url)?).await?;
        let mut wrong = Vec::new();
        let mut money = 0;
        let mut entries = Vec::new();
        for books in [self, &there] {
            let sum = "SELECT sum(balance)::bigint FROM failover.account";
            money += books.here.query_one(sum, &[]).await?.get::<_, i64>(0);
            let all = "SELECT job, abs(amount), branch_of FROM failover.entry ORDER BY 1, 2, 3";
            let rows = books.here.query(all, &[]).await?;
            let entry = |row: &tokio_postgres::Row| -> (String, i64, String) {
                (row.get(0), row.get(1), row.get(2))
            };
            entries.push(rows.iter().map(entry).collect::<Vec<_>>());
        }
        let whole = 2 * i64::from(ACCOUNTS) * BALANCE;
        if money != whole {
            wrong.push(format!("the accounts had {whole}, and have {money}"));
        }
        if entries.first() != entries.last() {
            wrong.push("half a transfer: the databases tell of different ones".into());
        }
        for (what, sql) in AUDIT {
            for row in self.here.query(sql, &[]).await? {
                wrong.push(format!("{}: {what}", row.get::<_, String>(0)));
            }
        }
        Ok(wrong)
    }
}

const UNDECIDED: &str = "SELECT 'prepared ' || gid FROM pg_prepared_xacts WHERE gid LIKE 'tripod%'
    UNION SELECT 'in the log ' || name || ' ' || encode(subject, 'hex')
    FROM tripod.log JOIN tripod.log_record ON log = coordinator WHERE get_byte(subject, 0) = 1";

const AUDIT: [(&str, &str); 5] = [
    (
        "transferred not once",
        "SELECT id FROM failover.job LEFT JOIN failover.entry ON job = id
            WHERE kind = 'transfer' GROUP BY id HAVING count(job) <> 1",
    ),
    (
        "not done",
        "SELECT id FROM failover.job WHERE done IS NULL OR done NOT IN
            ('transferred', 'completed', 'compensated')",
    ),
    (
        "a trip that has not exactly one seat, card and ticket, or none of them",
        "SELECT id FROM failover.job LEFT JOIN failover.effect ON trip = id AND stands
            WHERE kind = 'trip' GROUP BY id, done HAVING
            coalesce(string_agg(step, ' ' ORDER BY step), '') <>
            CASE done WHEN 'completed' THEN 'card seat ticket' ELSE '' END",
    ),
    (
        "refused without reason, or not refused",
        "SELECT id FROM failover.job WHERE kind = 'trip'
            AND (done = 'compensated') <> (amount > 80)",
    ),
    (
        "left prepared",
        "SELECT gid FROM pg_prepared_xacts WHERE gid LIKE 'tripod%'",
    ),
];
