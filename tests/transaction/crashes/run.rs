//! A log, and the coordinators that open it one after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::bank::Bank;
use crate::judge::judge;
use crate::player::{Claims, Place, Player, Said};
use crate::random::Random;
use crate::server::Directory;
use crate::watched::Flaw;

pub struct Run<'a> {
    pub bank: &'a mut Bank,
    place: Place,
    /// How long what is in doubt may take to be settled.
    patience: Duration,
    outcomes_before: u64,
    pub random: Random,
    pub tally: Tally,
    claims: Claims,
}

/// What happened, in numbers.
#[derive(Debug, Default)]
pub struct Tally {
    /// Deaths of coordinators by where.
    deaths: BTreeMap<String, u64>,
    pub server_kills: [u64; 2],
    pub stops: u64,
    pub branches_ended_while_stopped: u64,
    checks: u64,
    /// Prepared branches that a server has lost, and found when it was started again.
    lost: u64,
    /// How many were said to be what.
    transfers: BTreeMap<&'static str, u64>,
}

impl<'a> Run<'a> {
    pub fn new(bank: &'a mut Bank, seed: u64, flaw: Option<Flaw>) -> Self {
        Self {
            outcomes_before: bank.outcomes(),
            place: Place {
                postgres: bank.postgres.url(),
                mysql: bank.mysql.url(),
                log: Directory::new(),
                flaw,
            },
            bank,
            patience: Duration::from_secs(if flaw.is_some() { 2 } else { 20 }),
            random: Random::new(seed),
            tally: Tally::default(),
            claims: Claims::default(),
        }
    }

    /// A coordinator that has recovered, and rests, on books that are right; and how many points
    /// its recovery has.
    pub fn recover(&mut self) -> Result<(Player, u64), String> {
        let mut player = Player::start(&self.place, 0);
        let points = self.rests(&mut player)?;
        Ok((player, points))
    }

    /// One that is killed at this point of its recovery, if it has so many.
    pub fn recover_and_die(&mut self, at: u64) -> Result<(), String> {
        let mut player = Player::start(&self.place, at);
        self.listen(&mut player)?;
        Ok(())
    }

    pub fn listen(&mut self, player: &mut Player) -> Result<Said, String> {
        let said = player.listen(&mut self.claims)?;
        match &said {
            Said::Died(point) => self.tally.die(point),
            Said::Killed => self.tally.die("at any moment"),
            Said::Rests(_) | Said::Stuck(_) | Said::Ends(_) => {}
        }
        Ok(said)
    }

    /// Both servers die again and again; meanwhile `during` does what it does.
    pub fn kill_servers<T>(&mut self, during: impl FnOnce(&Place) -> T) -> T {
        const KILLS: u64 = 5;
        let [mut one, mut two] = [0, 1].map(|label| self.random.fork(label));
        self.random.next();
        let (postgres, mysql) = (&mut self.bank.postgres, &mut self.bank.mysql);
        let done = std::thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..KILLS {
                    std::thread::sleep(Duration::from_millis(one.within(20, 500)));
                    postgres.kill();
                    postgres.restart();
                }
            });
            scope.spawn(move || {
                for _ in 0..KILLS {
                    std::thread::sleep(Duration::from_millis(two.within(20, 500)));
                    mysql.kill();
                    mysql.restart();
                }
            });
            during(&self.place)
        });
        self.tally.server_kills = self.tally.server_kills.map(|kills| kills + KILLS);
        done
    }

    /// Has it come to rest, and checks the books.
    pub fn rest(&mut self, player: &mut Player) -> Result<(), String> {
        player.tell("rest");
        self.rests(player).map(|_| ())
    }

    /// Waits until it rests, and checks the books. Answers how many points it has passed.
    pub fn rests(&mut self, player: &mut Player) -> Result<u64, String> {
        let mut said = self.listen(player)?;
        let lost = self.bank.lost();
        if lost > 0 {
            self.tally.lost += lost;
            self.bank.find_lost();
            player.tell("rest");
            said = self.listen(player)?;
        }
        match said {
            Said::Rests(points) => {
                self.check()?;
                Ok(points)
            }
            other => Err(format!("a coordinator that nobody hinders: {other:?}")),
        }
    }

    /// What has to hold once nothing is under way.
    fn check(&mut self) -> Result<(), String> {
        self.bank.settle(self.patience)?;
        let books = self.bank.read();
        judge(self.bank.before(), &books, &self.claims)?;
        self.bank.turn_the_page(&books);
        self.claims.committed.clear();
        self.tally.checks += 1;
        Ok(())
    }

    /// The last recovery; and what all of them have left is forgotten.
    pub fn end(mut self, title: &str) -> Result<Tally, String> {
        let (_player, _) = self.recover()?;
        let began = Instant::now();
        while self.bank.outcomes() > self.outcomes_before {
            if began.elapsed() > self.patience {
                let left = self.bank.outcomes() - self.outcomes_before;
                return Err(format!("{left} outcomes are never forgotten"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.tally.transfers = std::mem::take(&mut self.claims.counts);
        println!("{title}: {}", self.tally);
        Ok(self.tally)
    }
}

impl Tally {
    fn die(&mut self, point: &str) {
        *self.deaths.entry(point.to_owned()).or_default() += 1;
    }

    /// How many coordinators have died.
    pub fn deaths(&self) -> u64 {
        self.deaths.values().sum()
    }

    /// How many transfers were said to be committed.
    pub fn committed(&self) -> u64 {
        self.transfers.get("committed").copied().unwrap_or(0)
    }

    /// Whether one has died there.
    pub fn has_died(&self, point: &str) -> bool {
        self.deaths.contains_key(point)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            deaths,
            server_kills: [postgres, mysql],
            stops,
            branches_ended_while_stopped: ended,
            checks,
            lost,
            transfers,
        } = self;
        writeln!(
            f,
            "{} coordinators died, PostgreSQL {postgres} times, MariaDB {mysql} times; {stops} \
             stops, in which servers ended {ended} branches; MariaDB lost {lost} branches; {checks} \
             checks",
            self.deaths()
        )?;
        writeln!(f, "  transfers: {transfers:?}")?;
        for (point, count) in deaths {
            writeln!(f, "  {count:4} {point}")?;
        }
        Ok(())
    }
}
