//! Defects of the original, set up as they happen there: `docs/parity.md` names them by their numbers.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use process_hub::core::config::{HubConfig, Synchronization};
use process_hub::core::hook::HookEvent;
use process_hub::core::id::{ChildId, NodeId};
use process_hub::core::spec::ChildSpec;
use process_hub::{Events, Hub, HubEvent, ListScope, NodeHandle, SpecExt};
use support::{Counter, Network, Slow, cluster_with, config, node, until};

fn all(hub: &Hub) -> usize {
    hub.process_list(ListScope::Global).len()
}

/// Defect 2: the only host of a child is lost, and its new owner before it has told anybody that it runs it.
#[tokio::test(start_paused = true)]
async fn a_child_outlives_its_host_and_the_owner_that_was_starting_it() {
    let network = Network::default();
    let mut nodes: Vec<(NodeHandle, Hub)> = Vec::new();
    for number in 1..=4 {
        let node = node(&network, &format!("n{number}"), &["n1"]).await;
        let hub = node.hub(config()).child::<Slow>().start().await.unwrap();
        nodes.push((node, hub));
    }
    until("the views are complete", || nodes.iter().all(|(_, hub)| hub.nodes(true).len() == 4)).await;
    let first = &nodes[0].1;
    let children: Vec<_> = (0..60).map(|n| ChildSpec::of::<Slow>(format!("c{n}"), Some(2_000)).unwrap()).collect();
    assert_eq!(first.start_children(children).await.unwrap().errors(), []);
    let of = |hub: &Hub, node: &str| -> Vec<ChildId> {
        let list = hub.process_list(ListScope::Global);
        list.into_iter().filter(|(_, pids)| pids[0].node.as_str() == node).map(|(child, _)| child).collect()
    };
    let lost = of(first, "n4");
    assert!(lost.len() > 5, "{}", lost.len());
    nodes[3].0.shutdown().await;
    until("its loss is known", || nodes[..3].iter().all(|(_, hub)| hub.nodes(true).len() == 3)).await;
    // Some of them are n3's now, which is starting them: nobody was told of a copy.
    let third = NodeId::new("n3").unwrap();
    let mut between = 0;
    for child in &lost {
        let why = first.explain(child).await.unwrap();
        between += usize::from(why.owners == [third.clone()] && first.get_pids(child).is_empty());
    }
    assert!(between > 1, "{between} of {}", lost.len());
    nodes[2].0.shutdown().await;
    let left = &nodes[..2];
    until("the two that are left run all", || {
        left.iter().all(|(_, hub)| all(hub) == 60 && of(hub, "n3").is_empty() && of(hub, "n4").is_empty())
    })
    .await;
    assert_eq!(left.iter().map(|(_, hub)| hub.process_list(ListScope::Local).len()).sum::<usize>(), 60);
}

/// Defect 8: what a node has told of itself before it started a child arrives after the start.
#[tokio::test(start_paused = true)]
async fn a_comparison_of_before_a_start_takes_nothing_away_that_came_after() {
    let network = Network::slow(Duration::from_millis(30));
    let synchronization = Synchronization::PubSub { sync_interval: Duration::from_millis(5) };
    let nodes = cluster_with(&network, 3, HubConfig { synchronization, ..config() }).await;
    let mut events: Vec<_> = nodes.iter().map(|(_, hub)| hub.events()).collect();
    let mut most = [0; 3];
    // So many at a time that any range that is compared has one that the other side has yet to hear of.
    for batch in 0..40 {
        let children = (0..25).map(|n| ChildSpec::of::<Counter>(format!("c{batch}-{n}"), n).unwrap());
        nodes[batch % 3].1.start_children(children).initiate().await.unwrap();
        for _ in 0..7 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            for ((_, hub), most) in nodes.iter().zip(&mut most) {
                assert!(hub.child_count() >= *most, "{} of {most} children are left", hub.child_count());
                *most = hub.child_count();
            }
        }
        events.iter_mut().for_each(nothing_is_lost);
    }
    until("all see all", || nodes.iter().all(|(_, hub)| all(hub) == 1_000)).await;
    events.iter_mut().for_each(nothing_is_lost);
    // Had one of them been removed anywhere, it would be lost with its host.
    nodes[2].0.shutdown().await;
    let on_third =
        |hub: &Hub| hub.process_list(ListScope::Global).iter().any(|(_, pids)| pids[0].node.as_str() == "n3");
    until("the others run all", || nodes[..2].iter().all(|(_, hub)| all(hub) == 1_000 && !on_third(hub))).await;
}

fn nothing_is_lost(events: &mut Events) {
    while let Some(event) = events.try_next() {
        let lost = matches!(event, HubEvent::Lagged(_) | HubEvent::Hook(HookEvent::ChildUnregistered { .. }));
        assert!(!lost, "{event:?}");
    }
}
