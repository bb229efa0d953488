//! Defects of the original that need a moment of their own to show, and are absent.

use std::collections::BTreeSet;
use std::time::Duration;

use process_hub_core::hook::HookEvent;
use process_hub_core::request::{ChildFailure, OnFailure, StartOptions, StartOutcome, StartResult, Status};
use process_hub_simtests::scenario::Cluster;

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// The children that run on a node.
fn on(c: &Cluster, node: &str) -> BTreeSet<String> {
    let here = |pids: &Vec<process_hub_core::id::Pid>| pids.iter().any(|pid| pid.node.as_str() == node);
    c.placed().into_iter().filter(|(_, pids)| here(pids)).map(|(child, _)| child).collect()
}

/// Those that a node was told that it is about to start.
fn begun(c: &Cluster, node: &str) -> BTreeSet<String> {
    let children = c.hooks(node).filter_map(|event| match event {
        HookEvent::PreChildrenStart { children } => Some(children),
        _ => None,
    });
    children.flatten().map(ToString::to_string).collect()
}

/// Defect 2: a node dies, and so does the next owner of its children while it starts them, before anybody has heard of
/// that. What is declared is not forgotten with who ran it.
#[test]
fn d2_a_child_survives_its_node_and_the_node_that_was_about_to_start_it() {
    let mut c = Cluster::new(4);
    let children = names("c", 200);
    c.start("n1", &children);
    c.settle();
    let orphans = on(&c, "n2");
    let before = begun(&c, "n3");
    c.children_start_slowly(true);
    c.crash("n2");
    let taken_over = |c: &Cluster| -> BTreeSet<String> {
        let begun: BTreeSet<_> = begun(c, "n3").difference(&before).cloned().collect();
        begun.intersection(&orphans).cloned().collect()
    };
    for _ in 0..20_000 {
        if !taken_over(&c).is_empty() {
            break;
        }
        c.run_for(Duration::from_millis(1));
    }
    let twice = &taken_over(&c) - &on(&c, "n3");
    assert!(twice.len() > 5, "n3 was to have been starting some of them: {twice:?}");
    c.crash("n3");
    let told = |node: &str, child: &str| {
        c.hooks(node).any(|event| {
            matches!(event, HookEvent::ChildRegistered { id, pid } if id.as_str() == child && pid.node.as_str() == "n3")
        })
    };
    let unheard: Vec<_> = twice.iter().filter(|child| !told("n1", child) && !told("n4", child)).cloned().collect();
    assert!(unheard.len() > 5, "{unheard:?}");
    c.children_start_slowly(false);
    c.settle();
    assert_eq!(c.placed().values().filter(|pids| pids.len() == 1).count(), 200);
    for child in &unheard {
        assert!(["n1", "n4"].contains(&c.host_of(child).as_str()));
        assert!(c.call("n4", child).is_ok(), "{child}");
    }
    c.assert_converged();
}

/// Defect 8: comparisons and listings arrive long after they were made, when children have been started that they do not
/// name. They take nothing out of any registry, and the loss of a host right then loses nothing.
#[test]
fn d8_what_was_said_before_a_start_and_comes_after_it_removes_nothing() {
    let mut c = Cluster::new(4);
    c.relays_misbehave(true, true);
    c.cut("n1", "n2");
    c.cut("n3", "n4");
    c.run_for_secs(3);
    let mut all = Vec::new();
    for round in 0..15 {
        let children = names(&format!("r{round}c"), 8);
        c.declare(["n1", "n2", "n3", "n4"][round % 4], &children);
        all.extend(children);
        c.run_for(Duration::from_millis(700));
    }
    assert!(c.counted("relayed_frame_late") > 20, "{}", c.counted("relayed_frame_late"));
    // All that was held back comes.
    c.run_for_secs(21);
    for node in c.up() {
        let removed = c.hooks(&node).filter(|event| matches!(event, HookEvent::ChildUnregistered { .. })).count();
        assert_eq!((removed, c.declared(&node)), (0, all.len()), "{node}");
    }
    c.declare("n1", &names("last", 8));
    c.run_for(Duration::from_millis(20));
    c.crash("n2");
    c.relays_misbehave(false, false);
    c.heal();
    c.settle();
    assert_eq!(c.placed().values().filter(|pids| pids.len() == 1).count(), all.len() + 8);
    c.assert_converged();
}

fn rolled_back(c: &mut Cluster, children: &[String], timeout: Duration) -> StartResult {
    let specs = children.iter().map(|child| c.spec(child)).collect();
    let options = StartOptions { timeout, on_failure: OnFailure::Rollback, ..StartOptions::default() };
    match c.start_specs("n1", specs, options) {
        Ok(StartOutcome::Done(result)) => result,
        other => panic!("{other:?}"),
    }
}

/// Nothing of what was rolled back runs, or is declared anywhere.
fn assert_nothing_is_left(c: &mut Cluster) {
    c.settle();
    c.run_for_secs(5);
    assert_eq!(c.placed().values().flatten().count(), 0);
    for node in c.up() {
        assert_eq!(c.declared(&node), 0, "{node}");
    }
    c.assert_converged();
}

/// Defect 16: children that come up only after their start was rolled back are ended, those that were late for its
/// deadline and those that were on their way when another failed.
#[test]
fn d16_late_starters_of_a_roll_back_are_ended() {
    let mut c = Cluster::new(3);
    c.children_start_slowly(true);
    let children = names("c", 60);
    let result = rolled_back(&mut c, &children, Duration::from_millis(20));
    assert_eq!((result.status, result.rollback), (Status::Error, true));
    let late = result.errors.iter().filter(|failure| failure.reason == ChildFailure::Timeout).count();
    assert!(late > 10, "{late} were late");
    assert!(c.started() > result.started.len() + 10, "they were being started when it was rolled back");
    assert_nothing_is_left(&mut c);

    c.starts_fail_on("n2", true);
    let before = c.started();
    let result = rolled_back(&mut c, &children, Duration::from_secs(10));
    assert!(result.rollback && !result.errors.is_empty());
    assert!(c.started() > before + 20, "others were on their way");
    c.starts_fail_on("n2", false);
    assert_nothing_is_left(&mut c);
}

/// Defect 16: a node that cannot be reached gives its caller an error in time, and starts nothing when it is back.
#[test]
fn d16_a_roll_back_reaches_a_node_that_was_cut_off() {
    let mut c = Cluster::new(3);
    c.partition(&[&["n1", "n2"], &["n3"]]);
    let children = names("c", 60);
    let result = rolled_back(&mut c, &children, Duration::from_millis(300));
    assert!(result.rollback && result.errors.iter().all(|failure| failure.reason == ChildFailure::Timeout));
    assert!(result.errors.len() > 10, "those of n3: {}", result.errors.len());
    c.heal();
    assert_nothing_is_left(&mut c);
}
