//! A migration of one's own: what a child counts moves with it where its id says that this matters, and is dropped elsewhere.
//!
//! A node with twenty children; another one joins. Those called `ledger-…` go on from where they were, without a pause in
//! which nobody serves them; those called `cache-…` start anew where they go, which costs nothing.

use std::sync::Arc;

use process_hub::core::config::{HubConfig, Migration};
use process_hub::core::id::{ChildId, HubId, NodeId};
use process_hub::core::spec::ChildSpec;
use process_hub::core::strategy::Migrate;
use process_hub::{Hub, SpecExt};
use process_hub_tcp::Node;
use process_hub_tcp::kinds::{Counter, CounterMessage};

struct CarefulWithSome;

impl Migrate for CarefulWithSome {
    // Two nodes take part in one hub only if their strategies have the same name and version.
    fn name(&self) -> &str {
        "careful-with-some"
    }

    fn way(&self, child: &ChildSpec) -> Migration {
        if child.id.as_str().starts_with("ledger-") {
            Migration::hot_swap().with_handover()
        } else {
            Migration::cold_swap()
        }
    }
}

fn config() -> Result<HubConfig, Box<dyn std::error::Error>> {
    let mut config = HubConfig::new(HubId::new("demo")?);
    config.migration = Migration::Custom(Arc::new(CarefulWithSome));
    Ok(config)
}

/// Waits until a child runs where it belongs. A node that has just joined may not have heard of it yet.
async fn settled(hub: &Hub, id: &ChildId) -> Result<NodeId, Box<dyn std::error::Error>> {
    let mut events = hub.events();
    loop {
        if let Some(pid) = hub.get_pid(id)
            && hub.explain(id).await?.owners.first() == Some(&pid.node)
        {
            return Ok(pid.node);
        }
        events.next().await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let first = Node::builder("first").start().await?;
    let here = first.hub(config()?).child::<Counter>().start().await?;
    let ids = |kind: &str| (1..=10).map(|n| ChildId::new(format!("{kind}-{n}"))).collect::<Result<Vec<_>, _>>();
    let ids = [ids("ledger")?, ids("cache")?].concat();
    let specs = ids.iter().map(|id| ChildSpec::of::<Counter>(id.as_str(), None)).collect::<Result<Vec<_>, _>>()?;
    here.start_children(specs).await?;
    for id in &ids {
        here.call::<Counter>(id, CounterMessage::Add(7)).await?;
    }

    let second = Node::builder("second").join([first.listens_at().as_str()]).start().await?;
    let there = second.hub(config()?).child::<Counter>().start().await?;
    let mut members = there.events();
    while there.nodes(true).len() < 2 && members.next().await.is_some() {}
    for id in &ids {
        let host = settled(&there, id).await?;
        let value = there.call::<Counter>(id, CounterMessage::Get).await?.value;
        println!("{id} on {host} holds {value}");
        let moved_without = host.as_str() == "second" && id.as_str().starts_with("cache-");
        assert_eq!(value, if moved_without { 0 } else { 7 });
    }
    second.shutdown().await;
    first.shutdown().await;
    Ok(())
}
