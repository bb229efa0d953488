//! How many children may be on their way at one time.

use std::time::Duration;

use process_hub_core::config::{HubConfig, Migration};
use process_hub_core::id::Pid;
use process_hub_simtests::scenario::Cluster;

const CHILDREN: usize = 60;

/// A third node joins two: how many children never served at one time, and how many copies there were beyond one each.
fn growth(migration: &Migration, concurrent_moves: u32) -> (usize, usize) {
    let mut c = Cluster::unbooted(3, |hub: &mut HubConfig| {
        hub.migration = migration.clone();
        hub.concurrent_moves = concurrent_moves;
    });
    c.boot("n1");
    c.boot("n2");
    c.settle();
    c.start("n1", &(0..CHILDREN).map(|child| format!("c{child}")).collect::<Vec<_>>());
    c.children_start_slowly(true);
    c.boot("n3");
    let (mut missing, mut spare) = (0, 0);
    for _ in 0..20_000 {
        c.run_for(Duration::from_millis(1));
        let copies: Vec<usize> = c.placed().values().map(Vec::len).collect();
        missing = missing.max(CHILDREN - copies.iter().filter(|copies| **copies > 0).count());
        spare = spare.max(copies.iter().map(|copies| copies.saturating_sub(1)).sum());
    }
    let is_there = |copies: &&Vec<Pid>| copies.first().is_some_and(|pid| pid.node.as_str() == "n3");
    let moved = c.placed().values().filter(is_there).count();
    assert!(moved > 10, "n3 has its share: {moved}");
    c.children_start_slowly(false);
    c.settle();
    c.assert_converged();
    (missing, spare)
}

/// A node ends the next copy when the one before serves elsewhere: of two nodes, two each are on their way.
#[test]
fn cold_swap_has_no_more_children_on_their_way_than_may_be() {
    let (missing, _) = growth(&Migration::cold_swap(), 2);
    assert!((1..=4).contains(&missing), "{missing} children did not serve at one time");
    let (all, _) = growth(&Migration::cold_swap(), 256);
    assert!(all > 10, "without a budget to speak of all go at once: {all}");
}

/// The node that takes over starts no more copies beside others than may be.
#[test]
fn hot_swap_without_handover_starts_no_more_at_a_time_than_may_be() {
    let hot = Migration::hot_swap();
    let (missing, spare) = growth(&hot, 2);
    assert_eq!(missing, 0);
    assert!((1..=8).contains(&spare), "{spare} children were there twice at one time");
    let (_, all) = growth(&hot, 256);
    assert!(all > spare, "without a budget to speak of there are more: {all}");
}

/// A child that cannot come up elsewhere holds up the others for a while only.
#[test]
fn moves_that_fail_do_not_hold_up_others_for_good() {
    let mut c = Cluster::unbooted(3, |hub: &mut HubConfig| {
        hub.concurrent_moves = 1;
        hub.stop_timeout = Duration::from_millis(500);
    });
    c.boot("n1");
    c.boot("n2");
    c.settle();
    c.start("n1", &(0..CHILDREN).map(|child| format!("c{child}")).collect::<Vec<_>>());
    c.starts_fail_on("n3", true);
    c.boot("n3");
    c.run_for_secs(20);
    let gone = CHILDREN - c.placed().values().filter(|copies| !copies.is_empty()).count();
    assert!(gone > 10, "they left one after the other although none came up: {gone}");
    c.starts_fail_on("n3", false);
    c.settle();
    c.assert_converged();
}
