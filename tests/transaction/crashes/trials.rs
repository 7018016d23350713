//! The runs: who is killed and stopped, and when.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::bank::{Bank, LOOK};
use crate::player::{Player, Said};
use crate::run::Run;
use crate::watched::Flaw;

/// How long it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    pub seed: u64,
    /// For so long; if nobody says, until there were as many faults as have to be.
    pub time: Option<Duration>,
}

/// A run until it has had enough.
struct Clock(Instant, Option<Duration>);

const DEATHS: u64 = 220;
/// Of these at random, under load.
const DEATHS_UNDER_LOAD: u64 = 70;
const SERVER_KILLS: u64 = 50;
const STOPS: u64 = 8;

/// Points that must have been died at.
const POINTS: [&str; 16] = [
    "before log open",
    "after log open",
    "before log append forced",
    "after log append forced",
    "before postgres prepare",
    "after postgres prepare",
    "before mysql prepare",
    "after mysql prepare",
    "before postgres commit",
    "after postgres commit",
    "before mysql commit",
    "after mysql commit",
    "before postgres commit in one phase",
    "after postgres commit in one phase",
    "before mysql commit in one phase",
    "after mysql commit in one phase",
];

/// A coordinator dies at each point of a script, and its successor at a point of its recovery; then
/// at random points under load.
pub fn coordinators_die(bank: &mut Bank, length: Length) -> Result<(), String> {
    let clock = length.clock();
    let mut run = Run::new(bank, length.seed, None);
    let (script, mut recovery) = script(&mut run)?;
    println!("{} points of the script", script.len());
    for (at, order) in (0..).zip(script) {
        let (mut player, points) = run.recover()?;
        recovery = recovery.max(points);
        player.tell(&order);
        run.listen(&mut player)?;
        drop(player);
        run.recover_and_die(at % recovery + 1)?;
        if clock.is_over() {
            break;
        }
    }
    let (enumerated, mut rounds) = (run.tally.deaths(), 0);
    while clock.goes_on(run.tally.deaths() < DEATHS.max(enumerated + DEATHS_UNDER_LOAD)) {
        die_under_load(&mut run, recovery)?;
        rounds += 1;
    }
    let tally = run.end("coordinators die")?;
    println!("{enumerated} deaths were enumerated, then {rounds} rounds at random");
    if clock.is_set() {
        return Ok(());
    }
    enough(tally.committed(), 50, "committed transfers")?;
    enough(tally.deaths(), 200, "deaths of coordinators")?;
    let missing = POINTS.iter().filter(|point| !tally.has_died(point));
    match missing.collect::<Vec<_>>() {
        missing if missing.is_empty() => Ok(()),
        missing => Err(format!("nobody died at {missing:?}")),
    }
}

/// What to order for each point of the script, as one passes them that nobody hinders; and how many
/// points the recovery before it had.
fn script(run: &mut Run) -> Result<(Vec<String>, u64), String> {
    let (mut player, recovery) = run.recover()?;
    player.tell("script");
    let Said::Ends(points) = run.listen(&mut player)? else {
        return Err("a script that nobody hinders does not end".into());
    };
    let order = |(at, point): (usize, &String)| {
        let others = points[..at].iter().filter(|other| *other == point).count();
        format!("script {others} {point}")
    };
    Ok((points.iter().enumerate().map(order).collect(), recovery))
}

fn die_under_load(run: &mut Run, recovery: u64) -> Result<(), String> {
    let (mut player, _) = run.recover()?;
    let at = run.random.within(1, 300);
    // Mostly while something is under way.
    let later = run.random.below(3) * run.random.below(3000);
    player.tell(&format!("load {at} {later} {}", run.random.next()));
    run.listen(&mut player)?;
    drop(player);
    for _ in 0..run.random.below(3) {
        let at = run.random.within(1, 2 * recovery);
        run.recover_and_die(at)?;
    }
    Ok(())
}

/// Both servers die again and again under one coordinator. In every third round it dies as well,
/// and its successor recovers while they still die.
pub fn servers_die(bank: &mut Bank, length: Length) -> Result<(), String> {
    let clock = length.clock();
    let mut run = Run::new(bank, length.seed, None);
    let (mut player, _) = run.recover()?;
    let mut rounds = 0;
    while clock.goes_on(run.tally.server_kills.iter().min() < Some(&SERVER_KILLS)) {
        rounds += 1;
        player.tell(&format!("load 0 0 {}", run.random.next()));
        if rounds % 3 > 0 {
            run.kill_servers(|_| ());
            run.rest(&mut player)?;
            continue;
        }
        let life = Duration::from_millis(run.random.within(100, 2000));
        let mut successor = run.kill_servers(|place| {
            std::thread::sleep(life);
            player.kill();
            Player::start(place, 0)
        });
        run.listen(&mut player)?;
        run.rests(&mut successor)?;
        player = successor;
    }
    drop(player);
    let tally = run.end("servers die")?;
    if clock.is_set() {
        return Ok(());
    }
    enough(tally.committed(), 50, "committed transfers")?;
    enough(tally.server_kills[0], 50, "deaths of PostgreSQL")?;
    enough(tally.server_kills[1], 50, "deaths of MariaDB")
}

/// A coordinator is stopped until the servers have ended its branches; then it goes on, or dies.
pub fn coordinators_stop(bank: &mut Bank, length: Length) -> Result<(), String> {
    let clock = length.clock();
    let mut run = Run::new(bank, length.seed, None);
    let (mut player, _) = run.recover()?;
    while clock.goes_on(run.tally.stops < STOPS) {
        player.tell(&format!("load 0 0 {}", run.random.next()));
        std::thread::sleep(Duration::from_millis(run.random.within(200, 600)));
        player.signal(Signal::STOP);
        wait_for_servers(&mut run)?;
        run.tally.stops += 1;
        if run.tally.stops.is_multiple_of(4) {
            player.kill();
            run.listen(&mut player)?;
            player = run.recover()?.0;
        } else {
            player.signal(Signal::CONT);
            std::thread::sleep(Duration::from_millis(run.random.below(500)));
            run.rest(&mut player)?;
        }
    }
    drop(player);
    let tally = run.end("coordinators stop")?;
    if clock.is_set() {
        return Ok(());
    }
    enough(tally.committed(), 50, "committed transfers")?;
    enough(
        tally.branches_ended_while_stopped,
        1,
        "branches that a server ended",
    )
}

/// Until no server lets the stopped process hold anything but what is prepared.
fn wait_for_servers(run: &mut Run) -> Result<(), String> {
    let began = Instant::now();
    run.tally.branches_ended_while_stopped += run.bank.at_work();
    std::thread::sleep(LOOK);
    while run.bank.at_work() > 0 {
        if began.elapsed() > Duration::from_secs(20) {
            let left = run.bank.at_work();
            let told = run.bank.told().join("\n");
            return Err(format!("a stopped process holds {left} branches:\n{told}"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// With a rule broken, the checks of some death fail, in these words: at a point of the script, or
/// else under load.
pub fn is_caught(bank: &mut Bank, flaw: Flaw, words: &str) -> Result<(), String> {
    // Nothing is wrong where nobody dies.
    let (orders, recovery) = script(&mut Run::new(bank, 1, None))?;
    let mut run = Run::new(bank, 1, Some(flaw));
    let loads = (1..=LOADS_MAX).map(|load| format!("load {load}"));
    for order in orders.into_iter().chain(loads) {
        let died = if order.starts_with("load") {
            die_under_load(&mut run, recovery).and_then(|()| run.recover().map(drop))
        } else {
            die_at(&mut run, &order)
        };
        match died {
            Ok(()) => {}
            Err(what) if what.contains(words) => {
                println!("{flaw:?}, {order}: {what}");
                return Ok(());
            }
            Err(what) => return Err(what),
        }
    }
    Err(format!("{flaw:?} was not noticed"))
}

/// So many deaths under load show any flaw, and take half a minute.
const LOADS_MAX: u32 = 60;

/// So is who ends what others have prepared.
pub fn meddling_is_caught(bank: &mut Bank) -> Result<(), String> {
    let mut run = Run::new(bank, 1, None);
    drop(run.recover()?);
    run.bank.mysql.query("XA ROLLBACK 'somebody'");
    match run.recover() {
        Err(what) if what.contains("what others prepared is gone") => Ok(()),
        Err(what) => Err(what),
        Ok(_) => Err("it was not noticed".into()),
    }
}

fn die_at(run: &mut Run, order: &str) -> Result<(), String> {
    let (mut player, _) = run.recover()?;
    player.tell(order);
    run.listen(&mut player)?;
    drop(player);
    run.recover()?;
    Ok(())
}

fn enough(count: u64, least: u64, what: &str) -> Result<(), String> {
    if count < least {
        return Err(format!("only {count} {what}, not {least}"));
    }
    Ok(())
}

impl Length {
    fn clock(self) -> Clock {
        Clock(Instant::now(), self.time)
    }
}

impl Clock {
    /// Whether somebody said how long.
    fn is_set(&self) -> bool {
        self.1.is_some()
    }

    fn is_over(&self) -> bool {
        self.1.is_some_and(|time| self.0.elapsed() > time)
    }

    fn goes_on(&self, more: bool) -> bool {
        match self.1 {
            Some(_) => !self.is_over(),
            None => more,
        }
    }
}
