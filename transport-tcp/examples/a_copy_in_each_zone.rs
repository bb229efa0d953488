//! A redundancy and a distribution of one's own that work together: three copies of each child, each in another zone.
//!
//! How many copies run is one question, where they run another one: this answers both. The hub then sees to it that the copies
//! are there, one of them active, whatever happens to the nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use process_hub::core::config::{Distribution, HubConfig, Model, Redundancy};
use process_hub::core::hashing::stable_hash;
use process_hub::core::id::{HubId, NodeId};
use process_hub::core::spec::ChildSpec;
use process_hub::core::strategy::{Candidate, Distribute, Replicate};
use process_hub::{Hub, SpecExt};
use process_hub_tcp::Node;
use process_hub_tcp::kinds::Counter;

/// Three copies, or as many as there are nodes; one of them serves.
struct ThreeCopies;

impl Replicate for ThreeCopies {
    // Two nodes take part in one hub only if their strategies have the same name and version.
    fn name(&self) -> &str {
        "three-copies"
    }

    fn copies(&self, members: usize) -> usize {
        members.min(3)
    }

    fn model(&self) -> Model {
        Model::ActivePassive
    }
}

/// Nodes in an order that differs from child to child, those of zones that have no copy yet first.
struct EachInAnotherZone;

impl EachInAnotherZone {
    /// A node's zone is what its label `zone=` says.
    fn zone(member: &Candidate) -> &str {
        member.labels.iter().find_map(|label| label.strip_prefix("zone=")).unwrap_or("")
    }
}

impl Distribute for EachInAnotherZone {
    fn name(&self) -> &str {
        "each-in-another-zone"
    }

    fn owners(&self, child: &ChildSpec, members: &[Candidate], copies: usize) -> Vec<NodeId> {
        // The same on every node: a hash that is the same everywhere, of nothing but names.
        let mut ranked: Vec<&Candidate> = members.iter().collect();
        ranked.sort_by_key(|member| stable_hash(format!("{}@{}", child.id, member.node).as_bytes()));
        let mut zones = BTreeSet::new();
        let (first, rest): (Vec<_>, Vec<_>) = ranked.into_iter().partition(|member| zones.insert(Self::zone(member)));
        first.into_iter().chain(rest).take(copies).map(|member| member.node.clone()).collect()
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
    for (name, zone) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b"), ("c1", "c")] {
        let node = Node::builder(name).labels([format!("zone={zone}")]).join(first.clone()).start().await?;
        first.get_or_insert(node.listens_at().to_string());
        let mut config = HubConfig::new(HubId::new("demo")?);
        config.redundancy = Redundancy::Custom(Arc::new(ThreeCopies));
        config.distribution = Distribution::Custom(Arc::new(EachInAnotherZone));
        hubs.push(node.hub(config).child::<Counter>().start().await?);
        nodes.push(node);
    }
    for hub in &hubs {
        until(hub, |hub| hub.nodes(true).len() == 5).await;
    }
    let specs = (1..=6).map(|n| ChildSpec::of::<Counter>(format!("c{n}"), None)).collect::<Result<Vec<_>, _>>()?;
    for (id, pids) in hubs[0].start_children(specs).await?.started {
        let zones: BTreeSet<&str> = pids.iter().map(|pid| &pid.node.as_str()[..1]).collect();
        println!("{id} runs in zones {zones:?}");
        assert_eq!(zones.len(), 3, "{pids:?}");
    }
    for node in nodes {
        node.shutdown().await;
    }
    Ok(())
}
