//! Children that move, with their states and without: the scenarios of the reference, and those that the original fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use process_hub_core::config::{HubConfig, Migration};
use process_hub_core::hook::{HookEvent, HookKind};
use process_hub_core::id::{ChildId, HubId, NodeId};
use process_hub_core::request::{Reply, Request, Target};
use process_hub_core::spec::ChildSpec;
use process_hub_core::steering::{Steer, Steered};
use process_hub_core::strategy::Migrate;
use process_hub_simtests::scenario::Cluster;

fn hub() -> HubId {
    HubId::new("hub").unwrap_or_else(|error| panic!("{error}"))
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap_or_else(|error| panic!("{error}"))
}

fn child(name: &str) -> ChildId {
    ChildId::new(name).unwrap_or_else(|error| panic!("{error}"))
}

fn migrate(name: &str, to: &str) -> Request {
    Request::Steer { hub: hub(), act: Steer::Migrate { id: child(name), to: node(to), timeout: 10 * SECOND } }
}

fn drain() -> Request {
    Request::Steer { hub: hub(), act: Steer::Drain { deadline: 30 * SECOND } }
}

const SECOND: Duration = Duration::from_secs(1);

fn hot(hub: &mut HubConfig) {
    hub.migration = Migration::hot_swap().with_handover();
}

fn cold(hub: &mut HubConfig) {
    hub.migration = Migration::cold_swap().with_handover();
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("c{number}")).collect()
}

fn hosts(c: &Cluster, children: &[String]) -> BTreeMap<String, String> {
    children.iter().map(|child| (child.clone(), c.host_of(child))).collect()
}

fn told(c: &Cluster, node: &str, kind: HookKind) -> usize {
    c.hooks(node).filter(|event| event.kind() == kind).count()
}

/// Counts each child up to a number of its own.
fn count_up(c: &mut Cluster, node: &str, children: &[String]) {
    for (at, child) in children.iter().enumerate() {
        for value in 1..=at as u64 % 5 + 1 {
            assert_eq!(c.call(node, child), Ok(value));
        }
    }
}

/// Each child goes on from where it was.
fn assert_goes_on(c: &mut Cluster, node: &str, children: &[String], extra: u64) {
    for (at, child) in children.iter().enumerate() {
        assert_eq!(c.call(node, child), Ok(at as u64 % 5 + 1 + extra), "{child}");
    }
}

/// I15: a thousand children on one node; five nodes join. Every child that moves goes on from its state.
#[test]
fn i15_states_move_to_nodes_that_join() {
    let mut c = Cluster::unbooted(6, hot);
    c.boot("n1");
    c.settle();
    let children = names(1_000);
    c.start("n1", &children);
    count_up(&mut c, "n1", &children);
    for node in ["n2", "n3", "n4", "n5", "n6"] {
        c.boot(node);
        c.settle();
    }
    let hosts = hosts(&c, &children);
    let moved = hosts.values().filter(|host| *host != "n1").count();
    assert!(moved > 700, "{moved} of 1000 have moved");
    assert_goes_on(&mut c, "n3", &children, 1);
    let delivered: usize = c
        .hooks("n1")
        .map(|event| if let HookEvent::HandoverDelivered { children, .. } = event { children.len() } else { 0 })
        .sum();
    assert!(delivered >= moved, "{delivered} delivered from n1, {moved} moved");
    c.assert_converged();
}

/// I16: a node leaves, and its children go on elsewhere with their states.
#[test]
fn i16_a_node_that_leaves_hands_over() {
    for settings in [hot, cold] {
        let mut c = Cluster::with(4, settings);
        let children = names(120);
        c.start("n2", &children);
        count_up(&mut c, "n2", &children);
        c.leave("n3");
        c.settle();
        assert_goes_on(&mut c, "n1", &children, 1);
        c.assert_converged();
    }
}

/// The original's failure 4: after a hot swap without handover every moved child ran twice.
#[test]
fn hot_swap_without_handover_leaves_no_child_running_twice() {
    let mut c = Cluster::unbooted(3, |hub| hub.migration = Migration::hot_swap());
    c.boot("n1");
    c.settle();
    let children = names(200);
    c.start("n1", &children);
    c.boot("n2");
    c.boot("n3");
    c.settle();
    let hosts = hosts(&c, &children);
    assert!(hosts.values().filter(|host| *host != "n1").count() > 80);
    c.assert_converged();
}

/// The original's failure 5: a hot swap with handover did not settle, dead pids were registered, states were missing.
#[test]
fn hot_swap_with_handover_settles_and_loses_no_state() {
    let mut c = Cluster::with(3, hot);
    let children = names(200);
    c.start("n1", &children);
    count_up(&mut c, "n1", &children);
    let drained = c.steer("n2", Steer::Drain { deadline: 30 * SECOND });
    assert_eq!(drained, Ok(Steered::Drained(0)));
    c.settle();
    assert_goes_on(&mut c, "n2", &children, 1);
    c.assert_converged();
}

fn elsewhere(c: &Cluster, child: &str) -> (String, String) {
    let from = c.host_of(child);
    let to = c.up().into_iter().find(|node| *node != from).unwrap_or_default();
    (from, to)
}

#[test]
fn an_operator_moves_a_child_with_its_state() {
    for settings in [hot, cold] {
        let mut c = Cluster::with(3, settings);
        let children = names(5);
        c.start("n1", &children);
        count_up(&mut c, "n1", &children);
        for child in &children {
            let (_, to) = elsewhere(&c, child);
            assert!(matches!(c.migrate("n1", child, &to), Ok(Steered::Migrated(_))));
            assert_eq!(c.host_of(child), to);
        }
        assert_goes_on(&mut c, "n1", &children, 1);
        c.settle();
        c.assert_converged();
    }
}

#[test]
fn a_large_state_comes_in_parts() {
    let mut c = Cluster::with(2, hot);
    let children = names(4);
    c.start("n1", &children);
    count_up(&mut c, "n1", &children);
    c.states_are_large(true);
    for child in &children {
        let (_, to) = elsewhere(&c, child);
        assert!(matches!(c.migrate("n1", child, &to), Ok(Steered::Migrated(_))));
    }
    assert_eq!(c.counted("state_big"), 4);
    assert_goes_on(&mut c, "n1", &children, 1);
    c.settle();
    c.assert_converged();
}

/// A copy that refuses, never answers, or is not taken, goes on where it is, and moves when that is over.
#[test]
fn what_cannot_move_serves_where_it_is() {
    let faults: [fn(&mut Cluster, bool); 4] =
        [Cluster::states_are_refused, Cluster::states_never_come, Cluster::states_are_not_taken, Cluster::takers_hang];
    for fault in faults {
        let mut c = Cluster::with(2, hot);
        c.start("n1", &["c"]);
        assert_eq!(c.call("n1", "c"), Ok(1));
        let (from, to) = elsewhere(&c, "c");
        fault(&mut c, true);
        c.ask("n1", migrate("c", &to));
        c.run_for_secs(20);
        assert_eq!(c.call("n1", "c"), Ok(2));
        assert_eq!(c.host_of("c"), from, "it serves on");
        let deferred = told(&c, &from, HookKind::MigrationDeferred) + told(&c, &from, HookKind::MigrationFailed);
        assert!(deferred > 0, "nobody was told");
        fault(&mut c, false);
        c.run_until_on("c", &to, 30 * SECOND);
        c.settle();
        assert_eq!(c.call("n1", "c"), Ok(3));
        c.assert_converged();
    }
}

/// The owner is lost between the end of the old copy and its own: the next owner gets the state.
#[test]
fn a_state_outlives_the_owner_that_was_to_have_it() {
    let mut c = Cluster::with(3, cold);
    let children = names(30);
    c.start("n1", &children);
    count_up(&mut c, "n1", &children);
    c.takers_hang(true);
    c.ask("n1", drain());
    c.run_until_counted("take_hangs", 5 * SECOND);
    c.crash("n2");
    c.takers_hang(false);
    c.settle();
    let hosts = hosts(&c, &children);
    // What ran on n2 has gone with it; what came from n1 has not.
    assert!(hosts.values().all(|host| host == "n3"));
    let kept = c.hooks("n1").filter_map(|event| match event {
        HookEvent::HandoverDelivered { children, .. } => Some(children.len()),
        _ => None,
    });
    assert!(kept.sum::<usize>() > 5);
    c.assert_converged();
}

/// The node of the old copy dies in the middle: its successor serves, with the state if it has it.
#[test]
fn a_move_whose_source_dies_ends() {
    let mut c = Cluster::with(3, hot);
    c.start("n1", &names(20));
    c.ask("n1", drain());
    c.run_until_counted("state_given", 5 * SECOND);
    c.crash("n1");
    c.settle();
    c.assert_converged();
}

/// Calls under way while their child moves are carried out once each, and none is lost.
#[test]
fn calls_follow_a_child_that_moves() {
    for settings in [hot, cold] {
        let mut c = Cluster::with(3, settings);
        c.start("n1", &["c"]);
        let (_, to) = elsewhere(&c, "c");
        let mut asked = Vec::new();
        for number in 0..200_u64 {
            if number == 50 {
                c.ask("n1", migrate("c", &to));
            }
            let from = ["n1", "n2", "n3"][number as usize % 3];
            let payload = Bytes::copy_from_slice(&(1_000_000 + number).to_le_bytes());
            let to = Target::Child(child("c"));
            asked.push((from, c.ask(from, Request::Call { hub: hub(), to, payload, timeout: 5 * SECOND })));
            c.run_for(Duration::from_micros(300));
        }
        let mut values: Vec<u64> = Vec::new();
        for (node, request) in asked {
            match c.answer(node, request) {
                Reply::Call(Ok(bytes)) => {
                    values.push(bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
                }
                other => panic!("{other:?}"),
            }
        }
        values.sort_unstable();
        assert_eq!(values, (1..=200).collect::<Vec<u64>>(), "each is counted once, on one line of states");
        assert_eq!(c.host_of("c"), to);
        c.settle();
        c.assert_converged();
    }
}

/// Two sides of a partition have counted by themselves: the copy that ends is merged into the one that stays.
#[test]
fn a_copy_that_lost_is_merged_once() {
    let mut c = Cluster::with(2, hot);
    let children = names(10);
    c.start("n1", &children);
    c.settle();
    c.partition(&[&["n1"], &["n2"]]);
    c.run_for_secs(15);
    for child in &children {
        assert_eq!(c.call("n1", child), Ok(1));
    }
    c.heal();
    c.run_for_secs(10);
    c.settle();
    assert_eq!(c.counted("state_merged"), 10, "each child ran on both sides, and one copy lost");
    c.assert_converged();
}

#[test]
fn nodes_that_act_by_themselves_settle() {
    let mut c = Cluster::unbooted(4, |hub| hub.migration = Migration::Autonomous);
    c.boot("n1");
    c.settle();
    let children = names(200);
    c.start("n1", &children);
    for node in ["n2", "n3", "n4"] {
        c.boot(node);
    }
    c.settle();
    c.crash("n2");
    c.settle();
    c.leave("n3");
    c.settle();
    assert_eq!(hosts(&c, &children).len(), 200);
    c.assert_converged();
}

/// Children whose names begin with `h` move hot and with their state, those with `s` cold and with it. It answers nonsense
/// for the others.
struct ByName;

impl Migrate for ByName {
    fn name(&self) -> &'static str {
        "by-name"
    }

    fn way(&self, child: &ChildSpec) -> Migration {
        match child.id.as_str().as_bytes()[0] {
            b'h' => Migration::hot_swap().with_handover(),
            b's' => Migration::cold_swap().with_handover(),
            _ => Migration::Autonomous,
        }
    }
}

/// A way of one's own for each child: states move where it says so, and what is answered in vain is as cold swap.
#[test]
fn each_child_moves_as_a_strategy_of_ones_own_says() {
    let mut c = Cluster::unbooted(3, |hub: &mut HubConfig| hub.migration = Migration::Custom(Arc::new(ByName)));
    c.boot("n1");
    c.settle();
    let of = |prefix: &str| -> Vec<String> { (0..30).map(|number| format!("{prefix}{number}")).collect() };
    let (hot, cold, plain) = (of("h"), of("s"), of("p"));
    for children in [&hot, &cold, &plain] {
        c.start("n1", children);
        count_up(&mut c, "n1", children);
    }
    for node in ["n2", "n3"] {
        c.boot(node);
        c.settle();
    }
    for children in [&hot, &cold] {
        assert!(hosts(&c, children).values().any(|host| host != "n1"), "some have moved");
        assert_goes_on(&mut c, "n2", children, 1);
    }
    for (at, (child, host)) in hosts(&c, &plain).into_iter().enumerate() {
        let before = plain.iter().position(|name| *name == child).unwrap_or(at) as u64 % 5 + 1;
        let value = if host == "n1" { before + 1 } else { 1 };
        assert_eq!(c.call("n3", &child), Ok(value), "{child} at {host}");
    }
    c.assert_converged();
}
