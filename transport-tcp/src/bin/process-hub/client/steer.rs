//! The commands that steer where children run, and ask about it.

use std::collections::BTreeMap;
use std::time::Duration;

use process_hub_core::request::Status;
use process_hub_core::steering::Plan;
use serde_json::{Value, json};

use super::http::{Client, segment};
use super::{at, print_json, say, table, to_json};
use crate::api::HubRow;
use crate::api::steering::{
    Done, DrainedRow, ExplanationRow, ForgetBody, LabelsBody, MigrateBody, MigratedRow, NodeRow, ObstacleRow, PlanBody,
    RuleRow, SizeBody, SteeringRow, WeightBody,
};
use crate::args::{
    ClientArgs, DrainArgs, ExplainArgs, ForgetArgs, HubArgs, LabelsArgs, MigrateArgs, PlanArgs, PlanChange, ResetArgs,
    WeightArgs,
};
use crate::failure::{Failure, Outcome};
use crate::output::line;

/// What is done at once takes no longer than any request.
const AT_ONCE: Duration = Duration::ZERO;

/// `process-hub hubs`
pub(crate) fn hubs(args: &ClientArgs) -> Outcome {
    let client = Client::from_args(args)?;
    let hubs: Vec<HubRow> = client.get("/v1/hubs")?;
    let mut rows = Vec::new();
    for hub in hubs {
        let steering: SteeringRow = client.get(&format!("/v1/hubs/{}/steering", segment(&hub.name)))?;
        rows.push((hub, steering));
    }
    if args.json {
        let with = |(hub, steering): &(HubRow, SteeringRow)| {
            let mut row = to_json(hub)?;
            row["steering"] = to_json(steering)?;
            Ok(row)
        };
        return print_json(&rows.iter().map(with).collect::<Outcome<Vec<Value>>>()?);
    }
    for (hub, steering) in &rows {
        let locked = if hub.locked { "; locked: it has no quorum" } else { "" };
        let paused = if steering.paused { "; paused: nothing is moved" } else { "" };
        line(format_args!("hub {}: {} children{locked}{paused}", hub.name, hub.children));
        line(format_args!("at most {} at a time are on their way from a node", steering.concurrent_moves));
        table::print(&nodes(hub, steering));
    }
    Ok(())
}

fn nodes(hub: &HubRow, steering: &SteeringRow) -> comfy_table::Table {
    let mut rows = table::plain(["NODE", "RUNS", "WEIGHT", "GIVEN", "LABELS"]);
    for (name, node) in &steering.nodes {
        let runs = hub.running.get(name).copied().unwrap_or(0).to_string();
        rows.add_row([name, &runs, &node.weight.to_string(), given(node), &node.labels.join(" ")]);
    }
    rows
}

fn given(node: &NodeRow) -> &'static str {
    match (node.draining, node.cordoned) {
        (true, _) => "nothing (draining)",
        (false, true) => "nothing new (cordoned)",
        (false, false) => "its share",
    }
}

/// `process-hub explain`
pub(crate) fn explain(args: &ExplainArgs) -> Outcome {
    let hub = at(&args.at)?;
    let why: ExplanationRow = hub.get(&format!("/children/{}/explain", segment(&args.id)))?;
    if args.at.client.json {
        return print_json(&why);
    }
    let owners = if why.owners.is_empty() { "nobody".to_owned() } else { why.owners.join(", ") };
    line(format_args!("{} belongs to {owners}: {}", why.id, rule(&why.rule)));
    let mut rows = table::plain(["COPY ON", "PID", "ROLE", "SERVES"]);
    for copy in &why.copies {
        let serves = if copy.serves { "yes" } else { "no" };
        rows.add_row([&copy.node, &copy.pid, &table::word(&copy.role), serves]);
    }
    if why.copies.is_empty() {
        line("it runs nowhere");
    } else {
        table::print(&rows);
    }
    match why.obstacles.as_slice() {
        [] => line("it is where it belongs"),
        several => several.iter().for_each(|obstacle| line(format_args!("in the way: {}", obstacle_words(obstacle)))),
    }
    Ok(())
}

fn rule(rule: &RuleRow) -> String {
    match rule {
        RuleRow::ConsistentHashing { hash } => format!("by its hash, {hash}, among the hub's nodes"),
        RuleRow::Mapping { nodes } => format!("its start named {}", nodes.join(", ")),
        RuleRow::LoadBalancer { nodes } => format!("the load balancer chose {}", nodes.join(", ")),
        RuleRow::Assigned { nodes, through } => format!("it was given to {} through {through}", nodes.join(", ")),
        RuleRow::Unassigned => "the load balancer has yet to choose".to_owned(),
        RuleRow::Custom => "a strategy of the hub's own says so".to_owned(),
    }
}

fn obstacle_words(obstacle: &ObstacleRow) -> String {
    match obstacle {
        ObstacleRow::NoOwner => "no node that could own it is there, or has what it requires".to_owned(),
        ObstacleRow::ViewIncomplete { nodes } => format!("{} have yet to install this view", nodes.join(", ")),
        ObstacleRow::Paused => "rebalancing is paused: process-hub resume".to_owned(),
        ObstacleRow::Held => "it is about to be moved: its copies must be known everywhere first".to_owned(),
        ObstacleRow::Occupied { node } => format!("its copy on {node} has to end first"),
        ObstacleRow::BackOff => "it failed on this node, and waits for its next start".to_owned(),
        ObstacleRow::Deferred => {
            "its copy on this node stays for now: a move was refused or failed, and is tried again".to_owned()
        }
        ObstacleRow::Queued => "it waits until fewer children are on their way".to_owned(),
        ObstacleRow::Locked => "the hub is locked on this node: it has lost its quorum".to_owned(),
        ObstacleRow::Starting { node } => format!("{node} has yet to start it"),
        ObstacleRow::Other => "something that this program does not know: use that of the node".to_owned(),
    }
}

/// `process-hub plan`
pub(crate) fn plan(args: &PlanArgs) -> Outcome {
    let (hub_args, body, what) = match &args.change {
        PlanChange::Join { node, weight, label, at } => {
            let body = PlanBody::Join { node: node.clone(), weight: *weight, labels: label.clone() };
            (at, body, format!("{node} joined"))
        }
        PlanChange::Leave { node, at } => (at, PlanBody::Leave { node: node.clone() }, format!("{node} went")),
        PlanChange::Weight { node, weight, at } => {
            let body = PlanBody::Weight { node: node.clone(), weight: *weight };
            (at, body, format!("{node} had weight {weight}"))
        }
    };
    let hub = at(hub_args)?;
    let plan: Plan = hub.post("/plan", &to_json(&body)?, AT_ONCE)?;
    if hub_args.client.json {
        return print_json(&plan);
    }
    let mut ways: BTreeMap<[String; 2], usize> = BTreeMap::new();
    for planned in &plan.moves {
        *ways.entry([&planned.from, &planned.to].map(|nodes| joined(nodes))).or_default() += 1;
    }
    if !ways.is_empty() {
        let mut rows = table::plain(["FROM", "TO", "CHILDREN"]);
        for ([from, to], count) in &ways {
            rows.add_row([from, to, &count.to_string()]);
        }
        table::print(&rows);
    }
    let listed = plan.moves.len() as u64;
    let part = if listed < plan.total { format!("; the table counts the first {listed}") } else { String::new() };
    line(format_args!("if {what}, {} children would belong elsewhere{part}", plan.total));
    Ok(())
}

fn joined(nodes: &[process_hub_core::id::NodeId]) -> String {
    if nodes.is_empty() {
        return "nobody".to_owned();
    }
    nodes.iter().map(|node| node.as_str()).collect::<Vec<_>>().join(",")
}

/// `process-hub migrate`
pub(crate) fn migrate(args: &MigrateArgs) -> Outcome {
    let hub = at(&args.at)?;
    let body = to_json(&MigrateBody { to: args.node.clone(), timeout_ms: Some(args.timeout) })?;
    let path = format!("/children/{}/migrate", segment(&args.id));
    let moved: MigratedRow = hub.post(&path, &body, Duration::from_millis(args.timeout))?;
    if args.at.client.json {
        return print_json(&moved);
    }
    line(format_args!("{} runs on {} as {}", moved.id, moved.node, moved.pid));
    Ok(())
}

/// `process-hub drain`
pub(crate) fn drain(args: &DrainArgs) -> Outcome {
    let hub = at(&args.at)?;
    let path = format!("/drain?timeout_ms={}", args.timeout);
    let drained: DrainedRow = hub.post(&path, &json!({}), Duration::from_millis(args.timeout))?;
    if args.at.client.json {
        print_json(&drained)?;
    }
    say(args.at.client.json, &format!("{} is given no children until it is undrained", drained.node));
    match drained.status {
        Status::Ok => {
            say(args.at.client.json, "none runs there any more");
            Ok(())
        }
        Status::Error => {
            let text = format!("{} children still run on {}", drained.left, drained.node);
            Err(Failure::failed(text).hint("they move all the same; see process-hub explain for what is in the way"))
        }
    }
}

/// `process-hub leave-hub`
pub(crate) fn leave_hub(args: &DrainArgs) -> Outcome {
    let hub = at(&args.at)?;
    let path = format!("/leave?timeout_ms={}", args.timeout);
    let gone: DrainedRow = hub.post(&path, &json!({}), Duration::from_millis(args.timeout))?;
    if args.at.client.json {
        print_json(&gone)?;
    }
    say(args.at.client.json, &format!("{} takes part in hub {} no more", gone.node, hub.name));
    match gone.status {
        Status::Ok => Ok(()),
        Status::Error => {
            let text = format!("{} children had not moved in time, and were ended there", gone.left);
            Err(Failure::failed(text).hint("other nodes start them"))
        }
    }
}

/// `process-hub cordon`
pub(crate) fn cordon(args: &HubArgs) -> Outcome {
    simple(args, "cordon", &json!({}), |node| format!("{node} is given nothing new until it is uncordoned"))
}

/// `process-hub uncordon`
pub(crate) fn uncordon(args: &HubArgs) -> Outcome {
    simple(args, "uncordon", &json!({}), |node| format!("{node} is given its share again"))
}

/// `process-hub undrain`
pub(crate) fn undrain(args: &HubArgs) -> Outcome {
    simple(args, "undrain", &json!({}), |node| format!("{node} is given children again"))
}

/// `process-hub pause`
pub(crate) fn pause(args: &HubArgs) -> Outcome {
    simple(args, "pause", &json!({}), |_| "nothing is moved until rebalancing is resumed".to_owned())
}

/// `process-hub resume`
pub(crate) fn resume(args: &HubArgs) -> Outcome {
    simple(args, "resume", &json!({}), |_| "what belongs elsewhere moves".to_owned())
}

/// `process-hub set-weight`
pub(crate) fn set_weight(args: &WeightArgs) -> Outcome {
    let body = to_json(&WeightBody { weight: args.weight })?;
    simple(&args.at, "weight", &body, |node| format!("{node} has weight {}", args.weight))
}

/// `process-hub set-labels`
pub(crate) fn set_labels(args: &LabelsArgs) -> Outcome {
    let body = to_json(&LabelsBody { labels: args.labels.clone() })?;
    let has = if args.labels.is_empty() { "no labels".to_owned() } else { args.labels.join(" ") };
    simple(&args.at, "labels", &body, |node| format!("{node} has {has}"))
}

/// `process-hub forget`
pub(crate) fn forget(args: &ForgetArgs) -> Outcome {
    let body = to_json(&ForgetBody { node: args.node.clone() })?;
    simple(&args.at, "forget", &body, |_| format!("nothing is kept for the sake of {} any more", args.node))
}

/// `process-hub reset-cluster-size`
pub(crate) fn reset_cluster_size(args: &ResetArgs) -> Outcome {
    let body = to_json(&SizeBody { size: args.size })?;
    simple(&args.at, "cluster-size", &body, |_| format!("the cluster is taken to have {} nodes", args.size))
}

fn simple(args: &HubArgs, act: &str, body: &Value, words: impl Fn(&str) -> String) -> Outcome {
    let hub = at(args)?;
    let done: Done = hub.post(&format!("/{act}"), body, AT_ONCE)?;
    if args.client.json {
        return print_json(&done);
    }
    line(words(&done.node));
    Ok(())
}
