//! Shares: exact, and they add up.

use proptest::prelude::*;
use tripod::ring::{HashRing, Sha256V1, Xxh3V1};

use crate::oracle::{Oracle, build, cases, members, node, nodes};
use crate::placements::{Odd, Shape, Tiny};

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn shares_add_up_to_the_circle(members in members(12), shape in 0..Odd::ALL.len()) {
        let placed = members.values().any(|(weight, _)| *weight > 0);
        let balances = [
            build(Sha256V1, 9, nodes(&members)).balance(),
            build(Xxh3V1, 9, nodes(&members)).balance(),
            build(Tiny, 9, nodes(&members)).balance(),
            build(Odd::ALL[shape], 9, nodes(&members)).balance(),
        ];
        for balance in balances {
            let sum: u128 = balance.shares().map(tripod::ring::Share::hashes).sum();
            prop_assert_eq!(sum, if placed { 1 << 64 } else { 0 });
            prop_assert_eq!(balance.peak_to_average().is_some(), placed);
        }
    }

    #[test]
    fn shares_equal_the_count_of_all_256_hashes(members in members(8)) {
        let ring = build(Tiny, 3, nodes(&members));
        let oracle = Oracle::of(&ring);
        for share in ring.balance().shares() {
            let owned = (0..=255).filter(|byte| {
                oracle.owner(Tiny::hash_of(*byte)) == Some(share.id().as_str())
            });
            prop_assert_eq!(share.hashes(), (owned.count() as u128) << 56);
            let points = oracle.points().iter().filter(|(_, id)| id == share.id().as_str());
            prop_assert_eq!(share.vnodes() as usize, points.count());
            prop_assert_eq!(share.weight(), ring.node(share.id().as_str()).unwrap().weight());
        }
    }

    #[test]
    fn the_peak_is_the_largest_share_by_weight(members in members(8)) {
        let balance = build(Sha256V1, 9, nodes(&members)).balance();
        let weights: u32 = members.values().map(|(weight, _)| *weight).sum();
        let peak = balance
            .shares()
            .filter(|share| share.weight() > 0)
            .map(|share| share.fraction() * f64::from(weights) / f64::from(share.weight()))
            .fold(f64::NEG_INFINITY, f64::max);
        if let Some(found) = balance.peak_to_average() {
            prop_assert!((found - peak).abs() < 1e-9, "{found} is not {peak}");
            prop_assert!(found >= 1.0 - 1e-9);
        }
    }
}

#[test]
fn one_node_owns_the_circle() {
    for placement in Odd::ALL {
        let balance = build(placement, 5, [node("a", 3, None)]).balance();
        assert_eq!(
            balance
                .shares()
                .map(tripod::ring::Share::hashes)
                .sum::<u128>(),
            1 << 64
        );
        assert!((balance.peak_to_average().unwrap() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn of_equal_points_the_least_id_owns_the_circle() {
    let odd = Odd(Shape::Equal(77));
    let balance = build(odd, 5, ["c", "a", "b"].map(|id| node(id, 1, None))).balance();
    let shares: Vec<(&str, u128)> = balance
        .shares()
        .map(|share| (share.id().as_str(), share.hashes()))
        .collect();
    assert_eq!(shares, [("a", 1 << 64), ("b", 0), ("c", 0)]);
}

#[test]
fn a_table_prints_as_it_always_has() {
    let members = [
        node("a", 1, None),
        node("long-name", 3, None),
        node("zero", 0, None),
    ];
    let table = build(Sha256V1, 160, members).balance().to_string();
    assert_eq!(table, TABLE);
}

const TABLE: &str = "\
node        weight   vnodes     share   of due
a                1      160   25.843%   103.4%
long-name        3      480   74.157%    98.9%
zero             0        0    0.000%        -
peak-to-average 1.034";

#[test]
fn an_empty_table_says_so() {
    let ring = HashRing::<()>::builder().build().unwrap();
    let balance = ring.balance();
    assert_eq!(
        (balance.shares().len(), balance.peak_to_average()),
        (0, None)
    );
    assert!(balance.to_string().ends_with("no node has points"));
}
