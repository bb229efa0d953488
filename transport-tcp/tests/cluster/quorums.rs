//! Quorums: nodes that are killed, the lock of who is left, and what it takes to serve again.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::cluster::{CHILDREN, add, agreed, call, cluster_with, meet, sees, start_counters};
use crate::support::http::refused;
use crate::support::process::{Node, client, says};
use crate::support::{until, when};

/// Times of a quorum that a test can wait for.
const QUICK: [&str; 6] = ["--set", "lease=1s", "--set", "stop_timeout=500ms", "--set", "pause_bound=500ms"];
const STALE: &str = "stale: hub demo is locked on this node, and what it knows may be out of date";

fn told(partition: &str) -> Vec<&str> {
    [&["--partition", partition], &QUICK[..]].concat()
}

fn hub(node: &Node) -> Value {
    node.get("/v1/hubs").1[0].clone()
}

fn is_locked(node: &Node) {
    until(&format!("{} is locked", node.name), || {
        let hub = hub(node);
        when(hub["locked"] == json!(true), hub)
    });
}

fn serves(node: &Node) {
    until(&format!("{} serves", node.name), || {
        let hub = hub(node);
        when(hub.get("locked").is_none(), hub)
    });
}

/// A node that is left alone with what it knows of `count` children: it runs none, refuses what it must, with words, and
/// marks what it answers.
fn shows_its_lock(node: &Node, count: usize) {
    is_locked(node);
    until("it runs nothing", || {
        let hub = hub(node);
        when(hub["running"] == json!({}), hub)
    });
    let child = format!("{CHILDREN}/c1");
    refused(&node.post(CHILDREN, &json!({"children": [{"id": "new", "kind": "counter"}]})), 503, "locked");
    refused(&node.delete(CHILDREN, &json!({"ids": ["c1"]})), 503, "locked");
    refused(&node.delete(&child, &Value::Null), 503, "locked");
    refused(&call(node, "c1", &json!({"get": null})), 503, "locked");
    refused(&node.post(&format!("{child}/migrate"), &json!({ "to": node.name })), 503, "locked");
    refused(&node.post("/v1/hubs/demo/drain", &json!({})), 503, "locked");
    let (status, said) = client(node, &["start", "new", "--kind", "counter"]);
    assert!(status == 1 && said.contains("try again when enough nodes are back"), "{said}");

    let (status, row) = node.get(&child);
    assert_eq!((status, &row["stale"], &row["placements"]), (200, &json!(true), &json!([])), "{row}");
    let (_, rows) = node.get("/v1/hubs/demo/registry");
    let rows = rows.as_object().unwrap();
    assert!(rows.len() == count && rows.values().all(|row| row["stale"] == json!(true)), "{rows:?}");
    for command in [&["get", "c1"][..], &["ls"], &["ls", "--tag", "none"]] {
        says(node, command, STALE);
    }
}

/// All of it, and none of it marked.
fn serves_all(nodes: &[&Node], count: usize) {
    nodes.iter().for_each(|node| serves(node));
    let places = agreed(nodes, count);
    for (id, node) in places.keys().zip(nodes.iter().cycle()) {
        let answer = until(&format!("{id} answers {}", node.name), || {
            let answer = call(node, id, &json!({"get": null}));
            when(answer.0 == 200, answer)
        });
        assert_eq!(answer.1, json!({"value": 0}), "{id} began anew");
    }
    for node in nodes {
        let (_, row) = node.get(&format!("{CHILDREN}/c1"));
        assert!(row.get("stale").is_none(), "{row}");
        let (_, said) = client(node, &["ls"]);
        assert!(!said.contains("stale"), "{said}");
    }
}

/// Starts children through `node` until one of them runs there with a token of a confirmed quorum: before it has had its
/// quorum once, a node without `startup-confirm` serves alone. How many were started is returned.
fn has_had_its_quorum(node: &Node) -> usize {
    let mut started = 0;
    until(&format!("{} has had its quorum", node.name), || {
        let round: Vec<String> = (started..started + 6).map(|n| format!("p{n}")).collect();
        let children: Vec<Value> = round.iter().map(|id| json!({"id": id, "kind": "counter"})).collect();
        let (status, result) = node.post(CHILDREN, &json!({ "children": children }));
        if status != 200 {
            return Err(result);
        }
        started += round.len();
        let (_, rows) = node.get("/v1/hubs/demo/registry");
        let tokens = round.iter().map(|id| &rows[id]["placements"][0]).filter(|place| place["node"] == node.name);
        // A token is LINEAGE.COUNTER.NODE.BOOT; the upper half of its counter is the ballot of the quorum.
        let counter = |place: &Value| place["token"].as_str()?.split('.').nth(1)?.parse::<u64>().ok();
        let counters: Vec<u64> = tokens.filter_map(counter).collect();
        when(counters.iter().any(|counter| counter >> 32 > 0), json!(counters))
    });
    started
}

#[test]
fn under_a_static_quorum_the_last_of_three_is_locked_until_another_one_is_back() {
    let told = told("static:2");
    let [n1, n2, n3] = cluster_with(["n1", "n2", "n3"], &told);
    start_counters(&n1, "c", 30);
    let count = 30 + has_had_its_quorum(&n1);
    for id in agreed(&[&n1, &n2, &n3], count).keys() {
        add(&n1, id, 7);
    }
    n2.kill();
    n3.kill();
    shows_its_lock(&n1, count);
    let n2 = Node::start("n2", &[&told[..], &["--join", &n1.listen]].concat());
    meet(&[&n1, &n2]);
    serves_all(&[&n1, &n2], count);
}

/// I11 of the reference's list.
/// Not even the first lease was granted: who has met enough members and lost them does not serve as one that begins.
#[test]
fn a_static_quorum_that_is_lost_before_its_first_lease_locks_too() {
    let [n1, n2, n3] = cluster_with(["n1", "n2", "n3"], &told("static:2"));
    n2.kill();
    n3.kill();
    is_locked(&n1);
}

#[test]
fn a_static_quorum_that_is_confirmed_at_the_start_serves_nothing_before_it_is_there() {
    let told = [&told("static:2:startup-confirm")[..], &["--set", "first_start=true"]].concat();
    let n1 = Node::start("n1", &told);
    is_locked(&n1);
    refused(&n1.post(CHILDREN, &json!({"children": [{"id": "c0", "kind": "counter"}]})), 503, "locked");
    says(&n1, &["ls"], "no children in hub demo");
    says(&n1, &["ls"], STALE);
    let unknown = n1.get(&format!("{CHILDREN}/c0"));
    refused(&unknown, 404, "unknown_child");
    assert!(unknown.1["error"]["hint"].as_str().unwrap().contains("locked"), "{}", unknown.1);
    let n2 = Node::start("n2", &[&told[..], &["--join", &n1.listen]].concat());
    meet(&[&n1, &n2]);
    [&n1, &n2].into_iter().for_each(serves);
    start_counters(&n1, "c", 10);
    agreed(&[&n1, &n2], 10);
    n2.signal(Signal::TERM);
    let (status, log) = n2.ended();
    assert!(status.success(), "{status}: {log:#?}");
    sees(&n1, &["n1"]);
    shows_its_lock(&n1, 10);
}

/// I12 of the reference's list.
#[test]
fn under_a_dynamic_quorum_two_of_three_serve_and_one_does_not() {
    let told = told("dynamic:60:threshold_time=5m");
    let [n1, n2, n3] = cluster_with(["n1", "n2", "n3"], &told);
    start_counters(&n2, "c", 30);
    agreed(&[&n1, &n2, &n3], 30);
    n3.kill();
    meet(&[&n1, &n2]);
    serves_all(&[&n1, &n2], 30);
    n2.kill();
    shows_its_lock(&n1, 30);
    let n2 = Node::start("n2", &[&told[..], &["--join", &n1.listen]].concat());
    meet(&[&n1, &n2]);
    serves_all(&[&n1, &n2], 30);
}
