//! A sweep over a core that was broken on purpose finds it, and says so by the right invariant.

use process_hub_core::config::Sabotage;
use process_hub_simtests::{Options, run};

/// What these defects are defects of. With all strategies drawn, most seeds do not come near: half of them have a quorum,
/// under which a restarted node waits before it takes part.
const STRATEGIES: [&str; 5] = ["consistent-hashing", "singularity", "cold-swap", "pubsub", "divergence"];

/// Runs seeds until one fails, and gives the invariants that were broken.
fn caught(sabotage: Sabotage) -> Vec<&'static str> {
    caught_with(sabotage, None)
}

/// The same with another strategy of migration.
fn caught_with(sabotage: Sabotage, migration: Option<&str>) -> Vec<&'static str> {
    let named = |options: Options, name: &str| options.with(name).unwrap_or_else(|error| panic!("{error}"));
    let base = STRATEGIES.into_iter().chain(migration).fold(Options::default(), named);
    for seed in 0..1_000 {
        let mut options = base;
        (options.seed, options.sabotage) = (seed, Some(sabotage));
        let report = run(&options, false);
        if !report.violations.is_empty() {
            return report.violations.iter().map(|violation| violation.oracle).collect();
        }
    }
    panic!("{sabotage:?} is not caught");
}

#[test]
fn forgetting_a_removal_in_a_merge_is_caught() {
    let found = caught(Sabotage::ForgetRemoval);
    assert!(found.iter().any(|id| ["S7", "L1", "L3", "R6"].contains(id)), "{found:?}");
}

#[test]
fn a_ring_in_join_order_is_caught() {
    let found = caught(Sabotage::RingInJoinOrder);
    assert!(found.iter().any(|id| ["S20", "S2", "S3", "S12", "S14", "L1", "L2"].contains(id)), "{found:?}");
}

#[test]
fn a_row_of_an_old_boot_is_caught() {
    let found = caught(Sabotage::AcceptOldBoot);
    assert!(found.iter().any(|id| ["S9", "S10", "S11", "L1", "S22", "S21"].contains(id)), "{found:?}");
}

#[test]
fn retracting_instead_of_filtering_is_caught() {
    let found = caught(Sabotage::RetractInsteadOfFilter);
    assert!(found.iter().any(|id| ["L1", "L2", "S3", "S12", "S14"].contains(id)), "{found:?}");
}

#[test]
fn compacting_what_others_have_not_seen_is_caught() {
    let found = caught(Sabotage::CompactEarly);
    assert!(found.iter().any(|id| ["L1", "L2", "R6", "S7", "S8"].contains(id)), "{found:?}");
}

#[test]
fn a_snapshot_before_the_freeze_is_caught() {
    let found = caught_with(Sabotage::SnapshotBeforeFreeze, Some("hot-handover"));
    assert!(found.iter().any(|id| ["S15", "S16"].contains(id)), "{found:?}");
}

#[test]
fn ending_a_copy_on_an_unknown_outcome_is_caught() {
    let found = caught_with(Sabotage::EndOnUnknownOutcome, Some("hot-handover"));
    assert!(found.iter().any(|id| ["S15", "S17"].contains(id)), "{found:?}");
}

#[test]
fn a_copy_that_is_given_a_second_state_is_caught() {
    let found = caught_with(Sabotage::ReuseStandby, Some("hot-handover"));
    assert!(found.iter().any(|id| ["S15", "S16"].contains(id)), "{found:?}");
}

#[test]
fn a_state_that_goes_with_its_copy_is_caught() {
    let found = caught_with(Sabotage::ForgetState, Some("cold-handover"));
    assert!(found.contains(&"S16"), "{found:?}");
}

#[test]
fn a_node_that_undoes_what_it_did_is_caught() {
    let found = caught_with(Sabotage::FlipFlop, Some("autonomous"));
    assert!(found.iter().any(|id| ["S18", "L7", "S27"].contains(id)), "{found:?}");
}
