//! From a start asked of the first of three nodes until the third one finds the child, on an idle cluster: percentiles,
//! which criterion does not give.
//!
//! `cargo bench -p process-hub-tcp --bench visible -- --times 2000`. The three nodes share one process and one runtime, and
//! talk over loopback.

#![expect(clippy::unwrap_used, reason = "a bench ends where what it needs is not there")]

use std::time::{Duration, Instant};

use process_hub::core::config::HubConfig;
use process_hub::core::hook::HookEvent;
use process_hub::core::id::{ChildId, HubId};
use process_hub::core::spec::ChildSpec;
use process_hub::{Hub, HubEvent, NodeHandle, SpecExt};
use process_hub_tcp::Node;
use process_hub_tcp::kinds::Counter;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--times").skip(1);
    let times: usize = arguments.next().map_or(2_000, |value| value.parse().unwrap());
    let (nodes, hubs) = cluster().await;
    let mut took = Vec::with_capacity(times);
    for n in 0..times {
        took.push(one(&hubs, n).await);
        hubs[0].stop_child(id(n)).await.unwrap().unwrap();
        // Changes that follow closely are told together: what is measured is a start on an idle cluster.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    took.sort_unstable();
    let at = |permille: usize| took[(took.len() - 1) * permille / 1_000];
    println!("start on n1 until visible on n3, {times} times: p50 {:?}, p90 {:?}, p99 {:?}", at(500), at(900), at(990));
    for node in nodes {
        node.shutdown().await;
    }
}

async fn one(hubs: &[Hub], n: usize) -> Duration {
    let mut events = hubs[2].events();
    let began = Instant::now();
    hubs[0].start_children([ChildSpec::of::<Counter>(id(n), Some(0)).unwrap()]).initiate().await.unwrap();
    while let Some(event) = events.next().await {
        if matches!(event, HubEvent::Hook(HookEvent::ChildRegistered { id: of, .. }) if of == id(n)) {
            break;
        }
    }
    let took = began.elapsed();
    assert!(hubs[2].get_pid(&id(n)).is_some(), "an event follows what it tells of");
    took
}

async fn cluster() -> (Vec<NodeHandle>, Vec<Hub>) {
    let (mut nodes, mut hubs): (Vec<NodeHandle>, Vec<Hub>) = (Vec::new(), Vec::new());
    for n in 1..=3 {
        let first = nodes.first().map(|node| node.listens_at().to_string());
        let node = Node::builder(format!("n{n}")).join(first).start().await.unwrap();
        let config = HubConfig::new(HubId::new("bench").unwrap());
        hubs.push(node.hub(config).child::<Counter>().start().await.unwrap());
        nodes.push(node);
    }
    while hubs.iter().any(|hub| hub.nodes(true).len() < 3) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (nodes, hubs)
}

fn id(n: usize) -> ChildId {
    ChildId::new(format!("child-{n}")).unwrap()
}
