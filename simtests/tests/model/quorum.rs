//! The quorums' verdicts on every connection graph of up to five nodes, and what they come to between nodes.
//!
//! A directed graph says who hears whom. The core's rules are integers in, verdict out; what they are worth depends on what
//! is counted, so each way of counting is tried on every graph.

use std::time::Duration;

use process_hub_core::config::Partition;
use process_hub_core::quorum::{Count, Verdict, grants, most_names, verdict};

/// Who hears whom: bit `to` of `hears[from]`, every node itself included.
type Graph = Vec<u32>;

fn undirected(nodes: usize) -> impl Iterator<Item = Graph> {
    let edges: Vec<(usize, usize)> = (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect();
    (0..1_u32 << edges.len()).map(move |chosen| {
        let mut graph: Graph = (0..nodes).map(|node| 1 << node).collect();
        for (_, (a, b)) in edges.iter().enumerate().filter(|(bit, _)| chosen & (1 << bit) != 0) {
            graph[*a] |= 1 << b;
            graph[*b] |= 1 << a;
        }
        graph
    })
}

fn directed(nodes: usize) -> impl Iterator<Item = Graph> {
    let arcs: Vec<(usize, usize)> =
        (0..nodes).flat_map(|a| (0..nodes).filter(move |b| *b != a).map(move |b| (a, b))).collect();
    (0..1_u32 << arcs.len()).map(move |chosen| {
        let mut graph: Graph = (0..nodes).map(|node| 1 << node).collect();
        for (bit, (from, to)) in arcs.iter().enumerate() {
            graph[*from] |= u32::from(chosen & (1 << bit) != 0) << to;
        }
        graph
    })
}

/// Whom a node can reach by any way, itself included.
fn component(graph: &Graph, node: usize) -> u32 {
    let mut reached = 1 << node;
    loop {
        let next = (0..graph.len()).filter(|at| reached & (1 << at) != 0).fold(reached, |all, at| all | graph[at]);
        if next == reached {
            return reached;
        }
        reached = next;
    }
}

/// The rules, in other words than the core's.
fn reference(partition: &Partition, connected: u32, lost: u32, size: u32) -> bool {
    match partition {
        Partition::StaticQuorum { quorum_size, .. } => !(0..*quorum_size).contains(&connected),
        Partition::DynamicQuorum { quorum_size, .. } => lost * 100 <= (100 - quorum_size) * (connected + lost),
        Partition::MajorityQuorum { .. } => connected > size - connected,
        _ => true,
    }
}

fn fixed(quorum_size: u32) -> Partition {
    Partition::StaticQuorum { quorum_size, startup_confirm: true }
}

fn rules(nodes: u32) -> Vec<Partition> {
    let majority = Partition::MajorityQuorum { initial_cluster_size: nodes, track_max_size: true };
    let dynamic = [1, 34, 50, 51, 67, 100]
        .map(|share| Partition::DynamicQuorum { quorum_size: share, threshold_time: Duration::from_secs(30) });
    (1..=nodes).map(fixed).chain([Partition::Divergence, majority]).chain(dynamic).collect()
}

/// Whether two quorums of a rule have a member in common in a cluster of this size.
fn is_safe(rule: &Partition, nodes: u32) -> bool {
    most_names(rule, nodes).is_some_and(|most| nodes <= most)
}

fn holds(rule: &Partition, connected: u32, nodes: u32) -> bool {
    let count = Count { connected, lost: nodes - connected, size: nodes };
    let held = verdict(rule, count) == Verdict::Held;
    assert_eq!(held, reference(rule, connected, nodes - connected, nodes), "{rule:?} {count:?}");
    held
}

/// Counting the members of one's component, which is what a view comes to: with a safe rule at most one component holds.
#[test]
fn of_all_graphs_at_most_one_component_holds_a_safe_quorum() {
    let (mut graphs, mut unsafe_seen) = (0, false);
    for nodes in 1..=5_u32 {
        for graph in undirected(nodes as usize) {
            graphs += 1;
            let components: std::collections::BTreeSet<u32> =
                (0..nodes as usize).map(|node| component(&graph, node)).collect();
            for rule in rules(nodes) {
                let holding = components.iter().filter(|part| holds(&rule, part.count_ones(), nodes)).count();
                assert!(holding <= 1 || !is_safe(&rule, nodes), "{rule:?} {graph:?}");
                unsafe_seen |= holding > 1;
            }
        }
    }
    assert_eq!(graphs, 1 + 2 + 8 + 64 + 1_024);
    assert!(unsafe_seen, "a rule that is not safe was not seen to fail: the check shows nothing");
}

/// Counting whom one can hear is no quorum: on these graphs two nodes that do not hear each other count a majority. That is
/// why nobody counts so; see section 8 of `docs/ALGORITHM.md`.
#[test]
fn counting_whom_one_hears_is_no_quorum_from_three_nodes_on() {
    let majority = |nodes| Partition::MajorityQuorum { initial_cluster_size: nodes, track_max_size: true };
    let fails = |nodes: u32| {
        undirected(nodes as usize)
            .filter(|graph| {
                let held: Vec<usize> = (0..nodes as usize)
                    .filter(|node| holds(&majority(nodes), graph[*node].count_ones(), nodes))
                    .collect();
                held.iter().any(|a| held.iter().any(|b| graph[*a] & (1 << b) == 0))
            })
            .count()
    };
    // Of three, the rows; of four, the rings, and all links but one.
    assert_eq!([1, 2, 3, 4, 5].map(fails), [0, 0, 3, 3 + 6, 597]);
}

/// A lease is renewed by round trips. On every directed graph, any two nodes that a safe quorum has granted a lease have a
/// granter in common, which is who keeps one waiting for the other; a one-way link grants nothing.
#[test]
fn of_all_directed_graphs_any_two_leases_have_a_granter_in_common() {
    let mut leases = 0_u64;
    for nodes in 1..=5_u32 {
        let safe: Vec<u32> =
            rules(nodes).iter().filter(|rule| is_safe(rule, nodes)).filter_map(|rule| grants(rule, nodes)).collect();
        for graph in directed(nodes as usize) {
            let both_ways = |node: usize| {
                (0..nodes as usize).filter(|other| graph[*other] & (1 << node) != 0).fold(0, |set, at| set | 1 << at)
                    & graph[node]
            };
            let granters: Vec<u32> = (0..nodes as usize).map(both_ways).collect();
            for needed in &safe {
                let held: Vec<u32> = granters.iter().copied().filter(|set| set.count_ones() >= *needed).collect();
                leases += held.len() as u64;
                assert!(held.iter().all(|a| held.iter().all(|b| a & b != 0)), "{needed} of {graph:?}");
            }
        }
    }
    assert!(leases > 1_000_000);
}
