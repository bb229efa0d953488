//! A sweep over a core that was broken on purpose finds it, and says so by the right invariant.

use std::collections::BTreeSet;

use process_hub_core::config::Sabotage;
use process_hub_simtests::{Options, run};

/// What these defects are defects of. With all strategies drawn, most seeds do not come near: half of them have a quorum,
/// under which a restarted node waits before it takes part.
const STRATEGIES: [&str; 5] = ["consistent-hashing", "singularity", "cold-swap", "pubsub", "divergence"];

/// Runs seeds until one breaks an invariant that this defect is to be known by.
fn caught(sabotage: Sabotage, by: &[&str]) {
    caught_with(sabotage, None, by);
}

/// The same with another strategy of migration.
fn caught_with(sabotage: Sabotage, migration: Option<&str>, by: &[&str]) {
    let named = |options: Options, name: &str| options.with(name).unwrap_or_else(|error| panic!("{error}"));
    let base = STRATEGIES.into_iter().chain(migration).fold(Options::default(), named);
    let mut others = BTreeSet::new();
    for seed in 0..1_000 {
        let mut options = base;
        (options.seed, options.sabotage) = (seed, Some(sabotage));
        let report = run(&options, false);
        let found = report.violations.iter().map(|violation| violation.oracle);
        if found.clone().any(|oracle| by.contains(&oracle)) {
            return;
        }
        others.extend(found);
    }
    panic!("{sabotage:?} is not caught by {by:?}, but by {others:?}");
}

#[test]
fn forgetting_a_removal_in_a_merge_is_caught() {
    caught(Sabotage::ForgetRemoval, &["S7", "L1", "L3", "R6"]);
}

#[test]
fn a_ring_in_join_order_is_caught() {
    caught(Sabotage::RingInJoinOrder, &["S20", "S2", "S3", "S12", "S14", "L1", "L2"]);
}

#[test]
fn a_row_of_an_old_boot_is_caught() {
    caught(Sabotage::AcceptOldBoot, &["S9", "S10", "S11", "L1", "S22", "S21"]);
}

#[test]
fn retracting_instead_of_filtering_is_caught() {
    caught(Sabotage::RetractInsteadOfFilter, &["L1", "L2", "S3", "S12", "S14"]);
}

#[test]
fn compacting_what_others_have_not_seen_is_caught() {
    caught(Sabotage::CompactEarly, &["L1", "L2", "R6", "S7", "S8"]);
}

#[test]
fn a_snapshot_before_the_freeze_is_caught() {
    caught_with(Sabotage::SnapshotBeforeFreeze, Some("hot-handover"), &["S15", "S16"]);
}

#[test]
fn ending_a_copy_on_an_unknown_outcome_is_caught() {
    caught_with(Sabotage::EndOnUnknownOutcome, Some("hot-handover"), &["S15", "S17"]);
}

#[test]
fn a_copy_that_is_given_a_second_state_is_caught() {
    caught_with(Sabotage::ReuseStandby, Some("hot-handover"), &["S15", "S16"]);
}

#[test]
fn a_state_that_goes_with_its_copy_is_caught() {
    caught_with(Sabotage::ForgetState, Some("cold-handover"), &["S16"]);
}

#[test]
fn a_node_that_undoes_what_it_did_is_caught() {
    caught_with(Sabotage::FlipFlop, Some("autonomous"), &["S18", "L7", "S27"]);
}
