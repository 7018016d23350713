//! The rule of the queue, against its sentences, over all small queues.

use std::num::NonZeroU32;

use tripod::lock::{Family, HolderId, Mode, Permits, Verdict, Waiter, heirs, judge};

pub(super) fn permits(n: u32, of: u32) -> Mode {
    let [n, of] = [n, of].map(|n| NonZeroU32::new(n).unwrap());
    Mode::Permits(Permits::new(n, of).unwrap())
}

fn waiter(id: u64, mode: Mode, priority: u8, arrival: u64) -> Waiter {
    Waiter::new(HolderId::new(0, id), mode, priority, arrival)
}

/// All sequences of up to `longest` of these.
fn sequences<T: Clone>(items: &[T], longest: usize) -> Vec<Vec<T>> {
    let mut all = vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..longest {
        last = last
            .iter()
            .flat_map(|shorter| {
                items
                    .iter()
                    .map(move |item| [shorter.as_slice(), std::slice::from_ref(item)].concat())
            })
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// Every small queue of one family: holders that may hold together, and waiters by arrival.
fn queues(modes: &[Mode]) -> Vec<(Vec<Mode>, Vec<Waiter>)> {
    let kinds: Vec<(Mode, u8)> = modes
        .iter()
        .flat_map(|mode| [(*mode, 0), (*mode, 9)])
        .collect();
    let holders = sequences(modes, 3)
        .into_iter()
        .filter(|holders| together(holders));
    let waiters: Vec<Vec<Waiter>> = sequences(&kinds, 3)
        .into_iter()
        .map(|kinds| {
            (1..)
                .zip(kinds)
                .map(|(id, (mode, priority))| waiter(id, mode, priority, id))
                .collect()
        })
        .collect();
    holders
        .flat_map(|holders| {
            waiters
                .iter()
                .map(move |waiters| (holders.clone(), waiters.clone()))
        })
        .collect()
}

/// Whether these may hold at the same time.
pub(super) fn together(holders: &[Mode]) -> bool {
    let mut taken = 0;
    holders.iter().all(|mode| match mode {
        Mode::Exclusive => holders.len() == 1,
        Mode::Shared => holders.iter().all(|other| *other == Mode::Shared),
        Mode::Permits(permits) => {
            taken += permits.n().get();
            let of = permits.of().get();
            taken <= of && holders.iter().all(|other| other.family() == mode.family())
        }
    })
}

pub(super) const READER_WRITER: [Mode; 2] = [Mode::Exclusive, Mode::Shared];

pub(super) fn semaphore() -> [Mode; 3] {
    [permits(1, 3), permits(2, 3), permits(3, 3)]
}

fn admitted(holders: &[Mode], waiters: &[Waiter]) -> Vec<Waiter> {
    let admit = |waiter: &&Waiter| {
        judge(
            waiter,
            true,
            holders.iter().copied(),
            waiters.iter().copied(),
        ) == Verdict::Admit
    };
    waiters.iter().filter(admit).copied().collect()
}

#[test]
fn nobody_is_admitted_beside_a_holder_that_excludes_it() {
    for (holders, waiters) in [queues(&READER_WRITER), queues(&semaphore())].concat() {
        for waiter in admitted(&holders, &waiters) {
            assert!(
                together(&[holders.as_slice(), &[waiter.mode()]].concat()),
                "{holders:?} {waiter:?}"
            );
        }
    }
}

#[test]
fn nobody_is_admitted_past_one_ahead_that_it_excludes() {
    for (holders, waiters) in queues(&READER_WRITER) {
        for waiter in admitted(&holders, &waiters) {
            let ahead = waiters
                .iter()
                .filter(|other| other.order() < waiter.order());
            for other in ahead {
                assert!(other.mode() == Mode::Shared && waiter.mode() == Mode::Shared);
            }
        }
    }
}

#[test]
fn the_head_of_the_permits_queue_is_never_overtaken() {
    for (holders, waiters) in queues(&semaphore()) {
        for waiter in admitted(&holders, &waiters) {
            assert!(waiters.iter().all(|other| other.order() >= waiter.order()));
        }
    }
}

#[test]
fn the_head_is_admitted_as_soon_as_the_holders_allow_it() {
    for (holders, waiters) in [queues(&READER_WRITER), queues(&semaphore())].concat() {
        let Some(head) = waiters.iter().min_by_key(|waiter| waiter.order()) else {
            continue;
        };
        let may = together(&[holders.as_slice(), &[head.mode()]].concat());
        assert_eq!(
            admitted(&holders, &waiters).contains(head),
            may,
            "{holders:?} {head:?}"
        );
    }
}

#[test]
fn granting_and_releasing_serves_everybody() {
    for (mut holders, mut waiters) in [queues(&READER_WRITER), queues(&semaphore())].concat() {
        while !waiters.is_empty() {
            match admitted(&holders, &waiters).first() {
                Some(next) => {
                    holders.push(next.mode());
                    waiters.retain(|waiter| waiter != next);
                    assert!(together(&holders));
                }
                // No deadlock: whoever holds can go, and then somebody comes in.
                None => assert!(holders.pop().is_some(), "nobody holds, nobody is admitted"),
            }
        }
    }
}

#[test]
fn a_name_used_as_something_else_is_foreign() {
    let family = |of| Family::Permits {
        of: NonZeroU32::new(of).unwrap(),
    };
    let reader = waiter(1, Mode::Shared, 0, 1);
    let worker = waiter(2, permits(1, 3), 0, 2);
    assert_eq!(
        judge(&reader, true, [permits(1, 3)], []),
        Verdict::Foreign(family(3))
    );
    assert_eq!(
        judge(&reader, true, [], [worker]),
        Verdict::Foreign(family(3))
    );
    assert_eq!(
        judge(&worker, true, [Mode::Shared], []),
        Verdict::Foreign(Family::ReaderWriter)
    );
    assert_eq!(
        judge(&worker, true, [permits(1, 4)], []),
        Verdict::Foreign(family(4))
    );
}

#[test]
fn readers_at_the_front_are_admitted_together() {
    for (holders, waiters) in queues(&READER_WRITER) {
        let mut sorted = waiters.clone();
        sorted.sort_by_key(Waiter::order);
        let readers = sorted
            .iter()
            .take_while(|waiter| waiter.mode() == Mode::Shared);
        let expected = match sorted.first() {
            _ if holders.contains(&Mode::Exclusive) => 0,
            Some(head) if head.mode() == Mode::Exclusive => usize::from(holders.is_empty()),
            _ => readers.count(),
        };
        assert_eq!(
            admitted(&holders, &waiters).len(),
            expected,
            "{holders:?} {waiters:?}"
        );
    }
}

fn inherit(holders: &[Mode], waiters: &[Waiter]) -> usize {
    heirs(&holders.iter().copied(), waiters.iter().copied())
}

/// Every small queue as a store keeps it, in its order.
fn sorted_queues() -> Vec<(Vec<Mode>, Vec<Waiter>)> {
    let mut all = [queues(&READER_WRITER), queues(&semaphore())].concat();
    for (_, waiters) in &mut all {
        waiters.sort_by_key(Waiter::order);
    }
    all
}

#[test]
fn heirs_are_those_whom_the_rule_admits_and_stand_first() {
    for (holders, waiters) in sorted_queues() {
        let heirs = inherit(&holders, &waiters);
        let admitted = admitted(&holders, &waiters);
        assert_eq!(admitted, waiters[..heirs], "{holders:?} {waiters:?}");
    }
}

#[test]
fn heirs_may_hold_together_even_if_the_last_claims_first() {
    for (mut holders, mut waiters) in sorted_queues() {
        let mut heirs = waiters[..inherit(&holders, &waiters)].to_vec();
        while let Some(last) = heirs.pop() {
            assert!(admitted(&holders, &waiters).contains(&last));
            waiters.retain(|waiter| *waiter != last);
            holders.push(last.mode());
            assert!(together(&holders));
            assert!(heirs.len() <= inherit(&holders, &waiters));
        }
    }
}

/// So a store tells them again after a grant of permits, and only then.
#[test]
fn a_grant_makes_new_heirs_only_of_those_who_want_permits() {
    let mut made = 0;
    for (mut holders, mut waiters) in sorted_queues() {
        let heirs = inherit(&holders, &waiters);
        if heirs > 0 {
            let first = waiters.remove(0);
            holders.push(first.mode());
            let left = inherit(&holders, &waiters);
            assert!(left < heirs || matches!(first.mode(), Mode::Permits(_)));
            made += usize::from(left == heirs);
        }
    }
    assert!(made > 0);
}

#[test]
fn one_that_does_not_wait_passes_no_waiter() {
    for (holders, waiters) in [queues(&READER_WRITER), queues(&semaphore())].concat() {
        for mode in [Mode::Exclusive, Mode::Shared, permits(1, 3)] {
            let urgent = waiter(9, mode, 255, 0);
            let verdict = judge(
                &urgent,
                false,
                holders.iter().copied(),
                waiters.iter().copied(),
            );
            let others = holders
                .iter()
                .copied()
                .chain(waiters.iter().map(Waiter::mode));
            let same_family = others.clone().all(|other| other.family() == mode.family());
            let free = waiters.is_empty() && together(&[holders.as_slice(), &[mode]].concat());
            assert_eq!(verdict == Verdict::Admit, same_family && free);
        }
    }
}

#[test]
fn nobody_waits_for_itself() {
    for (holders, waiters) in [queues(&READER_WRITER), queues(&semaphore())].concat() {
        for waiter in waiters {
            let [alone, queued] = [None, Some(waiter)]
                .map(|entry| judge(&waiter, false, holders.iter().copied(), entry));
            assert_eq!(alone, queued);
        }
    }
}

#[test]
fn two_with_one_arrival_are_not_both_admitted() {
    let two = [
        waiter(1, Mode::Exclusive, 0, 5),
        waiter(2, Mode::Exclusive, 0, 5),
    ];
    assert_eq!(admitted(&[], &two).len(), 1);
}

#[test]
fn more_permits_than_there_are_cannot_be_asked_for() {
    let [two, three] = [2, 3].map(|n| NonZeroU32::new(n).unwrap());
    assert!(Permits::new(three, two).is_err());
    assert!(Permits::new(two, two).is_ok());
}
