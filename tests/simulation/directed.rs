//! For each safety rule a schedule that it alone saves: with the rule, all is well and the danger
//! was there; with the rule switched off, an invariant breaks.

use std::sync::Arc;

use tripod::lock::{Locks, Mode};

use crate::begin;
use crate::client::Client;
use crate::counts::Count;
use crate::hold::{Guards, Hold};
use crate::oracle::{Invariant, Rest};
use crate::rules::Rule;
use crate::schedule::{Outcome, clear, in_a_world};
use crate::trace::TICK;
use crate::weather::Weather;
use crate::wish::ORDERS;
use crate::world::World;

/// In ticks.
const TTL: u32 = 5;

/// Longer than any story takes, in ticks.
const STORY_MAX: u64 = 100;

/// Those who act, in the order in which they matter.
type Cast = [Client; 4];

/// Plays a story with the rule and without. With it, `danger` tells that it was needed.
fn saved_by<F>(rule: Rule, story: impl Fn(Arc<Cast>) -> F, danger: Count, broken: Invariant)
where
    F: Future<Output = ()> + Send + 'static,
{
    begin();
    let safe = play(None, &story);
    let wrong = safe.wrong.iter().map(ToString::to_string);
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:?}\n{}", safe.trace);
    assert_ne!(safe.counts.of(danger), 0, "{danger:?}\n{}", safe.trace);

    let unsafe_ = play(Some(rule), &story);
    let found = unsafe_.wrong.iter().any(|it| it.invariant == broken);
    assert!(found, "{broken:?} holds\n{}", unsafe_.trace);
}

fn play<F>(off: Option<Rule>, story: impl Fn(Arc<Cast>) -> F) -> Outcome
where
    F: Future<Output = ()> + Send + 'static,
{
    let fair = |_: &mut _| Weather::FAIR;
    in_a_world(off, fair, 0, async |world: Arc<World>, random| {
        let cast: Cast = std::array::from_fn(|client| {
            Client::new(&world, &random.fork(u64::try_from(client).unwrap()))
        });
        let handles: [Locks; 4] = std::array::from_fn(|client| cast[client].locks.clone());
        let told = tokio::spawn(story(Arc::new(cast)));
        let done = world.go_on(STORY_MAX, || told.is_finished()).await;
        world.calm();
        if done {
            told.await.unwrap();
        }
        Rest {
            unserved: usize::from(!done),
            ..clear(&world, handles.into()).await
        }
    })
}

impl Client {
    /// Acquires the lock of the stories.
    async fn holds(&self, mode: Mode, priority: u8, renews: bool) -> Hold {
        let name = &self.world.names[ORDERS];
        let acquire = self.locks.acquire(name).ttl(TICK * TTL);
        let acquire = acquire.priority(priority).renew(renews);
        let acquire = match mode {
            Mode::Shared => acquire.shared(),
            _ => acquire,
        };
        self.hold(mode, Guards::One(acquire.await.unwrap()))
    }

    /// Looks at each of so many ticks, while it holds.
    async fn looks(&self, hold: &mut Hold, ticks: u64) {
        for _ in 0..ticks {
            if !hold.look() {
                return;
            }
            self.sleep(1).await;
        }
    }
}

/// The first holder is cut off from the store, but looks at its clock. The store ends its lease
/// and lets the second one in.
async fn a_holder_is_cut_off(cast: Arc<Cast>) {
    let [first, second, ..] = &*cast;
    let mut hold = first.holds(Mode::Exclusive, 0, true).await;
    first.world.freeze(first.number, 0, 15);
    let others = async {
        let mut hold = second.holds(Mode::Exclusive, 0, true).await;
        second.looks(&mut hold, 4).await;
        hold.release().await;
    };
    tokio::join!(first.looks(&mut hold, 20), others);
    hold.release().await;
}

#[test]
fn the_deadline_saves_from_a_holder_that_is_cut_off() {
    saved_by(
        Rule::Deadline,
        a_holder_is_cut_off,
        Count::LossExpired,
        Invariant::Belief,
    );
}

/// The first holder sleeps past its lease, and then releases; by then the second one holds, and a
/// third one waits.
async fn a_release_comes_late(cast: Arc<Cast>) {
    let [first, second, third, _] = &*cast;
    let hold = first.holds(Mode::Exclusive, 0, false).await;
    let late = async {
        first.sleep(u64::from(TTL) + 2).await;
        hold.release().await;
    };
    let holder = async {
        let mut hold = second.holds(Mode::Exclusive, 0, true).await;
        second.looks(&mut hold, 8).await;
        hold.release().await;
    };
    let waiter = async {
        third.sleep(1).await;
        let mut hold = third.holds(Mode::Exclusive, 0, true).await;
        third.looks(&mut hold, 2).await;
        hold.release().await;
    };
    tokio::join!(late, holder, waiter);
}

#[test]
fn the_holder_check_saves_from_a_late_release() {
    saved_by(
        Rule::HolderOfRelease,
        a_release_comes_late,
        Count::ReleaseFalse,
        Invariant::Belief,
    );
}

/// An operator takes the lock from the first holder, and the second one gets it. The first one
/// renews.
async fn a_lock_is_taken_away(cast: Arc<Cast>) {
    let [first, second, operator, _] = &*cast;
    let mut hold = first.holds(Mode::Exclusive, 0, true).await;
    let name = &operator.world.names[ORDERS];
    let inspection = operator.locks.inspect(name).await.unwrap();
    let token = inspection.holders()[0].pass().token();
    assert!(operator.locks.force_release(name, token).await.unwrap());
    let other = async {
        let mut hold = second.holds(Mode::Exclusive, 0, true).await;
        second.looks(&mut hold, 8).await;
        hold.release().await;
    };
    tokio::join!(first.looks(&mut hold, 20), other);
    hold.drop_guards();
}

#[test]
fn the_holder_check_saves_from_a_renewal_of_what_is_gone() {
    saved_by(
        Rule::HolderOfRenewal,
        a_lock_is_taken_away,
        Count::LossRemoved,
        Invariant::Belief,
    );
}

/// The second one is told that the lock is free, but stands still before it claims; meanwhile a
/// third one, of higher priority, comes and holds.
async fn another_comes_between(cast: Arc<Cast>) {
    let [first, second, third, _] = &*cast;
    let hold = first.holds(Mode::Exclusive, 0, true).await;
    let waiter = async {
        let mut hold = second.holds(Mode::Exclusive, 0, true).await;
        second.looks(&mut hold, 2).await;
        hold.release().await;
    };
    let others = async {
        first.sleep(1).await;
        // Shorter than the waiter's lease lives.
        first.world.freeze(second.number, 0, 2);
        first.sleep(1).await;
        hold.release().await;
        let mut hold = third.holds(Mode::Exclusive, 5, true).await;
        third.looks(&mut hold, 6).await;
        hold.release().await;
    };
    tokio::join!(waiter, others);
}

#[test]
fn a_second_look_saves_from_one_who_came_between() {
    saved_by(
        Rule::Recheck,
        another_comes_between,
        Count::ClaimWaiting,
        Invariant::Belief,
    );
}

/// The first holder stands still past its lease, and writes without another look; by then the
/// second one has written.
async fn a_write_comes_late(cast: Arc<Cast>) {
    let [first, second, ..] = &*cast;
    let hold = first.holds(Mode::Exclusive, 0, true).await;
    hold.write(0);
    first.world.freeze(first.number, 1, 10);
    let late = async {
        first.sleep(11).await;
        hold.write(0);
        hold.release().await;
    };
    let other = async {
        let mut hold = second.holds(Mode::Exclusive, 0, true).await;
        hold.write(0);
        second.looks(&mut hold, 8).await;
        hold.release().await;
    };
    tokio::join!(late, other);
}

#[test]
fn fencing_saves_from_a_late_write() {
    saved_by(
        Rule::Comparison,
        a_write_comes_late,
        Count::WriteRefused,
        Invariant::Resource,
    );
}

/// Two readers hold together. The second one shows its pass first.
async fn readers_write_in_turn(cast: Arc<Cast>) {
    let [first, second, ..] = &*cast;
    let one = first.holds(Mode::Shared, 0, true).await;
    let two = second.holds(Mode::Shared, 0, true).await;
    two.write(0);
    first.sleep(1).await;
    one.write(0);
    first.sleep(1).await;
    one.release().await;
    two.release().await;
}

#[test]
fn the_floor_saves_readers_from_each_other() {
    saved_by(
        Rule::Floor,
        readers_write_in_turn,
        Count::Together,
        Invariant::Resource,
    );
}

/// One waits; another comes later, of higher priority, and is granted before it. Both write.
async fn a_later_one_goes_first(cast: Arc<Cast>) {
    let [first, patient, urgent, _] = &*cast;
    let hold = first.holds(Mode::Exclusive, 0, true).await;
    let writes = async |client: &Client, after, priority| {
        client.sleep(after).await;
        let mut hold = client.holds(Mode::Exclusive, priority, true).await;
        hold.write(0);
        client.looks(&mut hold, 2).await;
        hold.release().await;
    };
    let release = async {
        first.sleep(3).await;
        hold.release().await;
    };
    tokio::join!(writes(patient, 1, 0), writes(urgent, 2, 5), release);
}

#[test]
fn a_token_drawn_at_the_grant_saves_who_was_overtaken() {
    saved_by(
        Rule::TokenAtGrant,
        a_later_one_goes_first,
        Count::ClaimGranted,
        Invariant::Resource,
    );
}
