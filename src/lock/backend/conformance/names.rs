//! Names that look alike are different locks.

use futures_util::future::try_join_all;

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::lock::backend::Held;
use crate::lock::name::LockName;

use super::Case;
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    holders_of_names_that_look_alike_do_not_meet: NAMES;
    waiters_of_names_that_look_alike_do_not_meet: NAMES;
    permits_of_names_that_look_alike_do_not_meet: NAMES;
    the_longest_names_differ_by_their_last_byte: NAMES;
];

/// What stores, their patterns, paths, collations and quoting take for one another.
const ALIKE: [&str; 62] = [
    "a",
    "A",
    "a/",
    "a/b",
    "a/b/",
    "a//b",
    "/a",
    "//a",
    "a/h",
    "a/w",
    "a/.",
    "a/..",
    ".",
    "..",
    "a.",
    "a:",
    "a:b",
    "a\\",
    "a\\b",
    "a\\/b",
    "a ",
    " a",
    "a  b",
    "a b",
    "a\u{a0}b",
    "a%",
    "a%2Fb",
    "a%2fb",
    "a_",
    "a*",
    "a?",
    "a[b]",
    "{a}",
    "{a}b",
    "a'",
    "a''",
    "a\"",
    "`a`",
    "a;",
    "a--",
    "a#",
    "a$",
    "$1",
    "a+b",
    "a-b",
    "a~b",
    "a|b",
    "aa",
    "ab",
    "0",
    "00",
    "\u{e9}",
    "e\u{301}",
    "e",
    "\u{df}",
    "ss",
    "\u{130}",
    "\u{131}",
    "i",
    "\u{1f512}",
    "\u{fe0f}",
    "a\u{200b}",
];

/// Names with what is alike at the end, and with what is alike at the start. All start or end
/// alike beside that, so that none has met another run's.
fn alike(scene: &Scene<'_>) -> Result<Vec<LockName>, Failure> {
    let number = scene.number();
    let ends = ALIKE.iter().map(|text| format!("{number}{text}"));
    let starts = ALIKE.iter().map(|text| format!("{text}{number}"));
    let bare = std::iter::once(number.clone());
    let names = ends.chain(starts).chain(bare);
    Ok(names.map(LockName::new).collect::<Result<_, _>>()?)
}

async fn holders_of_names_that_look_alike_do_not_meet(scene: &Scene<'_>) -> Outcome {
    let names = alike(scene)?;
    let mut holders = Vec::new();
    for name in &names {
        holders.push(scene.party(name)?.without_waiting());
    }
    let granted = try_join_all(holders.iter().map(|party| party.granted())).await?;
    let seen = try_join_all(names.iter().map(|name| scene.inspect(name))).await?;
    for ((party, grant), seen) in holders.iter().zip(&granted).zip(seen) {
        let held = seen.holders().iter().map(|h| (h.holder(), h.pass()));
        ensure!(
            held.eq([(party.holder(), grant.pass())]) && seen.waiters().is_empty(),
            "{:?} is held by one alone, and shows {seen:?}",
            party.entry().name()
        );
    }
    // The end of every second one spares all others.
    try_join_all(holders.iter().step_by(2).map(|party| party.releases())).await?;
    let seen = try_join_all(names.iter().map(|name| scene.inspect(name))).await?;
    for ((name, seen), left) in names.iter().zip(seen).zip([0, 1].into_iter().cycle()) {
        let held = seen.holders().len();
        ensure!(held == left, "{name:?} has {held} holders, not {left}");
    }
    Ok(())
}

async fn waiters_of_names_that_look_alike_do_not_meet(scene: &Scene<'_>) -> Outcome {
    let names = alike(scene)?;
    let (mut holders, mut waiters) = (Vec::new(), Vec::new());
    for name in &names {
        holders.push(scene.party(name)?);
        waiters.push(scene.party(name)?);
    }
    try_join_all(holders.iter().map(|party| party.granted())).await?;
    try_join_all(waiters.iter().map(|party| party.waits())).await?;
    // One after another: each release lets its own waiter in, and no other.
    for (at, holder) in holders.iter().enumerate().step_by(7) {
        holder.releases().await?;
        let next = waiters.iter().skip(at + 1).take(1);
        try_join_all(next.map(|party| party.still_waits())).await?;
        let own = waiters.iter().skip(at).take(1);
        try_join_all(own.map(|party| party.claims())).await?;
    }
    Ok(())
}

async fn permits_of_names_that_look_alike_do_not_meet(scene: &Scene<'_>) -> Outcome {
    let names = alike(scene)?;
    let mut parties = Vec::new();
    for (of, name) in (1..).zip(&names) {
        // Each name is a family of its own.
        let mode = super::party::permits(of, of)?;
        parties.push(scene.party(name)?.mode(mode).without_waiting());
    }
    try_join_all(parties.iter().map(|party| party.granted())).await?;
    Ok(())
}

async fn the_longest_names_differ_by_their_last_byte(scene: &Scene<'_>) -> Outcome {
    let number = scene.number();
    // One byte in UTF-8 each, and two bytes each, which grow when they are encoded.
    let mut names = Vec::new();
    for filler in ["x", "\u{e9}", "/", "%", " "] {
        let room = LockName::LEN_MAX - number.len() - 2;
        let filler = filler.repeat(room / filler.len());
        for last in ["", "y", "z", "yy", "yz", "zy"] {
            names.push(LockName::new(format!("{number}{filler}{last}"))?);
        }
    }
    let mut parties = Vec::new();
    for name in &names {
        parties.push(scene.party(name)?.without_waiting());
    }
    let granted = try_join_all(parties.iter().map(|party| party.granted())).await?;
    for (party, grant) in parties.iter().zip(granted) {
        let seen = scene.inspect(party.entry().name()).await?;
        let held = seen.holders().iter().map(Held::pass);
        ensure!(
            held.eq([grant.pass()]),
            "a name of 200 bytes shows {seen:?}"
        );
    }
    Ok(())
}
