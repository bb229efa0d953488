//! A partition rule of one's own: the side of the oldest member serves, the other one is locked.
//!
//! It needs no number of nodes, and pays for that: when the oldest member is lost, all others are locked until it is back or
//! an operator resets the hub. There are no leases behind it, so two sides may both serve until they have found each other lost.

use std::sync::Arc;
use std::time::Duration;

use process_hub::core::config::{HubConfig, Partition};
use process_hub::core::id::{HubId, Member};
use process_hub::core::spec::ChildSpec;
use process_hub::core::strategy::Tolerate;
use process_hub::{Hub, SpecExt};
use process_hub_tcp::Node;
use process_hub_tcp::kinds::Counter;

/// The oldest life of all that are known decides.
struct KeepOldest;

impl Tolerate for KeepOldest {
    // Two nodes take part in one hub only if their strategies have the same name and version.
    fn name(&self) -> &str {
        "keep-oldest"
    }

    fn holds(&self, members: &[Member], lost: &[Member]) -> bool {
        let age = |member: &&Member| (member.boot, member.node.clone());
        let (here, there) = (members.iter().min_by_key(age), lost.iter().min_by_key(age));
        match (here, there) {
            (Some(here), Some(there)) => age(&here) < age(&there),
            _ => true,
        }
    }
}

fn config() -> Result<HubConfig, Box<dyn std::error::Error>> {
    let mut config = HubConfig::new(HubId::new("demo")?);
    config.partition = Partition::Custom(Arc::new(KeepOldest));
    Ok(config)
}

/// Waits until something holds of a hub: whatever changes it is followed by an event.
async fn until(hub: &Hub, holds: impl Fn(&Hub) -> bool) {
    let mut events = hub.events();
    while !holds(hub) && events.next().await.is_some() {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let old = Node::builder("old").start().await?;
    // Lives are ordered by their boots, which are made from the clock.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let young = Node::builder("young").join([old.listens_at().as_str()]).start().await?;
    let here = old.hub(config()?).child::<Counter>().start().await?;
    let there = young.hub(config()?).child::<Counter>().start().await?;
    until(&there, |hub| hub.nodes(true).len() == 2).await;
    until(&here, |hub| hub.nodes(true).len() == 2).await;
    let specs = (1..=5).map(|n| ChildSpec::of::<Counter>(format!("c{n}"), None)).collect::<Result<Vec<_>, _>>()?;
    here.start_children(specs).await?;

    // The older node is gone without a goodbye: the younger one serves nothing.
    old.shutdown().await;
    until(&there, Hub::is_locked).await;
    println!("the younger node is locked");
    assert!(there.start_child(ChildSpec::of::<Counter>("c6", None)?).await.is_err());
    young.shutdown().await;
    Ok(())
}
