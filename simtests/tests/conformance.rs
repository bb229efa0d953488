//! Scenarios of the reference under each way of telling changes and of choosing nodes: I1, I3, I5 and I6.

use std::collections::BTreeMap;
use std::time::Duration;

use process_hub_core::config::{Distribution, HubConfig, LoadBalancer, Synchronization};
use process_hub_core::hook::HookEvent;
use process_hub_core::id::NodeId;
use process_hub_core::request::{ChildMapping, StartError, StartOptions, StartOutcome, Status};
use process_hub_core::spec::{ChildSpec, Metadata};
use process_hub_simtests::scenario::Cluster;

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

fn tagged(c: &mut Cluster, children: &[String]) -> Vec<ChildSpec> {
    children.iter().map(|child| c.spec(child).metadata(Metadata::new().with("tag", "all"))).collect()
}

fn told(c: &Cluster, node: &str, wanted: impl Fn(&HookEvent) -> bool) -> usize {
    c.hooks(node).filter(|event| wanted(event)).count()
}

/// Started through one node and removed through another: every node is told of each child once, knows its tag and where
/// it runs, and of none in the end.
fn started_and_removed(mut c: Cluster, count: usize) {
    let children = names("c", count);
    let specs = tagged(&mut c, &children);
    match c.start_specs("n1", specs, StartOptions::default()) {
        Ok(StartOutcome::Done(started)) => assert_eq!((started.status, started.started.len()), (Status::Ok, count)),
        other => panic!("{other:?}"),
    }
    c.settle();
    c.assert_converged();
    let first: Vec<_> = children.iter().map(|child| c.lookup("n1", child)).collect();
    for node in c.up() {
        assert_eq!(told(&c, &node, |event| matches!(event, HookEvent::ChildRegistered { .. })), count, "{node}");
        for (child, first) in children.iter().zip(&first) {
            let seen = c.lookup(&node, child);
            assert_eq!(seen, *first, "{child} at {node}");
            let spec = seen.and_then(|seen| seen.spec);
            assert_eq!(spec.as_deref().and_then(|spec| spec.metadata.tag()), Some("all"));
        }
    }
    let stopped = c.stop("n2", &children);
    assert_eq!((stopped.status, stopped.stopped.len()), (Status::Ok, count));
    c.settle();
    for node in c.up() {
        assert_eq!(c.declared(&node), 0);
        assert_eq!(told(&c, &node, |event| matches!(event, HookEvent::ChildUnregistered { .. })), count, "{node}");
    }
}

/// I1: as I2, under the load balancer.
#[test]
fn i1_started_and_removed_under_the_load_balancer() {
    let balancer = LoadBalancer { push_interval: Duration::from_secs(1), ..LoadBalancer::default() };
    let mut c = Cluster::with(6, |hub: &mut HubConfig| {
        hub.distribution = Distribution::CentralizedLoadBalancer(balancer);
    });
    c.run_for_secs(3);
    let scored =
        |event: &HookEvent| matches!(event, HookEvent::ScoreboardUpdated { scoreboard, .. } if scoreboard.len() == 6);
    assert!(c.up().iter().any(|node| told(&c, node, scored) > 0), "nobody was told the scores of all");
    started_and_removed(c, 1_000);
}

/// I3: a guided start says where, or is refused; then each child runs there and nowhere else.
#[test]
fn i3_guided_start_and_removal() {
    let mut c = Cluster::with(6, |hub: &mut HubConfig| hub.distribution = Distribution::Guided);
    let node = |name: &str| NodeId::new(name).expect("a name");
    let start = |c: &mut Cluster, children: &[&str], mapping: Option<ChildMapping>| {
        let specs = children.iter().map(|child| c.spec(child)).collect();
        c.start_specs("n1", specs, StartOptions { child_mapping: mapping, ..StartOptions::default() })
    };
    let mapping = |pairs: &[(&str, &[&str])]| -> ChildMapping {
        let pair = |(child, nodes): &(&str, &[&str])| {
            let id = process_hub_core::id::ChildId::new(*child).expect("a name");
            (id, nodes.iter().map(|name| node(name)).collect())
        };
        pairs.iter().map(pair).collect()
    };
    let refused = start(&mut c, &["a", "b"], None);
    assert!(matches!(refused, Err(StartError::MissingChildMapping(_))), "{refused:?}");
    let refused = start(&mut c, &["a", "b"], Some(mapping(&[("a", &["n2"])])));
    assert!(matches!(refused, Err(StartError::ChildMappingMismatch(_))), "{refused:?}");
    let refused = start(&mut c, &["a", "b"], Some(mapping(&[("a", &["n2", "n3"]), ("b", &["n4"])])));
    assert!(matches!(refused, Err(StartError::ChildReplicationMismatch { nodes: 2, copies: 1, .. })), "{refused:?}");
    assert_eq!(c.declared("n1"), 0);
    match start(&mut c, &["a", "b"], Some(mapping(&[("a", &["n2"]), ("b", &["n4"])]))) {
        Ok(StartOutcome::Done(started)) => assert_eq!(started.status, Status::Ok),
        other => panic!("{other:?}"),
    }
    c.settle();
    let placed: BTreeMap<String, Vec<String>> = c
        .placed()
        .into_iter()
        .map(|(child, pids)| (child, pids.into_iter().map(|pid| pid.node.to_string()).collect()))
        .collect();
    assert_eq!(placed, BTreeMap::from([("a".into(), vec!["n2".into()]), ("b".into(), vec!["n4".into()])]));
    c.assert_converged();
    assert_eq!(c.stop("n6", &["a", "b"]).status, Status::Ok);
    c.settle();
    assert!(c.up().iter().all(|node| c.declared(node) == 0));
}

fn gossip(hub: &mut HubConfig) {
    hub.synchronization = Synchronization::Gossip { sync_interval: Duration::from_secs(2), recipients: 3 };
}

/// I5: as I2, by gossip.
#[test]
fn i5_started_and_removed_by_gossip() {
    started_and_removed(Cluster::with(6, gossip), 100);
}

/// I6: as I4, by gossip: what some missed is repaired by comparisons with a few.
#[test]
fn i6_missed_changes_are_repaired_by_gossip() {
    let mut c = Cluster::with(6, gossip);
    let (first, second) = (names("a", 1_000), names("b", 1_000));
    c.start("n1", &first);
    c.partition(&[&["n1", "n2"], &["n3", "n4", "n5", "n6"]]);
    c.run_for_secs(8);
    c.stop("n1", &first);
    c.start("n2", &second);
    assert!(c.lookup("n5", "b0").is_none() && c.lookup("n5", "a0").is_some());
    c.heal();
    c.settle();
    c.assert_converged();
    for node in c.up() {
        assert_eq!(c.declared(&node), 1_000);
        assert!(c.lookup(&node, "a0").is_none() && c.lookup(&node, "b0").is_some());
    }
}
