//! Two nodes, ten children, a call, and a node that leaves: the example of the README.

use process_hub::core::config::HubConfig;
use process_hub::core::id::{ChildId, HubId};
use process_hub::core::spec::ChildSpec;
use process_hub::{Child, ChildError, Context, Hub, ListScope, SpecExt};
use process_hub_tcp::Node;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A child that counts, from where its argument says.
struct Counter(i64);

#[derive(Serialize, Deserialize)]
enum Ask {
    Add(i64),
    Get,
}

impl Child for Counter {
    const KIND: &'static str = "counter";
    type Args = i64;
    type Message = Ask;
    type Reply = i64;

    async fn start(from: i64, _: &mut Context<Self>) -> Result<Self, ChildError> {
        Ok(Counter(from))
    }

    async fn handle(&mut self, message: Ask, _: &mut Context<Self>) -> i64 {
        if let Ask::Add(n) = message {
            self.0 += n;
        }
        self.0
    }
}

/// Waits until something holds of a hub: whatever changes it is followed by an event.
async fn until(hub: &Hub, holds: impl Fn(&Hub) -> bool) {
    let mut events = hub.events();
    while !holds(hub) && events.next().await.is_some() {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two nodes, for once in one process. Without a cookie they speak over loopback only.
    let n1 = Node::builder("n1").start().await?;
    let n2 = Node::builder("n2").join([n1.listens_at().as_str()]).start().await?;
    let here = n1.hub(HubConfig::new(HubId::new("counters")?)).child::<Counter>().start().await?;
    let there = n2.hub(HubConfig::new(HubId::new("counters")?)).child::<Counter>().start().await?;
    until(&here, |hub| hub.nodes(true).len() == 2).await;

    // Start ten children: each runs where it belongs, and every node can find it.
    let specs = (1..=10).map(|n| ChildSpec::of::<Counter>(format!("c{n}"), 0)).collect::<Result<Vec<_>, _>>()?;
    let started = here.start_children(specs).await?;
    for (id, pids) in &started.started {
        println!("{id:<4} runs on {}", pids[0].node);
    }

    // Call one by its name, from either node.
    let c7 = ChildId::new("c7")?;
    here.call::<Counter>(&c7, Ask::Add(3)).await?;
    println!("c7 holds {}", there.call::<Counter>(&c7, Ask::Get).await?);

    // A node leaves: its children go on (anew, for want of a handover of their state) on the other.
    n2.leave(Duration::from_secs(5)).await?;
    until(&here, |hub| hub.process_list(ListScope::Local).len() == 10).await;
    println!("all ten run on {}", n1.member().node);
    n1.shutdown().await;
    Ok(())
}
