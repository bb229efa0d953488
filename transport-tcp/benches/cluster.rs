//! Lookups, starts and their spreading, over real TCP on loopback: the nodes of a group share one process and one
//! runtime, so that figures of three nodes are those of three nodes on one machine.

#![expect(clippy::unwrap_used, reason = "a bench ends where what it needs is not there")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use process_hub::core::config::HubConfig;
use process_hub::core::id::{ChildId, HubId};
use process_hub::core::spec::ChildSpec;
use process_hub::{Hub, NodeHandle, SpecExt};
use process_hub_tcp::Node;
use process_hub_tcp::kinds::Counter;
use tokio::runtime::Runtime;

const LIMIT: Duration = Duration::from_secs(120);

struct Cluster {
    nodes: Vec<NodeHandle>,
    hubs: Vec<Hub>,
}

impl Cluster {
    async fn start(size: usize) -> Cluster {
        let mut cluster = Cluster { nodes: Vec::new(), hubs: Vec::new() };
        for n in 1..=size {
            let first = cluster.nodes.first().map(|node| node.listens_at().to_string());
            let node = Node::builder(format!("n{n}")).join(first).start().await.unwrap();
            let config = HubConfig::new(HubId::new("bench").unwrap());
            cluster.hubs.push(node.hub(config).child::<Counter>().start().await.unwrap());
            cluster.nodes.push(node);
        }
        for hub in &cluster.hubs {
            until(|| hub.nodes(true).len() == size).await;
        }
        cluster
    }

    /// Until every node knows where each of `count` children runs.
    async fn all_see(&self, count: usize) {
        for hub in &self.hubs {
            until(|| hub.child_count() == count && hub.copies_by_node().values().sum::<usize>() == count).await;
        }
    }

    async fn stop(&self, count: usize) {
        self.hubs[0].stop_children((0..count).map(id)).timeout(LIMIT).await.unwrap();
        self.all_see(0).await;
    }

    async fn shutdown(self) {
        for node in self.nodes {
            node.shutdown().await;
        }
    }
}

async fn until(holds: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "it takes longer than {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn id(n: usize) -> ChildId {
    ChildId::new(format!("child-{n}")).unwrap()
}

fn specs(range: std::ops::Range<usize>) -> Vec<ChildSpec> {
    range.map(|n| ChildSpec::of::<Counter>(id(n), Some(0)).unwrap()).collect()
}

fn lookup(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let count = 100_000;
    let cluster = runtime.block_on(async {
        let cluster = Cluster::start(1).await;
        cluster.hubs[0].start_children(specs(0..count)).timeout(LIMIT).await.unwrap();
        cluster
    });
    let ids: Vec<ChildId> = (0..count).map(id).collect();
    let mut turn = 0;
    c.bench_function("get_pid of 100k", |b| {
        b.iter(|| {
            // A stride that is prime to the count: neither the same child again nor its neighbour.
            turn = (turn + 7_919) % count;
            black_box(cluster.hubs[0].get_pid(&ids[turn]))
        });
    });
    runtime.block_on(cluster.shutdown());
}

/// Starts `count` children in calls of `batch`, awaited, until every node sees them; stopping them is not measured.
async fn start_and_see(cluster: &Cluster, count: usize, batch: usize) -> Duration {
    let batches: Vec<Vec<ChildSpec>> =
        (0..count).step_by(batch).map(|from| specs(from..(from + batch).min(count))).collect();
    let began = Instant::now();
    let calls: Vec<_> = batches
        .into_iter()
        .enumerate()
        .map(|(turn, batch)| {
            let hub = cluster.hubs[turn % cluster.hubs.len()].clone();
            tokio::spawn(async move { hub.start_children(batch).timeout(LIMIT).await.unwrap().errors.len() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 0);
    }
    cluster.all_see(count).await;
    let took = began.elapsed();
    cluster.stop(count).await;
    took
}

fn start(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    for (nodes, count, batch) in
        [(1, 10_000, 10_000), (1, 10_000, 100), (3, 10_000, 10_000), (3, 100_000, 100_000), (3, 100_000, 100)]
    {
        let cluster = runtime.block_on(Cluster::start(nodes));
        let mut group = c.benchmark_group(format!("start, {nodes} nodes"));
        group.sample_size(10).throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new(format!("{count} in calls of"), batch), |b| {
            b.iter_custom(|times| {
                runtime.block_on(async {
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        took += start_and_see(&cluster, count, batch).await;
                    }
                    took
                })
            });
        });
        group.finish();
        runtime.block_on(cluster.shutdown());
    }
}

/// From a start asked of the first node until the third one finds the child.
fn visible(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let cluster = runtime.block_on(Cluster::start(3));
    c.bench_function("start on n1 until visible on n3", |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    let began = Instant::now();
                    cluster.hubs[0].start_children(specs(0..1)).initiate().await.unwrap();
                    while cluster.hubs[2].get_pid(&id(0)).is_none() {
                        tokio::task::yield_now().await;
                    }
                    took += began.elapsed();
                    cluster.stop(1).await;
                    // Changes that follow closely are told together: what is measured is a start on an idle cluster.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                took
            })
        });
    });
    runtime.block_on(cluster.shutdown());
}

criterion_group!(benches, lookup, start, visible);
criterion_main!(benches);
