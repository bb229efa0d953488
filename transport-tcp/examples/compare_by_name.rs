//! A distribution of one's own: every child belongs to the node whose name comes first, or last, in the alphabet.

use std::sync::Arc;
use std::time::Duration;

use process_hub::core::config::{Distribution, HubConfig};
use process_hub::core::id::{HubId, NodeId};
use process_hub::core::spec::ChildSpec;
use process_hub::core::strategy::{Candidate, Distribute};
use process_hub::{Hub, ListScope, SpecExt};
use process_hub_tcp::Node;
use process_hub_tcp::kinds::Counter;

/// The nodes by name. A pure function of what it is given: all nodes come to the same answer.
enum ByName {
    First,
    Last,
}

impl Distribute for ByName {
    // Two nodes take part in one hub only if their strategies have the same name and version.
    fn name(&self) -> &str {
        match self {
            ByName::First => "by-name-first",
            ByName::Last => "by-name-last",
        }
    }

    fn owners(&self, _child: &ChildSpec, members: &[Candidate], copies: usize) -> Vec<NodeId> {
        // The members come sorted by name.
        let names = members.iter().map(|member| member.node.clone());
        match self {
            ByName::First => names.take(copies).collect(),
            ByName::Last => names.rev().take(copies).collect(),
        }
    }
}

fn config(name: &str, distribution: ByName) -> Result<HubConfig, Box<dyn std::error::Error>> {
    let mut config = HubConfig::new(HubId::new(name)?);
    config.distribution = Distribution::Custom(Arc::new(distribution));
    Ok(config)
}

/// Waits until something holds of a hub: whatever changes it is followed by an event.
async fn until(hub: &Hub, holds: impl Fn(&Hub) -> bool) {
    let mut events = hub.events();
    while !holds(hub) && events.next().await.is_some() {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let anna = Node::builder("anna").start().await?;
    let zoe = Node::builder("zoe").join([anna.listens_at().as_str()]).start().await?;
    for (name, first) in [("first", true), ("last", false)] {
        let by_name = || if first { ByName::First } else { ByName::Last };
        let here = anna.hub(config(name, by_name())?).child::<Counter>().start().await?;
        let there = zoe.hub(config(name, by_name())?).child::<Counter>().start().await?;
        until(&here, |hub| hub.nodes(true).len() == 2).await;
        until(&there, |hub| hub.nodes(true).len() == 2).await;
        let specs = (1..=5).map(|n| ChildSpec::of::<Counter>(format!("c{n}"), None)).collect::<Result<Vec<_>, _>>()?;
        let started = here.start_children(specs).await?;
        for (id, pids) in &started.started {
            println!("{name}: {id} runs on {}", pids[0].node);
        }
        let expected = if first { "anna" } else { "zoe" };
        assert!(started.nodes().all(|node| node.as_str() == expected));
    }

    // Whoever is left is both the first and the last.
    zoe.leave(Duration::from_secs(5)).await?;
    for hub in anna.hubs() {
        until(&hub, |hub| hub.process_list(ListScope::Local).len() == 5).await;
    }
    println!("all ten run on {}", anna.member().node);
    anna.shutdown().await;
    Ok(())
}
