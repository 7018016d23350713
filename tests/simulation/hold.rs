//! A client that holds: it looks, writes, stops, and all of that is written down.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tripod::lock::{FencePass, LockGuard, LockSet, Loss, Mode};

use crate::counts::Count;
use crate::trace::{End, What};
use crate::world::World;

/// A guard or a set of them.
#[derive(Debug)]
pub enum Guards {
    One(LockGuard),
    Set(LockSet),
}

impl Guards {
    fn all(&self) -> &[LockGuard] {
        match self {
            Self::One(guard) => std::slice::from_ref(guard),
            Self::Set(set) => set.guards(),
        }
    }
}

/// Guards, and what their holder believes.
pub struct Hold {
    beliefs: Vec<Belief>,
    guards: Option<Guards>,
}

impl Hold {
    pub fn new(world: &Arc<World>, client: usize, mode: Mode, guards: Guards) -> Self {
        if matches!(guards, Guards::Set(_)) {
            world.count(Count::GrantedSet);
        }
        let beliefs = guards.all().iter().map(|guard| {
            let name = world.names.iter().position(|name| name == guard.name());
            let until = Instant::now() + guard.remaining();
            Belief::new(world, client, name.unwrap(), mode, guard.pass(), until)
        });
        Self {
            beliefs: beliefs.collect(),
            guards: Some(guards),
        }
    }

    /// Looks at the clock, and says whether all of it is held.
    pub fn look(&mut self) -> bool {
        let guards = self.guards.iter().flat_map(Guards::all);
        let looks = self.beliefs.iter_mut().zip(guards).map(|(belief, guard)| {
            let until = Instant::now() + guard.remaining();
            belief.looked(guard.check(), until)
        });
        // Each one is looked at.
        looks.fold(true, |all, held| all & held)
    }

    /// Sends a write to each of the resources.
    pub fn write(&self, after: u64) {
        for belief in &self.beliefs {
            belief.write(after);
        }
    }

    /// Releases, and hears whether it was held.
    pub async fn release(mut self) {
        for belief in &mut self.beliefs {
            belief.end(End::Released);
        }
        let held = match self.guards.take() {
            Some(Guards::One(guard)) => guard.release().await,
            Some(Guards::Set(set)) => set.release().await,
            None => return,
        };
        let Ok(held) = held else { return };
        // A set says no if any of it was lost.
        if held || self.beliefs.len() == 1 {
            for belief in &self.beliefs {
                let grant = belief.grant;
                belief.world.record(What::Released { grant, held });
            }
        }
    }

    pub fn drop_guards(mut self) {
        for belief in &mut self.beliefs {
            belief.world.count(Count::DroppedGuard);
            belief.end(End::Dropped);
        }
    }
}

/// What a client believes of one grant.
pub struct Belief {
    world: Arc<World>,
    client: usize,
    name: usize,
    mode: Mode,
    pass: FencePass,
    /// The grant's place in the trace.
    grant: usize,
    lost: bool,
    ended: bool,
}

impl Belief {
    pub fn new(
        world: &Arc<World>,
        client: usize,
        name: usize,
        mode: Mode,
        pass: FencePass,
        until: Instant,
    ) -> Self {
        world.count(Count::Granted);
        if pass.floor() != pass.token() {
            world.count(Count::Together);
        }
        let grant = world.record(What::Granted {
            client,
            name,
            mode,
            pass,
            until,
        });
        Self {
            world: Arc::clone(world),
            client,
            name,
            mode,
            pass,
            grant,
            lost: false,
            ended: false,
        }
    }

    /// One that is sure of this instant only.
    pub fn at_once(
        world: &Arc<World>,
        client: usize,
        name: usize,
        mode: Mode,
        pass: FencePass,
    ) -> Self {
        Self::new(world, client, name, mode, pass, at_least_now())
    }

    /// Is held at this instant.
    pub fn goes_on(&mut self) {
        self.looked(Ok(()), at_least_now());
    }

    fn looked(&mut self, held: Result<(), Loss>, until: Instant) -> bool {
        let grant = self.grant;
        match held {
            Ok(()) => self.world.record(What::Looked { grant, until }),
            Err(loss) => {
                if !std::mem::replace(&mut self.lost, true) {
                    self.world.count(match loss {
                        Loss::Expired => Count::LossExpired,
                        _ => Count::LossRemoved,
                    });
                }
                self.world.record(What::Lost { grant, loss })
            }
        };
        held.is_ok()
    }

    pub fn write(&self, after: u64) {
        self.world
            .write(self.client, self.name, self.mode, self.pass, after);
    }

    pub fn end(&mut self, end: End) {
        if !std::mem::replace(&mut self.ended, true) {
            let grant = self.grant;
            self.world.record(What::Ended { grant, end });
        }
    }
}

impl Drop for Belief {
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}

/// Deadlines lie between ticks: what is held now is held for some time.
fn at_least_now() -> Instant {
    Instant::now() + Duration::from_nanos(1)
}
