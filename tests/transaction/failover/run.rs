//! A team at work, and what happens to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tripod::lock::PostgresBackend;
use tripod::transaction::log::PostgresLog;
use tripod::transaction::participant::PostgresParticipant;

use crate::Failure;
use crate::books::{ACCOUNTS, Books, Job, Tenure};
use crate::judge;
use crate::member::{partitions, ring};
use crate::random::Random;
use crate::rest::rest;
use crate::server::postgres::PostgresServer;
use crate::team::{Claims, Member, NAMES};

const PARTITIONS: u32 = 6;

/// So long that a busy machine renews in time.
const TTL: Duration = Duration::from_secs(3);

/// As many jobs wait, so that whoever is hit is at work.
const OPEN_MIN: usize = 60;

/// What a log's function says, and what it says instead where it takes whatever comes.
const ANY_EPOCH: [(&str, &str); 4] = [
    ("AND it.epoch = p_epoch", ""),
    ("RETURN 'lost'", "NULL"),
    (
        "VALUES (p_log, p_next)",
        "VALUES (p_log, p_next) ON CONFLICT DO NOTHING",
    ),
    (
        "p_tail + number",
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint + number",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    KillsAndPauses,
    /// Beyond the lease.
    LongPauses,
}

/// What must not be.
#[derive(Debug)]
pub enum Wrong {
    /// It is left, and none of it has ended for long.
    Hangs(BTreeSet<String>),
    /// Nothing was under way, and the books say this.
    Books(Vec<String>),
}

/// Ends in this order.
pub struct Run {
    members: Vec<Member>,
    books: Arc<Books>,
    server: PostgresServer,
    claims: Arc<Mutex<Claims>>,
    random: Random,
    takes_any_epoch: bool,
    jobs: u32,
    tally: Tally,
}

/// What happened, in numbers.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    pauses: u64,
    pauses_past_the_lease: u64,
    /// How long partitions were without anybody who works on them.
    vacancies: Vec<Duration>,
}

/// A partition whose member was hit.
struct Vacancy {
    partition: String,
    tenures: i64,
    since: Instant,
}

impl Run {
    pub async fn start(seed: u64, takes_any_epoch: bool) -> Result<Self, Failure> {
        let settings = [
            "fsync=off",
            "max_prepared_transactions=200",
            "max_connections=300",
        ];
        let server = PostgresServer::start_with(&settings);
        let url = server.url();
        PostgresBackend::migrate(&url).await?;
        PostgresLog::migrate(&url).await?;
        PostgresParticipant::migrate(&url).await?;
        let books = Arc::new(Books::make(&url).await?);
        PostgresParticipant::migrate(Books::there(&url)?).await?;
        if takes_any_epoch {
            for (what, instead) in ANY_EPOCH {
                let definition = "pg_get_functiondef('tripod.log_append'::regproc)";
                let says = format!("SELECT strpos({definition}, $w${what}$w$) > 0");
                assert_eq!(server.query(&says), ["t"], "{what}");
                server.query(&format!(
                    "DO $do$ BEGIN EXECUTE replace({definition}, $w${what}$w$, $i${instead}$i$);
                    END $do$"
                ));
            }
        }
        let claims = Arc::<Mutex<Claims>>::default();
        let mut run = Self {
            server,
            books,
            members: Vec::new(),
            claims,
            random: Random::new(seed),
            takes_any_epoch,
            jobs: 0,
            tally: Tally::default(),
        };
        run.members = NAMES.map(|name| run.member(name)).into();
        println!("seed {seed}");
        Ok(run)
    }

    /// Every other one does not mind that its lease is over: the log has to.
    fn member(&mut self, name: &'static str) -> Member {
        let ttl_ms = u64::try_from(TTL.as_millis()).unwrap();
        let heedless = self.takes_any_epoch || self.random.chance(500);
        let (url, claims) = (self.server.url(), &self.claims);
        Member::start(name, &url, PARTITIONS, ttl_ms, heedless, claims)
    }

    /// For so long, members have work and are hit.
    pub async fn last(&mut self, time: Duration, faults: Faults) -> Result<(), Failure> {
        let until = Instant::now() + time;
        let giving = self.give_work(until);
        if self.jobs == 0 {
            // Until everybody is at home.
            sleep(2 * TTL).await;
        }
        let mut vacancies = Vec::new();
        while Instant::now() < until {
            let time = self.random_time(300, 1500);
            self.rest(time, &mut vacancies).await;
            self.hit(faults, &mut vacancies).await;
            if self.members.iter_mut().any(Member::is_over) {
                return Err("a member ended by itself".into());
            }
        }
        self.jobs += giving.await??;
        self.rest(2 * TTL, &mut vacancies).await;
        Ok(())
    }

    async fn hit(&mut self, faults: Faults, vacancies: &mut Vec<Vacancy>) {
        let ttl = u64::try_from(TTL.as_millis()).unwrap();
        let mut hit = usize::try_from(self.random.below(3)).unwrap();
        let mut left = self.vacancies(hit).await;
        for _ in 0..2 {
            // Nobody misses one who is but standing by.
            if left.is_empty() {
                hit = (hit + 1) % 3;
                left = self.vacancies(hit).await;
            }
        }
        if faults == Faults::KillsAndPauses && self.random.chance(500) {
            self.members[hit].kill();
            self.tally.kills += 1;
            vacancies.extend(left);
            // Now and then another with it.
            let other = (hit + 1) % 3;
            if self.random.chance(200) {
                vacancies.extend(self.vacancies(other).await);
                self.members[other].kill();
                self.tally.kills += 1;
                self.members[other] = self.member(NAMES[other]);
            }
            let time = self.random_time(0, 2 * ttl);
            self.rest(time, vacancies).await;
            self.members[hit] = self.member(NAMES[hit]);
            return;
        }
        let least = if faults == Faults::LongPauses {
            3 * ttl / 2
        } else {
            3 * ttl / 10
        };
        let time = self.random_time(least, 3 * ttl);
        self.members[hit].pause();
        self.tally.pauses += 1;
        if time > TTL {
            // One who has no lease has none to be paused past.
            self.tally.pauses_past_the_lease += u64::from(!left.is_empty());
            vacancies.extend(left);
        }
        self.rest(time, vacancies).await;
        self.members[hit].go_on();
    }

    fn random_time(&mut self, low_ms: u64, high_ms: u64) -> Duration {
        Duration::from_millis(self.random.within(low_ms, high_ms))
    }

    /// Waits, and looks who follows on those who were hit.
    async fn rest(&mut self, time: Duration, vacancies: &mut Vec<Vacancy>) {
        let until = Instant::now() + time;
        loop {
            let counts = self.tenures().await;
            vacancies.retain(|vacancy| {
                let followed = counts.get(&vacancy.partition) != Some(&vacancy.tenures);
                if followed {
                    self.tally.vacancies.push(vacancy.since.elapsed());
                }
                !followed
            });
            let now = Instant::now();
            if now >= until {
                return;
            }
            sleep((until - now).min(Duration::from_millis(100))).await;
        }
    }

    /// What this member works on.
    async fn vacancies(&self, member: usize) -> Vec<Vacancy> {
        let since = Instant::now();
        let tenures = self.books.tenures().await.unwrap().into_iter();
        let own = tenures.filter(|tenure| tenure.member == NAMES[member]);
        let vacancy = |tenure: Tenure| Vacancy {
            partition: tenure.partition,
            tenures: tenure.number,
            since,
        };
        own.map(vacancy).collect()
    }

    /// How often somebody has begun to work on each partition.
    async fn tenures(&self) -> BTreeMap<String, i64> {
        let tenures = self.books.tenures().await.unwrap().into_iter();
        tenures.map(|it| (it.partition, it.number)).collect()
    }

    /// Adds jobs, until then. Answers how many.
    fn give_work(&self, until: Instant) -> JoinHandle<Result<u32, Failure>> {
        let (books, first) = (Arc::clone(&self.books), self.jobs);
        tokio::spawn(async move {
            let mut given = 0;
            while Instant::now() < until {
                if books.not_done().await?.len() >= OPEN_MIN {
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
                give(&books, first + given, 20).await?;
                given += 20;
            }
            Ok(given)
        })
    }

    /// Whether what this is about has happened: a log has refused one that was paused too long.
    pub fn is_worth_it(&self) -> bool {
        self.tally.pauses_past_the_lease > 0 && self.claims.lock().refusals > 0
    }

    /// Lets all come to rest, and compares. Only what rests can be compared.
    pub async fn judge(&mut self, patience: Duration) -> Result<Option<Wrong>, Failure> {
        let left = rest(&self.books, patience).await?;
        if !left.is_empty() {
            return Ok(Some(Wrong::Hangs(left)));
        }
        let claims = self.claims.lock().clone();
        let wrong = judge::judge(&self.books, &self.server, &claims).await?;
        Ok((!wrong.is_empty()).then_some(Wrong::Books(wrong)))
    }

    /// What of this stays as it is while members do other work in every partition: nobody ends it.
    pub async fn stuck(&mut self, left: &BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
        let before = self.done();
        // So many that each partition has some.
        give(&self.books, self.jobs, 120).await?;
        self.jobs += 120;
        let began = Instant::now();
        while self.done().iter().any(|it| before.contains(it)) {
            if began.elapsed() > Duration::from_secs(60) {
                return Ok(BTreeSet::new());
            }
            sleep(Duration::from_millis(100)).await;
        }
        let mut now = self.books.not_done().await?;
        now.extend(self.books.undecided().await?);
        Ok(left.intersection(&now).cloned().collect())
    }

    /// How much each partition has done.
    fn done(&self) -> BTreeSet<String> {
        let done = "SELECT partition, count(done) FROM failover.job GROUP BY partition";
        self.server.query(done).into_iter().collect()
    }

    pub fn tell(&self) {
        let Tally {
            kills,
            pauses,
            pauses_past_the_lease,
            vacancies,
        } = &self.tally;
        let tenures = self
            .server
            .query("SELECT count(*) FROM failover.tenure")
            .concat();
        let jobs = self
            .server
            .query("SELECT done || ' ' || count(*) FROM failover.job GROUP BY done");
        println!("{kills} kills, {pauses} pauses, {pauses_past_the_lease} of them past the lease");
        println!("{tenures} tenures of {PARTITIONS} partitions");
        let mut times: Vec<_> = vacancies
            .iter()
            .map(|it| it.as_secs_f64() / TTL.as_secs_f64())
            .collect();
        times.sort_by(f64::total_cmp);
        if let (Some(median), Some(last)) = (times.get(times.len() / 2), times.last()) {
            println!(
                "followed after {median:.1} TTLs (median), {last:.1} (longest) of {}",
                times.len()
            );
        }
        println!("jobs: {}", jobs.join(", "));
        let claims = self.claims.lock();
        println!("members said: {:?}", claims.counts);
        println!(
            "logs refused {} times who had been followed",
            claims.refusals
        );
    }
}

/// Adds so many jobs, with numbers from the first on.
async fn give(books: &Books, first: u32, count: u32) -> Result<(), Failure> {
    let ring = ring(partitions(PARTITIONS))?;
    for number in first..first + count {
        let kind = if number % 4 == 0 { "trip" } else { "transfer" };
        let job = Job {
            id: format!("{kind}-{number:07}"),
            kind: kind.into(),
            account: i32::try_from(number)? % ACCOUNTS + 1,
            amount: i64::from(number) * 37 % 100 + 1,
        };
        let partition = ring.owner(&job.id).ok_or("no partitions")?;
        books.add(partition.id().as_str(), &job).await?;
    }
    Ok(())
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, lines): (_, Vec<_>) = match self {
            Self::Hangs(left) => ("nobody ends", left.iter().take(20).collect()),
            Self::Books(wrong) => ("at rest", wrong.iter().take(20).collect()),
        };
        write!(f, "{what}:")?;
        lines.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}
