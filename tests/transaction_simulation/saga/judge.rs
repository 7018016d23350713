//! What has to be true at the end.

use tokio::time::sleep;
use tripod::transaction::log::{Subject, TransactionLog};
use tripod::transaction::saga::{Direction, SagaFilter, SagaStatus, Sagas};

use super::book::Told;
use super::client::saga_key;
use super::life::Life;
use super::operator::{is_not_silent, see_to_parked};
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::network::LATEST;

/// Within how many milliseconds after the last fault all has to be over.
const OVER_WITHIN: u64 = 10_000;

/// Waits until all is over, with nothing in the way.
pub async fn comes_to_an_end(world: &World, sagas: &Sagas) {
    // The last requests that were under way land meanwhile.
    sleep(ms(2 * LATEST)).await;
    let mut waited = 0;
    loop {
        let open = sagas.list(SagaFilter::UnderWay);
        if open.is_empty() {
            break;
        }
        if waited > OVER_WITHIN {
            world.wrong(format!("it does not come to an end: {open:?}"));
            return;
        }
        for status in &open {
            is_not_silent(world, status);
        }
        see_to_parked(world, sagas).await;
        sleep(ms(50)).await;
        waited += 50;
    }
    sleep(ms(LATEST + 100)).await;
}

/// Each saga that was begun has ended, as everybody was told.
pub async fn all_is_well(world: &World, sagas: &Sagas) {
    let tales = world.book.lock().tales.clone();
    let ended = sagas.list(SagaFilter::Ended);
    for (number, tale) in tales.iter().enumerate() {
        let of = |it: &&SagaStatus| it.key.as_str() == tale.key;
        let (run, own) = {
            let book = world.book.lock();
            let own = |it: &SagaStatus| book.find(&tale.key, &it.id.to_string()) == Some(number);
            let status = ended.iter().find(of);
            (book.has_run(number), status.filter(|it| own(it)))
        };
        let abandoned = world.book.lock().abandoned.contains(&tale.key);
        if let Some(status) = own {
            if !matches!(status.direction, Some(Direction::Ended(_))) {
                world.wrong(format!("t{number} has ended: {status:?}"));
            }
            if let Some(saga) = sagas.find(&saga_key(&tale.key))
                && let Ok(outcome) = saga.outcome().await
            {
                world.tell(number, &outcome);
            }
            if tale.stranded {
                world.count(Count::StrandedWentOn);
            }
        } else if (tale.id.is_some() || run) && world.remembers() && !abandoned {
            world.wrong(format!("t{number} {} is lost", tale.key));
        }
        let told = world.book.lock().tales[number].told;
        if let Some(told) = told {
            world.check(number, told);
        } else if run && !abandoned {
            is_whole(world, number);
        } else if !run {
            nothing_happened(world, number);
        }
        if told == Some(Told::Compensated) && world.is_past_pivot(number) {
            world.wrong(format!("t{number} is past its pivot, and compensated"));
        }
    }
}

/// Nobody was told how it ended: it has, in one way or the other.
fn is_whole(world: &World, number: usize) {
    let draft = world.book.lock().tales[number].draft.clone();
    let asked = draft.parts.iter().enumerate().filter(|(_, it)| it.asks);
    let net = asked.map(|(at, part)| (world.service.net((number, at)), part));
    let net: Vec<_> = net.collect();
    let completed = net.iter().all(|(net, _)| *net == 1);
    let mut left = net.iter().filter(|(net, _)| *net > 0);
    let compensated = left.all(|(_, part)| part.is_harmless());
    if !completed && !compensated {
        let net: Vec<_> = net.iter().map(|(net, part)| (&part.name, net)).collect();
        world.wrong(format!("a part of t{number} is there: {net:?}"));
    }
}

fn nothing_happened(world: &World, number: usize) {
    let parts = world.book.lock().tales[number].draft.parts.len();
    let net: usize = (0..parts).map(|at| world.service.net((number, at))).sum();
    if net > 0 {
        world.wrong(format!("t{number} never ran, and has happened"));
    }
}

/// What is over is forgotten once its time has come, and the log holds nothing of it.
pub async fn is_forgotten(world: &World, life: &Life) {
    let Some(sagas) = life.sagas.last() else {
        return;
    };
    sleep(ms(world.retention + 2000)).await;
    let left = sagas.list(SagaFilter::All);
    if !left.is_empty() {
        world.wrong(format!("not forgotten: {left:?}"));
    }
    match sagas.shutdown(ms(100)).await {
        Ok(0) => {}
        closed => world.wrong(format!("it is not over: {closed:?}")),
    }
    match life.log().open(0).await {
        Ok(opened) => {
            let records = opened.live().iter();
            let of_sagas = records.filter(|it| matches!(it.record().subject(), Subject::Saga(_)));
            let of_sagas = of_sagas.count();
            if of_sagas > 0 {
                world.wrong(format!("{of_sagas} records are left of what is over"));
            }
        }
        Err(error) => world.wrong(format!("the log does not open in the end: {error:?}")),
    }
}
