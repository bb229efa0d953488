//! The deliberate defects of the core: the checker finds each, and the shortest way to it.

use process_hub_core::config::Sabotage;
use stateright::{Checker, HasDiscoveries, Model};

use crate::cluster::{Ask, Cluster, Scenario};
use crate::scenarios::{THEIRS, crash_and_restart, stopped_across_a_cut};

/// The property that the defect breaks, and the number of steps of the shortest way to that.
fn finds(defect: Sabotage, mut scenario: Scenario) -> (&'static str, usize) {
    scenario.config.sabotage = Some(defect);
    scenario.sometimes.clear();
    let failed = HasDiscoveries::AnyFailures;
    let checker = Cluster::new(scenario).checker().threads(1).finish_when(failed).spawn_bfs().join();
    let mut found: Vec<_> = checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions())).collect();
    found.sort_by_key(|(name, actions)| (actions.len(), *name));
    let (name, actions) = found.into_iter().next().expect("the defect is found");
    println!("{defect:?}: {name}, after {} steps: {actions:?}", actions.len());
    (name, actions.len())
}

#[test]
fn forgotten_removals_bring_a_stopped_child_back() {
    let (property, steps) = finds(Sabotage::ForgetRemoval, stopped_across_a_cut());
    assert!(property.starts_with("S7") && steps <= 40, "{property} {steps}");
}

#[test]
fn owners_by_the_order_of_meeting_differ_from_node_to_node() {
    // Whoever comes back is met last by the others, and meets them in the order of their names.
    let scenario = Scenario { crashable: vec![0], before: vec![Ask::Start(1, THEIRS)], ..crash_and_restart() };
    let (property, steps) = finds(Sabotage::RingInJoinOrder, scenario);
    assert!(property.starts_with("L1") && steps <= 10, "{property} {steps}");
}

#[test]
fn rows_that_were_removed_for_good_stay_away() {
    let scenario = Scenario { script: vec![], ..stopped_across_a_cut() };
    let (property, steps) = finds(Sabotage::RetractInsteadOfFilter, scenario);
    assert!(property.starts_with("L1") && steps <= 40, "{property} {steps}");
}

#[test]
fn rows_of_a_former_life_are_taken_for_those_of_the_present_one() {
    let script = vec![Ask::Start(0, THEIRS), Ask::Stop(1, THEIRS)];
    let scenario = Scenario { before: vec![], script, delays: Some(0), ..crash_and_restart() };
    let (property, steps) = finds(Sabotage::AcceptOldBoot, scenario);
    assert!(property.starts_with("L1") && steps <= 120, "{property} {steps}");
}
