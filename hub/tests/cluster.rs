//! Several nodes on a network in memory, with tokio's clock paused.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use process_hub::core::id::Boot;
use process_hub::core::spec::ChildSpec;
use process_hub::{Cookie, ListScope, SpecExt};
use support::{Ask, Counter, Network, TestRuntime, cluster, id, node, options, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn counters(count: usize) -> Vec<ChildSpec> {
    (0..count).map(|n| ChildSpec::of::<Counter>(format!("c{n}"), n as i64).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn three_nodes_share_the_children_and_each_can_call_all() {
    let network = Network::default();
    let nodes = cluster(&network, 3).await;
    let (_, first) = &nodes[0];
    let started = first.start_children(counters(300)).await.unwrap();
    assert_eq!(started.errors(), []);
    until("all see all", || nodes.iter().all(|(_, hub)| hub.process_list(ListScope::Global).len() == 300)).await;
    let dumps: Vec<_> = nodes.iter().map(|(_, hub)| hub.registry_dump()).collect();
    assert!(dumps.iter().all(|dump| *dump == dumps[0]));
    for (_, hub) in &nodes {
        let local = hub.process_list(ListScope::Local).len();
        assert!((50..=150).contains(&local), "{local}");
        for n in [0, 100, 299] {
            let child = id(&format!("c{n}"));
            let (value, pid) = hub.call::<Counter>(&child, Ask::Add(1)).await.unwrap();
            assert!(value > n);
            assert_eq!(pid, hub.get_pid(&child).unwrap().to_string());
        }
    }
}

/// By child and by instance, from the node that runs it and from those that do not.
#[tokio::test(start_paused = true)]
async fn each_node_can_cast_to_all() {
    let network = Network::default();
    let nodes = cluster(&network, 3).await;
    nodes[0].1.start_children(counters(3)).await.unwrap();
    let see_all = || nodes.iter().all(|(_, hub)| hub.process_list(ListScope::Global).len() == 3);
    until("all see all", see_all).await;
    for (at, begins) in (0..3).map(|n| (id(&format!("c{n}")), n)) {
        let pid = nodes[0].1.get_pid(&at).unwrap();
        for (_, hub) in &nodes {
            hub.cast::<Counter>(&at, Ask::Add(1)).await.unwrap();
            hub.cast_pid::<Counter>(&at, &pid, Ask::Add(10)).await.unwrap();
            // What is called after it on the same way is handled after it.
            hub.call::<Counter>(&at, Ask::Get).await.unwrap();
        }
        assert_eq!(nodes[1].1.call::<Counter>(&at, Ask::Get).await.unwrap(), (begins + 33, pid.to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_gives_up_its_children_and_one_that_comes_back_takes_some() {
    let network = Network::default();
    let nodes = cluster(&network, 3).await;
    let (_, first) = &nodes[0];
    first.start_children(counters(300)).await.unwrap();
    nodes[2].0.shutdown().await;
    let survivors = &nodes[..2];
    until("the survivors run all", || {
        survivors.iter().map(|(_, hub)| hub.process_list(ListScope::Local).len()).sum::<usize>() == 300
    })
    .await;
    until("they agree", || survivors[0].1.registry_dump() == survivors[1].1.registry_dump()).await;
    let again = node(&network, "n3", &["n1"]).await;
    let hub = support::hub(&again).await;
    until("it has its share", || hub.process_list(ListScope::Local).len() > 50).await;
    until("all agree", || survivors.iter().all(|(_, other)| other.registry_dump() == hub.registry_dump())).await;
    assert_eq!(hub.process_list(ListScope::Global).len(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_with_an_earlier_boot_is_raised_above_it_and_serves() {
    let network = Network::default();
    let first = node(&network, "n1", &[]).await;
    let hub = support::hub(&first).await;
    let second = |boot| {
        let mut options = options("n2", &["n1"]);
        options.boot = Some(Boot(boot));
        process_hub::start(options, TestRuntime::current(), network.clone())
    };
    let before = second(5_000).await.unwrap();
    support::hub(&before).await;
    until("they meet", || hub.nodes(true).len() == 2).await;
    before.shutdown().await;
    let after = second(3_000).await.unwrap();
    let theirs = support::hub(&after).await;
    until("they meet again", || {
        hub.members().iter().any(|member| member.node.as_str() == "n2" && member.boot > Boot(5_000))
    })
    .await;
    hub.start_children(counters(40)).await.unwrap();
    until("both see all", || theirs.process_list(ListScope::Global).len() == 40).await;
    assert_eq!(hub.registry_dump(), theirs.registry_dump());
    let here = theirs.process_list(ListScope::Local);
    assert!(!here.is_empty());
    assert!(here.iter().all(|(_, pids)| pids[0].boot == Boot(3_000)), "pids keep the boot they were made in");
    for (child, _) in here {
        hub.call::<Counter>(&child, Ask::Get).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_hands_over_and_is_gone() {
    let network = Network::default();
    let nodes = cluster(&network, 3).await;
    nodes[0].1.start_children(counters(60)).await.unwrap();
    let remaining = nodes[1].0.leave(Duration::from_secs(10)).await.unwrap();
    assert_eq!(remaining, 0);
    let others = [&nodes[0].1, &nodes[2].1];
    until("the others run all", || {
        others.iter().map(|hub| hub.process_list(ListScope::Local).len()).sum::<usize>() == 60
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_cookie_or_cluster_gets_no_link() {
    let network = Network::default();
    let nodes = cluster(&network, 2).await;
    let mut wrong = options("x1", &["n1"]);
    wrong.cookies = vec![Cookie::new("another secret altogether").unwrap()];
    let mut foreign = options("x2", &["n1"]);
    foreign.cluster = "elsewhere".into();
    let mut strangers = Vec::new();
    for options in [wrong, foreign] {
        strangers.push(process_hub::start(options, TestRuntime::current(), network.clone()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    for stranger in &strangers {
        assert!(stranger.stats().handshakes_failed > 0);
        assert_eq!(stranger.stats().links_up, 0);
    }
    assert_eq!(nodes[0].0.members().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_cookies_either_opens_the_door() {
    let network = Network::default();
    let mut new = options("n1", &[]);
    new.cookies.insert(0, Cookie::new("the secret that comes next").unwrap());
    let new = process_hub::start(new, TestRuntime::current(), network.clone()).await.unwrap();
    let old = node(&network, "n2", &["n1"]).await;
    until("they meet", || new.members().len() == 2 && old.members().len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn garbage_and_silence_are_cut_and_harm_nobody() {
    let network = Network::default();
    let nodes = cluster(&network, 2).await;
    let mut silent = network.open("n1").unwrap();
    let mut noisy = network.open("n1").unwrap();
    noisy.write_all(b"GET / HTTP/1.1\r\nHost: n1\r\n\r\n").await.unwrap();
    let mut lying = network.open("n1").unwrap();
    lying.write_all(&[0x7f, 0xff, 0xff, 0xff]).await.unwrap();
    let mut heard = Vec::new();
    for stream in [&mut silent, &mut noisy, &mut lying] {
        let cut = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut heard)).await;
        assert!(cut.is_ok(), "cut in time");
    }
    assert_eq!(nodes[0].0.stats().handshakes_failed, 3);
    assert!(nodes[0].1.nodes(true).len() == 2);
}
