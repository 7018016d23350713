//! The operator: sees to what is parked, does by hand what cannot be done, and gives up.

use tokio::time::sleep;
use tripod::transaction::saga::{
    Direction, OperateError, ParkReason, Progress, SagaFilter, SagaStatus, Sagas,
};

use super::client::Client;
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;

/// Now and then sees to what is parked.
pub async fn operate(client: Client) {
    let Client {
        world,
        process,
        sagas,
        mut random,
        ..
    } = client;
    loop {
        sleep(ms(random.within(3, 30))).await;
        if process.is_dead() || world.is_calm() {
            return;
        }
        if random.chance(500) {
            see_to_parked(&world, &sagas).await;
        }
        for status in sagas.list(SagaFilter::UnderWay) {
            is_not_silent(&world, &status);
            if status.waits_for_room {
                world.count(Count::WaitedForRoom);
            }
        }
    }
}

/// Something goes on, or it can be seen for what it waits.
pub fn is_not_silent(world: &World, status: &SagaStatus) {
    let over = matches!(status.direction, Some(Direction::Ended(_)));
    let goes_on = status.steps.iter().any(|step| match step.progress {
        Progress::Running
        | Progress::Resting
        | Progress::Compensating
        | Progress::CompensationResting
        | Progress::Parked(_) => true,
        Progress::Waiting
        | Progress::Succeeded
        | Progress::Failed
        | Progress::Doubtful
        | Progress::Compensated => false,
        other => unreachable!("nobody judges {other:?}"),
    });
    if !over && !goes_on && status.stranding.is_none() {
        world.wrong(format!(
            "nothing goes on, and nobody is told why: {status:?}"
        ));
    }
}

/// Sees to all that waits for an operator.
pub async fn see_to_parked(world: &World, sagas: &Sagas) {
    for status in sagas.list(SagaFilter::Parked) {
        let gives_up = !world.is_calm() && world.chance(40);
        if gives_up {
            abandon(world, sagas, &status).await;
        } else if status.stranding.is_none() {
            for step in &status.steps {
                if let Progress::Parked(reason) = step.progress {
                    see_to(world, sagas, &status, &step.name, reason).await;
                }
            }
        }
    }
}

async fn abandon(world: &World, sagas: &Sagas, status: &SagaStatus) {
    let key = status.key.as_str().to_owned();
    world.book.lock().abandoned.insert(key);
    match sagas.abandon(&status.key).await {
        Ok(()) if status.stranding.is_some() => world.count(Count::AbandonedStranded),
        Ok(()) => world.count(Count::Abandoned),
        Err(OperateError::Log | OperateError::Refused(_) | OperateError::Unknown(_)) => {}
        Err(error) => world.wrong(format!("{} is not abandoned: {error:?}", status.key)),
    }
}

async fn see_to(world: &World, sagas: &Sagas, status: &SagaStatus, step: &str, reason: ParkReason) {
    let tale = world
        .book
        .lock()
        .find(status.key.as_str(), &status.id.to_string());
    let Some(tale) = tale else {
        return world.wrong(format!("{} is parked, and was never run", status.key));
    };
    let part = {
        let book = world.book.lock();
        let mut parts = book.tales[tale].draft.parts.iter();
        let part = parts.position(|it| it.name == step);
        part.and_then(|part| Some((part, book.key_of(tale, part)?)))
    };
    let Some((part, key)) = part else {
        return world.wrong(format!("{step} of {} was never run", status.key));
    };
    let of = (tale, part);
    let backward = matches!(status.direction, Some(Direction::Backward(_)));
    if reason == ParkReason::Unknown {
        world.count(Count::PivotUnknown);
    }
    let by_hand = world.chance(300);
    let (done, count) = match (by_hand, backward) {
        (true, true) => {
            world.service.undo_by_hand(&key, of);
            let skipped = sagas.skip_compensation(&status.key, step).await;
            (skipped, Count::SkippedCompensation)
        }
        (true, false) => {
            let output = world.service.do_by_hand(world, &key, of);
            world.say(|| format!("{step} of {} by hand: {output}", status.key));
            (sagas.skip(&status.key, step, &output).await, Count::Skipped)
        }
        (false, _) => {
            if !backward {
                world.service.allow(&key, of);
            }
            (sagas.retry(&status.key, step).await, Count::Retried)
        }
    };
    match done {
        Ok(()) => world.count(count),
        // Somebody else has seen to it, or the log fails.
        Err(OperateError::Log | OperateError::Refused(_) | OperateError::Unknown(_)) => {}
        Err(error) => world.wrong(format!("{step} of {}: {error:?}", status.key)),
    }
}
