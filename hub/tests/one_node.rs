//! A node by itself: start, find, call, fail, stop.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use process_hub::core::config::{HubConfig, Partition};
use process_hub::core::id::HubId;
use process_hub::core::request::{self, ChildFailure, OnFailure, Status, Target};
use process_hub::core::spec::{ChildSpec, Metadata, Restart};
use process_hub::{CallError, HubEvent, ListScope, OpenHubError, SpecExt, StartError};
use support::{Ask, Counter, Network, config, hub, hub_with, id, node, until};

fn counters(range: std::ops::Range<usize>) -> impl Iterator<Item = ChildSpec> {
    range.map(|n| ChildSpec::of::<Counter>(format!("c{n}"), n as i64).unwrap())
}

#[tokio::test(start_paused = true)]
async fn children_are_started_found_called_and_stopped() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = hub(&node).await;
    let started = hub.start_children(counters(0..10)).metadata(Metadata::new().with("tag", "even")).await.unwrap();
    assert_eq!(started.status(), Status::Ok);
    assert_eq!(started.cids().count(), 10);
    // Visible as soon as the start was awaited.
    assert_eq!(hub.get_pid(&id("c3")).as_ref(), started.pids().nth(3));
    assert_eq!(hub.process_list(ListScope::Local), hub.process_list(ListScope::Global));
    assert_eq!(hub.process_list(ListScope::Local).len(), 10);
    assert_eq!(hub.tag_query("even").len(), 10);
    assert_eq!(hub.tag_query("odd").len(), 0);
    assert_eq!(hub.registry_dump().len(), 10);
    let lookup = hub.child_lookup(&id("c3")).unwrap();
    assert_eq!(lookup.spec.unwrap().metadata.tag(), Some("even"));

    let pid = hub.get_pid(&id("c3")).unwrap();
    assert_eq!(hub.call::<Counter>(&id("c3"), Ask::Add(4)).await.unwrap(), (7, pid.to_string()));
    hub.cast::<Counter>(&id("c3"), Ask::Add(1)).await.unwrap();
    assert_eq!(hub.call_pid::<Counter>(&id("c3"), &pid, Ask::Get).await.unwrap().0, 8);

    let stopped = hub.stop_children([id("c3"), id("c4")]).await.unwrap();
    assert_eq!(stopped.status(), Status::Ok);
    assert_eq!(hub.get_pid(&id("c3")), None);
    assert_eq!(hub.child_lookup(&id("c3")), None);
    let gone = hub.call::<Counter>(&id("c3"), Ask::Get).await;
    assert_eq!(gone, Err(CallError::Refused(request::CallError::NotFound(id("c3")))));
    assert_eq!(hub.child_count(), 8);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_start_says_why() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = hub(&node).await;
    let refused = ChildSpec::of::<Counter>("bad", i64::MIN).unwrap();
    let failure = hub.start_child(refused.clone()).await.unwrap().unwrap_err();
    assert!(
        matches!(&failure.reason, ChildFailure::StartFailed(why) if why == "cannot count from there"),
        "{failure:?}"
    );
    let mut unknown = ChildSpec::of::<Counter>("odd", 1).unwrap();
    unknown.kind = "clock".parse().unwrap();
    let failure = hub.start_child(unknown).await.unwrap().unwrap_err();
    let expected = "unknown kind `clock`, this node knows: `counter`";
    assert!(matches!(&failure.reason, ChildFailure::StartFailed(why) if why == expected), "{failure:?}");

    let batch = counters(0..5).chain([refused]);
    let result = hub.start_children(batch).on_failure(OnFailure::Rollback).check_existing(false).await.unwrap();
    assert!(result.rollback);
    until("the batch is rolled back", || hub.process_list(ListScope::Global).is_empty()).await;
    let none: Vec<ChildSpec> = Vec::new();
    let refused = hub.start_children(none).await;
    assert_eq!(refused, Err(StartError::Refused(request::StartError::NoChildren)));
}

#[tokio::test(start_paused = true)]
async fn a_panicking_child_is_started_again_and_its_caller_told() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = hub(&node).await;
    let pid = hub.start_child(ChildSpec::of::<Counter>("c", 5).unwrap()).await.unwrap().unwrap();
    let told = hub.call::<Counter>(&id("c"), Ask::Panic).await;
    let Err(CallError::Refused(request::CallError::Failed(_, why))) = told else { panic!("{told:?}") };
    assert_eq!(why, "panicked: asked to");
    until("it is back", || hub.get_pid(&id("c")).is_some_and(|new| new != pid)).await;
    assert_eq!(hub.call::<Counter>(&id("c"), Ask::Get).await.unwrap().0, 5);
    let stale = hub.call_pid::<Counter>(&id("c"), &pid, Ask::Get).await;
    assert_eq!(stale, Err(CallError::Refused(request::CallError::NotFound(id("c")))));
    let temporary = ChildSpec::of::<Counter>("t", 5).unwrap().restart(Restart::Temporary);
    hub.start_child(temporary).await.unwrap().unwrap();
    let _ = hub.call::<Counter>(&id("t"), Ask::Panic).await;
    until("it is gone for good", || hub.child_lookup(&id("t")).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_type_is_an_error() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = hub(&node).await;
    hub.start_children(counters(0..1)).await.unwrap();
    let bytes = vec![99, 1, 2].into();
    let refused = hub.call_raw(Target::Child(id("c0")), bytes, Duration::from_secs(1)).await;
    let Err(CallError::Refused(request::CallError::Failed(_, why))) = refused else { panic!("{refused:?}") };
    assert!(why.starts_with("the message is none of kind `counter`"));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_start_cancels_the_wait_and_not_the_start() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = hub(&node).await;
    let start = std::future::IntoFuture::into_future(hub.start_children(counters(0..10)));
    let cut = tokio::time::timeout(Duration::ZERO, start).await;
    assert!(cut.is_err());
    until("they run all the same", || hub.process_list(ListScope::Global).len() == 10).await;
}

#[tokio::test(start_paused = true)]
async fn events_tell_what_happened_and_when_some_were_missed() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = hub(&node).await;
    let mut events = hub.events();
    hub.start_children(counters(0..1)).await.unwrap();
    let mut keys = Vec::new();
    while let Some(event) = events.try_next() {
        if let HubEvent::Hook(event) = event {
            keys.push(event.key());
        }
    }
    assert_eq!(keys, ["pre_children_start", "post_children_start", "child_registered"]);
    hub.start_children(counters(1..3_000)).await.unwrap();
    assert!(matches!(events.next().await, Some(HubEvent::Lagged(1..))));
}

#[tokio::test(start_paused = true)]
async fn a_hub_is_opened_once_and_its_kinds_have_names_of_their_own() {
    let node = node(&Network::default(), "n1", &[]).await;
    let opened = hub(&node).await;
    let config = || HubConfig::new(HubId::new("demo").unwrap());
    let again = node.hub(config()).start().await;
    assert_eq!(again.unwrap_err(), OpenHubError::AlreadyOpen(config().id));
    let twice = node.hub(config()).child::<Counter>().child::<Counter>().start().await;
    assert!(matches!(twice, Err(OpenHubError::DuplicateKind(_))));
    assert_eq!(node.get_hub(opened.id()).unwrap().id(), opened.id());
    assert_eq!(node.hubs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_everything_says_so() {
    let network = Network::default();
    let first = node(&network, "n1", &[]).await;
    let hub = hub(&first).await;
    hub.start_children(counters(0..3)).await.unwrap();
    let mut events = hub.events();
    first.shutdown().await;
    assert!(!first.is_alive() && !hub.is_alive());
    assert!(matches!(hub.start_children(counters(3..4)).await, Err(StartError::Closed(_))));
    assert!(matches!(hub.call::<Counter>(&id("c0"), Ask::Get).await, Err(CallError::Closed(_))));
    while events.try_next().is_some() {}
    // Its address is free again.
    node(&network, "n1", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_has_yet_to_find_its_quorum_is_locked_and_says_so() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = hub_with(
        &node,
        HubConfig {
            partition: Partition::MajorityQuorum { initial_cluster_size: 3, track_max_size: true },
            ..config()
        },
    )
    .await;
    assert!(hub.is_locked() && hub.is_partitioned());
    let refused = hub.start_children(counters(0..1)).await.unwrap_err();
    assert!(matches!(refused, StartError::Refused(request::StartError::Locked(_))), "{refused}");
    assert!(hub.child_lookup(&id("c0")).is_none());
    assert!(hub.process_list(ListScope::Global).stale && hub.tag_query("any").stale);
}
