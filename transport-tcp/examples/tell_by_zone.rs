//! A synchronization of one's own: changes cross from one zone to another once, and are told within each zone by its members.
//!
//! Six nodes in two zones. With `PubSub`, a change would cross the (slow, dear) way between the zones once for each node of
//! the other one.

use std::collections::BTreeMap;
use std::sync::Arc;

use process_hub::core::config::{HubConfig, Synchronization};
use process_hub::core::id::{HubId, NodeId};
use process_hub::core::spec::ChildSpec;
use process_hub::core::strategy::{Candidate, Synchronize};
use process_hub::{Hub, SpecExt};
use process_hub_tcp::Node;
use process_hub_tcp::kinds::Counter;

/// A node's zone is what its label `zone=` says.
struct ByZone;

fn zone(member: &Candidate) -> &str {
    member.labels.iter().find_map(|label| label.strip_prefix("zone=")).unwrap_or("")
}

impl Synchronize for ByZone {
    // Two nodes take part in one hub only if their strategies have the same name and version.
    fn name(&self) -> &str {
        "by-zone"
    }

    fn recipients(&self, teller: &Candidate, change: u64, open: &[Candidate]) -> Vec<NodeId> {
        let mut zones: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
        for member in open {
            zones.entry(zone(member)).or_default().push(member);
        }
        let told = zones.into_iter().flat_map(|(name, members)| match name == zone(teller) {
            true => members,
            // Another one each time, so that the load is shared. It tells the others of its zone.
            false => vec![members[change as usize % members.len()]],
        });
        told.map(|member| member.node.clone()).collect()
    }
}

/// Waits until something holds of a hub: whatever changes it is followed by an event.
async fn until(hub: &Hub, holds: impl Fn(&Hub) -> bool) {
    let mut events = hub.events();
    while !holds(hub) && events.next().await.is_some() {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut nodes, mut hubs) = (Vec::new(), Vec::new());
    let mut first: Option<String> = None;
    for (name, zone) in [("a1", "east"), ("a2", "east"), ("a3", "east"), ("b1", "west"), ("b2", "west"), ("b3", "west")]
    {
        let node = Node::builder(name).labels([format!("zone={zone}")]).join(first.clone()).start().await?;
        first.get_or_insert(node.listens_at().to_string());
        let mut config = HubConfig::new(HubId::new("demo")?);
        config.synchronization = Synchronization::Custom(Arc::new(ByZone));
        hubs.push(node.hub(config).child::<Counter>().start().await?);
        nodes.push(node);
    }
    for hub in &hubs {
        until(hub, |hub| hub.nodes(true).len() == 6).await;
    }
    let specs = (1..=60).map(|n| ChildSpec::of::<Counter>(format!("c{n}"), None)).collect::<Result<Vec<_>, _>>()?;
    hubs[0].start_children(specs).await?;
    for hub in &hubs {
        until(hub, |hub| hub.child_count() == 60 && hub.copies_by_node().values().sum::<usize>() == 60).await;
        println!("{} knows where all 60 run", hub.member().node);
    }
    for node in nodes {
        node.shutdown().await;
    }
    Ok(())
}
