//! A client: a handle of its own over a network of its own, and a list of wishes.

use std::pin::pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::timeout;
use tripod::lock::{Acquire, AcquireError, FencePass, Locks, Mode, RunError};

use crate::counts::Count;
use crate::hold::{Belief, Guards, Hold};
use crate::network::Network;
use crate::random::Random;
use crate::trace::{End, TICK, What};
use crate::wish::{ORDERS, STOCK, Way, Wish};
use crate::world::World;

/// One life of a client, from its start to its crash.
pub struct Client {
    pub world: Arc<World>,
    pub number: usize,
    pub locks: Locks,
}

impl Client {
    pub fn new(world: &Arc<World>, random: &Random) -> Self {
        let number = world.connect(random);
        Self {
            world: Arc::clone(world),
            number,
            locks: Locks::new(Network::new(Arc::clone(world), number)),
        }
    }

    /// Holds what was acquired, and writes it down.
    pub fn hold(&self, mode: Mode, guards: Guards) -> Hold {
        Hold::new(&self.world, self.number, mode, guards)
    }

    pub async fn sleep(&self, ticks: u64) {
        self.world.sleep(self.number, ticks).await;
    }

    /// Acquires as wished, holds, writes, and lets go.
    pub async fn fulfil(&self, wish: &Wish) {
        let name = &self.world.names[wish.name];
        let calm = self.world.is_calm();
        let acquired = match wish.way {
            Way::Force => return self.force(wish).await,
            Way::Run => return self.run(wish).await,
            Way::IfFree => {
                let acquire = options(self.locks.try_acquire(name), wish);
                let acquired = self.unless_given_up(wish, acquire).await;
                match acquired.transpose() {
                    Ok(guard) => guard.flatten().map(|guard| Ok(Guards::One(guard))),
                    Err(error) => Some(Err(error)),
                }
            }
            Way::All => {
                let names = [STOCK, ORDERS].map(|name| &self.world.names[name]);
                let acquire = options(self.locks.acquire_all(names), wish);
                let acquired = self.unless_given_up(wish, acquire).await;
                acquired.map(|set| set.map(Guards::Set))
            }
            Way::Wait | Way::WaitAtMost(_) => {
                let acquire = options(self.locks.acquire(name), wish);
                let acquire = match wish.way {
                    Way::WaitAtMost(ticks) => acquire.wait(TICK * u32::try_from(ticks).unwrap()),
                    _ => acquire,
                };
                let acquired = self.unless_given_up(wish, acquire).await;
                acquired.map(|guard| guard.map(Guards::One))
            }
        };
        match acquired {
            Some(Ok(guards)) => self.use_up(wish, self.hold(wish.mode, guards)).await,
            Some(Err(error)) => {
                let foreign = matches!(error, AcquireError::Foreign(_));
                if calm && matches!(wish.way, Way::Wait | Way::All) && !foreign {
                    let client = self.number;
                    self.world.record(What::Denied { client });
                }
                self.failed(&error);
            }
            None if matches!(wish.way, Way::IfFree) => self.world.count(Count::NotFree),
            None => {}
        }
    }

    /// None if it was dropped on the way.
    async fn unless_given_up<A: IntoFuture>(&self, wish: &Wish, acquire: A) -> Option<A::Output> {
        let Some(ticks) = wish.gives_up else {
            return Some(acquire.await);
        };
        let mut acquire = Box::pin(acquire.into_future());
        tokio::select! {
            biased;
            acquired = &mut acquire => Some(acquired),
            () = self.sleep(ticks) => {
                if self.world.is_calm() {
                    return Some(acquire.await);
                }
                self.world.count(Count::DroppedAcquire);
                None
            }
        }
    }

    fn failed(&self, error: &AcquireError) {
        self.world.count(match error {
            AcquireError::TimedOut { .. } => Count::TimedOut,
            _ => Count::Failed,
        });
    }

    async fn use_up(&self, wish: &Wish, mut hold: Hold) {
        let world = &self.world;
        for tick in 0..wish.hold {
            let paused = world.frozen_for(self.number);
            if paused > 0 {
                self.sleep(paused).await;
                self.write_carelessly(wish, &hold);
            } else if wish.careless && tick == 0 {
                self.sleep(wish.hold).await;
                self.write_carelessly(wish, &hold);
            }
            if !hold.look() {
                self.sleep(1).await;
                // It stays lost.
                hold.look();
                break;
            }
            hold.write(wish.write_delay);
            self.sleep(1).await;
        }
        if wish.drops {
            hold.drop_guards();
        } else {
            hold.release().await;
        }
    }

    /// As one does who does not know that time has passed.
    fn write_carelessly(&self, wish: &Wish, hold: &Hold) {
        if wish.careless {
            self.world.count(Count::CarelessWrite);
            hold.write(wish.write_delay);
        }
    }

    async fn run(&self, wish: &Wish) {
        let world = &self.world;
        let work = |pass: FencePass| async move {
            let mut belief = Belief::at_once(world, self.number, wish.name, wish.mode, pass);
            for _ in 0..wish.hold {
                belief.write(wish.write_delay);
                self.sleep(1).await;
                belief.goes_on();
            }
            belief.end(End::Dropped);
        };
        let acquire = options(self.locks.acquire(&world.names[wish.name]), wish);
        match acquire.run(work).await {
            Ok(()) => world.count(Count::RanToEnd),
            Err(RunError::Acquire(error)) => self.failed(&error),
            Err(_) => world.count(Count::RunCut),
        }
    }

    /// Takes the lock from whoever holds it, as an operator does.
    async fn force(&self, wish: &Wish) {
        let name = &self.world.names[wish.name];
        let forced = async {
            let Ok(inspection) = self.locks.inspect(name).await else {
                return;
            };
            if let Some(held) = inspection.holders().first() {
                let token = held.pass().token();
                // It was ended, was gone already, or is not known: the trace tells.
                drop(self.locks.force_release(name, token).await);
            }
        };
        // An operator does not wait for ever.
        drop(timeout(6 * TICK, forced).await);
    }
}

/// The life of a client, and of those who take its place when it crashes. When it is done, the
/// last handle is left for others to flush.
pub async fn live(
    world: Arc<World>,
    random: Random,
    names: Vec<usize>,
    wishes: u64,
    done: Arc<Mutex<Vec<Locks>>>,
) {
    let mut client = Client::new(&world, &random.fork(0));
    for number in 1..=wishes {
        let mut draws = random.fork(number);
        let wish = Wish::draw(&mut draws, &names, !world.is_calm());
        client.sleep(wish.rest).await;
        if let Some((after, ticks)) = wish.pauses {
            world.freeze(client.number, after, ticks);
        }
        let crashed = {
            let mut fulfilled = pin!(client.fulfil(&wish));
            let crash = async {
                match wish.crashes {
                    Some(ticks) => client.sleep(ticks).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut fulfilled => false,
                () = crash => {
                    let crashed = !world.is_calm();
                    if crashed {
                        world.crash(client.number);
                    } else {
                        fulfilled.await;
                    }
                    crashed
                }
            }
        };
        if crashed {
            client = Client::new(&world, &draws);
        }
    }
    done.lock().push(client.locks);
}

fn options<T>(acquire: Acquire<T>, wish: &Wish) -> Acquire<T> {
    let acquire = acquire
        .ttl(wish.ttl)
        .priority(wish.priority)
        .renew(wish.renews);
    match wish.mode {
        Mode::Exclusive => acquire,
        Mode::Shared => acquire.shared(),
        Mode::Permits(permits) => acquire.permits(permits.n().get(), permits.of().get()),
    }
}
