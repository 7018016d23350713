//! What can be defined, and what cannot.

use tripod::transaction::saga::{
    Definition, DefinitionBuilder, DefinitionError, Kind, Run, Step, StepError,
};

async fn act(_: Run<u32>) -> Result<u32, StepError> {
    Ok(1)
}

async fn undo(_: Run<u32>, _: Option<u32>) -> Result<(), StepError> {
    Ok(())
}

fn step(name: &str) -> Step<u32, u32> {
    Step::new(name, 1, act).compensate(undo)
}

fn build<const N: usize>(steps: [Step<u32, u32>; N]) -> Result<Definition<u32>, DefinitionError> {
    let builder = Definition::builder("saga", 1);
    steps
        .into_iter()
        .fold(builder, DefinitionBuilder::step)
        .build()
}

#[test]
fn steps_come_one_after_the_other_unless_they_say_otherwise() {
    let definition = build([step("c"), step("b").after(["a"]), step("a").after(["c"])]).unwrap();
    assert_eq!(definition.steps().collect::<Vec<_>>(), ["c", "a", "b"]);
}

#[test]
fn what_comes_after_itself_is_named() {
    let error = build([step("a").after(["c"]), step("b"), step("c")]).unwrap_err();
    let DefinitionError::Cycle(names) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(
        names.iter().map(|name| &**name).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    assert_eq!(
        error.to_string(),
        "the steps a, b, c come after each other in a circle"
    );
}

#[test]
fn two_steps_of_a_name_and_steps_that_there_are_not_are_named() {
    let error = build([step("a"), step("a")]).unwrap_err();
    assert_eq!(error, DefinitionError::Duplicate("a".into()));
    let error = build([step("a").after(["z"])]).unwrap_err();
    let unknown = DefinitionError::UnknownStep {
        step: "a".into(),
        after: "z".into(),
    };
    assert_eq!(error, unknown);
    assert_eq!(
        build([step("a b")]).unwrap_err(),
        DefinitionError::Name("a b".into())
    );
    assert_eq!(build([]).unwrap_err(), DefinitionError::Empty);
}

#[test]
fn a_step_without_a_way_back_has_to_say_what_it_is() {
    let error = build([step("a"), Step::new("b", 1, act)]).unwrap_err();
    assert_eq!(error, DefinitionError::MissingCompensation("b".into()));
    build([step("a"), Step::new("b", 1, act).harmless()]).unwrap();
}

#[test]
fn there_is_one_point_of_no_return_and_every_step_is_on_one_side_of_it() {
    let error = build([step("a").pivot(), step("b").pivot()]).unwrap_err();
    assert_eq!(error, DefinitionError::TwoPivots("a".into(), "b".into()));
    let error = build([step("a"), step("b").retriable()]).unwrap_err();
    assert_eq!(error, DefinitionError::NoPivot("b".into()));
    let beside = |step: &str, kind| DefinitionError::BesidePivot {
        step: step.into(),
        kind,
        pivot: "pay".into(),
    };
    let error = build([step("pay").pivot(), step("late")]).unwrap_err();
    assert_eq!(error, beside("late", Kind::Compensatable));
    let none: [&str; 0] = [];
    let error = build([step("a"), step("pay").pivot(), step("b").after(none)]).unwrap_err();
    assert_eq!(error, beside("b", Kind::Compensatable));
    let error = build([step("early").retriable(), step("pay").pivot()]).unwrap_err();
    assert_eq!(error, beside("early", Kind::Retriable));
    // With nothing to compensate, it may be on either side.
    let harmless = Step::new("look", 1, act).harmless();
    build([step("pay").pivot(), harmless]).unwrap();
}

#[test]
fn the_steps_of_a_saga_within_a_saga_are_between_those_around_it() {
    let inner = build([step("x"), step("y").after(["x"]), step("z").after(["x"])]).unwrap();
    let outer = Definition::<u32>::builder("outer", 1)
        .step(step("before"))
        .saga("in", &inner, |run: &Run<u32>| Ok(*run.input()))
        .step(step("behind"))
        .build()
        .unwrap();
    let steps: Vec<_> = outer.steps().collect();
    assert_eq!(steps, ["before", "in", "in/x", "in/y", "in/z", "behind"]);
}
