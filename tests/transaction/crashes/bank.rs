//! Two databases with money in them, and with what others have prepared there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tripod::transaction::participant::{MysqlParticipant, PostgresParticipant};

use crate::server::mariadb::MariadbServer;
use crate::server::postgres::PostgresServer;
use crate::transfer::ACCOUNTS;

/// What an account has at first.
const BALANCE: i64 = 1000;

/// A coordinator that is somebody else's: `0f0f…`.
const OTHER: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

/// So much is put on an account by who is not of this coordinator, and never ends it.
const FOREIGN: i64 = 1_000_000;

pub struct Bank {
    pub postgres: PostgresServer,
    pub mysql: MariadbServer,
    /// What others have prepared.
    foreign: [Vec<String>; 2],
    /// What all accounts had when the transfers were last taken off the books.
    before: [i64; 2],
}

/// What a database says.
#[derive(Debug, PartialEq, Eq)]
pub struct Books {
    pub sum: i64,
    /// By name, with what it has put on accounts here in all.
    pub transfers: BTreeMap<String, i64>,
}

impl Bank {
    /// Starts both, which sync what they write.
    pub fn open() -> Self {
        let settings = ["max_prepared_transactions=64", "shared_buffers=16MB"];
        let mut bank = Self {
            postgres: PostgresServer::start_with(&settings),
            mysql: MariadbServer::start(),
            foreign: [Vec::new(), Vec::new()],
            before: [i64::from(ACCOUNTS + 2) * BALANCE; 2],
        };
        bank.migrate();
        bank.make_tables();
        bank.let_others_prepare();
        bank
    }

    fn migrate(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            PostgresParticipant::migrate(self.postgres.url())
                .await
                .unwrap();
            MysqlParticipant::migrate(self.mysql.url()).await.unwrap();
        });
    }

    fn make_tables(&self) {
        let mut tables = vec![
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance BIGINT NOT NULL)".to_owned(),
            "CREATE TABLE transfers (id VARCHAR(100) PRIMARY KEY, amount BIGINT NOT NULL)".into(),
        ];
        let accounts = (1..=ACCOUNTS).chain(OTHERS_ACCOUNTS);
        let insert = |id| format!("INSERT INTO accounts VALUES ({id}, {BALANCE})");
        tables.extend(accounts.map(insert));
        self.postgres.query(&tables.join("; "));
        self.mysql.query(&tables.join("; "));
    }

    /// One under a name of their own, and one of another coordinator.
    fn let_others_prepare(&mut self) {
        let update = |account| {
            format!("UPDATE accounts SET balance = balance + {FOREIGN} WHERE id = {account}")
        };
        let [one, two] = OTHERS_ACCOUNTS.map(update);
        let other = format!("tripod_{OTHER}_1_0_0");
        for (work, name) in [(&one, "somebody"), (&two, other.as_str())] {
            self.postgres
                .query(&format!("BEGIN; {work}; PREPARE TRANSACTION '{name}'"));
        }
        let other = format!("X'{OTHER}{:016x}{:016x}',X'0000',1953655152", 1, 0);
        for (work, name) in [(&one, "'somebody'"), (&two, other.as_str())] {
            self.mysql.query(&format!(
                "XA START {name}; {work}; XA END {name}; XA PREPARE {name}"
            ));
        }
        self.foreign = self.prepared();
        assert_eq!(self.foreign.each_ref().map(Vec::len), [2, 2]);
    }

    /// Whatever is prepared in either.
    fn prepared(&self) -> [Vec<String>; 2] {
        let mut prepared = [
            self.postgres.query("SELECT gid FROM pg_prepared_xacts"),
            self.mysql.query("XA RECOVER FORMAT = 'SQL'"),
        ];
        for names in &mut prepared {
            names.sort();
        }
        prepared
    }

    /// Waits until nothing is in doubt but what others have prepared, which stands.
    pub fn settle(&self, patience: Duration) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let prepared = self.prepared();
            if prepared == self.foreign {
                return Ok(());
            }
            for (stand, all) in self.foreign.iter().zip(&prepared) {
                if stand.iter().any(|name| !all.contains(name)) {
                    return Err(format!("what others prepared is gone: {prepared:?}"));
                }
            }
            if began.elapsed() > patience {
                return Err(format!("left in doubt: {prepared:?}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many prepared branches `MariaDB` has lost: they hold their locks, and it lists them no
    /// more. It loses one whose `XA COMMIT` or `XA ROLLBACK` comes while the connection that has
    /// prepared it is being closed, and says that it is done (10.11; `trans_xa_detach` lets others
    /// have the branch before `InnoDB` does).
    pub fn lost(&self) -> u64 {
        // What it has begun to end is gone in a moment.
        let looks = (0..20).map(|_| {
            let sql = "SELECT count(*) FROM information_schema.innodb_trx
                WHERE trx_mysql_thread_id = 0";
            let held = self.mysql.query(sql).concat().parse::<u64>().unwrap();
            let listed = self.mysql.query("XA RECOVER").len() as u64;
            if held > listed {
                std::thread::sleep(LOOK);
            }
            held.saturating_sub(listed)
        });
        let mut least = u64::MAX;
        for lost in looks {
            least = least.min(lost);
            if least == 0 {
                break;
            }
        }
        least
    }

    /// Started again, it lists all that is prepared.
    pub fn find_lost(&mut self) {
        self.mysql.kill();
        self.mysql.restart();
    }

    pub fn read(&self) -> [Books; 2] {
        let sums = "concat('sum ', sum(balance)) FROM accounts";
        let transfers = "concat(id, ' ', amount) FROM transfers";
        let sql = format!("SELECT {sums} UNION ALL SELECT {transfers}");
        [self.postgres.query(&sql), self.mysql.query(&sql)].map(Books::new)
    }

    /// What all accounts had when the transfers began that are on the books.
    pub fn before(&self) -> [i64; 2] {
        self.before
    }

    /// Takes the transfers off the books.
    pub fn turn_the_page(&mut self, books: &[Books; 2]) {
        self.before = books.each_ref().map(|books| books.sum);
        self.postgres.query("DELETE FROM transfers");
        self.mysql.query("DELETE FROM transfers");
    }

    /// How many outcomes of branches are kept, in both.
    pub fn outcomes(&self) -> u64 {
        let count = |lines: Vec<String>| lines.concat().parse::<u64>().unwrap();
        let postgres = self.postgres.query("SELECT count(*) FROM tripod.branch");
        let sql = "SELECT count(*) FROM tripod.participant_outcome";
        count(postgres) + count(self.mysql.query(sql))
    }

    /// Who holds what, for whoever wonders.
    pub fn told(&self) -> Vec<String> {
        let postgres =
            "SELECT pid, state, now() - xact_start, now() - state_change, wait_event, query
            FROM pg_stat_activity WHERE application_name = 'tripod'";
        let mysql =
            "SELECT trx_id, trx_state, trx_started, trx_mysql_thread_id, trx_query, trx_weight,
            trx_isolation_level FROM information_schema.innodb_trx; SHOW FULL PROCESSLIST;
            XA RECOVER FORMAT = 'SQL'";
        [self.postgres.query(postgres), self.mysql.query(mysql)].concat()
    }

    /// How many branches are not prepared and hold what they hold. Not counted are the participant's
    /// own connections to `MariaDB`, whose isolation is another: stopped, they may keep a tombstone
    /// for a minute.
    pub fn at_work(&self) -> u64 {
        let postgres = "SELECT count(*) FROM pg_stat_activity
            WHERE xact_start IS NOT NULL AND application_name = 'tripod'";
        let mysql = "SELECT count(*) FROM information_schema.innodb_trx
            WHERE trx_mysql_thread_id <> 0 AND trx_isolation_level = 'REPEATABLE READ'";
        let count = |lines: Vec<String>| lines.concat().parse::<u64>().unwrap();
        count(self.postgres.query(postgres)) + count(self.mysql.query(mysql))
    }
}

/// Between two looks at `InnoDB`'s transactions: looked at more often, it tells what it told before.
pub const LOOK: Duration = Duration::from_millis(250);

/// The accounts that nobody else touches.
const OTHERS_ACCOUNTS: [u32; 2] = [ACCOUNTS + 1, ACCOUNTS + 2];

impl Books {
    fn new(lines: Vec<String>) -> Self {
        let mut transfers: BTreeMap<_, i64> = BTreeMap::new();
        for line in lines {
            let (name, amount) = line.split_once(' ').unwrap();
            transfers.insert(name.to_owned(), amount.parse().unwrap());
        }
        Self {
            sum: transfers.remove("sum").unwrap(),
            transfers,
        }
    }
}
