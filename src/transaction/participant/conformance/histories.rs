//! Histories at random, each step of which the reference foresees.

use std::collections::BTreeSet;

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::transaction::id::{BranchId, CoordinatorId};
use crate::transaction::participant::{Participant, Reply, Request, Row};

use super::model::Model;
use super::scene::{Process, Scene, branch, epoch, opening};
use super::{BRANCHES_MAX, Case};

pub(super) const CASES: &[Case] = cases![
    a_history_is_as_the_ledger_says: LEDGER, ONCE, REPEATS, PRESENT, DURABLE;
    another_history_is_as_the_ledger_says: LEDGER, ONCE, REPEATS, PRESENT, DURABLE;
];

/// Branches that most requests are about: the last ones.
const RECENT: usize = 12;
/// Steps of a history: enough to bring most branches to their end, some of them late.
const STEPS: usize = 250;

async fn a_history_is_as_the_ledger_says<'a>(scene: &'a Scene<'a>) -> Outcome {
    History::play(scene, scene.seed()).await
}

async fn another_history_is_as_the_ledger_says<'a>(scene: &'a Scene<'a>) -> Outcome {
    History::play(scene, !scene.seed()).await
}

/// Numbers that look random: S. Vigna, `SplitMix64`, 2015.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A coordinator of a history.
struct Player {
    id: CoordinatorId,
    epoch: u64,
    sequence: u64,
}

struct History<'a> {
    scene: &'a Scene<'a>,
    /// None while the one has died and the next has not started.
    process: Option<Process<'a>>,
    random: Random,
    model: Model,
    players: [Player; 2],
    /// Branches that requests are about, and what each wrote.
    branches: Vec<(BranchId, Option<u64>)>,
    /// Those whose commit was asked for before they were prepared.
    early: BTreeSet<BranchId>,
}

impl<'a> History<'a> {
    async fn play(scene: &'a Scene<'a>, seed: u64) -> Outcome {
        let player = |id| Player {
            id,
            epoch: 0,
            sequence: 0,
        };
        let mut history = History {
            scene,
            process: Some(scene.start().await?),
            random: Random(seed),
            model: Model::default(),
            players: [scene.coordinator(), scene.foreigner()].map(player),
            branches: Vec::new(),
            early: BTreeSet::new(),
        };
        for player in 0..2 {
            history.open(player).await?;
        }
        for count in 0..STEPS {
            let stepped = history.step().await;
            stepped.map_err(|failure| {
                let what = failure.into_text();
                Failure::new(format_args!("step {count} of history {seed:#x}: {what}"))
            })?;
        }
        history.check().await
    }

    async fn step(&mut self) -> Outcome {
        let player = usize::from(self.random.below(4) == 0);
        match self.random.below(100) {
            0..1 => self.open(player).await,
            1..4 => self.crash().await,
            4..8 => self.scan(player).await,
            8..12 => self.forget(player).await,
            12..35 => self.begin(player).await,
            35..38 => self.begin_again().await,
            38..60 => self.ask(Request::Prepare).await,
            60..75 => self.ask(Request::Commit).await,
            75..85 => self.ask(Request::Abort).await,
            85..92 => self.ask(Request::CommitOnePhase).await,
            _ => self.ask(Request::Settle).await,
        }
    }

    async fn open(&mut self, player: usize) -> Outcome {
        let Some(player) = self.players.get_mut(player) else {
            return Ok(());
        };
        player.epoch += 1;
        player.sequence = 0;
        let opening = opening(player.id, player.epoch, u128::from(self.random.0))?;
        self.process()?.open(opening).await?;
        self.model.open(opening)
    }

    /// A branch begins, writes as a rule, or is only talked of.
    async fn begin(&mut self, player: usize) -> Outcome {
        let open = |row| matches!(row, Some(Row::Working { .. } | Row::Prepared));
        let branches = self.branches.iter();
        let under_way = branches.filter(|(branch, _)| open(self.model.row(*branch)));
        let full = under_way.count() >= BRANCHES_MAX;
        let Some(player) = self.players.get_mut(player) else {
            return Ok(());
        };
        let begun = branch(player.id, player.epoch, player.sequence, 0)?;
        player.sequence += 1;
        let kind = self.random.below(10);
        if full || kind == 0 {
            self.branches.push((begun, None));
            return Ok(());
        }
        let mark = (kind > 1).then(|| self.scene.mark());
        let mut hand = self.process()?.work(begun).await?;
        if let Some(mark) = mark {
            hand.write(mark).await?;
        }
        drop(hand);
        ensure!(self.model.work(begun, mark.is_none()), "{begun} works");
        self.branches.push((begun, mark));
        Ok(())
    }

    /// What is settled, or of an earlier epoch, is refused.
    async fn begin_again(&mut self) -> Outcome {
        let Some((branch, _)) = self.choose() else {
            return Ok(());
        };
        if self.model.is_refused(branch) {
            let begun = self.process()?.work(branch).await;
            ensure!(begun.is_err(), "{branch} works again");
        }
        Ok(())
    }

    async fn ask(&mut self, request: Request) -> Outcome {
        let Some(chosen @ (branch, _)) = self.choose() else {
            return Ok(());
        };
        let works = matches!(self.model.row(branch), Some(Row::Working { .. }));
        if request == Request::Commit && works {
            self.early.insert(branch);
        }
        // A commit asked for too early may come again, late, and would be due by then. Coordinators
        // ask for none before the vote.
        let too_late = request == Request::Prepare && self.early.contains(&branch);
        let request = if too_late { Request::Abort } else { request };
        self.ask_for(chosen, request).await
    }

    async fn ask_for(
        &mut self,
        (branch, mark): (BranchId, Option<u64>),
        request: Request,
    ) -> Outcome {
        let reply = answer(&**self.process()?, branch, request).await?;
        self.model.answered(branch, request, &reply)?;
        if let Some(mark) = mark {
            let happened = self.process()?.holds(mark).await?;
            let expected = self.model.happened(branch);
            ensure!(
                happened == expected,
                "{branch} has happened: {happened} instead of {expected}, after {request:?}"
            );
        }
        Ok(())
    }

    async fn scan(&mut self, player: usize) -> Outcome {
        let Some(player) = self.players.get(player) else {
            return Ok(());
        };
        let before = player.epoch + self.random.below(2);
        let found = self.process()?.doubts(player.id, before).await?;
        let lists = self.process()?.lists();
        self.model.found(player.id, epoch(before)?, lists, &found)
    }

    /// Ends what is old, and forgets what is over: all transactions before the first that is not,
    /// or fewer.
    async fn forget(&mut self, player: usize) -> Outcome {
        let settled = |row| matches!(row, Some(Row::Committed | Row::Excluded));
        let old = self.branches.iter().rev().skip(RECENT).copied();
        let old = old.filter(|(branch, _)| !settled(self.model.row(*branch)));
        let old: Vec<_> = old
            .filter(|(branch, _)| !self.model.is_over(*branch))
            .collect();
        for branch in old {
            self.ask_for(branch, Request::Abort).await?;
        }
        let Some(player) = self.players.get(player) else {
            return Ok(());
        };
        let own = |branch: &BranchId| branch.transaction().coordinator() == player.id;
        // What was only talked of may begin yet.
        let open =
            |branch: &BranchId| !settled(self.model.row(*branch)) && !self.model.is_over(*branch);
        let branches = self.branches.iter().map(|(branch, _)| *branch);
        let first = branches.filter(own).filter(open).min();
        let watermark = match first.map(BranchId::transaction) {
            Some(id) => (id.epoch(), id.sequence()),
            None => (epoch(player.epoch)?, player.sequence),
        };
        let lower = (
            watermark.0,
            watermark.1.saturating_sub(self.random.below(4)),
        );
        self.process()?.forget(player.id, lower).await?;
        self.model.forget(player.id, lower);
        Ok(())
    }

    async fn crash(&mut self) -> Outcome {
        self.model
            .crash(self.branches.iter().map(|(branch, _)| *branch));
        drop(self.process.take());
        self.process = Some(self.scene.start().await?);
        Ok(())
    }

    /// All that happened is there, and nothing else.
    async fn check(&mut self) -> Outcome {
        for (branch, mark) in &self.branches {
            let Some(mark) = mark else {
                continue;
            };
            let expected = self.model.happened(*branch);
            let happened = self.process()?.holds(*mark).await?;
            ensure!(happened == expected, "{branch} has happened: {happened}");
        }
        Ok(())
    }

    fn process(&self) -> Result<&Process<'a>, Failure> {
        let process = self.process.as_ref();
        process.ok_or_else(|| Failure::new("no process runs"))
    }

    /// One of the last branches as a rule, else any.
    fn choose(&mut self) -> Option<(BranchId, Option<u64>)> {
        let all = self.branches.len();
        let any = self.random.below(8) == 0;
        let among = if any { all } else { all.min(RECENT) };
        let back = self.random.below(u64::try_from(among.max(1)).ok()?);
        let mut latest = self.branches.iter().rev();
        latest.nth(usize::try_from(back).ok()?).copied()
    }
}

async fn answer(
    participant: &dyn Participant,
    branch: BranchId,
    request: Request,
) -> Result<Reply, Failure> {
    Ok(match request {
        Request::Prepare => Reply::Vote(participant.prepare(branch).await?),
        Request::CommitOnePhase => Reply::Report(participant.commit_one_phase(branch).await?),
        Request::Commit => Reply::Report(participant.commit(branch).await?),
        Request::Abort => Reply::Report(participant.abort(branch).await?),
        Request::Settle => Reply::Report(participant.settle(branch).await?),
    })
}
