//! The suite finds what is wrong: a reference store passes, and with any one fault it fails.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a fault is the exception from all others"
)]

mod client;
mod distant;
mod fault;
mod found_by;
mod lock;
mod store;

use std::collections::BTreeSet;

use tripod::lock::conformance::{CaseReport, Report, run};

use client::Faulty;
use distant::Distant;
use fault::Fault;
use found_by::FOUND_BY;

async fn try_out(fault: Fault) -> Report {
    run(&Faulty::new(fault)).await
}

#[tokio::test(start_paused = true)]
async fn the_reference_without_fault_obeys_the_law() {
    try_out(Fault::None).await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_at_a_distance_obeys_the_law() {
    for _ in 0..5 {
        let report = run(&Distant::honest()).await;
        report.into_result().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_counts_from_the_answer_is_found_at_a_distance() {
    let report = run(&Distant::boasting()).await;
    let found: Vec<_> = report.failures().map(CaseReport::name).collect();
    let expected = "a_lease_is_in_force_for_as_long_as_asked_and_proved_before_the_answer";
    assert!(found.contains(&expected), "{report}");
}

#[tokio::test(start_paused = true)]
async fn every_fault_is_found_and_every_case_finds_one() {
    let mut missed = Vec::new();
    let reference = try_out(Fault::None).await;
    let mut idle: BTreeSet<_> = reference.cases().map(CaseReport::name).collect();
    for (fault, expected) in FOUND_BY {
        let report = try_out(fault).await;
        let found: Vec<_> = report.failures().map(CaseReport::name).collect();
        println!("{fault:?} is found by {found:?}");
        idle.retain(|case| !found.contains(case));
        if !found.contains(&expected) {
            missed.push((fault, expected, found));
        }
    }
    assert!(
        missed.is_empty(),
        "not found by the case meant for it: {missed:#?}"
    );
    assert!(idle.is_empty(), "these cases find no fault: {idle:#?}");
}
