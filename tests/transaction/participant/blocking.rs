//! Participants whose calls block.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use tripod::transaction::log::Persistence;
use tripod::transaction::participant::conformance::run;
use tripod::transaction::participant::{
    Blocking, BlockingParticipant, Opening, Participant, ParticipantError, ParticipantOpenError,
    Report, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, ParticipantName};

use super::branch;
use super::sheet::Sheet;

#[tokio::test]
async fn a_ledger_that_blocks_obeys_the_law() {
    run(&Sheet::new(None)).await.into_result().unwrap();
}

/// Waits in `prepare` until it is let go, and panics in all else.
#[derive(Debug)]
struct Gate {
    name: ParticipantName,
    go: Mutex<Receiver<()>>,
    entered: Arc<AtomicUsize>,
    left: Mutex<Sender<()>>,
}

impl Gate {
    #[track_caller]
    fn breaks() -> ! {
        panic!("as it was made to")
    }
}

impl BlockingParticipant for Gate {
    fn name(&self) -> &ParticipantName {
        &self.name
    }

    fn persistence(&self) -> Persistence {
        Persistence::Process
    }

    fn lists(&self) -> bool {
        true
    }

    fn open(&self, _: Opening) -> Result<(), ParticipantOpenError> {
        Self::breaks()
    }

    fn prepare(&self, _: BranchId) -> Result<Vote, ParticipantError> {
        self.entered.fetch_add(1, Ordering::SeqCst);
        self.go.lock().unwrap().recv().unwrap();
        self.left.lock().unwrap().send(()).unwrap();
        Ok(Vote::Prepared)
    }

    fn commit_one_phase(&self, _: BranchId) -> Result<Report, ParticipantError> {
        Self::breaks()
    }

    fn commit(&self, _: BranchId) -> Result<Report, ParticipantError> {
        Self::breaks()
    }

    fn abort(&self, _: BranchId) -> Result<Report, ParticipantError> {
        Self::breaks()
    }

    fn settle(&self, _: BranchId) -> Result<Report, ParticipantError> {
        Self::breaks()
    }

    fn in_doubt(&self, _: CoordinatorId, _: Epoch) -> Result<Vec<BranchId>, ParticipantError> {
        Self::breaks()
    }

    fn forget(&self, _: CoordinatorId, _: (Epoch, u64)) -> Result<(), ParticipantError> {
        Self::breaks()
    }
}

struct Gated {
    participant: Blocking<Gate>,
    go: Sender<()>,
    entered: Arc<AtomicUsize>,
    left: Receiver<()>,
}

fn gated() -> Gated {
    let (go, waits) = channel();
    let (leaves, left) = channel();
    let entered = Arc::default();
    let gate = Gate {
        name: ParticipantName::new("gate").unwrap(),
        go: Mutex::new(waits),
        entered: Arc::clone(&entered),
        left: Mutex::new(leaves),
    };
    Gated {
        participant: Blocking::new(gate, NonZeroUsize::MIN),
        go,
        entered,
        left,
    }
}

#[tokio::test]
async fn a_panic_is_unknown_and_blocks_nobody() {
    let Gated {
        participant,
        go,
        left: _left,
        ..
    } = gated();
    for _ in 0..3 {
        let report = participant.commit(branch(1, 0)).await;
        assert!(matches!(report, Err(ParticipantError::Unknown(_))));
    }
    let opening = Opening::new(CoordinatorId::from_u128(1), super::epoch(1), 0);
    let opened = participant.open(opening).await;
    assert!(matches!(opened, Err(ParticipantOpenError::Unknown(_))));
    go.send(()).unwrap();
    let vote = participant.prepare(branch(1, 0)).await.unwrap();
    assert_eq!(vote, Vote::Prepared);
}

#[tokio::test]
async fn a_dropped_call_goes_on_to_its_end_and_keeps_its_turn() {
    let Gated {
        participant,
        go,
        entered,
        left,
    } = gated();
    assert!(participant.prepare(branch(1, 0)).now_or_never().is_none());
    // Its turn is not over: the next one waits, and dropped it never was.
    assert!(participant.prepare(branch(1, 1)).now_or_never().is_none());
    go.send(()).unwrap();
    let leaves = tokio::task::spawn_blocking(move || left.recv().map(|()| left));
    let _left = leaves.await.unwrap().unwrap();
    go.send(()).unwrap();
    participant.prepare(branch(1, 2)).await.unwrap();
    assert_eq!(entered.load(Ordering::SeqCst), 2);
}

#[test]
fn without_a_runtime_the_answer_is_unknown() {
    let Gated { participant, .. } = gated();
    let vote = participant.prepare(branch(1, 0)).now_or_never().unwrap();
    assert!(matches!(vote, Err(ParticipantError::Unknown(_))));
}
