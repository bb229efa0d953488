//! What happens in every story: nodes gather, children start and are called, everybody goes.

use std::time::{Duration, Instant};

use process_hub_core::request::Status;
use serde_json::{Map, Value, json};

use super::PATIENCE;
use super::crew::{Crew, Node};
use super::network::Network;
use super::sight::all_see_each_other;
use super::story::{Story, span, until};
use crate::api::{NewChild, StartBody, StartResultRow};
use crate::client::http::segment;
use crate::client::table;
use crate::failure::{Failure, Outcome};

/// Where the children of the demonstration's hub are.
pub(super) const CHILDREN: &str = "/v1/hubs/demo/children";

/// Starts nodes of these names, behind the doors of a network if there is one, and shows them once they see each other.
pub(super) fn gather(
    story: &mut Story,
    crew: &mut Crew,
    names: &[&str],
    network: Option<&Network>,
) -> Outcome<Vec<Node>> {
    let began = Instant::now();
    let mut nodes: Vec<Node> = Vec::new();
    for name in names {
        let join: Vec<String> = nodes.iter().take(1).map(|node| node.reached_at.clone()).collect();
        nodes.push(match network {
            None => crew.start(name, &join)?,
            Some(network) => crew.start_behind(network, name, &join)?,
        });
    }
    until("the nodes find each other", PATIENCE, || all_see_each_other(&nodes))?;
    let mut rows = table::plain(["NODE", "PROCESS", "LISTENS AT", "ADMIN API"]);
    for node in &nodes {
        rows.add_row([&node.name, &node.os_pid.to_string(), &node.listen, &node.admin]);
    }
    story.table(&rows);
    let count = in_words(nodes.len());
    story.check(true, &format!("each sees all {count} up, {} after the first was started", span(began.elapsed())))?;
    Ok(nodes)
}

/// Starts `count` counters, `PREFIX-1` and on, by a request to `node`, and waits until they run.
pub(super) fn start_counters(node: &Node, prefix: &str, count: usize) -> Outcome<StartResultRow> {
    let child = |n: usize| NewChild {
        id: format!("{prefix}-{n}"),
        kind: "counter".to_owned(),
        args: Value::Null,
        restart: Default::default(),
        metadata: Map::new(),
        requires: Vec::new(),
    };
    start(node, (1..=count).map(child).collect())
}

/// Starts children by a request to `node`, and waits until they run.
pub(super) fn start(node: &Node, children: Vec<NewChild>) -> Outcome<StartResultRow> {
    start_with(node, &StartBody { timeout_ms: Some(10_000), ..StartBody::of(children) })
}

/// The same, as the body of the request says.
pub(super) fn start_with(node: &Node, body: &StartBody) -> Outcome<StartResultRow> {
    let body = serde_json::to_value(body).map_err(Failure::failed)?;
    node.client.post(CHILDREN, &body, PATIENCE)
}

/// Whether all of a batch of `count` runs.
pub(super) fn all_run(result: &StartResultRow, count: usize) -> bool {
    result.status == Status::Ok && result.started.len() == count
}

/// What a child answers to a message sent through `node`.
pub(super) fn call(node: &Node, id: &str, message: &Value) -> Outcome<Value> {
    let path = format!("{CHILDREN}/{}/call?timeout_ms=5000", segment(id));
    node.client.post(&path, message, Duration::from_secs(5))
}

/// Adds to a counter through `node`.
pub(super) fn add(node: &Node, id: &str, n: usize) -> Outcome<i64> {
    number(id, &call(node, id, &json!({ "add": n }))?)
}

/// What a counter holds, asked through `node`.
pub(super) fn value(node: &Node, id: &str) -> Outcome<i64> {
    number(id, &call(node, id, &json!({"get": null}))?)
}

fn number(id: &str, answer: &Value) -> Outcome<i64> {
    answer["value"].as_i64().ok_or_else(|| Failure::failed(format!("{id} answers {answer}")))
}

/// Everybody leaves, and every process ends well.
pub(super) fn everybody_leaves(story: &mut Story, crew: &mut Crew, nodes: &[Node]) -> Outcome {
    let ended = crew.dismiss()?;
    let clean = ended.len() == nodes.len() && ended.iter().all(|(_, status)| status.success());
    story.check(clean, &format!("the {} processes left the cluster and ended with status 0", in_words(nodes.len())))
}

/// A small number for people.
pub(super) fn in_words(count: usize) -> String {
    let words = ["no", "one", "two", "three", "four", "five"];
    words.get(count).map_or_else(|| count.to_string(), |word| (*word).to_owned())
}
