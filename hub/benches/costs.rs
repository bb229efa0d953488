//! What a child costs, counted: bytes it holds, processor time to start, look up, call and stop it. One node, and three
//! over a network in memory. Processor time is what this process used, so that a busy machine changes little.
//!
//! `cargo bench -p process-hub [-- CHILDREN]`

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench ends where what it needs is not there")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use process_hub::core::id::ChildId;
use process_hub::core::spec::ChildSpec;
use process_hub::{Hub, NodeHandle, SpecExt};
use support::{Ask, Counter, Network, hub, id, node};

static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is handed on unchanged; only sizes are counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Processor time of this process so far, in ticks of 10 ms.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit(')').next().unwrap();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

struct Meter(Instant, Duration);

impl Meter {
    fn start() -> Self {
        Meter(Instant::now(), processor())
    }
    fn print(self, what: &str, count: usize) {
        let (wall, used) = (self.0.elapsed(), processor() - self.1);
        let each = used.as_nanos() as f64 / count as f64 / 1e3;
        println!(
            "{what:<46} {count:>8}  wall {:>8.1} ms  processor {:>6} ms  {each:>8.2} us each",
            wall.as_secs_f64() * 1e3,
            used.as_millis()
        );
    }
}

fn specs(range: std::ops::Range<usize>) -> Vec<ChildSpec> {
    range.map(|n| ChildSpec::of::<Counter>(format!("c{n}"), 0).unwrap()).collect()
}

async fn seen(hubs: &[Hub], count: usize) {
    while hubs.iter().any(|hub| hub.child_count() != count) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn nodes(size: usize) -> (Vec<NodeHandle>, Vec<Hub>) {
    let network = Network::default();
    let (mut nodes, mut hubs) = (Vec::new(), Vec::new());
    for number in 1..=size {
        let node = node(&network, &format!("n{number}"), &["n1"]).await;
        hubs.push(hub(&node).await);
        nodes.push(node);
    }
    while hubs.iter().any(|hub| hub.nodes(true).len() != size) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (nodes, hubs)
}

async fn measure(size: usize, count: usize) {
    println!("-- {size} node(s), {count} children");
    let (nodes, hubs) = nodes(size).await;
    // A node that is told to look for others waits a little for them before it begins.
    hubs[0].start_children(specs(count..count + 1)).await.unwrap();
    hubs[0].stop_child(id(&format!("c{count}"))).await.unwrap().unwrap();
    let before = HELD.load(Ordering::Relaxed);
    let batch = specs(0..count);
    let meter = Meter::start();
    let result = hubs[0].start_children(batch).timeout(Duration::from_secs(120)).await.unwrap();
    assert!(result.errors().is_empty(), "{:?}", result.errors().first());
    meter.print("started in one call, awaited", count);
    drop(result);
    seen(&hubs, count).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = HELD.load(Ordering::Relaxed).saturating_sub(before);
    println!("{:<46} {:>8}  bytes a child, all nodes and all copies of the registry", "held", held / count);
    lookups(&hubs[0], count);
    calls(&hubs[0], count).await;
    let meter = Meter::start();
    let ids = (0..count).map(|n| id(&format!("c{n}")));
    let result = hubs[0].stop_children(ids).timeout(Duration::from_secs(20)).await.unwrap();
    assert!(result.errors.is_empty(), "{:?}", result.errors.first());
    let dropped: u64 = nodes.iter().map(|node| node.stats().messages_dropped).sum();
    println!("{:<46} {dropped:>8}", "messages dropped by full queues");
    meter.print("stopped in one call, awaited", count);
    seen(&hubs, 0).await;
    let small = count / 10;
    let batches: Vec<_> = (0..small / 100).map(|n| specs(n * 100..(n + 1) * 100)).collect();
    let meter = Meter::start();
    for batch in batches {
        hubs[0].start_children(batch).await.unwrap();
    }
    meter.print("started in calls of 100, one after the other", small);
    for node in nodes {
        node.shutdown().await;
    }
}

fn lookups(hub: &Hub, count: usize) {
    let ids: Vec<ChildId> = (0..count).map(|n| id(&format!("c{}", n * 7_919 % count))).collect();
    let meter = Meter::start();
    let mut found = 0;
    for _ in 0..10 {
        found += ids.iter().filter(|id| hub.get_pid(id).is_some()).count();
    }
    meter.print("get_pid, every child, shuffled", found);
    let meter = Meter::start();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..10).for_each(|_| assert!(ids.iter().all(|id| hub.get_pid(id).is_some()))));
        }
    });
    meter.print("get_pid, two threads at once", 20 * count);
}

async fn calls(hub: &Hub, count: usize) {
    let count = count.min(20_000);
    let meter = Meter::start();
    for n in 0..count {
        hub.call::<Counter>(&id(&format!("c{n}")), Ask::Get).await.unwrap();
    }
    meter.print("calls, one after the other", count);
}

fn main() {
    // Run as a test, it only shows that it still works.
    let usual = if std::env::args().any(|arg| arg == "--bench") { 100_000 } else { 1_000 };
    let count = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(usual);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        measure(1, count).await;
        measure(3, count).await;
    });
}
