//! Fencing tokens and floors.

use futures_util::future::try_join_all;

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::lock::backend::{Enqueued, Held};
use crate::lock::fence::{FencePass, FencingToken};
use crate::lock::queue::Mode;

use super::Case;
use super::party::{Party, permits};
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    tokens_rise_across_releases: TOKEN;
    tokens_rise_across_leaves: TOKEN;
    tokens_rise_across_forced_releases: TOKEN;
    tokens_rise_across_modes: TOKEN;
    tokens_rise_across_expiry: TOKEN;
    tokens_rise_across_names_that_empty_and_clients_that_are_new: TOKEN;
    tokens_of_grants_at_once_are_distinct: TOKEN, STEP;
    tokens_are_of_the_grant_and_not_of_the_arrival: TOKEN;
    the_floor_of_an_exclusive_holder_is_its_own_token: TOKEN;
    the_floor_of_a_shared_holder_is_the_lowest_token_among_all: TOKEN;
    the_floor_of_permits_is_the_lowest_token_among_all: TOKEN;
    the_token_and_floor_of_a_holder_never_change: NEVER_DISPLACED, CLAIM_HOLDER;
];

/// The tokens of one name's grants, in their order.
#[derive(Default)]
struct Tokens(Option<FencingToken>);

impl Tokens {
    #[track_caller]
    fn rise(&mut self, pass: FencePass) -> Outcome {
        let (token, last) = (Some(pass.token()), self.0);
        if token <= last {
            let place = std::panic::Location::caller();
            return Err(Failure::at(
                place,
                format_args!("{token:?} follows {last:?}"),
            ));
        }
        self.0 = token;
        Ok(())
    }
}

async fn tokens_rise_across_releases(scene: &Scene<'_>) -> Outcome {
    let (name, mut tokens) = (scene.name()?, Tokens::default());
    for _ in 0..8 {
        let party = scene.party(&name)?;
        tokens.rise(party.granted().await?.pass())?;
        party.releases().await?;
    }
    Ok(())
}

async fn tokens_rise_across_leaves(scene: &Scene<'_>) -> Outcome {
    let (name, mut tokens) = (scene.name()?, Tokens::default());
    for _ in 0..4 {
        let (party, waiter) = (scene.party(&name)?, scene.party(&name)?);
        tokens.rise(party.granted().await?.pass())?;
        waiter.waits().await?;
        party.leave().await?;
        tokens.rise(waiter.claims().await?.pass())?;
        waiter.leave().await?;
    }
    Ok(())
}

async fn tokens_rise_across_forced_releases(scene: &Scene<'_>) -> Outcome {
    let (name, mut tokens) = (scene.name()?, Tokens::default());
    for _ in 0..4 {
        let pass = scene.party(&name)?.granted().await?.pass();
        tokens.rise(pass)?;
        let forced = scene.client().force_release(&name, pass.token()).await?;
        ensure!(forced, "force_release did not end {pass:?}");
    }
    Ok(())
}

async fn tokens_rise_across_modes(scene: &Scene<'_>) -> Outcome {
    let (name, mut tokens) = (scene.name()?, Tokens::default());
    for _ in 0..2 {
        for mode in [
            Mode::Exclusive,
            Mode::Shared,
            permits(2, 3)?,
            permits(1, 2)?,
        ] {
            let party = scene.party(&name)?.mode(mode);
            tokens.rise(party.granted().await?.pass())?;
            party.releases().await?;
        }
    }
    Ok(())
}

async fn tokens_rise_across_expiry(scene: &Scene<'_>) -> Outcome {
    let (name, mut tokens) = (scene.name()?, Tokens::default());
    for _ in 0..2 {
        tokens.rise(scene.brief(&name)?.granted().await?.pass())?;
        scene.outlast().await;
    }
    tokens.rise(scene.brief(&name)?.granted().await?.pass())
}

async fn tokens_rise_across_names_that_empty_and_clients_that_are_new(
    scene: &Scene<'_>,
) -> Outcome {
    let (name, mut tokens) = (scene.name()?, Tokens::default());
    for _ in 0..2 {
        let client = scene.connect().await?;
        for _ in 0..4 {
            let party = scene.brief_by(&client, &name)?;
            tokens.rise(party.granted().await?.pass())?;
            party.releases().await?;
        }
        // Time for a store to forget a name that nobody uses.
        scene.outlast().await;
    }
    tokens.rise(scene.party(&name)?.granted().await?.pass())
}

async fn tokens_of_grants_at_once_are_distinct(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let crowd: Vec<_> = (0..12)
        .map(|_| Ok::<_, Failure>(scene.party(&name)?.shared()))
        .collect::<Result<_, _>>()?;
    let answers = try_join_all(crowd.iter().map(Party::enqueue)).await?;
    let passes = answers.into_iter().filter_map(|answer| match answer {
        Enqueued::Granted(grant) => Some(grant.pass()),
        Enqueued::Waiting(_) | Enqueued::Held | Enqueued::Foreign(_) => None,
    });
    let mut passes: Vec<_> = passes.collect();
    ensure!(
        passes.len() == crowd.len(),
        "not all readers hold: {passes:?}"
    );
    passes.sort_by_key(|pass| pass.token());
    let lowest = passes.first().map(|pass| pass.token());
    let mut tokens = Tokens::default();
    for pass in passes {
        tokens.rise(pass)?;
        let floor = Some(pass.floor());
        ensure!(floor == lowest, "the lowest is {lowest:?}, not of {pass:?}");
    }
    Ok(())
}

async fn tokens_are_of_the_grant_and_not_of_the_arrival(scene: &Scene<'_>) -> Outcome {
    let (name, mut tokens) = (scene.name()?, Tokens::default());
    let holder = scene.party(&name)?.shared();
    let patient = scene.party(&name)?;
    let reader = scene.party(&name)?.shared().priority(1);
    let (high, higher) = (
        scene.party(&name)?.priority(2),
        scene.party(&name)?.priority(3),
    );
    tokens.rise(holder.granted().await?.pass())?;
    patient.waits().await?;
    tokens.rise(reader.granted().await?.pass())?;
    high.waits().await?;
    higher.waits().await?;
    holder.releases().await?;
    reader.releases().await?;
    for next in [&higher, &high, &patient] {
        tokens.rise(next.claims().await?.pass())?;
        next.releases().await?;
    }
    Ok(())
}

async fn the_floor_of_an_exclusive_holder_is_its_own_token(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let [readers, writer] = [scene.party(&name)?.shared(), scene.party(&name)?];
    readers.granted().await?;
    writer.waits().await?;
    readers.releases().await?;
    for pass in [
        writer.claims().await?.pass(),
        scene.party(&scene.name()?)?.granted().await?.pass(),
    ] {
        ensure!(pass == FencePass::exclusive(pass.token()), "{pass:?}");
    }
    Ok(())
}

/// Lets five hold together, the first of whom ends before the last comes.
async fn floors(scene: &Scene<'_>, mode: Mode) -> Outcome {
    let name = scene.name()?;
    let party = || Ok::<_, Failure>(scene.party(&name)?.mode(mode));
    let (first, second) = (party()?, party()?);
    let lowest = first.granted().await?.pass();
    ensure!(lowest.floor() == lowest.token(), "alone, with {lowest:?}");
    let next = second.granted().await?.pass();
    let third = party()?.granted().await?.pass();
    let fourth = party()?.granted().await?.pass();
    for pass in [next, third, fourth] {
        ensure!(
            pass.floor() == lowest.token(),
            "{lowest:?} holds, beside {pass:?}"
        );
    }
    first.releases().await?;
    let fifth = party()?.granted().await?.pass();
    ensure!(
        fifth.floor() == next.token(),
        "{next:?} is the lowest now, beside {fifth:?}"
    );
    Ok(())
}

async fn the_floor_of_a_shared_holder_is_the_lowest_token_among_all(scene: &Scene<'_>) -> Outcome {
    floors(scene, Mode::Shared).await
}

async fn the_floor_of_permits_is_the_lowest_token_among_all(scene: &Scene<'_>) -> Outcome {
    floors(scene, permits(1, 4)?).await
}

async fn the_token_and_floor_of_a_holder_never_change(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let reader = || Ok::<_, Failure>(scene.party(&name)?.shared());
    let (first, second, third) = (reader()?, reader()?, reader()?);
    first.granted().await?;
    let pass = second.granted().await?.pass();
    let same = async |after: &str| {
        for now in [
            second.claims().await?.pass(),
            second.granted().await?.pass(),
        ] {
            ensure!(now == pass, "after {after}, {pass:?} became {now:?}");
        }
        let seen = scene.inspect(&name).await?;
        let held = seen
            .holders()
            .iter()
            .find(|h| h.holder() == second.holder());
        let now = held.map(Held::pass);
        ensure!(
            now == Some(pass),
            "after {after}, {pass:?} is seen as {now:?}"
        );
        Outcome::Ok(())
    };
    third.granted().await?;
    same("a later grant").await?;
    first.releases().await?;
    same("the end of the lowest").await?;
    second.renewed().await?;
    same("a renewal").await?;
    third.leave().await?;
    scene.party(&name)?.priority(u8::MAX).waits().await?;
    same("a rival's arrival").await
}
