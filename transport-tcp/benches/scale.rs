//! Many children on a few processes: start, rest, a join, a kill, each until all nodes agree.
//!
//! `cargo bench -p process-hub-tcp --bench scale -- --children 100000 --idle 120`; not a statistic but a run, whose
//! result is checked in full. It prints the rows of a table.

#![expect(clippy::unwrap_used, reason = "a bench ends where what it needs is not there")]

#[path = "../tests/cluster/support/mod.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod support;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::cluster::{CHILDREN, Places, agreed, cluster, places};
use support::process::Node;

const LIMIT: Duration = Duration::from_secs(120);

fn main() {
    let count = argument("--children", 10_000);
    let idle = Duration::from_secs(argument("--idle", 5));
    let children = usize::try_from(count).unwrap();
    println!("| {children} counters | |\n|---|---|");
    let [n1, n2, n3] = cluster(["n1", "n2", "n3"]);
    let empty = [&n1, &n2, &n3].map(memory);
    start(&[&n1, &n2, &n3], children);
    let before = agreed(&[&n1, &n2, &n3], children);
    let full = [&n1, &n2, &n3].map(memory);
    let each = full.iter().zip(&empty).map(|(full, empty)| (full - empty) / count);
    row("memory a child known to a node (a third of them run on it), bytes", &each.max().unwrap().to_string());
    rest(&[&n1, &n2, &n3], idle);

    let began = Instant::now();
    let n4 = Node::start("n4", &["--join", &n1.listen]);
    let ready = began.elapsed();
    settled(&[&n1, &n2, &n3, &n4], children);
    row(
        "a fourth node: until all four agree and all is placed",
        &format!("{:?}, {ready:?} of it to start", began.elapsed()),
    );
    let after = check(&[&n1, &n2, &n3, &n4], children);
    let moved = before.iter().filter(|(id, place)| after[*id] != **place);
    let moved: Vec<&String> = moved.map(|(id, _)| id).collect();
    assert!(moved.iter().all(|id| after[*id].0 == "n4"), "only to the joiner");
    row("of these moved, all to the fourth", &moved.len().to_string());

    let began = Instant::now();
    n2.kill();
    settled(&[&n1, &n3, &n4], children);
    row("kill -9 of one: until the others agree and all is placed", &format!("{:?}", began.elapsed()));
    let last = check(&[&n1, &n3, &n4], children);
    assert!(after.iter().all(|(id, place)| place.0 == "n2" || last[id] == *place), "only the orphans");
}

fn start(nodes: &[&Node; 3], count: usize) {
    let children: Vec<Value> = (0..count).map(|n| json!({"id": format!("c{n}"), "kind": "counter"})).collect();
    let body = json!({ "children": children, "timeout_ms": 100_000 });
    let began = Instant::now();
    let (status, result) = nodes[0].post(CHILDREN, &body);
    let answered = began.elapsed();
    assert_eq!((status, &result["status"]), (200, &json!("ok")));
    settled(nodes, count);
    row("one awaited start of all, through HTTP: answered", &format!("{answered:?}"));
    row("... seen by all three nodes", &format!("{:?}", began.elapsed()));
}

/// Nothing happens, and that is what is measured.
fn rest(nodes: &[&Node], idle: Duration) {
    let then: Vec<(u64, f64)> = nodes.iter().map(|node| (memory(node), processor_time(node))).collect();
    thread::sleep(idle);
    let mut worst = (0_i64, 0.0_f64);
    for (node, (bytes, seconds)) in nodes.iter().zip(then) {
        let grown = i64::try_from(memory(node)).unwrap() - i64::try_from(bytes).unwrap();
        let used = 100.0 * (processor_time(node) - seconds) / idle.as_secs_f64();
        worst = (worst.0.max(grown), worst.1.max(used));
    }
    row(&format!("{idle:?} at rest: growth of a node, KiB"), &(worst.0 / 1_024).to_string());
    row("... processor time of a node, % of one core", &format!("{:.1}", worst.1));
}

/// Waits, at little cost to the nodes, until all of them know every child to run once on them.
fn settled(nodes: &[&Node], count: usize) {
    let end = Instant::now() + LIMIT;
    loop {
        let views: Vec<BTreeMap<String, u64>> = nodes.iter().map(|node| running(node)).collect();
        let all = views.iter().all(|view| *view == views[0]);
        let complete = views[0].len() == nodes.len() && views[0].values().sum::<u64>() == count as u64;
        if all && complete {
            return;
        }
        assert!(Instant::now() < end, "not within {LIMIT:?}: {views:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn running(node: &Node) -> BTreeMap<String, u64> {
    let (_, hubs) = node.get("/v1/hubs");
    serde_json::from_value(hubs[0]["running"].clone()).unwrap_or_default()
}

/// All of it, child by child.
fn check(nodes: &[&Node], count: usize) -> Places {
    let all = agreed(nodes, count);
    assert!(nodes.iter().all(|node| places(node).as_ref() == Ok(&all)), "and it stays so");
    all
}

/// Resident bytes.
fn memory(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.os_pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// Seconds of processor time so far.
fn processor_time(node: &Node) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.os_pid())).unwrap();
    // The name in parentheses may hold anything; what follows it does not.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|n: &usize| fields[*n].parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

fn argument(name: &str, usual: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(usual, |value| value.parse().unwrap())
}
