//! Links in trouble: what cannot be read, and peers that take nothing for a while.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use process_hub::core::config::limits;
use process_hub::core::spec::{ChildSpec, MetaValue, Metadata};
use process_hub::core::{request, wire};
use process_hub::{CallError, Child, ChildError, Context, Hub, ListScope, NodeHandle, NodeOptions, SpecExt};
use support::{Counter, Network, TestRuntime, config, options, until};

/// Two nodes, of which each lets no more than `outbound` bytes wait for the other, and gives up writing after `patience`.
async fn pair(network: &Network, outbound: usize, patience: Duration) -> [(NodeHandle, Hub); 2] {
    let mut nodes = Vec::new();
    for name in ["n1", "n2"] {
        let mut options = options(name, &["n1"]);
        (options.limits.outbound_bytes, options.limits.write_timeout) = (outbound, patience);
        let node = process_hub::start(options, TestRuntime::current(), network.clone()).await.unwrap();
        let hub = node.hub(config()).child::<Counter>().child::<Meter>().start().await.unwrap();
        nodes.push((node, hub));
    }
    until("both see both", || nodes.iter().all(|(_, hub)| hub.nodes(true).len() == 2)).await;
    nodes.try_into().unwrap()
}

/// Children that are ten kibibytes each to tell of.
fn large(batch: usize, count: usize) -> Vec<ChildSpec> {
    let pad = "x".repeat(10 << 10);
    let large = |n| {
        let mut spec = ChildSpec::of::<Counter>(format!("c{batch}-{n}"), n as i64).unwrap();
        spec.metadata = Metadata::from_iter([("pad".into(), MetaValue::Text(pad.clone().into()))]);
        spec
    };
    (0..count).map(large).collect()
}

async fn agree(nodes: &[(NodeHandle, Hub); 2], children: usize) {
    let [(_, one), (_, other)] = nodes;
    let agreed = || one.registry_dump() == other.registry_dump();
    until("both know all", || one.process_list(ListScope::Global).len() == children && agreed()).await;
    assert_eq!(one.process_list(ListScope::Local).len() + other.process_list(ListScope::Local).len(), children);
}

#[tokio::test]
async fn limits_that_nobody_could_work_with_are_refused() {
    for (field, change) in [
        ("outbound_bytes", (|options| options.limits.outbound_bytes = limits::WINDOW - 1) as fn(&mut NodeOptions)),
        ("mailbox_capacity", |options| options.mailbox_capacity = 0),
        ("write_timeout", |options| options.limits.write_timeout = Duration::ZERO),
    ] {
        let mut options = options("n1", &[]);
        change(&mut options);
        let refused = process_hub::start(options, TestRuntime::current(), Network::default()).await.unwrap_err();
        assert!(refused.to_string().contains(field), "{refused}");
    }
}

/// Measures what it is told.
#[derive(Debug)]
struct Meter;

impl Child for Meter {
    const KIND: &'static str = "meter";
    type Args = ();
    type Message = String;
    type Reply = usize;

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, ChildError> {
        Ok(Meter)
    }

    async fn handle(&mut self, told: String, _: &mut Context<Self>) -> usize {
        told.len()
    }
}

/// What goes beyond the mark is dropped and counted, and who waits for it is told; the link stays, and works once the peer
/// takes something again. What is declared meanwhile holds itself back, and is told then.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_slow_peer_is_bounded() {
    let network = Network::slow(Duration::from_millis(1));
    let nodes = pair(&network, limits::WINDOW, Duration::from_secs(10)).await;
    let meters = (0..20).map(|n| ChildSpec::of::<Meter>(format!("meter{n}"), ()).unwrap());
    nodes[0].1.start_children(meters).await.unwrap();
    agree(&nodes, 20).await;
    let links = nodes.each_ref().map(|(node, _)| node.stats().links_up);
    let there = nodes[1].1.process_list(ListScope::Local)[0].0.clone();

    network.stall(true);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (hub, there) = (nodes[0].1.clone(), there.clone());
            let call = async move { hub.call::<Meter>(&there, "x".repeat(400 << 10)).await };
            tokio::spawn(call)
        })
        .collect();
    nodes[0].1.start_children(large(1, 100)).initiate().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(nodes[0].0.stats().messages_dropped > 0, "{:?}", nodes[0].0.stats());
    network.stall(false);
    let mut answered = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(len) => answered += usize::from(len == 400 << 10),
            Err(error) => assert_eq!(error, CallError::Refused(request::CallError::Timeout(there.clone()))),
        }
    }
    assert!((8..=12).contains(&answered), "those that fitted were answered, and no others: {answered}");
    agree(&nodes, 120).await;
    assert_eq!(nodes[0].1.call::<Meter>(&there, "x".into()).await, Ok(1));
    assert_eq!(nodes.each_ref().map(|(node, _)| node.stats().links_up), links, "no link was lost");
}

/// A peer that takes nothing for longer than that is not waited for: the link is made anew when it can be.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_loses_its_link_and_is_linked_again() {
    let network = Network::slow(Duration::from_millis(1));
    let nodes = pair(&network, 8 << 20, Duration::from_millis(300)).await;
    let links = nodes[0].0.stats().links_up;
    network.stall(true);
    nodes[0].1.start_children(large(0, 40)).initiate().await.unwrap();
    until("the link was given up", || nodes[0].0.stats().links_down > 0).await;
    network.stall(false);
    agree(&nodes, 40).await;
    assert!(nodes[0].0.stats().links_up > links);
}

/// Bytes on an authenticated link that are no frame, and a frame that is no message: each closes it, once, and it is made anew.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_on_a_link_closes_it_and_nothing_is_lost() {
    let network = Network::slow(Duration::from_millis(1));
    let nodes = pair(&network, 8 << 20, Duration::from_secs(10)).await;
    nodes[0].1.start_children(large(0, 10)).await.unwrap();
    agree(&nodes, 10).await;
    let bad = || nodes.iter().map(|(node, _)| node.stats().frames_bad).sum::<u64>();
    let no_message = [&wire::prefix(5).unwrap()[..], &[0xff; 5]].concat();
    let too_long = u32::MAX.to_be_bytes().to_vec();
    for (number, junk) in [(1, no_message), (2, too_long)] {
        let links = nodes.each_ref().map(|(node, _)| node.stats().links_up);
        network.inject(junk);
        nodes[0].1.start_children(large(number, 10)).initiate().await.unwrap();
        until("it was found out", || bad() == number as u64).await;
        assert!(network.is_injected());
        agree(&nodes, 10 + number * 10).await;
        let again = nodes.each_ref().map(|(node, _)| node.stats().links_up);
        assert!(again[0] > links[0] && again[1] > links[1], "{links:?} {again:?}");
    }
    assert_eq!(bad(), 2);
}
