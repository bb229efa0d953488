//! Ways to start: children of the builder, submitted starts, metadata of single children.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use process_hub::core::config::HubConfig;
use process_hub::core::id::HubId;
use process_hub::core::request::{self, Status};
use process_hub::core::spec::{ChildSpec, Metadata};
use process_hub::{ListScope, SpecExt, StartError};
use support::{Counter, Network, id, node, until};

fn counters(names: &[&str]) -> Vec<ChildSpec> {
    names.iter().map(|name| ChildSpec::of::<Counter>(name, 0).unwrap()).collect()
}

/// Every node wants the same children: each runs once, and no node minds that they run already.
#[tokio::test(start_paused = true)]
async fn static_children_tolerate_ids_that_run() {
    let network = Network::default();
    let mut nodes = Vec::new();
    for name in ["n1", "n2", "n3"] {
        let node = node(&network, name, &["n1"]).await;
        let config = HubConfig::new(HubId::new("demo").unwrap());
        let hub =
            node.hub(config).child::<Counter>().static_children(counters(&["a", "b", "c"])).start().await.unwrap();
        hub.joined().await.unwrap();
        until("they run", || hub.process_list(ListScope::Global).len() == 3).await;
        nodes.push((node, hub));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    for (_, hub) in &nodes {
        let list = hub.process_list(ListScope::Global);
        assert!(list.len() == 3 && list.iter().all(|(_, pids)| pids.len() == 1), "{list:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_submitted_start_is_under_way_before_it_is_awaited() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = support::hub(&node).await;
    let pending = hub.start_children(counters(&["a", "b"])).submit().await.unwrap();
    until("they run", || hub.process_list(ListScope::Global).len() == 2).await;
    assert_eq!(pending.await.unwrap().status(), Status::Ok);
    let refused = hub.start_children(counters(&["a"])).submit().await.unwrap().await;
    assert_eq!(refused, Err(StartError::Refused(request::StartError::AlreadyStarted(vec![id("a")]))));
    // Dropping the wait does not cancel the stop.
    drop(hub.stop_children([id("a")]).submit().await.unwrap());
    until("it has ended", || hub.get_pid(&id("a")).is_none()).await;
    let stopped = hub.stop_children([id("b")]).submit().await.unwrap().await.unwrap();
    assert_eq!(stopped.cids().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn metadata_of_one_child_replaces_that_of_the_batch() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = support::hub(&node).await;
    let started = hub
        .start_children(counters(&["a", "b"]))
        .metadata(Metadata::new().with("tag", "all").with("x", "1"))
        .child_metadata(&id("b"), Metadata::new().with("tag", "one"))
        .await
        .unwrap();
    assert_eq!(started.errors(), []);
    assert_eq!(hub.tag_query("all").len(), 1);
    let metadata = hub.child_lookup(&id("b")).unwrap().spec.unwrap().metadata.clone();
    assert_eq!(metadata, Metadata::new().with("tag", "one"));
}

#[tokio::test(start_paused = true)]
async fn a_node_alone_is_neither_locked_nor_partitioned() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = support::hub(&node).await;
    assert!(hub.is_alive() && !hub.is_locked() && !hub.is_partitioned());
    node.shutdown().await;
    assert!(!hub.is_alive());
    assert!(hub.start_children(counters(&["a"])).submit().await.is_err());
    assert!(hub.joined().await.is_err());
}
