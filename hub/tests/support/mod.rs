//! A network in memory and a cluster on it, on tokio's clock.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "for tests, of which each uses its part")]

mod memory;
mod runtime;

use std::time::Duration;

use process_hub::core::config::HubConfig;
use process_hub::core::id::{ChildId, HubId, NodeId};
use process_hub::{Child, ChildError, Context, Cookie, Hub, NodeHandle, NodeOptions};
use serde::{Deserialize, Serialize};

pub use memory::Network;
pub use runtime::TestRuntime;

/// Counts.
#[derive(Debug)]
pub struct Counter(i64);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    Add(i64),
    Get,
    Panic,
    Where,
}

impl Child for Counter {
    const KIND: &'static str = "counter";
    type Args = i64;
    type Message = Ask;
    type Reply = (i64, String);

    async fn start(args: i64, _: &mut Context<Self>) -> Result<Self, ChildError> {
        match args {
            i64::MIN => Err(ChildError::new("cannot count from there")),
            start => Ok(Counter(start)),
        }
    }

    async fn handle(&mut self, message: Ask, ctx: &mut Context<Self>) -> (i64, String) {
        match message {
            Ask::Add(n) => self.0 += n,
            Ask::Panic => panic!("asked to"),
            Ask::Get | Ask::Where => {}
        }
        (self.0, ctx.pid().to_string())
    }
}

/// Comes up after so many milliseconds, or never.
#[derive(Debug)]
pub struct Slow;

impl Child for Slow {
    const KIND: &'static str = "slow";
    type Args = Option<u64>;
    type Message = ();
    type Reply = ();

    async fn start(takes: Option<u64>, ctx: &mut Context<Self>) -> Result<Self, ChildError> {
        let takes = takes.ok_or_else(|| ChildError::new("never"))?;
        ctx.sleep(Duration::from_millis(takes)).await;
        Ok(Slow)
    }

    async fn handle(&mut self, (): (), _: &mut Context<Self>) {}
}

pub fn id(name: &str) -> ChildId {
    ChildId::new(name).unwrap()
}

pub fn options(name: &str, join: &[&str]) -> NodeOptions {
    let mut options = NodeOptions::new(NodeId::new(name).unwrap(), name);
    options.join = join.iter().map(|addr| (*addr).into()).collect();
    options.cookies = vec![Cookie::new("a secret that is only for tests").unwrap()];
    options
}

/// A node on `network` that listens at an address that is its name.
pub async fn node(network: &Network, name: &str, join: &[&str]) -> NodeHandle {
    process_hub::start(options(name, join), TestRuntime::current(), network.clone()).await.unwrap()
}

/// What the hub `demo` is told unless a test says otherwise.
pub fn config() -> HubConfig {
    HubConfig::new(HubId::new("demo").unwrap())
}

/// The hub `demo` on a node, with counters.
pub async fn hub(node: &NodeHandle) -> Hub {
    hub_with(node, config()).await
}

/// The same with a configuration of the test's own.
pub async fn hub_with(node: &NodeHandle, config: HubConfig) -> Hub {
    node.hub(config).child::<Counter>().start().await.unwrap()
}

/// Nodes `n1`, `n2` ... that know each other, and their hubs; returns once their views agree.
pub async fn cluster(network: &Network, size: usize) -> Vec<(NodeHandle, Hub)> {
    cluster_with(network, size, config()).await
}

/// The same with a configuration of the test's own.
pub async fn cluster_with(network: &Network, size: usize, config: HubConfig) -> Vec<(NodeHandle, Hub)> {
    let mut nodes = Vec::new();
    for number in 1..=size {
        let node = node(network, &format!("n{number}"), &["n1"]).await;
        let hub = hub_with(&node, config.clone()).await;
        nodes.push((node, hub));
    }
    until("all views are complete", || nodes.iter().all(|(_, hub)| hub.nodes(true).len() == size)).await;
    nodes
}

/// Waits, in virtual time, until `done`.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("waited a minute in vain: {what}");
}
