//! Strategies of one's own that panic, in a cluster: no node goes down with them, and what they are asked about is as if
//! they knew no answer.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use process_hub::core::config::{Distribution, Partition, Redundancy};
use process_hub::core::id::{Member, NodeId};
use process_hub::core::spec::ChildSpec;
use process_hub::core::strategy::{Candidate, Distribute, Replicate, Tolerate};
use process_hub::{ListScope, SpecExt};
use support::{Ask, Counter, Network, cluster_with, config, hub_with, id, node, until};

/// Has no idea of what is called `x` something, of more than two members, and of losses.
struct Broken;

impl Distribute for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn owners(&self, child: &ChildSpec, members: &[Candidate], copies: usize) -> Vec<NodeId> {
        assert!(!child.id.as_str().starts_with('x'), "no idea");
        let at = child.id.as_str().len() % members.len();
        members.iter().cycle().skip(at).take(copies).map(|member| member.node.clone()).collect()
    }
}

impl Replicate for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn copies(&self, members: usize) -> usize {
        assert!(members <= 2, "no idea");
        2
    }
}

impl Tolerate for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn holds(&self, _: &[Member], lost: &[Member]) -> bool {
        assert!(lost.is_empty(), "no idea");
        true
    }
}

fn counter(name: &str) -> ChildSpec {
    ChildSpec::of::<Counter>(name, 0).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_distribution_that_panics_leaves_its_child_to_nobody_and_all_others_alone() {
    let mut config = config();
    config.distribution = Distribution::Custom(Arc::new(Broken));
    let nodes = cluster_with(&Network::default(), 3, config).await;
    let children = ["a", "bb", "ccc", "x1", "x2"].map(counter).to_vec();
    let started = nodes[0].1.start_children(children).timeout(Duration::from_secs(2)).await.unwrap();
    assert_eq!((started.started.len(), started.errors.len()), (3, 2), "{started:?}");
    assert!(started.errors.iter().all(|failure| failure.id.as_str().starts_with('x')));
    nodes[2].0.shutdown().await;
    let left = &nodes[..2];
    until("the others run what can run", || {
        left.iter().map(|(_, hub)| hub.process_list(ListScope::Local).len()).sum::<usize>() == 3
    })
    .await;
    for (node, hub) in left {
        assert!(node.is_alive() && hub.is_alive());
        assert!(hub.call::<Counter>(&id("ccc"), Ask::Add(1)).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_redundancy_that_panics_comes_down_to_one_copy() {
    let network = Network::default();
    let mut config = config();
    config.redundancy = Redundancy::Custom(Arc::new(Broken));
    let nodes = cluster_with(&network, 2, config.clone()).await;
    nodes[0].1.start_children(["a", "b", "c"].map(counter).to_vec()).await.unwrap();
    let copies = |hub: &process_hub::Hub| ["a", "b", "c"].map(|child| hub.get_pids(&id(child)).len());
    until("two copies run", || nodes.iter().all(|(_, hub)| copies(hub) == [2; 3])).await;
    let third = node(&network, "n3", &["n1"]).await;
    let hub = hub_with(&third, config).await;
    until("one copy is left", || nodes.iter().all(|(_, hub)| copies(hub) == [1; 3]) && copies(&hub) == [1; 3]).await;
    third.shutdown().await;
    until("two copies run again", || nodes.iter().all(|(_, hub)| copies(hub) == [2; 3])).await;
    assert!(nodes.iter().all(|(node, _)| node.is_alive()));
}

#[tokio::test(start_paused = true)]
async fn a_partition_rule_that_panics_does_not_hold_until_it_knows() {
    let network = Network::default();
    let mut config = config();
    config.partition = Partition::Custom(Arc::new(Broken));
    let nodes = cluster_with(&network, 3, config.clone()).await;
    nodes[0].1.start_children(["a", "b", "c"].map(counter).to_vec()).await.unwrap();
    assert!(nodes.iter().all(|(_, hub)| !hub.is_locked()));
    nodes[2].0.shutdown().await;
    let left = &nodes[..2];
    until("both are locked", || left.iter().all(|(_, hub)| hub.is_locked())).await;
    until("nothing runs", || left.iter().all(|(_, hub)| hub.process_list(ListScope::Local).is_empty())).await;
    let third = node(&network, "n3", &["n1"]).await;
    let hub = hub_with(&third, config).await;
    until("all serve again", || !hub.is_locked() && left.iter().all(|(_, hub)| !hub.is_locked())).await;
    until("all run again", || hub.process_list(ListScope::Global).len() == 3).await;
    assert!(nodes[0].1.call::<Counter>(&id("a"), Ask::Add(1)).await.is_ok());
}
