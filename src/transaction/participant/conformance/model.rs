//! What a history expects: the reference, and all that the law leaves open beside it.

use std::collections::{BTreeMap, BTreeSet};

use crate::conformance::{Failure, Outcome, ensure};
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::participant::{
    Ledger, Opening, Outcome as Did, Reply, Report, Request, Row, Vote,
};

/// A ledger that learns what the participant did, where it had a choice.
#[derive(Default)]
pub(super) struct Model {
    ledger: Ledger,
    begun: BTreeSet<BranchId>,
    /// Those that worked when a later epoch opened. Nobody is left who works in them: they may be
    /// ended, with a tombstone or without.
    orphans: BTreeSet<BranchId>,
    /// What settled branches did, whether their rows are there or not.
    did: BTreeMap<BranchId, Did>,
    watermarks: BTreeMap<CoordinatorId, (Epoch, u64)>,
}

impl Model {
    pub(super) fn open(&mut self, opening: Opening) -> Outcome {
        let (coordinator, epoch) = (opening.coordinator(), opening.epoch());
        self.ledger.open(coordinator, epoch, opening.nonce())?;
        let orphans = self.begun.iter().filter(|branch| {
            let id = branch.transaction();
            let works = matches!(self.ledger.row(**branch), Some(Row::Working { .. }));
            works && id.coordinator() == coordinator && id.epoch() < epoch
        });
        self.orphans.extend(orphans);
        Ok(())
    }

    /// Whether the branch may begin.
    pub(super) fn work(&mut self, branch: BranchId, read_only: bool) -> bool {
        self.begun.insert(branch);
        self.ledger.work(branch, read_only).is_ok()
    }

    /// Whether it may never begin, or begin again.
    pub(super) fn is_refused(&self, branch: BranchId) -> bool {
        let settled = matches!(self.row(branch), Some(Row::Committed | Row::Excluded));
        settled || self.ledger.is_fenced(branch)
    }

    /// Takes the participant's answer, if the law allows it.
    pub(super) fn answered(
        &mut self,
        branch: BranchId,
        request: Request,
        reply: &Reply,
    ) -> Outcome {
        let before = self.ledger.row(branch);
        if self.is_kept_row(branch) && same(reply, &self.row_says(branch, request)?) {
            return Ok(());
        }
        for mut ledger in self.possible(branch) {
            if same(&ledger.answer(branch, request), reply) {
                self.ledger = ledger;
                self.learn(branch);
                return Ok(());
            }
        }
        let expected = self.ledger.answer(branch, request);
        Err(Failure::new(format_args!(
            "{request:?} of {branch}, {before:?}: {reply:?} instead of {expected:?}"
        )))
    }

    /// Takes what a scan found, if the law allows it.
    pub(super) fn found(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
        lists: bool,
        found: &[BranchId],
    ) -> Outcome {
        let expected = self.ledger.in_doubt(coordinator, before);
        let fits = if lists {
            found == expected
        } else {
            found.iter().all(|branch| expected.contains(branch))
        };
        ensure!(
            fits,
            "in doubt before {before}: {found:?} instead of {expected:?}"
        );
        Ok(())
    }

    pub(super) fn forget(&mut self, coordinator: CoordinatorId, watermark: (Epoch, u64)) {
        self.ledger.forget(coordinator, watermark);
        let highest = self.watermarks.entry(coordinator).or_insert(watermark);
        *highest = watermark.max(*highest);
    }

    pub(super) fn crash(&mut self, branches: impl IntoIterator<Item = BranchId>) {
        for branch in branches {
            self.ledger.lose(branch);
        }
    }

    pub(super) fn row(&self, branch: BranchId) -> Option<Row> {
        self.ledger.row(branch)
    }

    /// Whether what the branch wrote has happened.
    pub(super) fn happened(&self, branch: BranchId) -> bool {
        self.did.get(&branch) == Some(&Did::Committed)
    }

    /// Whether the branch's transaction is below the watermark.
    pub(super) fn is_over(&self, branch: BranchId) -> bool {
        let id = branch.transaction();
        let watermark = self.watermarks.get(&id.coordinator());
        watermark.is_some_and(|over| (id.epoch(), id.sequence()) < *over)
    }

    /// What the ledger may be by now, the likeliest first.
    fn possible(&self, branch: BranchId) -> Vec<Ledger> {
        let mut all = vec![self.ledger.clone()];
        let read_only = match self.ledger.row(branch) {
            Some(Row::Working { read_only }) => read_only,
            None => false,
            Some(Row::Prepared | Row::Committed | Row::Excluded) => return all,
        };
        if read_only {
            // Participants need not tell.
            let mut ledger = self.ledger.clone();
            ledger.change(branch);
            all.push(ledger);
        }
        if self.orphans.contains(&branch) {
            let mut lost = self.ledger.clone();
            lost.lose(branch);
            let mut excluded = self.ledger.clone();
            excluded.answer(branch, Request::Abort);
            all.extend([lost, excluded]);
        }
        all
    }

    fn learn(&mut self, branch: BranchId) {
        let did = match self.ledger.row(branch) {
            Some(Row::Committed) => Did::Committed,
            Some(Row::Excluded) => Did::Aborted,
            Some(Row::Working { .. } | Row::Prepared) | None => return,
        };
        self.did.entry(branch).or_insert(did);
    }

    /// Whether the branch's row may be there although the ledger has dropped it.
    fn is_kept_row(&self, branch: BranchId) -> bool {
        self.is_over(branch) && self.did.contains_key(&branch) && self.ledger.row(branch).is_none()
    }

    /// What a row answers.
    fn row_says(&self, branch: BranchId, request: Request) -> Result<Reply, Failure> {
        let did = self.did.get(&branch).copied();
        let did = did.ok_or_else(|| Failure::new("no row"))?;
        Ok(match request {
            Request::Prepare => Reply::Vote(Vote::No("it is settled".into())),
            Request::CommitOnePhase | Request::Commit | Request::Abort | Request::Settle => {
                Reply::Report(Report::Did(did))
            }
        })
    }
}

/// Whether two answers are the same but for the words.
fn same(one: &Reply, two: &Reply) -> bool {
    let refuses = |reply: &Reply| matches!(reply, Reply::Vote(Vote::No(_)));
    one == two || refuses(one) && refuses(two)
}
