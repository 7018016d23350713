//! Branches on `MariaDB`, against a real server.

mod begin;
mod fence;
mod finish;
mod foreign;
mod law;
mod server;
mod traps;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tripod::transaction::participant::{
    ConnectMysql, Enlist, MysqlBranch, MysqlParticipant, Opening, Outcome, Participant, Report,
    Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, TransactionId};

use crate::server::mariadb::MariadbServer;

const COMMITTED: Report = Report::Did(Outcome::Committed);
const ABORTED: Report = Report::Did(Outcome::Aborted);

/// A coordinator of its own, a participant that it has opened in epoch 1, and an account of its
/// own, with nothing in it.
struct Scene {
    server: Arc<MariadbServer>,
    shop: MysqlParticipant,
    coordinator: CoordinatorId,
    account: u64,
}

impl Scene {
    /// On the server that tests use together.
    async fn new() -> Self {
        Self::on(MariadbServer::shared()).await
    }

    async fn on(server: Arc<MariadbServer>) -> Self {
        static ACCOUNT: AtomicU64 = AtomicU64::new(1);
        let account = ACCOUNT.fetch_add(1, Ordering::Relaxed);
        MysqlParticipant::migrate(server.url()).await.unwrap();
        server.query(
            "CREATE TABLE IF NOT EXISTS account (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL)",
        );
        server.query(&format!("INSERT INTO account VALUES ({account}, 0)"));
        let shop = connect(&server).await.unwrap();
        let scene = Self {
            server,
            shop,
            coordinator: coordinator(),
            account,
        };
        scene.shop.open(scene.opening(1)).await.unwrap();
        scene
    }

    /// Another process's participant on the same server.
    async fn other(&self) -> MysqlParticipant {
        connect(&self.server).await.unwrap()
    }

    fn opening(&self, epoch: u64) -> Opening {
        Opening::new(self.coordinator, self::epoch(epoch), epoch.into())
    }

    fn branch(&self, sequence: u64) -> BranchId {
        self.branch_of(1, sequence)
    }

    fn branch_of(&self, epoch: u64, sequence: u64) -> BranchId {
        let id = TransactionId::new(self.coordinator, self::epoch(epoch), sequence);
        BranchId::new(id, 0)
    }

    /// Puts 1 into the account.
    async fn pays(&self, branch: BranchId) -> MysqlBranch {
        let mut work = self.shop.work(branch).await.unwrap();
        self.pay(&mut work).await;
        work
    }

    async fn pay(&self, work: &mut MysqlBranch) {
        let sql = "UPDATE account SET balance = balance + 1 WHERE id = ?";
        assert_eq!(work.execute(sql, (self.account,)).await.unwrap(), 1);
    }

    async fn prepared(&self, sequence: u64) -> BranchId {
        let branch = self.branch(sequence);
        self.pays(branch).await;
        assert_eq!(self.shop.prepare(branch).await.unwrap(), Vote::Prepared);
        branch
    }

    /// One that does not wait for the account.
    async fn prepared_idle(&self, sequence: u64) -> BranchId {
        let branch = self.branch(sequence);
        self.shop.work(branch).await.unwrap();
        assert_eq!(self.shop.prepare(branch).await.unwrap(), Vote::Prepared);
        branch
    }

    fn balance(&self) -> u64 {
        let sql = format!("SELECT balance FROM account WHERE id = {}", self.account);
        self.server.query(&sql).concat().parse().unwrap()
    }

    /// How many rows of this coordinator there are.
    fn rows(&self) -> usize {
        let sql = format!(
            "SELECT sequence FROM tripod.participant_outcome WHERE coordinator = X'{}'",
            self.coordinator
        );
        self.server.query(&sql).len()
    }

    /// Branches that are prepared in any epoch.
    async fn prepared_branches(&self) -> Vec<BranchId> {
        let all = self.shop.in_doubt(self.coordinator, epoch(u64::MAX));
        all.await.unwrap()
    }

    /// A connection of somebody else's.
    async fn raw(&self) -> Conn {
        let options = Opts::from_url(&self.server.url()).unwrap();
        let options = OptsBuilder::from_opts(options).prefer_socket(false);
        Conn::new(options).await.unwrap()
    }

    /// The insertion of an outcome row.
    fn marking(&self, branch: BranchId) -> String {
        let id = branch.transaction();
        format!(
            "INSERT INTO tripod.participant_outcome VALUES (X'{}', {}, {}, {}, 1)",
            self.coordinator,
            id.epoch(),
            id.sequence(),
            branch.number()
        )
    }
}

fn connect(server: &MariadbServer) -> ConnectMysqlFuture {
    connecting(server).into_future()
}

type ConnectMysqlFuture = <ConnectMysql as IntoFuture>::IntoFuture;

fn connecting(server: &MariadbServer) -> ConnectMysql {
    MysqlParticipant::connect("shop", server.url()).answer_limit(Duration::from_secs(20))
}

fn epoch(number: u64) -> Epoch {
    Epoch::new(number).unwrap()
}

/// One that nobody else has.
fn coordinator() -> CoordinatorId {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    CoordinatorId::from_u128(now.as_nanos() << 32 | u128::from(count))
}

/// The branch as XA statements name it.
fn xid(branch: BranchId) -> String {
    let id = branch.transaction();
    format!(
        "X'{}{:016x}{:016x}',X'{:04x}',1953655152",
        id.coordinator(),
        id.epoch().as_u64(),
        id.sequence(),
        branch.number()
    )
}

async fn run(conn: &mut Conn, sql: &str) {
    let done = conn.query_drop(sql).await;
    assert!(done.is_ok(), "{sql}: {done:?}");
}

/// The server's number of the error.
async fn fails(conn: &mut Conn, sql: &str) -> u16 {
    match conn.query_drop(sql).await {
        Err(mysql_async::Error::Server(error)) => error.code,
        other => panic!("{sql}: {other:?}"),
    }
}

fn no(vote: &Vote) -> bool {
    matches!(vote, Vote::No(_))
}
