//! What comes of starts and stops, entry by entry, and when: results, their accessors, deadlines, roll-backs, the log.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use process_hub::core::config::{HubConfig, Model, Redundancy};
use process_hub::core::hook::HookEvent;
use process_hub::core::id::{ChildId, NodeId, Pid};
use process_hub::core::request::{ChildFailure, Failure, OnFailure, Status};
use process_hub::core::spec::{ChildSpec, Role};
use process_hub::{Hub, HubEvent, ListScope, NodeHandle, SpecExt};
use support::{Counter, Network, Slow, cluster_with, config, id, node, until};
use tokio::time::Instant;

/// A node by itself whose hub knows children that take their time.
async fn slow_hub() -> (NodeHandle, Hub) {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = node.hub(config()).child::<Slow>().child::<Counter>().start().await.unwrap();
    hub.joined().await.unwrap();
    (node, hub)
}

fn slow(name: &str, takes: u64) -> ChildSpec {
    ChildSpec::of::<Slow>(name, Some(takes)).unwrap()
}

/// A child whose start fails.
fn bad(name: &str) -> ChildSpec {
    ChildSpec::of::<Slow>(name, None).unwrap()
}

fn n1() -> NodeId {
    NodeId::new("n1").unwrap()
}

fn timed_out(name: &str) -> Failure {
    Failure { id: id(name), node: None, reason: ChildFailure::Timeout }
}

fn never(name: &str) -> Failure {
    Failure { id: id(name), node: Some(n1()), reason: ChildFailure::StartFailed("never".into()) }
}

fn ids<'a>(cids: impl Iterator<Item = &'a ChildId>) -> Vec<&'a str> {
    cids.map(ChildId::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn without_time_each_child_is_an_error_entry() {
    let (_node, hub) = slow_hub().await;
    let started = hub.start_children([slow("a", 0), slow("b", 50)]).timeout(Duration::ZERO).await.unwrap();
    assert_eq!(started.status(), Status::Error);
    assert_eq!(started.errors(), [timed_out("a"), timed_out("b")]);
    assert_eq!((started.cids().count(), started.pids().count(), started.nodes().count()), (0, 0, 0));
    assert_eq!((started.first(), started.pid(), started.node(), started.rollback), (None, None, None, false));

    until("they come up all the same", || hub.process_list(ListScope::Global).len() == 2).await;

    hub.start_children([slow("c", 0)]).await.unwrap();
    let stopped = hub.stop_children([id("c"), id("nobody")]).timeout(Duration::ZERO).await.unwrap();
    assert_eq!((stopped.status(), stopped.cids().count(), stopped.first()), (Status::Error, 0, None));
    assert!(stopped.errors().contains(&timed_out("c")), "{stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn one_deadline_is_for_the_whole_batch() {
    let (_node, hub) = slow_hub().await;
    // A wait for each answer anew would never be over here.
    let batch: Vec<_> = (1..=5).map(|n| slow(&format!("c{n}"), n * 500)).collect();
    let begun = Instant::now();
    let started = hub.start_children(batch).timeout(Duration::from_millis(1_200)).await.unwrap();
    assert!((1_200..1_210).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!(ids(started.cids()), ["c1", "c2"]);
    assert_eq!(started.errors(), ["c3", "c4", "c5"].map(timed_out));
    // What timed out stays declared, and comes up.
    until("all run", || hub.process_list(ListScope::Global).len() == 5).await;

    let begun = Instant::now();
    let started = hub.start_children([slow("later", 60_000)]).await.unwrap();
    assert_eq!((begun.elapsed().as_secs(), started.errors()), (10, &[timed_out("later")][..]), "the default");
}

#[tokio::test(start_paused = true)]
async fn each_child_that_fails_has_an_entry_of_its_own() {
    let (_node, hub) = slow_hub().await;
    let one = hub.start_children([bad("x"), slow("a", 0)]).await.unwrap();
    assert_eq!((one.status(), one.errors(), ids(one.cids())), (Status::Error, &[never("x")][..], vec!["a"]));
    let two = hub.start_children([bad("x"), bad("y")]).await.unwrap();
    assert_eq!((two.errors(), two.cids().count()), (&[never("x"), never("y")][..], 0));

    // One id twice in a batch, and one that runs: each is an error beside what started.
    let again = |name| Failure { id: id(name), node: None, reason: ChildFailure::AlreadyStarted };
    let before = hub.get_pid(&id("a"));
    let batch = [slow("b", 0), slow("b", 0), slow("a", 0)];
    let mixed = hub.start_children(batch).check_existing(false).await.unwrap();
    assert_eq!((ids(mixed.cids()), mixed.errors()), (vec!["b"], &[again("b"), again("a")][..]));
    assert_eq!(hub.get_pid(&id("a")), before);
}

#[tokio::test(start_paused = true)]
async fn results_are_read_by_their_accessors() {
    let network = Network::default();
    let nodes = cluster_with(&network, 2, HubConfig { redundancy: Redundancy::replication(2), ..config() }).await;
    let hub = &nodes[0].1;
    let children = ["a", "b"].map(|name| ChildSpec::of::<Counter>(name, 1).unwrap());
    let started = hub.start_children(children).await.unwrap();
    let pids: Vec<Pid> = ["a", "b"].iter().flat_map(|name| hub.get_pids(&id(name))).collect();
    assert_eq!((started.status(), started.errors(), started.rollback), (Status::Ok, &[][..], false));
    assert_eq!(ids(started.cids()), ["a", "b"]);
    assert_eq!(started.pids().count(), 4);
    assert!(started.pids().all(|pid| pids.contains(pid)), "{started:?} {pids:?}");
    let (first, copies) = started.first().unwrap();
    assert_eq!((first, started.pid()), (&id("a"), copies.first()));
    assert_eq!(started.node(), started.pid().map(|pid| &pid.node));
    let mut named: Vec<&str> = started.nodes().map(NodeId::as_str).collect();
    assert_eq!(started.nodes().collect::<Vec<_>>(), started.pids().map(|pid| &pid.node).collect::<Vec<_>>());
    named.sort_unstable();
    assert_eq!(named, ["n1", "n1", "n2", "n2"]);
    assert_eq!(started.clone().format(), Ok(started.started));

    let mixed = hub.start_children([ChildSpec::of::<Counter>("c", i64::MIN).unwrap()]).await.unwrap();
    let (errors, left) = mixed.clone().format().unwrap_err();
    assert_eq!((&errors[..], left), (mixed.errors(), vec![]));
    assert_eq!(errors.len(), 2, "each copy that did not start has a line");

    let stopped = hub.stop_children([id("b"), id("nobody"), id("a")]).await.unwrap();
    assert_eq!((stopped.status(), ids(stopped.cids())), (Status::Error, vec!["b", "a"]));
    let nobody = Failure { id: id("nobody"), node: None, reason: ChildFailure::NotFound };
    assert_eq!(stopped.errors(), std::slice::from_ref(&nobody));
    let (first, hosts) = stopped.first().unwrap();
    let mut hosts = hosts.clone();
    hosts.sort();
    assert_eq!((first, &hosts), (&id("b"), &vec![n1(), NodeId::new("n2").unwrap()]));
    assert_eq!(stopped.nodes().count(), 4);
    assert_eq!(stopped.clone().format(), Err((vec![nobody], stopped.stopped)));
    hub.start_child(ChildSpec::of::<Counter>("d", 1).unwrap()).await.unwrap().unwrap();
    let stopped = hub.stop_children([id("d")]).await.unwrap();
    assert_eq!(stopped.clone().format(), Ok(stopped.stopped));
}

#[tokio::test(start_paused = true)]
async fn lookups_name_every_copy_and_nothing_of_what_is_unknown() {
    let redundancy = Redundancy::Replication {
        factor: process_hub::core::config::Factor::Copies(2),
        model: Model::ActivePassive,
        signal: process_hub::core::config::Signal::None,
    };
    let network = Network::default();
    let nodes = cluster_with(&network, 3, HubConfig { redundancy, ..config() }).await;
    let first = &nodes[0].1;
    first.start_child(ChildSpec::of::<Counter>("a", 1).unwrap()).await.unwrap().unwrap();
    let one_active = |hub: &Hub| {
        let lookup = hub.child_lookup(&id("a"));
        lookup.is_some_and(|row| {
            row.placements.iter().map(|place| place.role).collect::<Vec<_>>() == [Role::Active, Role::Passive]
        })
    };
    until("all see an active copy and a passive one", || nodes.iter().all(|(_, hub)| one_active(hub))).await;
    let pids = first.get_pids(&id("a"));
    assert_eq!(pids.len(), 2);
    assert_ne!(pids[0].node, pids[1].node);
    for (_, hub) in &nodes {
        assert_eq!((hub.get_pids(&id("a")), hub.get_pid(&id("a"))), (pids.clone(), pids.first().cloned()));
        assert_eq!(*hub.process_list(ListScope::Global), [(id("a"), pids.clone())]);
        let own: Vec<Pid> = pids.iter().filter(|pid| pid.node == hub.member().node).cloned().collect();
        let local = hub.process_list(ListScope::Local);
        assert_eq!(*local, if own.is_empty() { vec![] } else { vec![(id("a"), own)] });

        let nobody = id("nobody");
        assert_eq!((hub.get_pids(&nobody), hub.get_pid(&nobody), hub.child_lookup(&nobody)), (vec![], None, None));
        assert_eq!((hub.tag_query("nobody").len(), hub.registry_dump().len()), (0, 1));
        assert_eq!(hub.nodes(true).len(), 3);
        assert!(!hub.nodes(false).contains(&hub.member().node));
    }
}

/// The original stops what was reported in time, and what comes up later stays.
#[tokio::test(start_paused = true)]
async fn late_starters_are_rolled_back_too() {
    let (_node, hub) = slow_hub().await;
    let mut events = hub.events();
    let batch = [slow("early", 0), slow("late", 5_000), bad("bad")];
    let start = hub.start_children(batch).on_failure(OnFailure::Rollback).timeout(Duration::from_secs(1));
    let undone = start.await.unwrap();
    assert!(undone.rollback);
    assert_eq!((ids(undone.cids()), undone.errors()), (vec!["early"], &[timed_out("late"), never("bad")][..]));
    assert_eq!(hub.child_count(), 0, "undeclared at once");
    // Long after the late one would have come up.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((hub.child_count(), hub.process_list(ListScope::Global).len()), (0, 0));
    let mut registered = Vec::new();
    while let Some(event) = events.try_next() {
        if let HubEvent::Hook(HookEvent::ChildRegistered { id, .. }) = event {
            registered.push(id);
        }
    }
    assert_eq!(registered, [id("early")]);
}

/// In the original it keeps the hub from starting.
#[tokio::test(start_paused = true)]
async fn a_static_child_that_fails_is_told_and_the_hub_goes_on() {
    let node = node(&Network::default(), "n1", &[]).await;
    let children = (0..9).map(|n| slow(&format!("c{n}"), 0)).chain([bad("bad")]);
    let hub = node.hub(config()).child::<Slow>().static_children(children).start().await.unwrap();
    let mut events = hub.events();
    until("the others run", || hub.process_list(ListScope::Global).len() == 9).await;
    let mut failed = Vec::new();
    while let Some(event) = events.try_next() {
        if let HubEvent::Hook(HookEvent::ChildStartFailed { id, .. }) = event {
            failed.push(id);
        }
    }
    assert_eq!(failed, [id("bad")]);
    assert!(hub.is_alive() && hub.child_lookup(&id("bad")).is_none());
    hub.start_child(slow("more", 0)).await.unwrap().unwrap();
}

/// Writes every line of the log down, for the thread that it is set on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// The lines since the last look that speak of a child.
    fn about(&self, child: &str) -> Vec<String> {
        let lines = std::mem::take(&mut *self.0.lock().unwrap());
        lines.into_iter().filter(|line| line.contains(child)).collect()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

struct Line(String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_start_is_logged_unless_that_is_disabled() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let (_node, hub) = slow_hub().await;
    hub.start_children([bad("culprit")]).await.unwrap();
    let hub_id = config().id;
    let expected = format!("WARN message=a child was not started hub={hub_id} id=culprit reason=start_failed: never");
    assert_eq!(log.about("culprit"), [expected]);
    let silent = hub.start_children([bad("culprit")]).disable_logging(true).await.unwrap();
    assert_eq!(silent.errors(), [never("culprit")], "it is told in the result all the same");
    hub.start_children([slow("culprit", 60_000)]).disable_logging(true).timeout(Duration::ZERO).await.unwrap();
    assert_eq!(log.about("culprit"), [""; 0]);
    let explicit = hub.start_children([bad("other")]).disable_logging(false).await.unwrap();
    assert_eq!((explicit.errors().len(), log.about("other").len()), (1, 1));
}
