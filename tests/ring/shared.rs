//! Readers are never blocked, and see whole epochs only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use tripod::ring::{Change, ChangeError, HashRing, Node, Sha256V1, SharedRing, UpdateError};

use crate::oracle::{build, id, name_of, node};

fn pair(epoch: u64) -> [String; 2] {
    [format!("left-{epoch}"), format!("right-{epoch}")]
}

/// Each epoch replaces both nodes at once.
fn turn(shared: &SharedRing, epoch: u64) {
    let leave = pair(epoch).map(|name| Change::Remove(id(&name)));
    let join = pair(epoch + 1).map(|name| Change::Add(node(&name, 1, None)));
    shared.apply(leave.into_iter().chain(join)).unwrap();
}

fn assert_whole(ring: &HashRing) {
    let names: Vec<&str> = ring.nodes().map(|node| node.id().as_str()).collect();
    let expected = pair(ring.epoch());
    assert_eq!(names, expected);
    assert_eq!(ring.points(), 8);
    let owner = name_of(ring.owner("key")).unwrap();
    assert!(
        expected.iter().any(|name| name == owner),
        "{owner} of another epoch"
    );
    assert!(
        ring.vnodes()
            .all(|(_, node)| expected.iter().any(|name| name == node.id().as_str()))
    );
}

#[test]
fn readers_see_whole_epochs_only() {
    let shared = SharedRing::new(build(Sha256V1, 4, pair(0).map(|name| node(&name, 1, None))));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            let (shared, done) = (shared.clone(), &done);
            scope.spawn(move || {
                let mut seen = 0;
                while !done.load(Ordering::Acquire) {
                    let ring = shared.load();
                    assert!(ring.epoch() >= seen, "time went backwards");
                    seen = ring.epoch();
                    assert_whole(&ring);
                }
            });
        }
        for epoch in 0..400 {
            turn(&shared, epoch);
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(shared.load().epoch(), 400);
    assert_whole(&shared.load());
}

#[test]
fn a_ring_that_was_loaded_outlives_its_successors() {
    let shared = SharedRing::new(build(Sha256V1, 4, pair(0).map(|name| node(&name, 1, None))));
    // More than the fast path of the cell has room for.
    let held: Vec<_> = (0..50)
        .map(|epoch| {
            let ring = shared.load();
            turn(&shared, epoch);
            ring
        })
        .collect();
    for (ring, epoch) in held.iter().zip(0..) {
        assert_eq!(ring.epoch(), epoch);
        assert_whole(ring);
    }
}

#[test]
fn writers_that_decide_on_what_they_read_never_lose_a_change() {
    let shared = SharedRing::new(build(Sha256V1, 1, []));
    thread::scope(|scope| {
        for writer in 0..4 {
            let shared = &shared;
            scope.spawn(move || {
                for n in 0..25 {
                    let name = format!("{writer}-{n}");
                    loop {
                        let epoch = shared.load().epoch();
                        let changes = [Change::Add(node(&name, 1, None))];
                        match shared.apply_at(epoch, changes) {
                            Ok(ring) => break assert_eq!(ring.epoch(), epoch + 1),
                            Err(UpdateError::Stale { expected, found }) => {
                                assert!(expected == epoch && found > epoch);
                            }
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
    });
    let ring = shared.load();
    assert_eq!((ring.len(), ring.epoch()), (100, 100));
}

#[test]
fn a_stale_update_says_how_stale_and_changes_nothing() {
    let shared = SharedRing::new(build(Sha256V1, 4, [node("a", 1, None)]));
    shared.apply([]).unwrap();
    for expected in [0, 2, u64::MAX] {
        let refused = shared
            .apply_at(expected, [Change::Remove(id("a"))])
            .unwrap_err();
        assert_eq!(refused, UpdateError::Stale { expected, found: 1 });
    }
    let refused = shared.apply_at(1, [Change::Remove(id("b"))]).unwrap_err();
    let unknown = ChangeError::Unknown { id: id("b") };
    assert_eq!(refused, UpdateError::Change(unknown.clone()));
    assert_eq!(
        shared.apply([Change::Remove(id("b"))]).unwrap_err(),
        unknown
    );
    assert_eq!((shared.load().len(), shared.load().epoch()), (1, 1));
}

#[test]
fn an_update_that_fails_or_panics_leaves_the_ring() {
    let shared = SharedRing::new(build(Sha256V1, 4, [node("a", 1, None)]));
    let refused = shared.update(|_| Err::<HashRing, _>("no"));
    assert_eq!(refused.unwrap_err(), "no");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        shared.update::<ChangeError>(|_| panic!("on purpose"))
    }));
    assert!(panicked.is_err());
    assert_eq!((shared.load().len(), shared.load().epoch()), (1, 0));
    // Nor is the cell locked or poisoned.
    shared.apply([Change::Add(node("b", 1, None))]).unwrap();
    assert_eq!(shared.load().len(), 2);
}

#[test]
fn clones_share_the_cell() {
    let shared = SharedRing::new(build(Sha256V1, 4, [node("a", 1, None)]));
    let other = shared.clone();
    let returned = other.apply([Change::Add(node("b", 1, None))]).unwrap();
    assert_eq!(shared.load().fingerprint(), returned.fingerprint());
}

#[test]
fn a_reader_inside_an_update_sees_the_ring_before() {
    let shared = SharedRing::new(build(Sha256V1, 4, [node("a", 1, None)]));
    shared
        .update(|ring| {
            assert_eq!(shared.load().epoch(), ring.epoch());
            ring.apply([Change::Add(node("b", 1, None))])
        })
        .unwrap();
    assert_eq!(shared.load().epoch(), 1);
}

#[test]
fn epochs_go_up_even_when_a_ring_is_built_afresh() {
    let build = || HashRing::builder().nodes([Node::new("a").unwrap()]).build();
    let shared = SharedRing::new(build().unwrap().apply([]).unwrap());
    let decided_at = shared.load().epoch();
    shared.update(|_| build()).unwrap();
    assert_eq!(shared.load().epoch(), decided_at + 1);
    assert!(shared.apply_at(decided_at, []).is_err());
}

#[test]
fn a_payload_may_change_the_ring_while_it_is_dropped() {
    /// Records the ring's epoch when it goes.
    #[derive(Clone)]
    struct Pool(Option<Arc<OnceLock<SharedRing<Pool>>>>);
    impl Drop for Pool {
        fn drop(&mut self) {
            if let Some(shared) = self.0.take().as_deref().and_then(OnceLock::get) {
                shared.apply([]).unwrap();
            }
        }
    }
    let cell = Arc::new(OnceLock::new());
    let with_pool = Node::new("a")
        .unwrap()
        .with_payload(Pool(Some(Arc::clone(&cell))));
    let ring = HashRing::builder().nodes([with_pool]).build().unwrap();
    let shared = cell.get_or_init(|| SharedRing::new(ring));
    shared
        .apply([Change::Remove("a".try_into().unwrap())])
        .unwrap();
    assert!(shared.load().is_empty());
    assert!(shared.load().epoch() >= 1);
}
