//! What nodes say about the cluster and the hub `demo`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::process::Node;
use super::{until, when};

pub(crate) const CHILDREN: &str = "/v1/hubs/demo/children";

/// Child → (node, pid).
pub(crate) type Places = BTreeMap<String, (String, String)>;

/// Nodes of these names, each told where the first one is, once they see each other.
pub(crate) fn cluster<const N: usize>(names: [&str; N]) -> [Node; N] {
    cluster_with(names, &[])
}

/// The same, and each is told this, too.
pub(crate) fn cluster_with<const N: usize>(names: [&str; N], args: &[&str]) -> [Node; N] {
    let mut first: Option<String> = None;
    let nodes = names.map(|name| match &first {
        Some(addr) => Node::start(name, &[args, &["--join", addr]].concat()),
        None => {
            let node = Node::start(name, args);
            first = Some(node.listen.clone());
            node
        }
    });
    let all: Vec<&Node> = nodes.iter().collect();
    meet(&all);
    nodes
}

/// Waits until exactly these nodes are up for each of them, and take part in the hub.
pub(crate) fn meet(nodes: &[&Node]) {
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    for node in nodes {
        sees(node, &names);
    }
}

/// Waits until exactly these are up for `node`, and take part in the hub.
pub(crate) fn sees(node: &Node, names: &[&str]) {
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.sort();
    until(&format!("{} sees {names:?}", node.name), || {
        let (up, hub) = (with_state(node, "up"), hub_nodes(node));
        when(up == names && hub == names, (up, hub))
    });
}

/// The members that `node` takes to be in that state.
pub(crate) fn with_state(node: &Node, state: &str) -> Vec<String> {
    let (_, members) = node.get("/v1/members");
    let rows = members.as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> =
        rows.iter().filter(|row| row["state"] == state).map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn hub_nodes(node: &Node) -> Vec<String> {
    let (_, hubs) = node.get("/v1/hubs");
    let nodes = hubs[0]["nodes"].as_array().cloned().unwrap_or_default();
    nodes.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The boot under which `node` knows `name`.
pub(crate) fn boot_of(node: &Node, name: &str) -> u64 {
    let (_, members) = node.get("/v1/members");
    let row = members.as_array().unwrap().iter().find(|row| row["name"] == name).cloned().unwrap();
    row["boot"].as_str().unwrap().parse().unwrap()
}

/// Counters `PREFIX0` to `PREFIX{count - 1}`, started through `node`.
pub(crate) fn start_counters(node: &Node, prefix: &str, count: usize) {
    let children: Vec<Value> = (0..count).map(|n| json!({"id": format!("{prefix}{n}"), "kind": "counter"})).collect();
    let (status, result) = node.post(CHILDREN, &json!({ "children": children }));
    assert_eq!((status, &result["status"]), (200, &json!("ok")), "{result}");
    assert_eq!(result["started"].as_array().unwrap().len(), count);
}

/// What `node` has placed where; an error if anything is placed more or less than once.
pub(crate) fn places(node: &Node) -> Result<Places, String> {
    let (status, rows) = node.get("/v1/hubs/demo/registry");
    let rows = rows.as_object().ok_or_else(|| format!("{} answers {status}", node.name))?;
    let mut places = Places::new();
    for (id, row) in rows {
        match row["placements"].as_array().map(Vec::as_slice) {
            Some([one]) => {
                let text = |key: &str| one[key].as_str().unwrap().to_owned();
                places.insert(id.clone(), (text("node"), text("pid")));
            }
            other => return Err(format!("{} has {id} placed {other:?}", node.name)),
        }
    }
    Ok(places)
}

/// What all of `nodes` have placed where; an error if they differ.
pub(crate) fn same_places(nodes: &[&Node]) -> Result<Places, String> {
    let first = places(nodes[0])?;
    for node in &nodes[1..] {
        if places(node)? != first {
            return Err(format!("{} and {} differ", nodes[0].name, node.name));
        }
    }
    Ok(first)
}

/// Waits until all of `nodes` hold one registry of `count` children, each placed once, on one of them.
pub(crate) fn agreed(nodes: &[&Node], count: usize) -> Places {
    let look = || {
        let first = same_places(nodes)?;
        if first.len() != count {
            return Err(format!("{} holds {} children", nodes[0].name, first.len()));
        }
        if let Some((at, _)) = first.values().find(|(at, _)| nodes.iter().all(|node| node.name != *at)) {
            return Err(format!("{} has a child on {at}", nodes[0].name));
        }
        Ok(first)
    };
    until(&format!("{} nodes hold the same {count} children", nodes.len()), look)
}

/// What a child answers to a message sent through `node`.
pub(crate) fn call(node: &Node, id: &str, message: &Value) -> (u16, Value) {
    node.post(&format!("{CHILDREN}/{id}/call"), message)
}

/// Adds to a counter through `node`; its value after that.
pub(crate) fn add(node: &Node, id: &str, n: i64) -> i64 {
    let (status, answer) = call(node, id, &json!({ "add": n }));
    assert_eq!(status, 200, "{answer}");
    answer["value"].as_i64().unwrap()
}
