//! Sagas do not isolate: what helps. `cargo run --example isolation`
//!
//! What a saga's step has done is seen by others before the saga is over, also when it is
//! compensated later. Three ways to live with that, each in a small shop whose tables are in memory:
//! a semantic lock, effects that commute, and reading again by version.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tripod::transaction::log::MemoryLog;
use tripod::transaction::saga::{
    Definition, DefinitionError, Retry, Run, SagaHandle, SagaKey, SagaOutcome, Sagas, Step,
    StepError,
};

/// What the shop's database holds.
#[derive(Default)]
struct Tables {
    /// Keys of what has happened: each happens once.
    done: BTreeSet<String>,
    orders: BTreeMap<u32, &'static str>,
    stock: i64,
    /// A version, and an amount.
    price: (u32, u32),
}

#[derive(Clone, Default)]
struct Shop(Arc<Mutex<Tables>>);

impl Shop {
    /// One transaction of the database.
    fn once<I>(&self, run: &Run<I>, change: impl FnOnce(&mut Tables)) {
        let mut tables = self.0.lock();
        if tables.done.insert(run.key()) {
            change(&mut tables);
        }
    }
}

/// **Semantic lock.** An order is `pending` until the saga that places it is over. Others see that
/// it may yet go away, and come again later.
fn place(shop: &Shop, card: Arc<Notify>) -> Result<Definition<u32>, DefinitionError> {
    let mark = |shop: &Shop, state: &'static str| {
        let shop = shop.clone();
        move |run: &Run<u32>| {
            let order = *run.input();
            shop.once(run, |tables| {
                tables.orders.insert(order, state);
            });
            println!("  order {order} is {state}");
        }
    };
    let (pending, rejected) = (mark(shop, "pending"), mark(shop, "rejected"));
    let placed = mark(shop, "placed");
    let charge = move |run: Run<u32>| {
        let card = Arc::clone(&card);
        async move {
            card.notified().await;
            match run.input() {
                1 => Ok(()),
                _ => Err(StepError::failed("the card is refused")),
            }
        }
    };
    let now = |mark: &dyn Fn(&Run<u32>), run: &Run<u32>| {
        std::future::ready({
            mark(run);
            Ok::<_, StepError>(())
        })
    };
    Definition::builder("place", 1)
        .step(
            Step::new("order", 1, move |run| now(&pending, &run))
                .compensate(move |run, _| now(&rejected, &run)),
        )
        .step(Step::new("charge", 1, charge).pivot())
        .step(Step::new("confirm", 1, move |run| now(&placed, &run)).retriable())
        .build()
}

fn ship(shop: &Shop) -> Result<Definition<u32>, DefinitionError> {
    let shop = shop.clone();
    let send = move |run: Run<u32>| {
        let state = shop.0.lock().orders.get(run.input()).copied();
        std::future::ready(match state {
            Some("placed") => Ok(()),
            // Nothing has happened: try again.
            Some("pending") => Err(StepError::again("the order is pending")),
            _ => Err(StepError::failed("there is no such order")),
        })
    };
    Definition::builder("ship", 1)
        .step(Step::new("send", 1, send).retry(Retry::forever()).pivot())
        .build()
}

/// **Effects that commute.** Three pieces are taken, and put back when the saga fails. Meanwhile
/// others take some, too. `commutes`: by adding, and not by restoring what there was.
fn take(
    shop: &Shop,
    others: Arc<Notify>,
    commutes: bool,
) -> Result<Definition<()>, DefinitionError> {
    let (taken, back) = (shop.clone(), shop.clone());
    let take = move |run: Run<()>| {
        let before = taken.0.lock().stock;
        taken.once(&run, |tables| tables.stock -= 3);
        std::future::ready(Ok::<i64, StepError>(before))
    };
    let put_back = move |run: Run<()>, before: Option<i64>| {
        back.once(&run, |tables| match before {
            Some(before) if !commutes => tables.stock = before,
            _ => tables.stock += 3,
        });
        std::future::ready(Ok(()))
    };
    let pay = move |_| {
        let others = Arc::clone(&others);
        async move {
            others.notified().await;
            Err::<(), _>(StepError::failed("the card is refused"))
        }
    };
    Definition::builder("take", if commutes { 2 } else { 1 })
        .step(Step::new("take", 1, take).compensate(put_back))
        .step(Step::new("pay", 1, pay).pivot())
        .build()
}

/// **Reading again, by version.** The pivot sees to it that what an earlier step has read still
/// holds, in the transaction that relies on it.
fn buy(shop: &Shop, approval: Arc<Notify>) -> Result<Definition<u32>, DefinitionError> {
    let (quoted, paid) = (shop.clone(), shop.clone());
    let quote = move |_| std::future::ready(Ok::<_, StepError>(quoted.0.lock().price));
    let approve = move |_| {
        let approval = Arc::clone(&approval);
        async move {
            approval.notified().await;
            Ok::<(), StepError>(())
        }
    };
    let pay = move |run: Run<u32>| {
        let (version, amount): (u32, u32) = match run.output("quote") {
            Ok(quote) => quote,
            Err(error) => return std::future::ready(Err(error)),
        };
        std::future::ready(if paid.0.lock().price.0 == version {
            Ok(amount)
        } else {
            Err(StepError::failed("the price has changed"))
        })
    };
    Definition::builder("buy", 1)
        .step(Step::new("quote", 1, quote).harmless())
        .step(Step::new("approve", 1, approve).harmless())
        .step(Step::new("pay", 1, pay).pivot())
        .build()
}

async fn ends(saga: SagaHandle) -> Result<&'static str, Box<dyn Error>> {
    Ok(match saga.outcome().await? {
        SagaOutcome::Completed(_) => "completed",
        SagaOutcome::Compensated { .. } => "compensated",
        SagaOutcome::Abandoned => "given up",
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let shop = Shop::default();
    let (card, others, approval) = <(Arc<Notify>, Arc<Notify>, Arc<Notify>)>::default();
    let place = place(&shop, Arc::clone(&card))?;
    let shipping = ship(&shop)?;
    let restores = take(&shop, Arc::clone(&others), false)?;
    let commutes = take(&shop, Arc::clone(&others), true)?;
    let buy = buy(&shop, Arc::clone(&approval))?;
    let sagas = Sagas::open(MemoryLog::new())
        .register(&place)
        .register(&shipping)
        .register(&restores)
        .register(&commutes)
        .register(&buy)
        .await?;

    println!("A semantic lock:");
    for order in [1, 2] {
        let key = |what: &str| SagaKey::new(format!("{what}-{order}"));
        let placed = sagas.start(&place, &key("place")?, &order).await?;
        let shipped = sagas.start(&shipping, &key("ship")?, &order).await?;
        while sagas.history(&key("ship")?).len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        card.notify_one();
        println!("  placing is {}", ends(placed).await?);
        println!("  shipping is {}", ends(shipped).await?);
    }

    for (definition, how) in [(&restores, "restores"), (&commutes, "adds")] {
        shop.0.lock().stock = 10;
        let saga = sagas.start(definition, &SagaKey::new(how)?, &()).await?;
        shop.0.lock().stock -= 2; // another customer
        others.notify_one();
        let ended = ends(saga).await?;
        let left = shop.0.lock().stock;
        println!("A compensation that {how}: {ended}, {left} of 8 are left");
    }

    for (buyer, changes) in [(1, false), (2, true)] {
        let key = SagaKey::new(format!("buy-{buyer}"))?;
        let saga = sagas.start(&buy, &key, &buyer).await?;
        if changes {
            shop.0.lock().price = (1, 120);
        }
        approval.notify_one();
        let ended = ends(saga).await?;
        println!("The price has changed meanwhile: {changes}. Buying is {ended}");
    }
    sagas.shutdown(Duration::from_secs(1)).await?;
    Ok(())
}
