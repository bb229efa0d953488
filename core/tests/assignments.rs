//! Children that are given to nodes: guided, balanced, and steered by operators.

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use process_hub_core::config::{Distribution, HubConfig, LoadBalancer, Redundancy};
use process_hub_core::id::{ChildId, NodeId};
use process_hub_core::request::{Reply, Request, StartError, StartOptions, Status};
use process_hub_core::spec::{ChildSpec, Labels};
use process_hub_core::steering::{Change, Obstacle, Rule, Steer, SteerError, Steered};
use process_hub_core::{HubInput, LoadSample};

use world::{World, hub_id, id, node, spec};

fn guided() -> HubConfig {
    HubConfig { distribution: Distribution::Guided, ..HubConfig::new(hub_id()) }
}

fn balanced() -> HubConfig {
    let distribution = Distribution::CentralizedLoadBalancer(LoadBalancer::default());
    HubConfig { distribution, ..HubConfig::new(hub_id()) }
}

fn mapped(mapping: &[(&str, &[&str])]) -> StartOptions {
    let nodes = |names: &[&str]| names.iter().map(|name| node(name)).collect();
    let mapping = mapping.iter().map(|(child, names)| (id(child), nodes(names)));
    StartOptions { child_mapping: Some(mapping.collect()), ..StartOptions::default() }
}

impl World {
    fn steer(&mut self, at: &str, act: Steer) -> Result<Steered, SteerError> {
        let request = self.request(at, Request::Steer { hub: hub_id(), act });
        if !self.replies.contains_key(&request) {
            self.run_for(11_000);
        }
        match self.replies.remove(&request) {
            Some(Reply::Steered(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn migrate(&mut self, at: &str, child: &str, to: &str) -> Result<Steered, SteerError> {
        self.steer(at, Steer::Migrate { id: id(child), to: node(to), timeout: Duration::from_secs(10) })
    }

    fn host_of(&self, child: &str) -> Vec<NodeId> {
        self.live.keys().filter(|(name, _)| *name == id(child)).map(|(_, node)| node.clone()).collect()
    }

    fn hosts(&self) -> BTreeMap<ChildId, NodeId> {
        self.live.keys().cloned().collect()
    }
}

#[test]
fn guided_start_is_refused_without_a_mapping_that_fits() {
    let mut world = World::with(&["n1", "n2"], guided());
    let children = || vec![spec("a"), spec("b")];
    let error = |world: &mut World, options| world.start("n1", children(), options).unwrap_err();
    assert_eq!(error(&mut world, StartOptions::default()), StartError::MissingChildMapping(hub_id()));
    assert_eq!(error(&mut world, mapped(&[("a", &["n1"])])), StartError::ChildMappingMismatch(id("b")));
    assert_eq!(
        error(&mut world, mapped(&[("a", &["n1"]), ("b", &["n1", "n2"])])),
        StartError::ChildReplicationMismatch { id: id("b"), nodes: 2, copies: 1 }
    );
    world.assert_converged(0);
    let mut ring = World::new(&["n1"]);
    let refused = ring.start("n1", children(), mapped(&[("a", &["n1"]), ("b", &["n1"])])).unwrap_err();
    assert!(matches!(refused, StartError::InvalidChildMapping(_)), "{refused}");
    let redundancy = Redundancy::replication(2);
    let mut twice = HubConfig { redundancy, ..guided() };
    twice.id = hub_id();
    if twice.check().is_ok() {
        let mut world = World::with(&["n1", "n2"], twice);
        let refused = error(&mut world, mapped(&[("a", &["n1", "n1"]), ("b", &["n1", "n2"])]));
        assert!(matches!(refused, StartError::InvalidChildMapping(_)), "{refused}");
    }
}

#[test]
fn guided_children_run_on_their_nodes_wait_for_them_and_come_back_with_them() {
    let mut world = World::with(&["n1", "n2", "n3"], guided());
    let options = mapped(&[("a", &["n1"]), ("b", &["n2"]), ("c", &["n3"]), ("d", &["n3"])]);
    let result = world.start("n2", vec![spec("a"), spec("b"), spec("c"), spec("d")], options).unwrap();
    assert_eq!(result.status, Status::Ok);
    world.assert_converged(4);
    let expected = [("a", "n1"), ("b", "n2"), ("c", "n3"), ("d", "n3")].map(|(child, at)| (id(child), node(at)));
    assert_eq!(world.hosts(), expected.clone().into());
    // Nobody takes over what belongs to a node that is gone.
    world.crash("n3");
    world.run_for(3_000);
    assert_eq!(world.hosts(), expected[..2].iter().cloned().collect());
    let explained = world.hubs[&node("n1")].explain(&id("c")).unwrap();
    assert_eq!(explained.rule, Rule::Mapping(vec![node("n3")]));
    assert_eq!(explained.obstacles, [Obstacle::NoOwner]);
    // A late joiner knows the mapping, and a node that is back starts what is its own.
    world.join("n4", 1, false);
    world.run_for(3_000);
    assert_eq!(world.hubs[&node("n4")].explain(&id("c")).unwrap().rule, Rule::Mapping(vec![node("n3")]));
    world.join("n3", 2, false);
    world.run_for(3_000);
    assert_eq!(world.hosts(), expected.into());
    world.assert_converged(4);
    // A child for a node that is not there yet waits for it.
    let waiting = StartOptions { wait: false, ..mapped(&[("e", &["n9"])]) };
    world.request("n1", Request::Start { hub: hub_id(), children: vec![spec("e")], options: waiting });
    world.run_for(1_000);
    assert_eq!(world.host_of("e"), []);
    world.join("n9", 1, false);
    world.run_for(3_000);
    assert_eq!(world.host_of("e"), [node("n9")]);
    world.assert_converged(5);
}

#[test]
fn a_stop_ends_a_mapping_with_its_child() {
    let mut world = World::with(&["n1", "n2"], guided());
    world.start("n1", vec![spec("a")], mapped(&[("a", &["n2"])])).unwrap();
    assert_eq!(world.stop("n2", &["a"]).errors, []);
    world.start("n2", vec![spec("a")], mapped(&[("a", &["n1"])])).unwrap();
    assert_eq!(world.host_of("a"), [node("n1")]);
    world.assert_converged(1);
}

#[test]
fn the_load_balancer_spreads_by_capacity_and_does_not_shuffle_on_join() {
    let mut world = World::with(&["n1", "n2", "n3"], balanced());
    // n3 is busy through and through: its capacity is a tenth.
    for (name, cpu_permille, run_queue) in [("n1", 0, 0), ("n2", 0, 0), ("n3", 1_000, 100)] {
        let (children, memory_bytes) = (run_queue * 100, u64::from(run_queue) << 24);
        let sample = LoadSample { cpu_permille, run_queue, children, memory_bytes };
        world.input(name, HubInput::Load(sample));
        world.run();
    }
    world.start_ok("n2", 210);
    world.assert_converged(210);
    for (name, expected) in [("n1", 100), ("n2", 100), ("n3", 10)] {
        assert!(world.count(name).abs_diff(expected) <= 12, "{name}: {}", world.count(name));
    }
    let before = world.hosts();
    world.join("n4", 1, false);
    world.run_for(2_000);
    assert_eq!(world.hosts(), before);
    world.assert_converged(210);
    // One start after the other is spread, too.
    for at in 0..30 {
        world.start("n4", vec![spec(format!("late{at}"))], StartOptions::default()).unwrap();
    }
    assert!(world.count("n4") >= 5, "{}", world.count("n4"));
    world.assert_converged(240);
}

#[test]
fn the_load_balancer_gives_the_children_of_a_lost_node_to_others_even_if_it_was_the_leader() {
    let mut world = World::with(&["n1", "n2", "n3"], balanced());
    world.start_ok("n2", 90);
    let before = world.hosts();
    world.crash("n1");
    world.run_for(2_000);
    world.assert_converged(90);
    for (child, at) in world.hosts() {
        assert!(before[&child] == at || before[&child] == node("n1"), "{child} was moved from {}", before[&child]);
    }
    assert!(world.count("n2") > 30 && world.count("n3") > 30);
    // Nobody longer-lived is left: n2 leads and gives out new ones.
    world.start_ok_named("n3", "new", 20);
    world.join("n1", 2, false);
    world.run_for(2_000);
    world.assert_converged(110);
    assert_eq!(world.count("n1"), 0, "a node that is back is not given what runs elsewhere");
}

#[test]
fn a_child_is_migrated_and_stays_until_its_node_is_lost() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 30);
    let home = world.host_of("c7")[0].clone();
    let away = ["n1", "n2", "n3"].into_iter().find(|name| node(name) != home).unwrap();
    let other = ["n1", "n2", "n3"].into_iter().find(|name| node(name) != home && *name != away).unwrap();
    let moved = world.migrate(other, "c7", away);
    assert!(matches!(moved, Ok(Steered::Migrated(pid)) if pid.node == node(away)));
    assert_eq!(world.host_of("c7"), [node(away)]);
    world.assert_converged(30);
    let explained = world.hubs[&home].explain(&id("c7")).unwrap();
    assert!(matches!(explained.rule, Rule::Assigned { nodes, .. } if nodes == [node(away)]));
    assert_eq!(explained.obstacles, []);
    // A join moves its share, and not that child.
    world.join("n4", 1, false);
    world.run_for(1_000);
    assert_eq!(world.host_of("c7"), [node(away)]);
    world.assert_converged(30);
    world.crash(away);
    world.run_for(1_000);
    assert_ne!(world.host_of("c7"), [node(away)]);
    world.assert_converged(30);
    let errors = [
        (world.migrate(other, "nobody", other), SteerError::NotFound(id("nobody"))),
        (world.migrate(other, "c7", "n9"), SteerError::NotAMember(node("n9"))),
    ];
    for (got, wanted) in errors {
        assert_eq!(got, Err(wanted));
    }
    let at = world.host_of("c7")[0].clone();
    let same = Err(SteerError::SameNode { id: id("c7"), node: at.clone() });
    assert_eq!(world.migrate(other, "c7", at.as_str()), same);
}

#[test]
fn a_stopped_child_takes_its_assignment_with_it() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 1);
    let home = world.host_of("c0")[0].clone();
    let away = ["n1", "n2", "n3"].into_iter().find(|name| node(name) != home).unwrap();
    world.migrate("n2", "c0", away).unwrap();
    world.stop("n3", &["c0"]);
    world.start_ok("n2", 1);
    assert_eq!(world.host_of("c0"), [home]);
    world.assert_converged(1);
}

#[test]
fn a_cordoned_node_keeps_what_it_has_and_gets_nothing_new() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 60);
    let before = world.hosts();
    assert_eq!(world.steer("n2", Steer::Cordon), Ok(Steered::Done));
    assert_eq!(world.hosts(), before);
    world.start_ok_named("n1", "new", 60);
    world.assert_converged(120);
    let on_n2 = |world: &World| -> BTreeSet<ChildId> {
        world.live.keys().filter(|(_, at)| *at == node("n2")).map(|(child, _)| child.clone()).collect()
    };
    assert!(on_n2(&world).iter().all(|child| before.get(child) == Some(&node("n2"))));
    assert_eq!(on_n2(&world).len(), before.values().filter(|at| **at == node("n2")).count());
    // Nor does it get what another loses.
    world.crash("n3");
    world.run_for(2_000);
    world.assert_converged(120);
    assert!(on_n2(&world).iter().all(|child| before.get(child) == Some(&node("n2"))));
    // Not even if nobody else is left: then children wait.
    world.steer("n1", Steer::Cordon).unwrap();
    let waiting = StartOptions { wait: false, ..StartOptions::default() };
    let request = Request::Start { hub: hub_id(), children: vec![spec("stuck")], options: waiting };
    world.request("n1", request);
    world.run_for(1_000);
    assert_eq!(world.host_of("stuck"), []);
    world.steer("n2", Steer::Uncordon).unwrap();
    world.run_for(1_000);
    assert_eq!(world.host_of("stuck").len(), 1);
    world.assert_converged(121);
}

#[test]
fn a_drained_node_gives_all_away_stays_a_member_and_comes_back() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 60);
    let drain = || Steer::Drain { deadline: Duration::from_secs(5) };
    assert_eq!(world.steer("n2", drain()), Ok(Steered::Drained(0)));
    assert_eq!(world.count("n2"), 0);
    assert_eq!(world.hubs[&node("n1")].view().len(), 3);
    assert_eq!(world.steer("n2", drain()), Err(SteerError::Draining));
    // It takes requests, and gets none of the children.
    world.start_ok_named("n2", "new", 30);
    assert_eq!(world.count("n2"), 0);
    world.assert_converged(90);
    assert_eq!(world.migrate("n1", "c1", "n2"), Err(SteerError::NotAMember(node("n2"))));
    assert_eq!(world.steer("n2", Steer::Undrain), Ok(Steered::Done));
    world.run_for(1_000);
    assert!(world.count("n2") > 15, "{}", world.count("n2"));
    world.assert_converged(90);
    // The last one that takes anything cannot be drained.
    world.steer("n1", drain()).unwrap();
    world.steer("n3", drain()).unwrap();
    assert_eq!(world.steer("n2", drain()), Err(SteerError::NoTargetNodes));
    world.assert_converged(90);
}

#[test]
fn while_paused_copies_stay_and_losses_are_made_good() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 60);
    let before = world.hosts();
    assert_eq!(world.steer("n3", Steer::Pause), Ok(Steered::Done));
    world.join("n4", 1, false);
    world.run_for(1_000);
    assert_eq!(world.hosts(), before);
    let moved = before.keys().find(|child| world.hubs[&node("n1")].owner(child) == Some(&node("n4"))).unwrap();
    let explained = world.hubs[&node("n4")].explain(moved).unwrap();
    assert!(explained.obstacles.contains(&Obstacle::Paused), "{explained:?}");
    world.crash("n2");
    world.run_for(2_000);
    assert_eq!(world.live.len(), 60);
    assert_eq!(world.steer("n4", Steer::Resume), Ok(Steered::Done));
    world.run_for(2_000);
    world.assert_converged(60);
}

#[test]
fn two_sides_that_heal_while_paused_end_with_one_copy() {
    let mut world = World::new(&["n1", "n2", "n3", "n4"]);
    world.start_ok("n1", 60);
    world.partition(&["n1", "n2"], &["n3", "n4"]);
    world.run_for(2_000);
    assert_eq!(world.live.len(), 120);
    world.steer("n1", Steer::Pause).unwrap();
    world.heal();
    world.run_for(3_000);
    assert_eq!(world.live.len(), 60);
    world.steer("n3", Steer::Resume).unwrap();
    world.run_for(2_000);
    world.assert_converged(60);
}

#[test]
fn a_plan_says_what_then_happens() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 200);
    let join = Change::Join { node: node("n4"), weight: 1, labels: Vec::new() };
    let plan = world.hubs[&node("n2")].plan(&join).unwrap();
    let before = world.hosts();
    world.join("n4", 1, false);
    world.run_for(2_000);
    let after = world.hosts();
    let moved: BTreeSet<&ChildId> = before.keys().filter(|child| before[*child] != after[*child]).collect();
    assert_eq!(plan.moves.iter().map(|planned| &planned.id).collect::<BTreeSet<_>>(), moved);
    assert_eq!(plan.total as usize, moved.len());
    assert!(
        plan.moves.iter().all(|planned| planned.to == [node("n4")] && planned.from == [before[&planned.id].clone()])
    );
    let leave = world.hubs[&node("n2")].plan(&Change::Leave(node("n1"))).unwrap();
    assert_eq!(leave.total as usize, after.values().filter(|at| **at == node("n1")).count());
    let nobody = Change::Leave(node("n9"));
    assert_eq!(world.hubs[&node("n2")].plan(&nobody), Err(SteerError::NotAMember(node("n9"))));
}

#[test]
fn weights_and_labels_move_children_while_they_run() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 120);
    let before = world.count("n2");
    assert_eq!(world.steer("n2", Steer::Weight(4)), Ok(Steered::Done));
    world.run_for(1_000);
    assert!(world.count("n2") > before * 3 / 2, "{} of 120, {before} before", world.count("n2"));
    world.assert_converged(120);
    world.steer("n2", Steer::Weight(0)).unwrap();
    world.run_for(1_000);
    assert_eq!(world.count("n2"), 0);
    world.assert_converged(120);
    assert_eq!(world.steer("n2", Steer::Weight(65)), Err(SteerError::TooHeavy(65)));

    let fast = Labels::from_iter(["fast"]);
    let picky = |at: usize| ChildSpec { requires: fast.clone(), ..spec(format!("picky{at}")) };
    let waiting = StartOptions { wait: false, ..StartOptions::default() };
    let children = (0..8).map(picky).collect();
    world.request("n1", Request::Start { hub: hub_id(), children, options: waiting });
    world.run_for(1_000);
    assert_eq!(world.live.len(), 120, "nobody has the label");
    world.steer("n1", Steer::Labels(fast.clone())).unwrap();
    world.run_for(1_000);
    assert!((0..8).all(|at| world.host_of(&format!("picky{at}")) == [node("n1")]));
    world.steer("n3", Steer::Labels(fast)).unwrap();
    world.steer("n1", Steer::Labels(Labels::new())).unwrap();
    world.run_for(1_000);
    assert!((0..8).all(|at| world.host_of(&format!("picky{at}")) == [node("n3")]));
    world.assert_converged(128);
    let many: Labels = (0..65).map(|at| at.to_string()).collect();
    assert_eq!(world.steer("n1", Steer::Labels(many)), Err(SteerError::BadLabels));
    let said = world.hubs[&node("n2")].steering();
    assert_eq!((said.paused, said.nodes[&node("n3")].labels.len()), (false, 1));
    assert_eq!((said.nodes[&node("n2")].weight, said.nodes[&node("n1")].labels.len()), (0, 0));
}

/// Found by simulation (seed 900131): nobody else could call the move off, since a node of that name was there.
#[test]
fn a_move_whose_node_restarts_is_called_off_by_its_next_life() {
    let mut world = World::new(&["n1", "n2", "n3", "n4"]);
    world.start_ok("n1", 20);
    let home = world.host_of("c7")[0].clone();
    let others: Vec<&str> = ["n1", "n2", "n3", "n4"].into_iter().filter(|name| node(name) != home).collect();
    let (mover, deaf) = (others[0], others[1]);
    // By way of a third it hears of the hold all the same; what it says to that does not come back.
    world.cut.insert((node(mover), node(deaf)));
    world.cut.insert((node(deaf), node(mover)));
    let act = Steer::Migrate { id: id("c7"), to: node(mover), timeout: Duration::from_secs(60) };
    world.request(mover, Request::Steer { hub: hub_id(), act });
    let told = world.hubs[others[2]].explain(&id("c7")).unwrap();
    assert!(matches!(&told.rule, Rule::Ring { .. }), "{told:?}");
    world.crash(mover);
    world.cut.clear();
    world.join(mover, 2, false);
    world.run_for(1_000);
    world.crash(home.as_str());
    world.run_for(2_000);
    assert_eq!(world.host_of("c7").len(), 1, "{:?}", world.hubs[mover].explain(&id("c7")));
    world.assert_converged(20);
}

#[test]
fn a_move_that_not_all_members_hear_of_is_taken_back() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 20);
    let home = world.host_of("c7")[0].clone();
    let away = ["n1", "n2", "n3"].into_iter().find(|name| node(name) != home).unwrap();
    let deaf = ["n1", "n2", "n3"].into_iter().find(|name| node(name) != home && *name != away).unwrap();
    world.cut.insert((node(away), node(deaf)));
    world.cut.insert((node(deaf), node(away)));
    let act = Steer::Migrate { id: id("c7"), to: node(away), timeout: Duration::from_millis(500) };
    assert_eq!(world.steer(away, act), Err(SteerError::Unanswered(id("c7"))));
    assert_eq!(world.host_of("c7"), [home]);
    world.cut.clear();
    world.run_for(20_000);
    world.assert_converged(20);
}

/// Found by simulation (seed 900123): an acknowledgement says that a member has heard, not that it was heard.
#[test]
fn a_child_is_not_given_to_a_node_that_has_yet_to_hear_of_a_copy() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 20);
    let home = world.host_of("c7")[0].clone();
    let others: Vec<&str> = ["n1", "n2", "n3"].into_iter().filter(|name| node(name) != home).collect();
    world.stop(others[0], &["c7"]);
    // What its owner tells from here on does not reach one of the others, whose own word reaches everybody.
    world.cut.insert((home.clone(), node(others[0])));
    let start = StartOptions { wait: false, ..StartOptions::default() };
    world.request(others[1], Request::Start { hub: hub_id(), children: vec![spec("c7")], options: start });
    let act = Steer::Migrate { id: id("c7"), to: node(others[0]), timeout: Duration::from_secs(10) };
    world.request(others[1], Request::Steer { hub: hub_id(), act });
    assert!(!world.host_of("c7").contains(&node(others[0])), "it has not heard of the copy on {home}, nor of its end");
    world.cut.clear();
    world.run_for(20_000);
    assert_eq!(world.host_of("c7"), [node(others[0])]);
    world.assert_converged(20);
}
