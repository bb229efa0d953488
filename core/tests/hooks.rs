//! Hooks, one by one: when each is told, where, how often, and with what.

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::time::Duration;

use process_hub_core::config::HubConfig;
use process_hub_core::hook::{HookEvent, HookKind, StartedChild, TopologyChange};
use process_hub_core::id::{Boot, Member, NodeId, Pid, Token};
use process_hub_core::request::{ChildFailure, StartOptions, Status};
use process_hub_core::{ChildEvent, ExitReason, HubInput};

use world::{World, hub_id, id, node, spec};

fn of(kinds: &[HookKind]) -> impl Fn(&HookEvent) -> bool {
    move |event| kinds.contains(&event.kind())
}

fn member(name: &str, boot: u64) -> Member {
    Member { node: node(name), boot: Boot(boot) }
}

const VIEW: [HookKind; 6] = [
    HookKind::PreNodeJoin,
    HookKind::PostNodeJoin,
    HookKind::PreNodeLeave,
    HookKind::PostNodeLeave,
    HookKind::PreRedistribution,
    HookKind::PostRedistribution,
];

#[test]
fn a_join_and_a_loss_are_told_from_beginning_to_end() {
    let mut world = World::new(&["n1", "n2"]);
    world.start_ok("n1", 60);
    world.hooks.clear();
    world.join("n3", 1, false);
    let (joined, nodes) = (member("n3", 1), vec![node("n3")]);
    let up = [
        HookEvent::PreNodeJoin { node: joined.clone() },
        HookEvent::PreRedistribution { event: TopologyChange::NodeUp, nodes: nodes.clone() },
        HookEvent::PostRedistribution { event: TopologyChange::NodeUp, nodes: nodes.clone() },
        HookEvent::PostNodeJoin { node: joined.clone() },
    ];
    for name in ["n1", "n2"] {
        assert_eq!(world.told(name, of(&VIEW)), up, "{name}");
    }
    world.assert_converged(60);
    world.hooks.clear();
    world.crash("n3");
    let down = [
        HookEvent::PreNodeLeave { node: joined.clone() },
        HookEvent::PreRedistribution { event: TopologyChange::NodeDown, nodes: nodes.clone() },
        HookEvent::PostRedistribution { event: TopologyChange::NodeDown, nodes },
        HookEvent::PostNodeLeave { node: joined },
    ];
    for name in ["n1", "n2"] {
        assert_eq!(world.told(name, of(&VIEW)), down, "{name}");
    }
    world.assert_converged(60);
}

/// What is moved is moved between the two: before the first of them nothing has, and at the second all is under way.
#[test]
fn a_redistribution_is_told_around_what_it_moves() {
    let mut world = World::new(&["n1"]);
    world.start_ok("n1", 60);
    world.hooks.clear();
    world.join("n2", 1, false);
    let moves = [HookKind::PreRedistribution, HookKind::PreChildrenRedistribution, HookKind::PostRedistribution];
    let told = world.told("n1", of(&moves));
    let kinds: Vec<_> = told.iter().map(HookEvent::kind).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&moves[0]), Some(&moves[2])));
    assert!(kinds[1..kinds.len() - 1].iter().all(|kind| *kind == moves[1]) && kinds.len() > 2, "{kinds:?}");
    let moved = told.iter().map(|event| match event {
        HookEvent::PreChildrenRedistribution { event, node: to, children } => {
            assert_eq!((*event, to), (Some(TopologyChange::NodeUp), &node("n2")));
            children.len()
        }
        _ => 0,
    });
    assert_eq!(moved.sum::<usize>(), world.count("n2"));
}

#[test]
fn a_leaving_node_is_told_to_have_left() {
    let mut world = World::new(&["n1", "n2"]);
    world.start_ok("n1", 20);
    world.hooks.clear();
    world.input("n2", HubInput::Leave);
    world.run();
    let nodes = vec![node("n2")];
    let down = [
        HookEvent::PreNodeLeave { node: member("n2", 1) },
        HookEvent::PreRedistribution { event: TopologyChange::NodeDown, nodes: nodes.clone() },
        HookEvent::PostRedistribution { event: TopologyChange::NodeDown, nodes },
        HookEvent::PostNodeLeave { node: member("n2", 1) },
    ];
    assert_eq!(world.told("n1", of(&VIEW)), down);
    assert_eq!(world.count("n1"), 20);
}

/// The one time that a copy was told to be superseded: where, which, and by whom.
fn superseded(world: &World) -> (NodeId, Pid, Option<Token>) {
    match &world.hooks_of(HookKind::ChildSuperseded)[..] {
        [(at, HookEvent::ChildSuperseded { id: child, pid, winner })] => {
            assert_eq!((child.as_str(), &pid.node), ("c0", at));
            (at.clone(), pid.clone(), winner.clone())
        }
        other => panic!("it is told once, where it ran: {other:?}"),
    }
}

/// Two sides run one child: after the heal the copy that loses is told to be superseded, where it ran, by the other.
#[test]
fn the_copy_that_loses_is_told_to_be_superseded_by_the_other() {
    let mut world = World::new(&["n1", "n2"]);
    world.start_ok("n1", 1);
    world.partition(&["n1"], &["n2"]);
    let before = world.live.clone();
    assert_eq!(before.len(), 2);
    assert_eq!(world.hooks_of(HookKind::ChildSuperseded), []);
    world.heal();
    world.assert_converged(1);
    let (at, pid, winner) = superseded(&world);
    assert_eq!(before.get(&(id("c0"), at.clone())), Some(&pid.sequence));
    let left = &world.hubs[&at].registry().lookup(&id("c0")).unwrap().placements[0];
    assert_ne!(left.pid.node, at);
    assert_eq!(winner.as_ref(), Some(&left.token));
}

/// Two sides declare one child: the copy of the declaration that loses is told the same.
#[test]
fn the_copy_of_a_declaration_that_loses_is_told_to_be_superseded() {
    let mut world = World::new(&["n1", "n2"]);
    world.partition(&["n1"], &["n2"]);
    world.start_ok("n1", 1);
    world.start_ok("n2", 1);
    let before = world.live.clone();
    assert_eq!(before.len(), 2);
    world.heal();
    world.assert_converged(1);
    let (at, pid, _) = superseded(&world);
    assert_eq!(before.get(&(id("c0"), at)), Some(&pid.sequence));
}

/// A child that cannot start is told on its node, after the start was told to be over; what nobody waits for is tried
/// again and told again.
#[test]
fn a_child_that_cannot_start_is_told_on_its_node() {
    let mut world = World::new(&["n1", "n2"]);
    world.broken.insert(id("bad"));
    let owner = world.hubs[&node("n1")].owner(&id("bad")).unwrap().to_string();
    let other = if owner == "n1" { "n2" } else { "n1" };
    world.hooks.clear();
    let result = world.start(&owner, vec![spec("bad")], StartOptions::default()).unwrap();
    assert_eq!(result.status, Status::Error);
    let failure = ChildFailure::StartFailed("broken".into());
    let failed = HookEvent::ChildStartFailed { id: id("bad"), reason: failure.clone() };
    assert_eq!(result.errors[0].reason, failure);
    let kinds = [HookKind::PreChildrenStart, HookKind::PostChildrenStart, HookKind::ChildStartFailed];
    let told = world.told(&owner, of(&kinds));
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], HookEvent::PreChildrenStart { children: vec![id("bad")] });
    let HookEvent::PostChildrenStart { children } = &told[1] else { unreachable!("{told:?}") };
    assert!(matches!(&children[..], [StartedChild { outcome: Err(words), .. }] if words == "broken"), "{children:?}");
    assert_eq!(told[2], failed);
    assert_eq!(world.told(other, of(&kinds)), []);

    // One that ran before stays declared, and is tried again.
    world.broken.clear();
    world.start(&owner, vec![spec("bad")], StartOptions::default()).unwrap();
    world.broken.insert(id("bad"));
    world.hooks.clear();
    let sequence = world.live.remove(&(id("bad"), node(&owner))).unwrap();
    let event = ChildEvent::Exited { reason: ExitReason::Normal };
    world.input(&owner, HubInput::Child { sequence, event });
    world.run_for(500);
    let again = world.told(&owner, of(&[HookKind::ChildStartFailed]));
    assert!(again.len() > 1 && again.iter().all(|event| *event == failed), "{again:?}");
    world.broken.clear();
    world.run_for(5_000);
    world.assert_converged(1);
}

/// Of three failures within a window that allows two restarts, the third is told, once, and its restart waits.
#[test]
fn a_child_that_fails_too_often_is_told_and_waits() {
    let mut config = HubConfig::new(hub_id());
    (config.max_restarts, config.restart_window) = (2, Duration::from_secs(4));
    let mut world = World::with(&["n1", "n2"], config);
    world.start_ok("n1", 1);
    let host = world.live.keys().next().unwrap().1.to_string();
    let fail = |world: &mut World| {
        let sequence = world.live.remove(&(id("c0"), node(&host))).unwrap();
        let event = ChildEvent::Exited { reason: ExitReason::Error("boom".into()) };
        world.input(&host, HubInput::Child { sequence, event });
        world.run_for(200);
    };
    for _ in 0..2 {
        fail(&mut world);
        assert_eq!((world.hooks_of(HookKind::RestartIntensityReached), world.live.len()), (vec![], 1));
    }
    fail(&mut world);
    let reached = vec![(node(&host), HookEvent::RestartIntensityReached { id: id("c0") })];
    assert_eq!((world.hooks_of(HookKind::RestartIntensityReached), world.live.len()), (reached.clone(), 0));
    world.run_for(4_000);
    assert_eq!(world.hooks_of(HookKind::RestartIntensityReached), reached);
    world.assert_converged(1);
}

/// Each of two nodes that speak for one hub with different settings is told once who the other is and what differs.
#[test]
fn another_configuration_is_told_once_with_what_differs() {
    let mut world = World::new(&["n1"]);
    world.config.max_restarts = 7;
    world.config.stop_timeout = Duration::from_secs(9);
    world.join("n2", 1, false);
    world.run_for(30_000);
    let fields = |ours: [&str; 2], theirs: [&str; 2]| {
        ["max_restarts", "stop_timeout"]
            .into_iter()
            .enumerate()
            .map(|(at, name)| (name.into(), ours[at].into(), theirs[at].into()))
            .collect::<Vec<_>>()
    };
    let (one, other) = (["100", "5s"], ["7", "9s"]);
    let expected = vec![
        (node("n1"), HookEvent::ConfigMismatch { node: member("n2", 1), fields: fields(one, other) }),
        (node("n2"), HookEvent::ConfigMismatch { node: member("n1", 1), fields: fields(other, one) }),
    ];
    let mut told = world.hooks_of(HookKind::ConfigMismatch);
    told.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told, expected);
    assert!(world.hubs.values().all(|hub| hub.view().len() == 1), "it is kept out of the view");
}
