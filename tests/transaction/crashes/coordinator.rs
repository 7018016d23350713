//! The process that coordinates, and is killed. It obeys lines on its standard input, and says on
//! its standard output what becomes of transfers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tripod::transaction::log::{FileLog, FileLogOptions};
use tripod::transaction::participant::{MysqlParticipant, PostgresParticipant};
use tripod::transaction::two_phase::{Coordinator, Filter};

use crate::points::{Death, Points};
use crate::random::Random;
use crate::transfer::{Plan, Teller};
use crate::watched::{Flaw, Watched, WatchedLog};

/// How long a server lets a branch be idle.
pub const IDLE: Duration = Duration::from_secs(1);

/// They have enough to wait for each other's locks, and for the log together.
const WORKERS: u64 = 6;

/// For all that is under way to be over. Servers that start again and time-outs are in it.
const REST_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub struct Orders {
    #[arg(long)]
    postgres: String,
    #[arg(long)]
    mysql: String,
    #[arg(long)]
    log: PathBuf,
    /// At which point of its recovery it dies; 0 for none.
    #[arg(long)]
    die_at: u64,
    #[arg(long)]
    flaw: Option<Flaw>,
}

pub async fn coordinate(orders: Orders) {
    let points = Points::default();
    points.expect(Death::at(orders.die_at, 0));
    let teller = Arc::new(open(&orders, &points).await);
    rest_now(&teller, &points).await;

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut shift = Shift::default();
    while let Ok(Some(line)) = lines.next_line().await {
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "script" => {
                points.expect(Death::named(rest));
                return end(&teller, &points).await;
            }
            "load" => {
                let numbers: Vec<u64> = rest.split(' ').map(|it| it.parse().unwrap()).collect();
                points.expect(Death::at(numbers[0], numbers[1]));
                shift = Shift::start(&teller, numbers[2]);
            }
            "rest" => {
                std::mem::take(&mut shift).end().await;
                rest_now(&teller, &points).await;
            }
            _ => panic!("{line}"),
        }
    }
}

/// Does what a script says, ends cleanly, and tells the points that it passed.
async fn end(teller: &Teller, points: &Points) {
    teller.script().await;
    let patience = Duration::from_secs(10);
    let shutdown = teller.coordinator.shutdown(patience).await.unwrap();
    if shutdown.unfinished > 0 {
        return println!("stuck {shutdown:?}");
    }
    for point in points.passed() {
        println!("passed {point}");
    }
    println!("ends");
}

impl Death {
    fn at(number: u64, later_micros: u64) -> Option<Self> {
        let later = Duration::from_micros(later_micros);
        (number > 0).then_some(Self::At { number, later })
    }

    /// After so many others, at a point of this name; or never, of no name.
    fn named(text: &str) -> Option<Self> {
        let (others, point) = text.split_once(' ')?;
        Some(Self::Named {
            point: point.to_owned(),
            others: others.parse().unwrap(),
        })
    }
}

async fn open(orders: &Orders, points: &Points) -> Teller {
    let postgres = patiently(async || {
        PostgresParticipant::connect("postgres", &orders.postgres)
            .idle_limit(IDLE)
            .lock_limit(IDLE)
            .statement_limit(3 * IDLE)
            .await
    });
    let mysql = patiently(async || {
        MysqlParticipant::connect("mysql", &orders.mysql)
            .idle_limit(IDLE)
            .lock_limit(IDLE)
            .statement_limit(3 * IDLE)
            .answer_limit(4 * IDLE)
            .await
    });
    let (postgres, mysql) = (postgres.await, mysql.await);
    let postgres = Watched::new(postgres, points.clone(), orders.flaw);
    let mysql = Watched::new(mysql, points.clone(), orders.flaw);
    // Short segments are followed by the next all the time.
    let options = FileLogOptions::default().segment_len(32 << 10);
    let log = FileLog::start(&orders.log, options).unwrap();
    let coordinator = Coordinator::open(WatchedLog::new(log, points.clone(), orders.flaw))
        .participant(postgres.clone())
        .participant(mysql.clone())
        .prepare_timeout(Duration::from_secs(4))
        .settle_timeout(Duration::from_secs(2))
        .retry_pause_max(Duration::from_millis(200))
        .scan_interval(Duration::from_millis(500))
        .await;
    Teller {
        coordinator: coordinator.unwrap(),
        postgres,
        mysql,
    }
}

/// Connects, however long the server takes to be there.
async fn patiently<T, E: std::fmt::Debug>(connect: impl AsyncFn() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match connect().await {
            Ok(participant) => return participant,
            Err(error) if began.elapsed() > REST_MAX => panic!("{error:?}"),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Says so when nothing is under way any more. Nobody dies until the next order.
async fn rest_now(teller: &Teller, points: &Points) {
    let began = Instant::now();
    let coordinator = &teller.coordinator;
    loop {
        let open = coordinator.list(Filter::All);
        let away = coordinator.participants();
        if open.is_empty() && away.iter().all(|participant| participant.reached) {
            break;
        }
        if began.elapsed() > REST_MAX {
            return println!("stuck {open:?} {away:?}");
        }
        sleep(Duration::from_millis(5)).await;
    }
    let passed = points.passed().len();
    points.expect(None);
    match coordinator.stats() {
        stats if stats.impossible > 0 => println!("stuck {stats:?}"),
        _ => println!("rests {passed}"),
    }
}

/// Workers that transfer money at random.
#[derive(Default)]
struct Shift {
    workers: JoinSet<()>,
    over: Arc<AtomicBool>,
}

impl Shift {
    fn start(teller: &Arc<Teller>, seed: u64) -> Self {
        let mut shift = Self::default();
        for worker in 0..WORKERS {
            let mut random = Random::new(seed).fork(worker);
            let (teller, over) = (Arc::clone(teller), Arc::clone(&shift.over));
            shift.workers.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    teller.transfer(Plan::random(&mut random)).await;
                }
            });
        }
        shift
    }

    async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.workers.join_all().await;
    }
}
