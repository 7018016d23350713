//! The table of what a barrier answers.

use tripod::transaction::participant::ParticipantError;
use tripod::transaction::participant::tcc::{
    Barrier, BarrierError, Entry, MemoryBarrier, NOTE_MAX, Standing,
};

use super::{id, opening};

const NOTE: &[u8] = b"row 7";

fn first() -> Entry {
    Entry::First(NOTE.to_vec())
}

fn again() -> Entry {
    Entry::Again(NOTE.to_vec())
}

#[expect(clippy::unnecessary_wraps, reason = "as barriers want it")]
fn work() -> Result<(), BarrierError> {
    Ok(())
}

/// Work that must not be done.
fn never() -> Result<(), BarrierError> {
    panic!("it worked");
}

#[test]
fn each_has_its_effect_once_and_a_repeat_gets_the_note() {
    let (barrier, one, two) = (MemoryBarrier::new(), id(1, 0), id(1, 1));
    for branch in [one, two] {
        assert_eq!(barrier.try_(branch, NOTE, work).unwrap(), first());
        assert_eq!(barrier.try_(branch, NOTE, never).unwrap(), again());
        let other = barrier.try_(branch, b"row 8", never).unwrap_err();
        assert!(matches!(other, BarrierError::Different(_)));
    }
    assert_eq!(barrier.confirm(one, |_| work()).unwrap(), first());
    assert_eq!(barrier.confirm(one, |_| never()).unwrap(), again());
    assert_eq!(barrier.try_(one, NOTE, never).unwrap(), again());
    assert_eq!(barrier.cancel(two, |_| work()).unwrap(), first());
    assert_eq!(barrier.cancel(two, |_| never()).unwrap(), again());
}

#[test]
fn an_empty_cancel_does_nothing_and_keeps_the_try_out() {
    let (barrier, branch) = (MemoryBarrier::new(), id(1, 0));
    assert_eq!(barrier.cancel(branch, |_| never()).unwrap(), Entry::Empty);
    let again = Entry::Again(Vec::new());
    assert_eq!(barrier.cancel(branch, |_| never()).unwrap(), again);
    let late = barrier.try_(branch, NOTE, never).unwrap_err();
    assert!(matches!(late, BarrierError::Cancelled(of) if of == branch));
    let late = barrier.confirm(branch, |_| never()).unwrap_err();
    assert!(matches!(late, BarrierError::Cancelled(_)));
}

#[test]
fn an_empty_cancel_works_where_it_is_told_to() {
    let (barrier, branch) = (MemoryBarrier::new(), id(1, 0));
    let empty = Entry::First(Vec::new());
    assert_eq!(barrier.cancel_always(branch, |_| work()).unwrap(), empty);
    let again = Entry::Again(Vec::new());
    assert_eq!(barrier.cancel_always(branch, |_| never()).unwrap(), again);
    assert!(barrier.try_(branch, NOTE, never).is_err());
}

#[test]
fn what_is_late_or_early_is_an_error_and_does_nothing() {
    let (barrier, one, two) = (MemoryBarrier::new(), id(1, 0), id(1, 1));
    let early = barrier.confirm(one, |_| never()).unwrap_err();
    assert!(matches!(early, BarrierError::NotTried(_)));
    let _ = barrier.try_(one, NOTE, work).unwrap();
    let _ = barrier.confirm(one, |_| work()).unwrap();
    let late = barrier.cancel(one, |_| never()).unwrap_err();
    assert!(matches!(late, BarrierError::Confirmed(_)));
    let _ = barrier.try_(two, NOTE, work).unwrap();
    let _ = barrier.cancel(two, |_| work()).unwrap();
    let late = barrier.confirm(two, |_| never()).unwrap_err();
    assert!(matches!(late, BarrierError::Cancelled(_)));
    let late = barrier.try_(two, NOTE, never).unwrap_err();
    assert!(matches!(late, BarrierError::Cancelled(_)));
}

#[test]
fn work_that_fails_leaves_no_row() {
    let (barrier, branch) = (MemoryBarrier::new(), id(1, 0));
    let fails = || Err(ParticipantError::refused("sold out"));
    barrier.try_(branch, NOTE, fails).unwrap_err();
    assert_eq!(barrier.try_(branch, NOTE, work).unwrap(), first());
    barrier.confirm(branch, |_| fails()).unwrap_err();
    barrier.cancel(branch, |_| fails()).unwrap_err();
    assert_eq!(barrier.confirm(branch, |_| work()).unwrap(), first());
}

#[test]
fn a_note_has_an_end() {
    let barrier = MemoryBarrier::new();
    let (longest, longer) = (vec![7; NOTE_MAX], vec![7; NOTE_MAX + 1]);
    let refused = barrier.try_(id(1, 0), &longer, never).unwrap_err();
    assert!(matches!(refused, BarrierError::NoteTooLong));
    let entry = barrier.try_(id(1, 0), &longest, work).unwrap();
    assert_eq!(entry, Entry::First(longest));
}

#[tokio::test]
async fn nothing_has_an_effect_once_its_branch_is_forgotten() {
    let barrier = MemoryBarrier::new();
    barrier.open(opening(1)).await.unwrap();
    let (ended, open, never_tried) = (id(1, 0), id(1, 1), id(1, 2));
    for branch in [ended, open] {
        let _ = barrier.try_(branch, NOTE, work).unwrap();
    }
    let _ = barrier.confirm(ended, |_| work()).unwrap();
    let coordinator = ended.transaction().coordinator();
    let watermark = (ended.transaction().epoch(), 3);
    barrier.forget(coordinator, watermark).await.unwrap();

    let again = Entry::Again(Vec::new());
    for branch in [ended, never_tried] {
        let sight = barrier.look(branch).await.unwrap();
        assert!(sight.is_over && sight.standing == Standing::Nothing);
        let late = barrier.try_(branch, NOTE, never).unwrap_err();
        assert!(matches!(late, BarrierError::Over(_)), "{late}");
        assert_eq!(barrier.confirm(branch, |_| never()).unwrap(), again);
        assert_eq!(barrier.cancel(branch, |_| never()).unwrap(), again);
        assert_eq!(barrier.cancel_always(branch, |_| never()).unwrap(), again);
    }
    // What has not ended stands.
    assert_eq!(barrier.cancel(open, |_| work()).unwrap(), first());
}

#[tokio::test]
async fn a_coordinator_that_was_replaced_tries_nothing_and_confirms_what_is_prepared() {
    let barrier = MemoryBarrier::new();
    barrier.open(opening(1)).await.unwrap();
    let (tried, prepared, new) = (id(1, 0), id(1, 1), id(1, 2));
    for branch in [tried, prepared] {
        let _ = barrier.try_(branch, NOTE, work).unwrap();
    }
    let sight = barrier.promise(prepared).await.unwrap();
    assert_eq!(sight.standing, Standing::Prepared);
    barrier.open(opening(2)).await.unwrap();
    assert!(barrier.open(opening(1)).await.unwrap_err().is_stale());
    let late = barrier.try_(new, NOTE, never).unwrap_err();
    assert!(matches!(late, BarrierError::Fenced(_)));
    let late = barrier.confirm(tried, |_| never()).unwrap_err();
    assert!(matches!(late, BarrierError::Fenced(_)));
    assert_eq!(barrier.confirm(prepared, |_| work()).unwrap(), first());
    assert_eq!(barrier.cancel(tried, |_| work()).unwrap(), first());
}
