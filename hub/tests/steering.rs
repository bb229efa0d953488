//! Operators and callers say where children run, through the handles.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use process_hub::core::config::{Distribution, HubConfig, LoadBalancer, Partition};
use process_hub::core::hook::HookEvent;
use process_hub::core::id::{ChildId, NodeId};
use process_hub::core::request::{self, Status};
use process_hub::core::spec::ChildSpec;
use process_hub::core::steering::{self, Change, Obstacle, Rule};
use process_hub::{Hub, HubEvent, ListScope, ResetError, SpecExt, StartError, SteerError};
use support::{Ask, Counter, Network, cluster, cluster_with, config, hub, id, node, until};

const SOON: Duration = Duration::from_secs(5);

fn name(node: &str) -> NodeId {
    NodeId::new(node).unwrap()
}

fn counters(count: usize) -> Vec<ChildSpec> {
    (0..count).map(|n| ChildSpec::of::<Counter>(format!("c{n}"), n as i64).unwrap()).collect()
}

fn node_of(hub: &Hub, child: &ChildId) -> NodeId {
    hub.get_pid(child).unwrap().node
}

fn here(hub: &Hub) -> usize {
    hub.process_list(ListScope::Local).len()
}

fn all(hub: &Hub) -> usize {
    hub.process_list(ListScope::Global).len()
}

#[tokio::test(start_paused = true)]
async fn a_child_is_given_to_a_node_and_explained() {
    let network = Network::default();
    let nodes = cluster(&network, 3).await;
    let first = &nodes[0].1;
    let child = id("c7");
    first.start_children(counters(20)).await.unwrap();
    let why = first.explain(&child).await.unwrap();
    assert!(matches!(why.rule, Rule::Ring { .. }), "{why:?}");
    let home = node_of(first, &child);
    assert_eq!((why.owners, why.obstacles), (vec![home.clone()], vec![]));
    let away = ["n1", "n2", "n3"].into_iter().map(name).find(|node| *node != home).unwrap();
    let pid = nodes[2].1.migrate(&child, &away, SOON).await.unwrap();
    assert_eq!(pid.node, away);
    until("all see it there", || nodes.iter().all(|(_, hub)| hub.get_pid(&child).as_ref() == Some(&pid))).await;
    assert_eq!(first.call::<Counter>(&child, Ask::Get).await.unwrap().1, pid.to_string());
    let why = first.explain(&child).await.unwrap();
    assert_eq!(why.rule, Rule::Assigned { nodes: vec![away.clone()], by: name("n3") });

    let same = first.migrate(&child, &away, SOON).await;
    assert_eq!(same, Err(steering::SteerError::SameNode { id: child, node: away }.into()));
    let nobody = first.migrate(&id("nobody"), &name("n2"), SOON).await;
    assert_eq!(nobody, Err(steering::SteerError::NotFound(id("nobody")).into()));
    let nowhere = first.migrate(&id("c1"), &name("n9"), SOON).await;
    assert_eq!(nowhere, Err(steering::SteerError::NotAMember(name("n9")).into()));
    assert_eq!(first.explain(&id("nobody")).await, Err(steering::SteerError::NotFound(id("nobody")).into()));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_migration_cancels_the_wait_and_not_the_move() {
    let network = Network::default();
    let nodes = cluster(&network, 2).await;
    let first = &nodes[0].1;
    first.start_children(counters(1)).await.unwrap();
    let child = id("c0");
    let away = if node_of(first, &child) == name("n1") { name("n2") } else { name("n1") };
    let cut = tokio::time::timeout(Duration::ZERO, first.migrate(&child, &away, SOON)).await;
    assert!(cut.is_err());
    until("it moves all the same", || first.get_pid(&child).is_some_and(|pid| pid.node == away)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_is_cordoned_drained_and_taken_back() {
    let network = Network::default();
    let nodes = cluster(&network, 3).await;
    let (first, second) = (&nodes[0].1, &nodes[1].1);
    first.start_children(counters(60)).await.unwrap();
    second.cordon().await.unwrap();
    until("all have heard of the cordon", || nodes.iter().all(|(_, hub)| hub.steering().nodes[&name("n2")].cordoned))
        .await;
    let kept = here(second);
    assert!(kept > 5, "{kept}");
    let more: Vec<ChildSpec> = (60..120).map(|n| ChildSpec::of::<Counter>(format!("c{n}"), 0).unwrap()).collect();
    first.start_children(more).await.unwrap();
    assert_eq!((here(second), all(first)), (kept, 120));
    second.uncordon().await.unwrap();
    assert!(!second.steering().nodes[&name("n2")].cordoned);

    assert_eq!(second.drain(SOON).await, Ok(0));
    assert_eq!((here(second), second.nodes(true).len()), (0, 3));
    until("the others have all", || here(first) + here(&nodes[2].1) == 120).await;
    assert!(second.steering().nodes[&name("n2")].draining);
    assert_eq!(second.drain(SOON).await, Err(steering::SteerError::Draining.into()));
    nodes[2].1.drain(SOON).await.unwrap();
    assert_eq!(first.drain(SOON).await, Err(steering::SteerError::NoTargetNodes.into()));
    for (_, hub) in &nodes {
        hub.undrain().await.unwrap();
    }
    until("each has its share again", || nodes.iter().all(|(_, hub)| here(hub) > 10 && all(hub) == 120)).await;
}

#[tokio::test(start_paused = true)]
async fn rebalancing_is_planned_paused_and_resumed() {
    let network = Network::default();
    let nodes = cluster(&network, 2).await;
    let first = &nodes[0].1;
    first.start_children(counters(60)).await.unwrap();
    let before = first.registry_dump();
    let join = Change::Join { node: name("n3"), weight: 1, labels: Vec::new() };
    let plan = first.plan(join.clone()).await.unwrap();
    assert!((5..50).contains(&plan.total), "{}", plan.total);
    nodes[1].1.pause().await.unwrap();
    until("all have heard of the pause", || nodes.iter().all(|(_, hub)| hub.steering().paused)).await;
    let joiner = node(&network, "n3", &["n1"]).await;
    let third = hub(&joiner).await;
    until("it is there", || first.nodes(true).len() == 3 && all(&third) == 60).await;
    tokio::time::sleep(SOON).await;
    assert_eq!((here(&third), first.registry_dump()), (0, before));
    let moved = &plan.moves[0];
    let why = third.explain(&moved.id).await.unwrap();
    assert!(why.obstacles.contains(&Obstacle::Paused), "{why:?}");
    assert_eq!(why.owners, [name("n3")]);
    assert!(third.steering().paused, "a joiner learns of it");
    third.resume().await.unwrap();
    until("what was planned has moved", || here(&third) == plan.total as usize && all(first) == 60).await;
    assert!(plan.moves.iter().all(|moved| node_of(first, &moved.id) == name("n3")));
    assert_eq!(first.plan(join).await, Err(steering::SteerError::NotAMember(name("n3")).into()));
}

#[tokio::test(start_paused = true)]
async fn guided_children_run_where_their_caller_says() {
    let network = Network::default();
    let guided = HubConfig { distribution: Distribution::Guided, ..config() };
    let nodes = cluster_with(&network, 2, guided).await;
    let first = &nodes[0].1;
    let refused = |result: Result<_, StartError>| match result {
        Err(StartError::Refused(error)) => error,
        other => panic!("{other:?}"),
    };
    let missing = first.start_children(counters(2)).await;
    assert_eq!(refused(missing), request::StartError::MissingChildMapping(first.id().clone()));
    let mismatch = first.start_children(counters(2)).child_mapping([(id("c0"), [name("n2")])]).await;
    assert_eq!(refused(mismatch), request::StartError::ChildMappingMismatch(id("c1")));
    let copies = first.start_children(counters(1)).child_mapping([(id("c0"), [name("n1"), name("n2")])]).await;
    let expected = request::StartError::ChildReplicationMismatch { id: id("c0"), nodes: 2, copies: 1 };
    assert_eq!(refused(copies), expected);
    assert_eq!(all(first), 0);

    let mapping = (0..6).map(|n| (id(&format!("c{n}")), [name(if n < 4 { "n2" } else { "n1" })]));
    let started = first.start_children(counters(6)).child_mapping(mapping).await.unwrap();
    assert_eq!(started.status(), Status::Ok);
    assert_eq!((here(first), here(&nodes[1].1)), (2, 4));
    let why = first.explain(&id("c0")).await.unwrap();
    assert_eq!(why.rule, Rule::Mapping(vec![name("n2")]));

    let ring = cluster(&Network::default(), 1).await;
    let unwanted = ring[0].1.start_children(counters(1)).child_mapping([(id("c0"), [name("n1")])]).await;
    assert!(matches!(refused(unwanted), request::StartError::InvalidChildMapping(_)));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_a_known_size_has_none_to_reset() {
    let network = Network::default();
    let nodes = cluster(&network, 1).await;
    let refused = nodes[0].1.reset_cluster_size(3).await;
    assert_eq!(refused, Err(request::ResetError::NoQuorum(config().id).into()));
    let majority = HubConfig {
        partition: Partition::MajorityQuorum { initial_cluster_size: 1, track_max_size: true },
        ..config()
    };
    let alone = cluster_with(&Network::default(), 1, majority).await;
    let refused = alone[0].1.reset_cluster_size(0).await;
    assert_eq!(refused, Err(request::ResetError::OutOfRange(0).into()));
    alone[0].1.reset_cluster_size(1).await.unwrap();
    until("it has its quorum", || !alone[0].1.is_locked()).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_nothing_is_steered() {
    let network = Network::default();
    let nodes = cluster(&network, 1).await;
    nodes[0].0.shutdown().await;
    let hub = &nodes[0].1;
    assert_eq!(hub.cordon().await, Err(SteerError::Closed(process_hub::Closed)));
    assert_eq!(hub.drain(SOON).await, Err(SteerError::Closed(process_hub::Closed)));
    assert_eq!(hub.explain(&id("c")).await, Err(SteerError::Closed(process_hub::Closed)));
    assert_eq!(hub.reset_cluster_size(1).await, Err(ResetError::Closed(process_hub::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_hub_is_left_while_its_node_stays() {
    let network = Network::default();
    let nodes = cluster(&network, 3).await;
    let (first, second) = (&nodes[0].1, &nodes[1].1);
    let other = nodes[1].0.hub(HubConfig::new(process_hub::core::id::HubId::new("other").unwrap()));
    let other = other.child::<Counter>().start().await.unwrap();
    other.start_children(counters(5)).await.unwrap();
    first.start_children(counters(60)).await.unwrap();
    assert!(here(second) > 5);
    assert_eq!(second.leave(SOON).await, Ok(0));
    // It is gone for the hub, at once and everywhere, and nowhere else.
    assert!(!second.is_alive() && second.members().is_empty() && all(second) == 0);
    until("the others know", || [first, &nodes[2].1].iter().all(|hub| hub.nodes(true).len() == 2)).await;
    assert_eq!(here(first) + here(&nodes[2].1), 60);
    assert_eq!(nodes[0].0.members().len(), 3);
    assert!(nodes[1].0.is_alive() && nodes[1].0.get_hub(first.id()).is_none());
    assert_eq!(here(&other), 5);
    other.call::<Counter>(&id("c1"), Ask::Get).await.unwrap();

    let again = second.leave(SOON).await;
    assert_eq!(again, Err(request::LeaveHubError::UnknownHub(config().id).into()));
    let unknown = second.start_children(counters(1)).await;
    assert_eq!(unknown, Err(request::StartError::UnknownHub(config().id).into()));
    let anew = nodes[1].0.hub(config()).child::<Counter>().start().await.unwrap_err();
    assert!(anew.to_string().contains("start the node anew"), "{anew}");
    // Whoever comes later does not wait for it either.
    let fourth = hub(&node(&network, "n4", &["n1"]).await).await;
    until("the fourth has its share", || here(&fourth) > 5 && all(&fourth) == 60).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_hub_that_is_left_is_answered() {
    let network = Network::default();
    let nodes = cluster(&network, 1).await;
    let hub = &nodes[0].1;
    hub.start_children(counters(3)).await.unwrap();
    let waits = ChildSpec::of::<Counter>("waits", 1).unwrap().requires(["gpu"]);
    let pending = hub.start_children([waits]).submit().await.unwrap();
    let left = hub.leave(Duration::from_secs(1)).await;
    assert_eq!(left, Ok(0), "nobody is there to take them, and they end");
    assert_eq!(pending.await.unwrap().errors()[0].reason, request::ChildFailure::Timeout);
}

#[tokio::test(start_paused = true)]
async fn the_load_balancer_hears_of_every_node_and_spreads_children() {
    let network = Network::default();
    let distribution = Distribution::CentralizedLoadBalancer(LoadBalancer::default());
    let nodes = cluster_with(&network, 3, HubConfig { distribution, ..config() }).await;
    let first = &nodes[0].1;
    let mut events = first.events();
    let scored = async {
        while let Some(event) = events.next().await {
            if let HubEvent::Hook(HookEvent::ScoreboardUpdated { scoreboard, .. }) = event
                && scoreboard.len() == 3
            {
                return scoreboard;
            }
        }
        panic!("the node ended");
    };
    let scoreboard = tokio::time::timeout(Duration::from_secs(60), scored).await.unwrap();
    assert!(scoreboard.iter().all(|(_, score)| *score < 1_000), "{scoreboard:?}");
    first.start_children(counters(30)).await.unwrap();
    until("all see all", || nodes.iter().all(|(_, hub)| all(hub) == 30)).await;
    assert!(nodes.iter().all(|(_, hub)| here(hub) >= 5), "{:?}", first.copies_by_node());
    let why = first.explain(&id("c0")).await.unwrap();
    assert_eq!(why.rule, Rule::Balancer(vec![node_of(first, &id("c0"))]));
}
