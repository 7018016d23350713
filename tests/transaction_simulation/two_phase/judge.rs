//! What has to be true at the end.

use std::sync::Arc;

use tokio::time::sleep;
use tripod::transaction::participant::{Enlist, Outcome, Participant, Report, Vote};
use tripod::transaction::two_phase::{Coordinator, Filter};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, TransactionId};

use super::deals::key;
use super::life::Life;
use super::node::{Node, POT, POT_FIRST};
use super::operator::see_to_parked;
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::machine::COORDINATOR;
use crate::network::LATEST;

/// Within how many milliseconds after the last fault all has to be over.
const OVER_WITHIN: u64 = 10_000;

/// The branches of somebody else: prepared before, and to be found so.
pub struct Foreign(Vec<BranchId>);

fn foreign(sequence: u64) -> BranchId {
    let other = CoordinatorId::from_u128(0x0002_0007_0001);
    BranchId::new(
        TransactionId::new(other, Epoch::new(1).unwrap(), sequence),
        0,
    )
}

impl Foreign {
    pub async fn settle_in(world: &World) -> Self {
        let mut branches = Vec::new();
        for node in &world.nodes {
            let branch = foreign(node.index as u64);
            let works = node.store.work(branch).await.unwrap();
            works.set("foreign", 1).await.unwrap();
            assert_eq!(node.store.prepare(branch).await.unwrap(), Vote::Prepared);
            branches.push(branch);
        }
        Self(branches)
    }
}

/// Waits until all is over, with nothing in the way.
pub async fn comes_to_an_end(life: &Life) {
    let world = &life.world;
    // The last requests that were under way land meanwhile.
    sleep(ms(3 * LATEST)).await;
    let serving = serving(life).await;
    let Some(coordinator) = serving else {
        world.wrong("nobody serves".into());
        return;
    };
    let mut waited = 0;
    while !is_quiet(world, &coordinator).await {
        see_to_parked(world, &coordinator).await;
        if waited > OVER_WITHIN {
            let open = coordinator.list(Filter::All);
            world.wrong(format!("it does not come to an end: {open:?}"));
            return;
        }
        sleep(ms(50)).await;
        waited += 50;
    }
    // Scans pass the watermark on.
    sleep(ms(500)).await;
}

/// The coordinator that takes new transactions.
async fn serving(life: &Life) -> Option<Coordinator> {
    for _ in 0..OVER_WITHIN / 100 {
        for coordinator in life.coordinators.iter().rev() {
            if let Ok(active) = coordinator.begin().await {
                active.rollback();
                return Some(coordinator.clone());
            }
        }
        sleep(ms(100)).await;
    }
    None
}

async fn is_quiet(world: &World, coordinator: &Coordinator) -> bool {
    for node in &world.nodes {
        if !in_doubt(node).await.is_empty() {
            return false;
        }
    }
    coordinator.list(Filter::All).is_empty()
}

async fn in_doubt(node: &Node) -> Vec<BranchId> {
    let coordinator = CoordinatorId::from_u128(COORDINATOR);
    let last = Epoch::new(u64::MAX).unwrap();
    node.store.in_doubt(coordinator, last).await.unwrap()
}

pub async fn all_is_well(world: &Arc<World>, others: &Foreign) {
    atomic(world);
    for node in &world.nodes {
        let left = in_doubt(node).await;
        if !left.is_empty() {
            world.wrong(format!("prepared at {}: {left:?}", node.index));
        }
        unlocked(world, node).await;
        forgotten(world, node).await;
        let other = others.0[node.index];
        let committed = node.store.commit(other).await.unwrap();
        if committed != Report::Did(Outcome::Committed) {
            world.wrong(format!("somebody else's branch was touched: {committed:?}"));
        }
    }
    let pots = world.nodes.iter().map(|node| node.store.get(POT).unwrap());
    let pots: Vec<i64> = pots.collect();
    if pots.iter().sum::<i64>() != POT_FIRST * 3 + made_by_hand(world) {
        world.wrong(format!("the sum is another: {pots:?}"));
    }
}

/// What half transactions have put into the pots: those of which somebody ended a branch by hand.
fn made_by_hand(world: &World) -> i64 {
    let deals = world.deals.lock();
    let halves = deals.all.iter().enumerate();
    let halves = halves.filter(|(_, deal)| !deal.forced.is_empty());
    let put = halves.flat_map(|(number, deal)| {
        let there = move |index: usize| world.nodes[index].store.get(&key(number)).is_some();
        let moves = deal.moves.iter().filter(move |(index, _)| there(**index));
        moves.map(|(_, amount)| *amount)
    });
    put.sum()
}

/// Of each transaction all is there or nothing, as everybody was told; but of branches that were
/// ended by hand, what was made of them.
fn atomic(world: &World) {
    let deals = world.deals.lock();
    for (number, deal) in deals.all.iter().enumerate() {
        if deal.writes.is_empty() {
            continue;
        }
        let key = key(number);
        let there = |index: &&usize| world.nodes[**index].store.get(&key).is_some();
        let which = || format!("t{number} {} at {:?}", deal.id, deal.writes);
        let mut left = deal.writes.clone();
        for (index, forced) in &deal.forced {
            // It had voted yes, so it was told to commit, and said that it had not.
            let against = forced.did == Outcome::Aborted && deal.told == Some(Outcome::Committed);
            if against && !deal.shown.contains(&forced.branch) {
                world.wrong(format!("{}: nobody was told of {forced:?}", which()));
            }
            let writes = left.remove(index);
            if writes && there(&index) != (forced.did == Outcome::Committed) {
                world.wrong(format!("{}: {forced:?} is undone", which()));
            }
        }
        if left.is_empty() {
            continue;
        }
        let there = left.iter().filter(there).count();
        if there > 0 && there < left.len() {
            world.wrong(format!("{}: a part is there", which()));
        }
        if there > 0 && !deal.asked {
            world.wrong(format!("{}: nobody asked to commit it", which()));
        }
        let found = if there > 0 {
            Outcome::Committed
        } else {
            Outcome::Aborted
        };
        if let Some(told) = deal.told
            && told != found
        {
            world.wrong(format!("{}: told {told:?}, found {found:?}", which()));
        }
        if deal.unknown {
            world.count(match found {
                Outcome::Committed => Count::UnknownCommitted,
                Outcome::Aborted => Count::UnknownAborted,
            });
        }
    }
}

/// Nobody holds a key.
async fn unlocked(world: &World, node: &Node) {
    let store = node.store.clone().lock_wait(ms(0));
    let probe = foreign(100);
    let works = store.work(probe).await.unwrap();
    let deals = world.deals.lock().all.len();
    let keys = (0..deals).map(key).chain([POT.to_owned()]);
    for key in keys {
        if let Err(error) = works.get(&key).await {
            world.wrong(format!("{key} at {} is locked: {error:?}", node.index));
        }
    }
    store.abort(probe).await.unwrap();
}

/// Nothing is remembered of what is over.
async fn forgotten(world: &World, node: &Node) {
    for branch in node.branches() {
        let report = node.store.settle(branch).await.unwrap();
        if report != Report::Unknown {
            let what = format!("{branch} is remembered at {}: {report:?}", node.index);
            world.wrong(what);
        }
    }
}
