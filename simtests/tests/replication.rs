//! Several copies of each child: the scenarios of the reference, and those that the reference fails.

use std::collections::BTreeMap;

use process_hub_core::config::{Factor, HubConfig, Model, Redundancy, Signal};
use process_hub_core::hook::HookEvent;
use process_hub_core::request::{ChildFailure, Status};
use process_hub_core::spec::Role;
use process_hub_simtests::scenario::Cluster;

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

fn copies(factor: Factor, model: Model) -> impl FnOnce(&mut HubConfig) {
    move |hub| hub.redundancy = Redundancy::Replication { factor, model, signal: Signal::All }
}

fn nodes_of(c: &Cluster) -> BTreeMap<String, Vec<String>> {
    let nodes = |pids: Vec<process_hub_core::id::Pid>| {
        let mut nodes: Vec<String> = pids.into_iter().map(|pid| pid.node.as_str().to_owned()).collect();
        nodes.sort();
        nodes
    };
    c.placed().into_iter().map(|(child, pids)| (child, nodes(pids))).collect()
}

fn owners_of(c: &Cluster, child: &str) -> Vec<String> {
    let mut owners = c.owners(&c.up()[0], child);
    owners.sort();
    owners
}

fn active(c: &Cluster, child: &str) -> Vec<String> {
    c.roles(child).into_iter().filter(|(_, role)| *role == Role::Active).map(|(node, _)| node).collect()
}

/// I8: a copy on every node, all active; an awaited start reports all of them, and every node is told of each.
#[test]
fn i8_a_copy_on_every_node() {
    let mut c = Cluster::with(6, copies(Factor::ClusterSize, Model::ActiveActive));
    let children = names("c", 200);
    let started = c.start("n1", &children);
    assert_eq!(started.status, Status::Ok);
    assert!(started.started.iter().all(|(_, pids)| pids.len() == 6), "answered before all copies are up");
    c.settle();
    for (child, nodes) in nodes_of(&c) {
        assert_eq!(nodes, c.up());
        assert_eq!(active(&c, &child).len(), 6);
    }
    for node in c.up() {
        let told = c.hooks(&node).filter(|event| matches!(event, HookEvent::ChildRegistered { .. })).count();
        assert_eq!(told, 200 * 6, "{node}");
    }
    c.assert_converged();
    let stopped = c.stop("n4", &children);
    assert!(stopped.stopped.iter().all(|(_, nodes)| nodes.len() == 6), "every host confirms");
    c.settle();
    c.assert_converged();
}

/// I14: what ran on one node runs twice once others are there, and where the ring says.
#[test]
fn i14_copies_spread_when_nodes_come() {
    let mut c = Cluster::unbooted(6, copies(Factor::Copies(2), Model::ActiveActive));
    c.boot("n1");
    c.settle();
    let children = names("c", 200);
    let started = c.start("n1", &children);
    assert!(started.started.iter().all(|(_, pids)| pids.len() == 1), "there is one node");
    (2..=6).for_each(|node| c.boot(&format!("n{node}")));
    c.settle();
    for (child, nodes) in nodes_of(&c) {
        assert_eq!(nodes, owners_of(&c, &child));
        assert_eq!(nodes.len(), 2);
    }
    c.assert_converged();
}

/// I17: four copies of which exactly the first owner's is active.
#[test]
fn i17_one_of_four_is_active() {
    let mut c = Cluster::with(6, copies(Factor::Copies(4), Model::ActivePassive));
    let children = names("c", 200);
    let started = c.start("n2", &children);
    assert!(started.started.iter().all(|(_, pids)| pids.len() == 4));
    c.settle();
    for child in &children {
        assert_eq!(nodes_of(&c)[child], owners_of(&c, child));
        assert_eq!(active(&c, child), c.owners("n1", child)[..1], "{:?}", c.roles(child));
        let row = c.lookup("n5", child).expect("it is declared");
        assert_eq!(row.placements.len(), 4);
        let roles: Vec<Role> = row.placements.iter().map(|place| place.role).collect();
        assert_eq!(roles, [Role::Active, Role::Passive, Role::Passive, Role::Passive], "the active one comes first");
    }
    c.assert_converged();
}

/// The original never promotes the copy of the survivor of two.
#[test]
fn the_survivor_of_two_is_promoted() {
    let mut c = Cluster::with(2, copies(Factor::Copies(2), Model::ActivePassive));
    let children = names("c", 50);
    c.start("n1", &children);
    c.settle();
    let tokens: BTreeMap<_, _> = children
        .iter()
        .map(|child| (child, c.lookup("n2", child).expect("declared").placements[0].token.clone()))
        .collect();
    assert!(children.iter().any(|child| active(&c, child) == ["n1"]));
    assert!(children.iter().any(|child| active(&c, child) == ["n2"]));
    c.crash("n1");
    c.settle();
    for child in &children {
        assert_eq!(active(&c, child), ["n2"]);
        let now = c.lookup("n2", child).expect("declared").placements[0].clone();
        assert!(now.token >= tokens[child], "a promoted copy has a later token");
        assert!(c.call("n2", child).is_ok());
    }
    c.assert_converged();
}

/// A copy that plays another part from now on tells it on its node: once when it is promoted, and when it steps back.
#[test]
fn a_change_of_role_is_told_by_the_node_of_the_copy() {
    let mut c = Cluster::with(2, copies(Factor::Copies(2), Model::ActivePassive));
    let children = names("c", 20);
    c.start("n1", &children);
    c.settle();
    let told = |c: &Cluster, node: &str| -> Vec<(String, Role)> {
        c.hooks(node)
            .filter_map(|event| match event {
                HookEvent::ChildRoleChanged { id, pid, role } => {
                    assert_eq!(pid.node.as_str(), node);
                    Some((id.as_str().to_owned(), *role))
                }
                _ => None,
            })
            .collect()
    };
    c.partition(&[&["n1"], &["n2"]]);
    c.run_for_secs(20);
    let mut promoted: Vec<String> = ["n1", "n2"].iter().flat_map(|node| told(&c, node)).map(|(id, _)| id).collect();
    promoted.sort();
    let mut expected = children.clone();
    expected.sort();
    for child in &expected {
        assert!(promoted.contains(child), "{child} was promoted on the side that lacked its active copy");
    }
    let before = (told(&c, "n1").len(), told(&c, "n2").len());
    c.heal();
    c.settle();
    let since = told(&c, "n1").split_off(before.0).into_iter().chain(told(&c, "n2").split_off(before.1));
    let mut stepped_back: Vec<String> = since
        .map(|(id, role)| {
            assert_eq!(role, Role::Passive, "{id}");
            id
        })
        .collect();
    stepped_back.sort();
    assert_eq!(stepped_back, expected);
    c.assert_converged();
}

/// Who is active stays active while it owns the child, whoever would be first now.
#[test]
fn the_active_copy_stays_where_it_is() {
    let mut c = Cluster::unbooted(4, copies(Factor::Copies(2), Model::ActivePassive));
    ["n1", "n2", "n3"].iter().for_each(|node| c.boot(node));
    c.settle();
    let children = names("c", 100);
    c.start("n1", &children);
    c.settle();
    let before: BTreeMap<_, _> = children.iter().map(|child| (child, active(&c, child))).collect();
    c.boot("n4");
    c.settle();
    let mut stayed = 0;
    for child in &children {
        let owners = c.owners("n1", child);
        if owners.contains(&before[child][0]) {
            assert_eq!(active(&c, child), before[child], "{child} belongs to {owners:?}");
            stayed += usize::from(owners[0] != before[child][0]);
        }
    }
    assert!(stayed > 0, "the joiner became the first owner of some");
    c.assert_converged();
}

/// Each side of a partition has one active copy; after the heal one of the two steps back.
#[test]
fn two_sides_have_one_active_each_and_one_after_the_heal() {
    let mut c = Cluster::with(4, copies(Factor::Copies(4), Model::ActivePassive));
    let children = names("c", 40);
    c.start("n1", &children);
    c.settle();
    c.partition(&[&["n1", "n2"], &["n3", "n4"]]);
    c.run_for_secs(15);
    for child in &children {
        let active = active(&c, child);
        let left = active.iter().filter(|node| ["n1", "n2"].contains(&node.as_str())).count();
        assert_eq!((left, active.len()), (1, 2), "{child}: {active:?}");
        assert!(c.call("n1", child).is_ok() && c.call("n4", child).is_ok());
    }
    c.heal();
    c.settle();
    for child in &children {
        assert_eq!(active(&c, child).len(), 1);
    }
    c.assert_converged();
}

/// A copy that fails is started again and stands by; another has taken over meanwhile, or it serves again itself.
#[test]
fn a_failed_copy_comes_back() {
    let mut c = Cluster::with(3, copies(Factor::ClusterSize, Model::ActivePassive));
    let children = names("c", 30);
    c.start("n1", &children);
    c.settle();
    children.iter().for_each(|child| c.fail_child(child));
    c.run_for_secs(1);
    c.settle();
    for child in &children {
        assert_eq!((active(&c, child).len(), c.roles(child).len()), (1, 3));
    }
    c.assert_converged();
}

/// A node that goes loses its copies to the next in line, without a gap in service where it was not active.
#[test]
fn a_leaver_is_replaced() {
    let mut c = Cluster::with(4, copies(Factor::Copies(2), Model::ActivePassive));
    let children = names("c", 100);
    c.start("n1", &children);
    c.settle();
    c.leave("n3");
    c.settle();
    for (child, nodes) in nodes_of(&c) {
        assert_eq!(nodes, owners_of(&c, &child));
        assert!(!nodes.contains(&"n3".to_owned()) && nodes.len() == 2);
        assert_eq!(active(&c, &child).len(), 1);
    }
    c.assert_converged();
}

/// A start with a copy that cannot come up says which, and keeps the others; what cannot run anywhere is undeclared.
#[test]
fn a_copy_that_fails_to_start_is_an_error_of_its_own() {
    let mut c = Cluster::with(3, copies(Factor::ClusterSize, Model::ActiveActive));
    c.starts_fail_on("n2", true);
    let started = c.start("n1", &["c"]);
    assert_eq!(started.status, Status::Error);
    assert_eq!(started.started[0].1.len(), 2);
    assert_eq!(started.errors.len(), 1);
    assert_eq!(started.errors[0].node.as_ref().map(|node| node.as_str()), Some("n2"));
    assert!(matches!(started.errors[0].reason, ChildFailure::StartFailed(_)));
    c.starts_fail_on("n2", false);
    c.run_for_secs(2);
    c.settle();
    assert_eq!(nodes_of(&c)["c"].len(), 3, "it was tried again");

    ["n1", "n2", "n3"].iter().for_each(|node| c.starts_fail_on(node, true));
    let started = c.start("n1", &["d"]);
    assert_eq!((started.started.len(), started.errors.len()), (0, 3), "{started:?}");
    ["n1", "n2", "n3"].iter().for_each(|node| c.starts_fail_on(node, false));
    c.settle();
    assert!(c.lookup("n3", "d").is_none());
    c.assert_converged();
}
