//! What hubs have declared is kept in a store, and comes back from it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

#[path = "../../fuzz/bodies/saved_load.rs"]
mod saved_load;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use process_hub::core::config::HubConfig;
use process_hub::core::id::HubId;
use process_hub::saved::{Outcome, SavedPart, SavedStore, Store};
use process_hub::{Hub, NodeHandle, SpecExt};
use process_hub_core::spec::{ChildSpec, Metadata};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use support::{Counter, Network, TestRuntime, hub, hub_with, id, options, until};

/// A disk in memory.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    whole: BTreeMap<HubId, Vec<SavedPart>>,
    begun: BTreeMap<HubId, Vec<SavedPart>>,
    savings: usize,
    /// How many parts it has yet to refuse, and how many savings to lose.
    refuses: usize,
    loses: usize,
    lost: BTreeSet<HubId>,
}

impl SavedStore for Disk {
    fn load(&self, hub: &HubId) -> Vec<SavedPart> {
        self.0.lock().unwrap().whole.get(hub).cloned().unwrap_or_default()
    }

    fn save(&self, part: Box<SavedPart>) -> Result<(), Box<SavedPart>> {
        let mut disk = self.0.lock().unwrap();
        if disk.refuses > 0 {
            disk.refuses -= 1;
            return Err(part);
        }
        let (hub, last) = (part.hub().clone(), part.is_last());
        if part.is_first() {
            disk.begun.remove(&hub);
            disk.lost.remove(&hub);
        }
        disk.begun.entry(hub.clone()).or_default().push(*part);
        if last && disk.loses > 0 {
            disk.loses -= 1;
            disk.lost.insert(hub);
        } else if last {
            disk.savings += 1;
            let parts = disk.begun.remove(&hub).unwrap_or_default();
            disk.whole.insert(hub, parts);
        }
        Ok(())
    }

    fn outcome(&self, hub: &HubId) -> Outcome {
        if self.0.lock().unwrap().lost.contains(hub) { Outcome::Lost } else { Outcome::Written }
    }
}

impl Disk {
    /// How many children are kept.
    fn kept(&self) -> usize {
        self.0.lock().unwrap().whole.values().flatten().map(SavedPart::len).sum()
    }

    fn savings(&self) -> usize {
        self.0.lock().unwrap().savings
    }
}

async fn node_on(network: &Network, name: &str, join: &[&str], disk: &Disk) -> (NodeHandle, Hub) {
    let mut options = options(name, join);
    options.store = Some(Store::new(disk.clone()));
    let node = process_hub::start(options, TestRuntime::current(), network.clone()).await.unwrap();
    let hub = hub(&node).await;
    (node, hub)
}

fn counters(range: std::ops::Range<usize>) -> impl Iterator<Item = ChildSpec> {
    range.map(|n| ChildSpec::of::<Counter>(format!("c{n}"), n as i64).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_has_ended_as_a_whole_comes_back() {
    let disks = [Disk::default(), Disk::default()];
    let network = Network::default();
    let (n1, h1) = node_on(&network, "n1", &["n2"], &disks[0]).await;
    let (n2, h2) = node_on(&network, "n2", &["n1"], &disks[1]).await;
    until("they see each other", || h1.nodes(true).len() == 2 && h2.nodes(true).len() == 2).await;
    h1.start_children(counters(0..40)).await.unwrap();
    h2.stop_children([id("c7")]).await.unwrap();
    until("both have kept it", || disks.iter().all(|disk| disk.kept() == 39)).await;
    n1.shutdown().await;
    n2.shutdown().await;

    let network = Network::default();
    let (_n1, h1) = node_on(&network, "n1", &["n2"], &disks[0]).await;
    let (_n2, h2) = node_on(&network, "n2", &["n1"], &disks[1]).await;
    until("all run again", || [&h1, &h2].iter().all(|hub| hub.registry_dump().len() == 39)).await;
    assert_eq!((h1.get_pid(&id("c7")), h2.get_pid(&id("c7"))), (None, None), "it was stopped");
    assert_eq!(h1.get_pid(&id("c8")), h2.get_pid(&id("c8")));
}

/// Each hub is saved and restored by itself, whatever becomes of the other.
#[tokio::test(start_paused = true)]
async fn two_hubs_do_not_meet_on_a_disk() {
    let disk = Disk::default();
    let ids = ["demo", "other"].map(|name| HubId::new(name).unwrap());
    for round in 0..2 {
        let mut options = options("n1", &[]);
        options.store = Some(Store::new(disk.clone()));
        let node = process_hub::start(options, TestRuntime::current(), Network::default()).await.unwrap();
        let mut hubs = Vec::new();
        for id in &ids {
            hubs.push(hub_with(&node, HubConfig::new(id.clone())).await);
        }
        if round == 0 {
            disk.0.lock().unwrap().loses = 1;
            hubs[0].start_children(counters(0..3)).await.unwrap();
            hubs[1].start_children(counters(10..15)).await.unwrap();
        }
        let counts = [3, 5];
        until("all run", || hubs.iter().map(|hub| hub.registry_dump().len()).eq(counts)).await;
        node.shutdown().await;
        let kept = |hub: &HubId| disk.0.lock().unwrap().whole[hub].iter().map(SavedPart::len).sum::<usize>();
        assert_eq!(ids.each_ref().map(kept), counts);
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_not_changed_is_not_saved_again_and_what_has_is_once_a_second() {
    let disk = Disk::default();
    let (node, hub) = node_on(&Network::default(), "n1", &[], &disk).await;
    let second = || tokio::time::sleep(Duration::from_secs(1));
    second().await;
    let before = disk.savings();
    for n in 0..50 {
        hub.start_children(counters(n..n + 1)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let savings = disk.savings() - before;
    assert!((4..=6).contains(&savings), "{savings} in five seconds");
    second().await;
    let savings = disk.savings();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((disk.savings(), disk.kept()), (savings, 50), "nothing has changed");
    // What is last is saved at the end, too.
    hub.stop_children([id("c3")]).await.unwrap();
    node.leave(Duration::from_secs(1)).await.unwrap();
    assert_eq!(disk.kept(), 49);
}

#[tokio::test(start_paused = true)]
async fn a_slow_disk_and_a_full_one_lose_nothing_in_the_end() {
    let disk = Disk::default();
    let (_node, hub) = node_on(&Network::default(), "n1", &[], &disk).await;
    (disk.0.lock().unwrap().refuses, disk.0.lock().unwrap().loses) = (20, 2);
    // More than one part.
    let large = |n| {
        ChildSpec::of::<Counter>(format!("c{n}"), n)
            .unwrap()
            .metadata(Metadata::new().with("large", &"x".repeat(3 << 10)))
    };
    hub.start_children((0..200).map(large)).await.unwrap();
    until("it is kept", || disk.kept() == 200).await;
    assert!(disk.0.lock().unwrap().whole.values().all(|parts| parts.len() > 1));
}

/// A node ends although its disk takes nothing.
#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_nothing_does_not_hold_up_the_end() {
    let disk = Disk::default();
    let (node, hub) = node_on(&Network::default(), "n1", &[], &disk).await;
    disk.0.lock().unwrap().refuses = usize::MAX;
    hub.start_children(counters(0..3)).await.unwrap();
    let begun = tokio::time::Instant::now();
    node.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// What a hub with some children saves, as bytes.
fn part() -> Vec<u8> {
    use process_hub_core::id::{Boot, Member, NodeId, RequestId};
    use process_hub_core::request::{Request, StartOptions};
    let id = HubId::new("h").unwrap();
    let me = Member { node: NodeId::new("n2").unwrap(), boot: Boot(1) };
    let mut hub =
        process_hub_core::Hub::new(HubConfig::new(id.clone()), me, true, process_hub_core::Time::ZERO).unwrap();
    let options = StartOptions { wait: false, ..StartOptions::default() };
    let children = counters(0..4).collect();
    let request = Request::Start { hub: id, children, options };
    let input = process_hub_core::HubInput::Request { id: RequestId(1), request };
    hub.handle(process_hub_core::Time::from_millis(1), input, &mut process_hub_core::Effects::new());
    let mut bytes = Vec::new();
    hub.save_part(&mut hub.begin_saving()).unwrap().encode(&mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn whatever_is_restored_does_no_harm(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = [vec![1], part()].concat();
        for (at, to) in flips {
            let at = 1 + at.index(bytes.len() - 1);
            bytes[at] = to;
        }
        saved_load::run(&bytes);
        saved_load::run(&noise);
    }
}
