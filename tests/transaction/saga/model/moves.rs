//! What can happen next, and what must hold of it.

use std::collections::BTreeSet;

use stateright::{Model, Property};
use tripod::transaction::saga::{Direction, End, Event, Kind, Progress, Reason};

use super::world::{Answer, Move, Outside, Trip, World};
use super::{ALL, NONE, PIVOT, SOUND, STUCK};

impl Model for Trip {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let mut world = World {
            execution: self.fresh.clone(),
            log: Vec::new(),
            writing: Vec::new(),
            running: BTreeSet::new(),
            undoing: BTreeSet::new(),
            resting: BTreeSet::new(),
            outside: vec![Outside::default(); self.nodes.len()],
            faults: self.faults,
            crashes: self.crashes,
            cancelled: false,
            broken: None,
            over: None,
        };
        self.take(&mut world, Event::Resume);
        vec![world]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        let arriving = world.outside.iter().zip(0..);
        let late = arriving.filter(|(outside, _)| outside.late);
        moves.extend(late.map(|(_, step)| Move::Arrive(step)));
        if world.over.is_some() {
            return;
        }
        moves.extend((!world.writing.is_empty()).then_some(Move::Write));
        for step in &world.running {
            moves.push(Move::Ran(*step, Answer::Done));
            if world.faults > 0 {
                let wrong = [Answer::Failed, Answer::Again, Answer::Lost, Answer::Late];
                moves.extend(wrong.map(|answer| Move::Ran(*step, answer)));
            }
        }
        for step in &world.undoing {
            moves.push(Move::Undone(*step, Answer::Done));
            if world.faults > 0 {
                let wrong = [Answer::Failed, Answer::Again, Answer::Lost];
                moves.extend(wrong.map(|answer| Move::Undone(*step, answer)));
            }
        }
        moves.extend(world.resting.iter().map(|step| Move::Rest(*step)));
        moves.extend((!world.cancelled).then_some(Move::Cancel));
        moves.extend((world.crashes > 0).then_some(Move::Crash));
        if world.writing.is_empty() {
            let steps = world.execution.steps().iter().zip(0..);
            let parked = steps.filter(|(step, _)| step.progress().parked().is_some());
            moves.extend(parked.map(|(_, step)| Move::Retry(step)));
        }
    }

    fn next_state(&self, before: &World, step: Move) -> Option<World> {
        let mut world = before.clone();
        match step {
            Move::Write => self.write(&mut world),
            Move::Ran(step, answer) => {
                world.faults -= u8::from(answer != Answer::Done);
                self.answer(&mut world, step, answer);
            }
            Move::Undone(step, answer) => {
                world.faults -= u8::from(answer != Answer::Done);
                self.answer_undo(&mut world, step, answer);
            }
            Move::Arrive(step) => {
                let outside = &mut world.outside[usize::from(step)];
                outside.late = false;
                outside.happened |= !outside.refused;
            }
            Move::Rest(step) => {
                world.resting.remove(&step);
                self.take(&mut world, Event::Rested { step });
            }
            Move::Cancel => {
                world.cancelled = true;
                self.take(&mut world, Event::Cancel(Reason::Cancelled));
            }
            Move::Crash => self.crash(&mut world),
            Move::Retry(step) => {
                // The cause has been mended.
                let forward = world.execution.direction() == Direction::Forward;
                world.outside[usize::from(step)].refused &= !forward;
                self.take(&mut world, Event::Retry { step });
            }
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SOUND, |_, world: &World| world.broken.is_none()),
            Property::always(ALL, |_, world: &World| {
                let all = world.outside.iter().all(|outside| outside.happened);
                world.over != Some(End::Completed) || all
            }),
            Property::always(NONE, |_, world: &World| {
                let none = world
                    .outside
                    .iter()
                    .all(|outside| !outside.happened && (!outside.late || outside.refused));
                !matches!(world.over, Some(End::Compensated(_))) || none
            }),
            Property::always(PIVOT, |trip: &Self, world: &World| {
                let taken = trip.nodes.iter().zip(&world.outside);
                let taken = taken.filter(|((kind, _), _)| *kind == Kind::Pivot);
                let taken = taken.filter(|(_, outside)| outside.happened).count() > 0;
                !taken || !matches!(world.execution.direction(), Direction::Backward(_))
            }),
            Property::always(STUCK, |trip: &Self, world: &World| {
                let mut moves = Vec::new();
                trip.actions(world, &mut moves);
                let goes_on =
                    |it: &Move| !matches!(it, Move::Arrive(_) | Move::Cancel | Move::Crash);
                world.over.is_some() || moves.iter().any(goes_on)
            }),
            Property::sometimes("it is completed", |_, world: &World| {
                world.over == Some(End::Completed)
            }),
            Property::sometimes("it is compensated", |_, world: &World| {
                matches!(world.over, Some(End::Compensated(_)))
            }),
            Property::sometimes("a step is doubtful", |_, world: &World| {
                let mut steps = world.execution.steps().iter();
                steps.any(|step| step.progress() == Progress::Doubtful)
            }),
        ]
    }
}
