//! The partition table: what each partition strategy does under each shape of a partition, found by simulating it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use process_hub_core::config::{HubConfig, Partition};

use crate::scenario::Cluster;

/// How long a cluster is cut.
const CUT: Duration = Duration::from_secs(30);
/// How closely is looked at what runs.
const LOOK: Duration = Duration::from_millis(10);
const CHILDREN: usize = 24;

/// One shape of a partition.
struct Shape {
    name: &'static str,
    nodes: usize,
    /// Whether frames from one node to another are held; nodes count from 1.
    cut: fn(usize, usize) -> bool,
}

fn apart(groups: &[&[usize]], one: usize, other: usize) -> bool {
    let group = |node: usize| groups.iter().position(|group| group.contains(&node));
    group(one) != group(other)
}

fn shapes() -> Vec<Shape> {
    let shape = |name, nodes, cut| Shape { name, nodes, cut };
    vec![
        shape("three and two", 5, |a, b| apart(&[&[1, 2, 3], &[4, 5]], a, b)),
        shape("four and one", 5, |a, b| apart(&[&[1, 2, 3, 4], &[5]], a, b)),
        shape("two, two and one", 5, |a, b| apart(&[&[1, 2], &[3, 4], &[5]], a, b)),
        shape("three and three", 6, |a, b| apart(&[&[1, 2, 3], &[4, 5, 6]], a, b)),
        shape("bridge: 1, 2 - 3 - 4, 5", 5, |a, b| a != 3 && b != 3 && apart(&[&[1, 2], &[4, 5]], a, b)),
        shape("ring", 5, |a, b| !matches!(a.abs_diff(b), 1 | 4)),
        shape("star around 1", 5, |a, b| a != 1 && b != 1),
        shape("one way: 4 and 5 are not heard", 5, |a, b| a >= 4 && b < 4),
        shape("one way: 4 and 5 do not hear", 5, |a, b| a < 4 && b >= 4),
    ]
}

fn strategies(nodes: usize) -> Vec<(String, Partition)> {
    let whole = u32::try_from(nodes).unwrap_or(u32::MAX);
    let quorum_size = whole / 2 + 1;
    vec![
        ("Divergence".to_owned(), Partition::Divergence),
        (format!("StaticQuorum({quorum_size})"), Partition::StaticQuorum { quorum_size, startup_confirm: true }),
        (
            "DynamicQuorum(60 %, 60 s)".to_owned(),
            Partition::DynamicQuorum { quorum_size: 60, threshold_time: Duration::from_secs(60) },
        ),
        (
            format!("MajorityQuorum({nodes})"),
            Partition::MajorityQuorum { initial_cluster_size: whole, track_max_size: true },
        ),
    ]
}

/// What one strategy did under one shape.
struct Outcome {
    serving: BTreeSet<String>,
    locked: BTreeSet<String>,
    /// The longest time that two copies of one child served.
    twice: Duration,
    healed: Duration,
}

fn simulate(shape: &Shape, partition: Partition) -> Outcome {
    let settings = |hub: &mut HubConfig| hub.partition = partition;
    let mut cluster = Cluster::with(shape.nodes, settings);
    let children: Vec<String> = (0..CHILDREN).map(|number| format!("c{number}")).collect();
    cluster.start("n1", &children);
    cluster.settle();
    for from in 1..=shape.nodes {
        for to in (1..=shape.nodes).filter(|to| *to != from && (shape.cut)(from, *to)) {
            cluster.cut_one_way(&format!("n{from}"), &format!("n{to}"));
        }
    }
    let mut twice = Twice::default();
    twice.watch(&mut cluster, CUT);
    let serving = cluster.placed().into_values().flatten().map(|pid| pid.node.as_str().to_owned()).collect();
    let locked = cluster.up().into_iter().filter(|node| cluster.is_locked(node)).collect();
    cluster.heal();
    let before = cluster.now();
    let bound = cluster.bound();
    while !cluster.has_settled() && cluster.now() - before < bound {
        twice.watch(&mut cluster, LOOK);
    }
    assert!(cluster.has_settled(), "{} does not heal", shape.name);
    let healed = cluster.now() - before;
    cluster.assert_converged();
    Outcome { serving, locked, twice: twice.longest, healed }
}

/// For how long each child has been served twice.
#[derive(Default)]
struct Twice {
    since: BTreeMap<String, Duration>,
    longest: Duration,
}

impl Twice {
    fn watch(&mut self, cluster: &mut Cluster, span: Duration) {
        let end = cluster.now() + span;
        while cluster.now() < end {
            cluster.run_for(LOOK);
            let now = cluster.now();
            for (child, pids) in cluster.placed() {
                if pids.len() > 1 {
                    let since = *self.since.entry(child).or_insert(now);
                    self.longest = self.longest.max(now - since + LOOK);
                } else {
                    self.since.remove(&child);
                }
            }
        }
    }
}

fn list(nodes: &BTreeSet<String>, all: usize) -> String {
    match nodes.len() {
        0 => "none".to_owned(),
        count if count == all => "all".to_owned(),
        _ => nodes.iter().cloned().collect::<Vec<_>>().join(" "),
    }
}

/// In whole seconds, rounded up, so that the table changes only where something really does.
fn time(span: Duration, zero: &str) -> String {
    if span.is_zero() { zero.to_owned() } else { format!("≤ {} s", span.as_millis().div_ceil(1_000)) }
}

/// The table as Markdown: each strategy under each shape of a partition, as simulated.
#[must_use]
pub fn partition_table() -> String {
    let mut text = String::from(HEAD);
    for shape in shapes() {
        for (name, partition) in strategies(shape.nodes) {
            let outcome = simulate(&shape, partition);
            let (serving, locked) = (list(&outcome.serving, shape.nodes), list(&outcome.locked, shape.nodes));
            let (twice, healed) = (time(outcome.twice, "never"), time(outcome.healed, "at once"));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {} | {name} | {serving} | {locked} | {twice} | {healed} |", shape.name);
        }
    }
    text
}

const HEAD: &str = "# Partitions: what each strategy does

Written by `process-hub-sim partition-table` from simulation, and compared with it in CI. Each cluster runs 24 children, is
cut for 30 seconds, and heals; timing is the default (lease 3 s, stop timeout 5 s, pause bound 1 s). *Serves* and *locked*
are as at the end of the cut. *Twice* is the longest that two copies of one child ran at a time, cut and heal included.
*Heals in* is the time until all agree again and each child runs once, on its owner.

A bridge, a ring and a star stay whole: messages between two nodes without a link go through a third one. What the table
cannot show is said in [Guarantees](guarantees.md).

| shape | strategy | serves | locked | twice | heals in |
|---|---|---|---|---|---|
";
