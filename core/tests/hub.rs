//! Whole hubs against each other, without membership and without time: messages arrive in order and at once unless a
//! test says otherwise. (Faults, delays and oracles are the simulator's job, in `simtests`.)

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use process_hub_core::id::{Boot, ChildId, Member, NodeId, RequestId};
use process_hub_core::message::HubMessage;
use process_hub_core::request::{CallError, ChildFailure, OnFailure, Request, StartError, StartOptions, Status};
use process_hub_core::spec::Restart;
use process_hub_core::{ChildEvent, ExitReason, HubInput};

use world::{World, hub_id, id, node, spec};

#[test]
fn one_node_starts_calls_and_stops() {
    let mut world = World::new(&["n1"]);
    let result = world.start_ok("n1", 3);
    assert_eq!(result.status, Status::Ok);
    assert_eq!(result.nodes().map(NodeId::as_str).collect::<Vec<_>>(), ["n1", "n1", "n1"]);
    world.assert_converged(3);
    world.call("n1", "c1").unwrap();
    assert_eq!(world.call("n1", "nobody"), Err(CallError::NotFound(id("nobody"))));
    let stopped = world.stop("n1", &["c1", "nobody"]);
    assert_eq!(stopped.stopped, [(id("c1"), vec![node("n1")])]);
    assert_eq!(stopped.errors[0].reason, ChildFailure::NotFound);
    world.assert_converged(2);
}

#[test]
fn three_nodes_spread_children_and_a_fourth_takes_only_its_share() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n2", 1_000);
    world.assert_converged(1_000);
    for name in ["n1", "n2", "n3"] {
        assert!((250..420).contains(&world.count(name)), "{name}: {}", world.count(name));
        world.call(name, "c7").unwrap();
    }
    let (before, starts) = (world.live.clone(), world.starts);
    world.join("n4", 1, false);
    world.assert_converged(1_000);
    let moved = world.starts - starts;
    assert_eq!(moved, world.count("n4"), "only the joiner starts children");
    assert!((180..330).contains(&moved), "{moved}");
    let stayed = world.live.iter().filter(|(key, sequence)| before.get(*key) == Some(sequence)).count();
    assert_eq!(stayed, 1_000 - moved, "nothing else was touched");
}

#[test]
fn children_of_a_dead_node_come_back_elsewhere() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 300);
    let lost = world.count("n2");
    let starts = world.starts;
    world.crash("n2");
    world.assert_converged(300);
    assert_eq!(world.starts - starts, lost);
    world.join("n2", 2, false);
    world.assert_converged(300);
}

#[test]
fn what_is_stopped_on_one_side_of_a_partition_stays_stopped_after_the_heal() {
    let mut world = World::new(&["n1", "n2", "n3", "n4"]);
    world.start_ok("n1", 200);
    world.partition(&["n1", "n2"], &["n3", "n4"]);
    assert_eq!(world.live.len(), 400, "each side serves all");
    world.stop("n1", &["c1", "c2", "c3"]);
    assert_eq!(world.start("n4", vec![spec("new")], StartOptions::default()).unwrap().status, Status::Ok);
    world.heal();
    world.run_for(2_000);
    world.assert_converged(198);
    assert!(world.hubs[&node("n3")].registry().lookup(&id("c2")).is_none());
}

#[test]
fn concurrent_starts_of_one_id_converge_to_one() {
    let mut world = World::new(&["n1", "n2"]);
    world.partition(&["n1"], &["n2"]);
    world.start("n1", vec![spec("c")], StartOptions::default()).unwrap();
    world.start("n2", vec![spec("c").restart(Restart::Transient)], StartOptions::default()).unwrap();
    world.heal();
    world.assert_converged(1);
    world.stop("n2", &["c"]);
    world.assert_converged(0);
}

#[test]
fn a_missed_change_is_repaired_by_the_next_comparison() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.cut.insert((node("n1"), node("n3")));
    world.start_ok("n1", 50);
    world.cut.clear();
    world.run_for(1_000);
    world.assert_converged(50);
}

#[test]
fn batches_are_refused_continued_or_rolled_back() {
    let mut world = World::new(&["n1", "n2"]);
    world.start_ok("n1", 2);
    let again = world.start("n1", vec![spec("c0"), spec("x")], StartOptions::default());
    assert_eq!(again, Err(StartError::AlreadyStarted(vec![id("c0")])));
    assert_eq!(world.start("n1", vec![], StartOptions::default()), Err(StartError::NoChildren));
    let lenient = StartOptions { check_existing: false, ..StartOptions::default() };
    let mixed = world.start("n2", vec![spec("c0"), spec("x"), spec("x")], lenient.clone()).unwrap();
    let reasons: Vec<_> = mixed.errors.iter().map(|failure| failure.reason.clone()).collect();
    assert_eq!(reasons, [ChildFailure::AlreadyStarted, ChildFailure::AlreadyStarted]);
    assert_eq!(mixed.cids().map(ChildId::as_str).collect::<Vec<_>>(), ["x"]);
    world.broken.insert(id("bad"));
    let failed = world.start("n1", vec![spec("bad"), spec("good")], lenient.clone()).unwrap();
    assert_eq!(failed.errors[0].reason, ChildFailure::StartFailed("broken".into()));
    assert_eq!(failed.started.len(), 1);
    world.run_for(1_000);
    world.assert_converged(4);
    let rollback = StartOptions { on_failure: OnFailure::Rollback, ..lenient };
    let undone = world.start("n2", vec![spec("bad"), spec("fine")], rollback).unwrap();
    assert!(undone.rollback);
    assert_eq!((undone.errors.len(), undone.started.len()), (1, 1));
    world.assert_converged(4);
}

#[test]
fn restart_rules_are_honoured() {
    let mut world = World::new(&["n1"]);
    let children = vec![
        spec("p"),
        spec("t").restart(Restart::Transient),
        spec("u").restart(Restart::Transient),
        spec("x").restart(Restart::Temporary),
    ];
    world.start("n1", children, StartOptions::default()).unwrap();
    for (child, reason) in [
        ("p", ExitReason::Normal),
        ("t", ExitReason::Normal),
        ("u", ExitReason::Error("boom".into())),
        ("x", ExitReason::Error("boom".into())),
    ] {
        let sequence = world.live.remove(&(id(child), node("n1"))).unwrap();
        world.input("n1", HubInput::Child { sequence, event: ChildEvent::Exited { reason } });
    }
    world.run();
    world.assert_converged(2);
    let left: Vec<_> = world.live.keys().map(|(id, _)| id.as_str().to_owned()).collect();
    assert_eq!(left, ["p", "u"]);
}

#[test]
fn a_leaving_node_hands_over_and_is_done() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 300);
    world.input("n2", HubInput::Leave);
    world.run();
    assert_eq!(world.count("n2"), 0);
    let gone = world.member("n2").unwrap();
    world.hubs.remove("n2");
    for name in ["n1", "n3"] {
        world.down(name, &gone);
    }
    world.run();
    world.assert_converged(300);
}

#[test]
fn a_large_batch_is_looked_at_in_slices() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n3", 30_000);
    world.assert_converged(30_000);
    let before = world.messages;
    world.run_for(60_000);
    assert!(world.messages - before < 200, "idle nodes say little: {}", world.messages - before);
}

/// A child that was declared while its owner was passed over for a moment, and whose owner is the same again in the end,
/// is in no range that a change of owners names.
#[test]
fn a_child_declared_between_two_complete_views_is_started() {
    let mut world = World::new(&["n1", "n2"]);
    let ghost = Member { node: node("n3"), boot: Boot(1) };
    // n3 comes into n1's view and never says that it has installed it.
    let hello = |world: &World| process_hub_core::message::Hello {
        config: world.hubs[&node("n1")].config().digest(),
        fields: vec![],
        phase: process_hub_core::message::Phase::Ready,
        minted: Boot(1),
        position: None,
        told: (0, 0),
        answer: false,
        attributes: process_hub_core::message::Attributes::default(),
        memory: process_hub_core::message::WireMemory::default(),
        known: None,
    };
    for name in ["n1", "n2"] {
        world.input(name, HubInput::MemberUp(ghost.clone()));
        let body = HubMessage::Hello(hello(&world));
        world.input(name, HubInput::Message { from: ghost.clone(), body });
    }
    world.run();
    let children = (0..60).map(|at| spec(format!("c{at}"))).collect();
    let options = StartOptions { wait: false, ..StartOptions::default() };
    world.request("n1", Request::Start { hub: hub_id(), children, options });
    assert!(world.live.len() < 60, "some belong to n3 for the moment");
    for name in ["n1", "n2"] {
        world.down(name, &ghost);
    }
    world.run_for(1_000);
    world.replies.clear();
    world.assert_converged(60);
}

/// A child's owner is passed over in a view that this node never saw complete, and is its owner again in the next: whoever
/// was its owner in between may run it. "The owner, as in the last complete view" would start a second copy.
#[test]
fn owner_in_between() {
    let mut world = World::new(&["n1", "n2"]);
    let ring = |names: &[&str]| process_hub_core::hashing::Ring::new(names.iter().map(|name| (node(name), 1)));
    let (two, three) = (ring(&["n1", "n2"]), ring(&["n1", "n2", "n3"]));
    let owned = |child: &ChildId| {
        let hash = process_hub_core::hashing::stable_hash(child.as_str().as_bytes());
        two.owner(hash) == Some(&node("n1")) && three.owner(hash) == Some(&node("n3"))
    };
    let child = (0..).map(|at| id(format!("c{at}"))).find(owned).unwrap();
    let start = |child: &ChildId| {
        let options = StartOptions { wait: false, ..StartOptions::default() };
        Request::Start { hub: hub_id(), children: vec![spec(child.as_str())], options }
    };
    // n3 joins; n1 does not hear that n2 has installed the view with it, so that the view is never complete at n1.
    world.cut.insert((node("n2"), node("n1")));
    world.join("n3", 1, false);
    world.run_for(500);
    // n1 hears no more of n3 either, and n3 starts the child.
    world.cut.insert((node("n3"), node("n1")));
    world.request("n2", start(&child));
    assert!(world.live.contains_key(&(child.clone(), node("n3"))));
    // n3 is to leave. Of all it says only its hello comes through, on another way.
    world.input("n3", HubInput::Leave);
    let hub = &world.hubs[&node("n3")];
    let hello = process_hub_core::message::Hello {
        config: hub.config().digest(),
        fields: vec![],
        phase: hub.phase(),
        minted: Boot(1),
        position: None,
        told: (0, 0),
        answer: false,
        attributes: process_hub_core::message::Attributes::default(),
        memory: process_hub_core::message::WireMemory::default(),
        known: None,
    };
    let from = world.member("n3").unwrap();
    world.input("n1", HubInput::Message { from, body: HubMessage::Hello(hello) });
    // n1 owns it again, and a user there starts it, too.
    assert_eq!(world.hubs[&node("n1")].owner(&child), Some(&node("n1")));
    world.next += 1;
    world.input("n1", HubInput::Request { id: RequestId(world.next), request: start(&child) });
    world.input("n1", HubInput::Tick);
    assert!(!world.live.contains_key(&(child.clone(), node("n1"))), "two copies in a connected cluster");
    world.cut.clear();
    world.run_for(5_000);
    world.replies.clear();
    assert_eq!(world.live.keys().collect::<Vec<_>>(), [&(child, node("n1"))]);
}
