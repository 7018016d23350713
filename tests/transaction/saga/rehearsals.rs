//! Sagas are rehearsed, and flaws in what users write are found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tripod::transaction::saga::testing::{Flaw, Report, Scene, rehearse};
use tripod::transaction::saga::{Definition, Run, Step, StepError};

/// What is got wrong by whoever wrote the steps.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    None,
    /// Each call has its effect again.
    NoKeys,
    CompensationDoesNothing,
    /// What it does not know the output of, it leaves alone.
    LeavesWhatIsDoubtful,
    SecondCompensationFails,
}

type Stock = Arc<Mutex<BTreeMap<String, i32>>>;

fn step(stock: &Stock, name: &'static str, mistake: Mistake) -> Step<u32, u32> {
    let (taken, returned) = (Arc::clone(stock), Arc::clone(stock));
    let take = move |run: Run<u32>| {
        let mut taken = taken.lock().unwrap();
        if mistake == Mistake::NoKeys {
            *taken.entry(name.into()).or_default() += 1;
        } else if *taken.entry(run.key()).or_insert(1) == 0 {
            return std::future::ready(Err(StepError::failed("returned before")));
        }
        std::future::ready(Ok(1))
    };
    Step::new(name, 1, take).compensate(move |run: Run<u32>, output: Option<u32>| {
        let mut stock = returned.lock().unwrap();
        let before = stock.get(&run.action_key()).copied();
        let leaves = match mistake {
            Mistake::CompensationDoesNothing => true,
            Mistake::LeavesWhatIsDoubtful => output.is_none(),
            Mistake::None | Mistake::NoKeys | Mistake::SecondCompensationFails => false,
        };
        if mistake == Mistake::SecondCompensationFails && before == Some(0) {
            return std::future::ready(Err(StepError::failed("returned already")));
        }
        if !leaves {
            stock.insert(run.action_key(), 0);
        }
        std::future::ready(Ok(()))
    })
}

async fn rehearsed(mistake: Mistake) -> Result<Report, Flaw> {
    rehearse(|| {
        let stock = Stock::default();
        let none: [&str; 0] = [];
        let definition = Definition::builder("rehearsed", 1)
            .step(step(&stock, "a", mistake))
            .step(step(&stock, "b", mistake).after(none))
            .step(step(&stock, "pay", mistake).pivot().after(["a", "b"]))
            .step(step(&stock, "mail", mistake).retriable())
            .build()
            .unwrap();
        let sum = move || stock.lock().unwrap().values().sum::<i32>();
        let other = sum.clone();
        Scene::new(definition, 7)
            .completed(move || sum() == 4)
            .clean(move || other() == 0)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_saga_without_mistakes_passes_its_rehearsal() {
    let report = rehearsed(Mistake::None).await.unwrap();
    println!("{report}");
    assert!(report.runs >= 50 && report.crashes >= 40, "{report}");
}

#[tokio::test(start_paused = true)]
async fn mistakes_are_found_and_named() {
    let found = async |mistake| rehearsed(mistake).await.unwrap_err().to_string();
    let doubled = found(Mistake::NoKeys).await;
    assert!(
        doubled.contains("crash after record") || doubled.contains("Twice"),
        "{doubled}"
    );
    let left = found(Mistake::CompensationDoesNothing).await;
    assert!(left.contains("something is left"), "{left}");
    let doubtful = found(Mistake::LeavesWhatIsDoubtful).await;
    assert!(doubtful.contains("something is left"), "{doubtful}");
    let second = found(Mistake::SecondCompensationFails).await;
    assert!(second.contains("to an end"), "{second}");
}
