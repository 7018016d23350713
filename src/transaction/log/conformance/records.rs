//! What lives, and what ends.

use crate::conformance::{Outcome, cases, ensure};
use crate::transaction::log::{Durability, LiveRecord, Record, Subject, SubjectKey};

use super::Case;
use super::scene::{Scene, ends, fact, saga, says, transaction};

pub(super) const CASES: &[Case] = cases![
    a_record_is_given_back_until_its_subject_ends: LIVES, NOTHING_ELSE;
    an_end_ends_all_of_its_subject_and_nothing_else: LIVES, DISTINCT;
    a_subject_that_ended_begins_again: AGAIN;
    subjects_that_look_alike_stay_apart: DISTINCT;
    records_keep_their_order_and_their_epochs: ANSWERS, NOTHING_ELSE;
    records_come_back_byte_for_byte: ANSWERS;
    many_records_that_ended_leave_those_that_live: NOTHING_ELSE, LIVES;
];

async fn a_record_is_given_back_until_its_subject_ends(scene: &Scene<'_>) -> Outcome {
    let mut process = scene.start(0).await?;
    process.forced(vec![says("a", "one")?]).await?;
    for _ in 0..3 {
        process = scene.restart(process).await?;
        process.holds(&["one"])?;
    }
    process.forced(vec![ends("a")?]).await?;
    scene.restart(process).await?.holds(&[])
}

async fn an_end_ends_all_of_its_subject_and_nothing_else(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    for (key, text) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("a", "5")] {
        process.forced(vec![says(key, text)?]).await?;
    }
    process.forced(vec![ends("a")?, ends("nobody")?]).await?;
    scene.restart(process).await?.holds(&["2", "4"])
}

async fn a_subject_that_ended_begins_again(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let all = vec![says("a", "1")?, ends("a")?, says("a", "2")?];
    process.forced(all).await?;
    let process = scene.restart(process).await?;
    process.holds(&["2"])?;
    process.forced(vec![ends("a")?]).await?;
    process.forced(vec![says("a", "3")?]).await?;
    scene.restart(process).await?.holds(&["3"])
}

async fn subjects_that_look_alike_stay_apart(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let epoch = process.epoch();
    let longest = "a".repeat(SubjectKey::LEN_MAX);
    let subjects = [
        saga("")?,
        fact("")?,
        saga("a")?,
        fact("a")?,
        saga("a\0")?,
        saga("aa")?,
        saga(&longest)?,
        transaction(0, epoch, 0),
        transaction(0, epoch, 1),
        transaction(1, epoch, 0),
    ];
    for subject in &subjects {
        process
            .forced(vec![Record::new(subject.clone(), "x")?])
            .await?;
    }
    let mut process = process;
    for (ended, subject) in subjects.iter().enumerate() {
        process.forced(vec![Record::end(subject.clone())]).await?;
        process = scene.restart(process).await?;
        let live = process
            .opened
            .live()
            .iter()
            .map(|live| live.record().subject());
        let found: Vec<&Subject> = live.collect();
        let expected: Vec<_> = subjects.iter().skip(ended + 1).collect();
        ensure!(found == expected, "after {subject:?}: {found:?} live");
    }
    Ok(())
}

async fn records_keep_their_order_and_their_epochs(scene: &Scene<'_>) -> Outcome {
    let mut process = scene.start(7).await?;
    let mut expected = Vec::new();
    for round in 0..4 {
        for number in 0..5 {
            let record = says(
                &format!("{}", (number * 3) % 5),
                &format!("{round}.{number}"),
            )?;
            expected.push(LiveRecord::new(process.epoch(), record.clone()));
            process.forced(vec![record]).await?;
        }
        process = scene.restart(process).await?;
        let live = process.opened.live();
        ensure!(live == expected, "{live:?} is not {expected:?}");
    }
    Ok(())
}

async fn records_come_back_byte_for_byte(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let mut payloads: Vec<Vec<u8>> = (0..40).map(|len| vec![0xa5; len]).collect();
    payloads.push((0..=255).collect());
    payloads.push(vec![0; 513]);
    payloads.push(vec![0xff; Record::PAYLOAD_LEN_MAX]);
    for payload in &payloads {
        process
            .forced(vec![Record::new(saga("a")?, payload.clone())?])
            .await?;
    }
    let process = scene.restart(process).await?;
    let live = process.opened.live().iter();
    let found: Vec<_> = live.map(|live| live.record().payload()).collect();
    ensure!(found == payloads, "payloads have changed");
    Ok(())
}

async fn many_records_that_ended_leave_those_that_live(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    process.forced(vec![says("lives", "on")?]).await?;
    for number in 0..3000 {
        let key = number.to_string();
        let both = vec![says(&key, &key)?, ends(&key)?];
        process.append(both, Durability::Unforced).await?;
    }
    process.forced(vec![says("after", "all")?]).await?;
    scene.restart(process).await?.holds(&["on", "all"])
}
