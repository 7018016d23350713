//! A run: the server, the workers, the resource, and the faults as planned.

use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tripod::lock::Locks;

use crate::clock::now;
use crate::history::{History, Pause};
use crate::line::Line;
use crate::names::{NAMES, Use};
use crate::plan::{Fault, Plan, ServerFault, WORKERS};
use crate::process::{Player, pause, resume};
use crate::proxy::{Proxy, spell};
use crate::resource::Write;
use crate::stores::{Server, connect};

/// How a run is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub time: Duration,
    /// What is to have happened is that of a run of so long.
    pub counted: Duration,
    pub ttl: Duration,
    /// Workers stop believing at their deadline.
    pub deadline: bool,
    /// The resource refuses stale fencing tokens.
    pub fence: bool,
}

impl Setup {
    pub fn plan(&self) -> Plan {
        Plan::new(self.seed, self.time, self.ttl)
    }
}

/// A worker and its successors.
struct Worker<'a> {
    number: usize,
    setup: &'a Setup,
    proxy: Proxy,
    orders: Vec<String>,
    player: Player<Line>,
}

pub async fn run(server: &mut dyn Server, setup: &Setup) -> History {
    let plan = setup.plan();
    let history = Mutex::new(History::default());
    let (resource, address) = resource(setup);
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let proxy = Proxy::start(server.port()).await;
        let url = server.url(proxy.port());
        let worker = Worker::start(number, setup, proxy, &url, &address);
        workers.push(worker);
    }
    let until = Instant::now() + setup.time;
    let faults = workers.iter_mut().zip(&plan.workers);
    let faults = faults.map(|(worker, lane)| worker.suffer(lane, until, &history));
    let on_workers = join_all(faults);
    let on_server = break_server(&mut *server, &plan.server, until, &history);
    tokio::join!(on_workers, on_server);
    let mut history = history.into_inner();
    // Whatever they hold now, nobody releases.
    for worker in workers {
        history.answers_lost += worker.proxy.lost();
        history.add(worker.number, worker.player.end());
    }
    history.writes = resource.end();
    heal(server, setup, &mut history).await;
    history
}

fn resource(setup: &Setup) -> (Player<Write>, String) {
    let mut arguments = vec!["resource".to_owned()];
    if !setup.fence {
        arguments.push("--no-fence".to_owned());
    }
    let mut address = String::new();
    let player = Player::start(&arguments, |line| line.clone_into(&mut address));
    (player, address)
}

impl<'a> Worker<'a> {
    fn start(number: usize, setup: &'a Setup, proxy: Proxy, url: &str, resource: &str) -> Self {
        let orders = ["worker", "--url", url, "--resource", resource];
        let mut orders: Vec<String> = orders.map(str::to_owned).into();
        orders.push(format!("--ttl-ms={}", setup.ttl.as_millis()));
        if !setup.deadline {
            orders.push("--no-deadline".to_owned());
        }
        let player = play(&orders, setup.seed, number, 0);
        Self {
            number,
            setup,
            proxy,
            orders,
            player,
        }
    }

    async fn suffer(
        &mut self,
        lane: &[(Duration, Fault)],
        until: Instant,
        history: &Mutex<History>,
    ) {
        for (turn, &(gap, fault)) in lane.iter().enumerate() {
            sleep_until((Instant::now() + gap).min(until)).await;
            if Instant::now() >= until {
                return;
            }
            assert!(
                !self.player.has_ended(),
                "worker {} ended by itself",
                self.number
            );
            match fault {
                Fault::Pause(time) => {
                    let pause = self.pause(time).await;
                    history.lock().pauses.push(pause);
                }
                Fault::Kill => {
                    let next = play(&self.orders, self.setup.seed, self.number, turn + 1);
                    let lines = std::mem::replace(&mut self.player, next).end();
                    let mut history = history.lock();
                    history.worker_kills += 1;
                    history.add(self.number, lines);
                }
                Fault::Link(weather, time) => {
                    spell(&self.proxy, weather, time).await;
                    history.lock().spells += 1;
                }
            }
        }
    }

    /// Stops it for this long, in the midst of a lease if it soon has one.
    async fn pause(&self, time: Duration) -> Pause {
        let holds = async {
            while !self.player.holds() {
                sleep(Duration::from_millis(2)).await;
            }
        };
        // Whether or not it does.
        let _ = timeout(self.setup.ttl, holds).await;
        pause(self.player.pid());
        let from = now();
        sleep(time).await;
        let to = now();
        resume(self.player.pid());
        let worker = self.number;
        Pause { worker, from, to }
    }
}

/// A worker's process. Each has chances of its own.
fn play(orders: &[String], seed: u64, number: usize, incarnation: usize) -> Player<Line> {
    let mut arguments = orders.to_vec();
    let own = seed.wrapping_mul(1_000_003) ^ ((number as u64) << 32) ^ incarnation as u64;
    arguments.push(format!("--seed={own}"));
    Player::start(&arguments, |_| {})
}

async fn break_server(
    server: &mut dyn Server,
    lane: &[(Duration, ServerFault)],
    until: Instant,
    history: &Mutex<History>,
) {
    for &(gap, fault) in lane {
        sleep_until((Instant::now() + gap).min(until)).await;
        if Instant::now() >= until {
            return;
        }
        match fault {
            ServerFault::Kill(down) => {
                server.kill();
                sleep(down).await;
                server.restart().await;
                history.lock().server_kills += 1;
            }
            ServerFault::Pause(time) => {
                let pid = server.pid();
                pause(pid);
                sleep(time).await;
                resume(pid);
                history.lock().server_pauses += 1;
            }
        }
    }
}

/// All is well again: each name is to be had within two TTLs, and then nothing is left.
async fn heal(server: &dyn Server, setup: &Setup, history: &mut History) {
    let backend = connect(&server.url(server.port()), setup.ttl)
        .await
        .unwrap();
    let locks = Locks::new(backend);
    let within = 2 * setup.ttl;
    let acquire = async |name: usize| {
        let acquire = Use::whole(name).ask(&locks, name).ttl(setup.ttl);
        let guard = acquire.priority(255).wait(within).await.ok()?;
        guard.release().await.ok()
    };
    let granted = join_all((0..NAMES.len()).map(acquire)).await;
    for (name, granted) in NAMES.iter().zip(granted) {
        if granted != Some(true) {
            history.stuck.push(name);
        }
    }
    let began = Instant::now();
    loop {
        history.leftovers = server.leftovers().await;
        if history.leftovers.is_empty() || began.elapsed() > 2 * within {
            return;
        }
        // A store gives space back as it is used.
        for _ in 0..30 {
            join_all((0..NAMES.len()).map(acquire)).await;
        }
    }
}
