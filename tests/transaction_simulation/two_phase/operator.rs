//! The operator: inquires, has branches asked again, says what they did, and retires participants.

use std::sync::atomic::Ordering;

use tokio::time::sleep;
use tripod::transaction::ParticipantName;
use tripod::transaction::two_phase::{
    Coordinator, Filter, Outcome, ParkReason, Progress, Resolution, ResolveError, RetireError,
    Standing, TransactionStatus,
};

use super::client::Client;
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::process::Process;

/// Now and then does one thing or another.
pub async fn operate(client: Client) {
    let Client {
        world,
        process,
        coordinator,
        mut random,
        ..
    } = client;
    loop {
        sleep(ms(random.within(3, 30))).await;
        if process.is_dead() {
            return;
        }
        if random.chance(30) {
            let name = world.past.get().filter(|_| random.chance(800));
            let name = name.unwrap_or(&world.nodes[0]).name();
            retire(&world, &process, &coordinator, name).await;
        }
        if random.chance(200) {
            see_to_parked(&world, &coordinator).await;
        }
        let deals = world.deals.lock().all.len();
        if deals == 0 {
            continue;
        }
        let number = usize::try_from(random.below(deals as u64)).unwrap();
        let id = world.deals.lock().all[number].id;
        if let Standing::Decided(outcome) = coordinator.inquire(id) {
            world.count(Count::Inquired);
            world.tell(number, outcome, "inquiry");
        }
        if random.chance(100) {
            coordinator.retry(id);
        }
        // A zombie may not know better.
        if random.chance(40) && coordinator.resolve(id, Resolution::Abort).await.is_ok() {
            world.tell(number, Outcome::Aborted, "operator");
        }
        if random.chance(500) {
            says_what_is_so(&world, &coordinator, number).await;
        }
    }
}

/// Says what branches did that were ended by hand, whether their participants were asked or not.
async fn says_what_is_so(world: &World, coordinator: &Coordinator, number: usize) {
    let forced = {
        let deals = world.deals.lock();
        let forced = deals.all[number].forced.values();
        forced.copied().collect::<Vec<_>>()
    };
    for forced in forced {
        let (id, branch) = (forced.branch.transaction(), forced.branch.number());
        let parked = coordinator.list(Filter::Parked);
        let known = parked.iter().any(|it| it.id == id);
        let did = forced.did;
        let resolution = Resolution::Did { branch, did };
        // He may die before he hears that his word was taken.
        let new = world.deals.lock().show(forced.branch);
        match coordinator.resolve(id, resolution).await {
            Ok(()) if known => world.count(Count::Resolved),
            Ok(()) => world.count(Count::WordTaken),
            Err(ResolveError::Refused(_) | ResolveError::Unknown(_)) if new => {
                world.deals.lock().hide(forced.branch);
            }
            Err(_) => {}
        }
    }
}

/// Sees to all that waits for an operator.
pub async fn see_to_parked(world: &World, coordinator: &Coordinator) {
    for status in coordinator.list(Filter::Parked) {
        for branch in &status.branches {
            match branch.progress {
                Progress::Parked(ParkReason::Heuristic(did)) => {
                    resolve(world, coordinator, &status, branch.number, did).await;
                }
                Progress::Parked(_) if coordinator.retry(status.id) > 0 => {
                    world.count(Count::RetriedParked);
                }
                _ => {}
            }
        }
    }
}

/// Takes note of what a branch did, which is what somebody made of it.
async fn resolve(
    world: &World,
    coordinator: &Coordinator,
    status: &TransactionStatus,
    branch: u16,
    did: Outcome,
) {
    let id = status.id;
    let forced = world.deals.lock().forced(id, branch);
    if forced.is_none_or(|forced| forced.did != did) {
        world.wrong(format!(
            "branch {branch} of {id} is said to be {did:?}: {forced:?}"
        ));
    }
    if let Some(forced) = forced {
        world.deals.lock().show(forced.branch);
    }
    world.count(match did {
        Outcome::Committed => Count::HeuristicCommit,
        Outcome::Aborted => Count::HeuristicAbort,
    });
    if coordinator.stats().epoch > Some(id.epoch()) {
        world.count(Count::HeuristicRecovered);
    }
    let resolution = Resolution::Did { branch, did };
    match coordinator.resolve(id, resolution).await {
        Ok(()) => world.count(Count::Resolved),
        // Its record is under way, or somebody else has said so meanwhile.
        Err(ResolveError::Refused(_) | ResolveError::Unknown(_) | ResolveError::Log) => {}
        Err(error) => world.wrong(format!("{id} is not resolved: {error:?}")),
    }
}

/// Retires a participant, which goes if it is of the past.
async fn retire(
    world: &World,
    process: &Process,
    coordinator: &Coordinator,
    name: &ParticipantName,
) {
    let registered = process.number == 0 || world.nodes.iter().any(|node| node.name() == name);
    match coordinator.retire(name).await {
        Ok(()) if !registered => {
            world.count(Count::Retired);
            world.retired.store(true, Ordering::Relaxed);
            stays_retired(world, process, coordinator);
        }
        Err(RetireError::Registered(_)) if registered => world.count(Count::RetireRefused),
        Err(RetireError::Log(_)) if !registered => {}
        other => world.wrong(format!("{name} was to retire: {other:?}")),
    }
}

/// Nobody is known any more who was retired.
pub fn stays_retired(world: &World, process: &Process, coordinator: &Coordinator) {
    let Some(past) = world.past.get() else {
        return;
    };
    let listed = coordinator.participants();
    let known = listed.iter().any(|it| it.name == *past.name());
    let retired = world.retired.load(Ordering::Relaxed);
    if known && retired && process.number > 0 {
        world.wrong(format!("{} comes back", past.name()));
    }
    if !known && process.number == 0 {
        world.wrong(format!("{} is not known", past.name()));
    }
}
