//! What the options of strategies do, each by itself, through the handles.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use process_hub::core::config::{
    Distribution, Factor, HubConfig, LoadBalancer, Migration, Model, Partition, Redundancy, Signal, Synchronization,
};
use process_hub::core::hook::HookEvent;
use process_hub::core::id::{ChildId, HubId, NodeId, Pid};
use process_hub::core::spec::{ChildSpec, Role};
use process_hub::{Child, ChildError, Context, Events, Hub, HubEvent, NodeHandle, SpecExt, State};
use serde::{Deserialize, Serialize};
use support::{Counter, Network, cluster_with, config, hub_with, id, node, until};

fn counters(count: usize) -> Vec<ChildSpec> {
    (0..count).map(|n| ChildSpec::of::<Counter>(format!("c{n}"), n as i64).unwrap()).collect()
}

fn name(node: &str) -> NodeId {
    NodeId::new(node).unwrap()
}

fn replication(factor: Factor, model: Model, signal: Signal) -> HubConfig {
    HubConfig { redundancy: Redundancy::Replication { factor, model, signal }, ..config() }
}

/// The hook events that are there already.
fn hooks(events: &mut Events) -> Vec<HookEvent> {
    let mut hooks = Vec::new();
    while let Some(event) = events.try_next() {
        if let HubEvent::Hook(event) = event {
            hooks.push(event);
        }
    }
    hooks
}

// ---- distribution

#[tokio::test(start_paused = true)]
async fn load_is_told_once_a_push_interval() {
    for (seconds, least, most) in [(1, 28, 31), (10, 2, 3)] {
        let push_interval = Duration::from_secs(seconds);
        let distribution =
            Distribution::CentralizedLoadBalancer(LoadBalancer { push_interval, ..LoadBalancer::default() });
        let node = node(&Network::default(), "n1", &[]).await;
        let hub = hub_with(&node, HubConfig { distribution, ..config() }).await;
        hub.joined().await.unwrap();
        let mut events = hub.events();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let told = hooks(&mut events);
        let told = told.iter().filter(|event| matches!(event, HookEvent::ScoreboardUpdated { .. })).count();
        assert!((least..=most).contains(&told), "{told} in 30 s, at one in {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_load_balancer_places_copies_on_different_nodes() {
    let distribution = Distribution::CentralizedLoadBalancer(LoadBalancer::default());
    let network = Network::default();
    let config = HubConfig { distribution, redundancy: Redundancy::replication(2), ..config() };
    let nodes = cluster_with(&network, 3, config).await;
    let started = nodes[1].1.start_children(counters(30)).await.unwrap();
    assert_eq!(started.errors(), []);
    assert!(started.started.iter().all(|(_, pids)| pids.len() == 2 && pids[0].node != pids[1].node), "{started:?}");
    let counts = nodes[0].1.copies_by_node();
    assert!(counts.len() == 3 && counts.values().all(|count| *count >= 10), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn two_hubs_of_one_cluster_are_balanced_each_by_itself() {
    let balanced = |name: &str| {
        let distribution = Distribution::CentralizedLoadBalancer(LoadBalancer::default());
        HubConfig { distribution, ..HubConfig::new(HubId::new(name).unwrap()) }
    };
    let network = Network::default();
    let first = cluster_with(&network, 3, balanced("demo")).await;
    let mut second = Vec::new();
    for (node, _) in &first {
        second.push(hub_with(node, balanced("other")).await);
    }
    until("the views are complete", || second.iter().all(|hub| hub.nodes(true).len() == 3)).await;
    first[1].1.start_children(counters(30)).await.unwrap();
    second[2].start_children(counters(60)).await.unwrap();
    for (hub, least) in [(&first[0].1, 5), (&second[0], 10)] {
        let counts = hub.copies_by_node();
        assert!(counts.len() == 3 && counts.values().all(|count| *count >= least), "{counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_guided_child_that_is_migrated_waits_for_its_new_node() {
    let network = Network::default();
    let guided = HubConfig { distribution: Distribution::Guided, ..config() };
    let nodes = cluster_with(&network, 3, guided).await;
    let (first, child) = (&nodes[0].1, id("c0"));
    first.start_children(counters(1)).child_mapping([(child.clone(), [name("n2")])]).await.unwrap();
    assert_eq!(first.migrate(&child, &name("n3"), Duration::from_secs(5)).await.unwrap().node, name("n3"));
    nodes[2].0.shutdown().await;
    until("its loss is known", || first.nodes(true).len() == 2).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(first.get_pid(&child), None, "it has gone back to nobody");
    let again = hub_with(&node(&network, "n3", &["n1"]).await, first.config().clone()).await;
    until("it is back with its node", || again.get_pid(&child).is_some_and(|pid| pid.node == name("n3"))).await;
}

// ---- redundancy

/// Remembers the roles that it was told.
struct Player(Vec<Role>);

impl Child for Player {
    const KIND: &'static str = "player";
    type Args = ();
    type Message = ();
    type Reply = (Role, Vec<Role>);

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, ChildError> {
        Ok(Player(Vec::new()))
    }

    async fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> (Role, Vec<Role>) {
        (ctx.role(), self.0.clone())
    }

    async fn role_changed(&mut self, role: Role, _: &mut Context<Self>) {
        self.0.push(role);
    }
}

/// What each of two copies of a child was told, the active one first.
async fn told(model: Model, signal: Signal) -> Vec<(Role, Vec<Role>)> {
    let network = Network::default();
    let mut nodes = Vec::new();
    for number in 1..=2 {
        let node = node(&network, &format!("n{number}"), &["n1"]).await;
        let config = replication(Factor::Copies(2), model, signal);
        let hub = node.hub(config).child::<Player>().start().await.unwrap();
        nodes.push((node, hub));
    }
    until("the views are complete", || nodes.iter().all(|(_, hub)| hub.nodes(true).len() == 2)).await;
    let hub = &nodes[0].1;
    hub.start_child(ChildSpec::of::<Player>("p", ()).unwrap()).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut told = Vec::new();
    for pid in hub.get_pids(&id("p")) {
        told.push(hub.call_pid::<Player>(&id("p"), &pid, ()).await.unwrap());
    }
    told
}

#[tokio::test(start_paused = true)]
async fn copies_are_told_their_role_as_the_signal_says() {
    use Role::{Active, Passive};
    // All are active as they start.
    for (signal, expected) in
        [(Signal::None, vec![]), (Signal::Passive, vec![]), (Signal::Active, vec![Active]), (Signal::All, vec![Active])]
    {
        let each = (Active, expected);
        assert_eq!(told(Model::ActiveActive, signal).await, [each.clone(), each], "{signal:?}");
    }
    // One is promoted as it comes up, which is told whatever the signal says; the other is passive as it starts.
    for (signal, first) in [
        (Signal::None, vec![]),
        (Signal::Active, vec![]),
        (Signal::Passive, vec![Passive]),
        (Signal::All, vec![Passive]),
    ] {
        let expected = [(Active, vec![Active]), (Passive, first)];
        assert_eq!(told(Model::ActivePassive, signal).await, expected, "{signal:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_copies_run_as_the_factor_says() {
    let network = Network::default();
    let config = replication(Factor::Copies(3), Model::ActiveActive, Signal::None);
    let nodes = cluster_with(&network, 4, config).await;
    let started = nodes[0].1.start_children(counters(20)).await.unwrap();
    assert!(started.started.iter().all(|(_, pids)| pids.len() == 3), "{started:?}");
    assert_eq!(nodes[3].1.copies_by_node().values().sum::<usize>(), 60);
}

/// Defect 22 of the original: it counts every node that is there.
#[tokio::test(start_paused = true)]
async fn cluster_size_counts_only_nodes_that_take_part_in_the_hub() {
    let network = Network::default();
    let bystander = node(&network, "n9", &["n1"]).await;
    let nodes = cluster_with(&network, 2, replication(Factor::ClusterSize, Model::ActiveActive, Signal::None)).await;
    let other = bystander.hub(HubConfig::new(HubId::new("other").unwrap())).start().await.unwrap();
    until("all nodes have met", || bystander.members().len() == 3 && nodes[0].0.members().len() == 3).await;
    let started = nodes[0].1.start_children(counters(10)).await.unwrap();
    assert_eq!(started.errors(), [], "nobody waits for a copy on a node without the hub");
    assert!(started.started.iter().all(|(_, pids)| pids.len() == 2), "{started:?}");
    // Once it takes part, it counts.
    let third = hub_with(&bystander, nodes[0].1.config().clone()).await;
    let full = |hub: &Hub| hub.copies_by_node().values().copied().collect::<Vec<_>>() == [10, 10, 10];
    until("a copy of each runs on each", || full(&third) && full(&nodes[0].1)).await;
    assert_eq!(other.child_count(), 0);
}

// ---- synchronization

/// How many frames a node sends in ten seconds in which nothing happens.
async fn chatter(synchronization: Synchronization, size: usize) -> u64 {
    let network = Network::default();
    let nodes = cluster_with(&network, size, HubConfig { synchronization, ..config() }).await;
    nodes[0].1.start_children(counters(20)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let before = nodes[0].0.stats().frames_sent;
    tokio::time::sleep(Duration::from_secs(10)).await;
    nodes[0].0.stats().frames_sent - before
}

#[tokio::test(start_paused = true)]
async fn members_compare_once_a_sync_interval() {
    let pubsub = |sync_interval| Synchronization::PubSub { sync_interval };
    let gossip = |sync_interval| Synchronization::Gossip { sync_interval, recipients: 3 };
    let (hour, moment) = (Duration::from_secs(3_600), Duration::from_millis(100));
    for (rarely, often) in [(pubsub(hour), pubsub(moment)), (gossip(hour), gossip(moment))] {
        let (rarely, often) = (chatter(rarely, 2).await, chatter(often, 2).await);
        assert!(often >= rarely + 100, "{often} frames against {rarely}");
    }
}

#[tokio::test(start_paused = true)]
async fn gossip_compares_with_so_many_recipients() {
    let gossip = |recipients| Synchronization::Gossip { sync_interval: Duration::from_millis(100), recipients };
    let (one, four) = (chatter(gossip(1), 5).await, chatter(gossip(4), 5).await);
    assert!(four > one + 200, "{four} frames against {one}");
}

// ---- migration

/// How long its callbacks take. On `n1` it is up at once, and takes what it is given at once.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Takes {
    start: u64,
    prepare: u64,
    accept: u64,
}

struct Mover {
    count: i64,
    takes: Takes,
}

/// Waits, on any node but `n1`.
fn take_time(ctx: &Context<Mover>, millis: u64) -> impl Future<Output = ()> + Send + 'static {
    ctx.sleep(Duration::from_millis(if ctx.pid().node.as_str() == "n1" { 0 } else { millis }))
}

impl Child for Mover {
    const KIND: &'static str = "mover";
    type Args = Takes;
    type Message = i64;
    type Reply = i64;

    async fn start(takes: Takes, ctx: &mut Context<Self>) -> Result<Self, ChildError> {
        take_time(ctx, takes.start).await;
        Ok(Mover { count: 0, takes })
    }

    async fn handle(&mut self, n: i64, _: &mut Context<Self>) -> i64 {
        self.count += n;
        self.count
    }

    async fn prepare_handover(&mut self, ctx: &mut Context<Self>) -> Result<Option<State>, ChildError> {
        ctx.sleep(Duration::from_millis(self.takes.prepare)).await;
        State::of(&self.count).map(Some)
    }

    async fn accept_handover(&mut self, state: State, ctx: &mut Context<Self>) -> Result<(), ChildError> {
        take_time(ctx, self.takes.accept).await;
        self.count = state.read()?;
        Ok(())
    }
}

/// A child on `n1` that has counted to 7 is given to `n2`; where it serves ten seconds later, with what count, and why
/// moves of it were put off or given up, each reason once.
async fn moved(migration: Migration, takes: Takes) -> (String, i64, Vec<String>) {
    let network = Network::default();
    let mut nodes: Vec<(NodeHandle, Hub)> = Vec::new();
    for number in 1..=2 {
        let node = node(&network, &format!("n{number}"), &["n1"]).await;
        let config = HubConfig { migration: migration.clone(), ..config() };
        let hub = node.hub(config).child::<Mover>().start().await.unwrap();
        nodes.push((node, hub));
    }
    until("the views are complete", || nodes.iter().all(|(_, hub)| hub.nodes(true).len() == 2)).await;
    let hub = &nodes[0].1;
    let mut events = hub.events();
    let child = owned_by(hub, "n1").await;
    hub.start_child(ChildSpec::of::<Mover>(&child, takes).unwrap()).await.unwrap().unwrap();
    hub.call::<Mover>(&child, 7).await.unwrap();
    let _ = hub.migrate(&child, &name("n2"), Duration::from_secs(10)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let count = hub.call::<Mover>(&child, 0).await.unwrap();
    let mut reasons: Vec<String> = hooks(&mut events)
        .into_iter()
        .filter_map(|event| match event {
            HookEvent::MigrationFailed { reason, .. } | HookEvent::MigrationDeferred { reason, .. } => {
                Some(reason.to_string())
            }
            _ => None,
        })
        .collect();
    reasons.dedup();
    let at: Option<Pid> = hub.get_pid(&child);
    (at.map_or_else(String::new, |pid| pid.node.as_str().to_owned()), count, reasons)
}

/// The name of a child that belongs to a node.
async fn owned_by(hub: &Hub, node: &str) -> ChildId {
    let probes: Vec<ChildSpec> =
        (0..40).map(|n| ChildSpec::of::<Mover>(format!("p{n}"), Takes::default()).unwrap()).collect();
    hub.start_children(probes).await.unwrap();
    let child = (0..40).map(|n| id(&format!("p{n}"))).find(|child| hub.get_pid(child).unwrap().node.as_str() == node);
    hub.stop_children((0..40).map(|n| id(&format!("p{n}")))).await.unwrap();
    child.unwrap()
}

const S: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_copy_has_the_state_query_timeout_to_give_its_state() {
    let takes = Takes { prepare: 2_000, ..Takes::default() };
    for handover in [
        |state_query_timeout| Migration::ColdSwap { handover: true, state_ttl: 30 * S, state_query_timeout },
        |state_query_timeout| Migration::HotSwap {
            handover: true,
            state_query_timeout,
            child_migration_timeout: 10 * S,
            retention: 5 * S,
        },
    ] {
        let late = vec!["it took too long".to_owned()];
        assert_eq!(moved(handover(S), takes).await, ("n1".to_owned(), 7, late));
        assert_eq!(moved(handover(3 * S), takes).await, ("n2".to_owned(), 7, vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_of_an_ended_copy_is_kept_for_its_ttl() {
    let cold = |state_ttl| Migration::ColdSwap { handover: true, state_ttl, state_query_timeout: 5 * S };
    let takes = Takes { start: 3_000, ..Takes::default() };
    let late = vec!["its state was not taken over in time".to_owned()];
    assert_eq!(moved(cold(S), takes).await, ("n2".to_owned(), 0, late), "it begins anew");
    assert_eq!(moved(cold(5 * S), takes).await, ("n2".to_owned(), 7, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_hot_move_has_the_child_migration_timeout_to_be_committed() {
    let hot = |child_migration_timeout| Migration::HotSwap {
        handover: true,
        state_query_timeout: 5 * S,
        child_migration_timeout,
        retention: 5 * S,
    };
    let takes = Takes { accept: 2_000, ..Takes::default() };
    let late = vec!["its successor was not ready in time".to_owned()];
    assert_eq!(moved(hot(S), takes).await, ("n1".to_owned(), 7, late));
    assert_eq!(moved(hot(3 * S), takes).await, ("n2".to_owned(), 7, vec![]));
}

// ---- partition tolerance

fn partitioned(partition: Partition) -> HubConfig {
    HubConfig { partition, first_start: true, ..config() }
}

#[tokio::test(start_paused = true)]
async fn without_startup_confirm_a_quorum_that_was_never_seen_is_not_missed() {
    for startup_confirm in [true, false] {
        let network = Network::default();
        let config = partitioned(Partition::StaticQuorum { quorum_size: 2, startup_confirm });
        let first = node(&network, "n1", &[]).await;
        let hub = hub_with(&first, config.clone()).await;
        tokio::time::sleep(10 * S).await;
        assert_eq!(hub.is_locked(), startup_confirm);
        assert_eq!(hub.start_children(counters(1)).await.is_ok(), !startup_confirm);
        // Once it was seen, it is missed either way.
        let second = node(&network, "n2", &["n1"]).await;
        let theirs = hub_with(&second, config).await;
        until("there is a quorum", || !hub.is_locked() && !theirs.is_locked() && hub.nodes(true).len() == 2).await;
        tokio::time::sleep(10 * S).await;
        second.shutdown().await;
        until("it is lost", || hub.is_locked()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_size_that_is_not_tracked_admits_nobody_beyond_it() {
    for track_max_size in [true, false] {
        let network = Network::default();
        let config = partitioned(Partition::MajorityQuorum { initial_cluster_size: 3, track_max_size });
        let nodes = cluster_with(&network, 3, config.clone()).await;
        until("there is a quorum", || nodes.iter().all(|(_, hub)| !hub.is_locked())).await;
        let fourth = node(&network, "n4", &["n1"]).await;
        let theirs = hub_with(&fourth, config).await;
        tokio::time::sleep(20 * S).await;
        let seen = (theirs.is_locked(), nodes[0].1.nodes(true).len());
        assert_eq!(seen, if track_max_size { (false, 4) } else { (true, 3) }, "{track_max_size}");
        assert_eq!(nodes[0].1.start_children(counters(1)).await.unwrap().errors(), [], "the three go on");
        // Two are no majority of four, and one of three.
        nodes[2].0.shutdown().await;
        fourth.shutdown().await;
        tokio::time::sleep(20 * S).await;
        assert_eq!(nodes[0].1.is_locked(), track_max_size);
    }
}

#[tokio::test(start_paused = true)]
async fn the_cluster_is_taken_to_have_its_initial_size() {
    for (initial_cluster_size, locked) in [(1, false), (2, true)] {
        let config = partitioned(Partition::MajorityQuorum { initial_cluster_size, track_max_size: true });
        let hub = hub_with(&node(&Network::default(), "n1", &[]).await, config).await;
        tokio::time::sleep(10 * S).await;
        assert_eq!(hub.is_locked(), locked, "{initial_cluster_size}");
    }
}
