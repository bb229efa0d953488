//! The first story: a cluster starts, works, grows, loses a node and ends.

use std::collections::BTreeMap;
use std::time::Instant;

use process_hub_core::request::Status;
use serde_json::json;

use super::PATIENCE;
use super::crew::{Crew, Node};
use super::sight::{Places, agreed, all_see_each_other, count_on, shares};
use super::stage::{CHILDREN, all_run, call, everybody_leaves, gather, start, value};
use super::story::{Story, span, until};
use crate::api::StopResultRow;
use crate::client::table;
use crate::failure::{Failure, Outcome};
use crate::manifest;

/// The children, so that the program needs no file.
const MANIFEST: &str = include_str!("children.toml");

pub(super) fn tell(crew: &mut Crew) -> Outcome {
    let mut story = Story::begin("ProcessHub: a cluster of processes on this machine");
    let mut nodes = three_nodes(&mut story, crew)?;
    let before = children_start(&mut story, &nodes)?;
    let mut watched = calls(&mut story, &nodes, &before)?;
    let after = a_node_joins(&mut story, crew, &mut nodes, &before)?;
    check_counts(&mut story, &nodes, &mut watched, &before, &after)?;
    let healed = a_node_dies(&mut story, crew, &mut nodes, &after)?;
    check_counts(&mut story, &nodes, &mut watched, &after, &healed)?;
    everything_stops(&mut story, crew, &nodes, &healed)?;
    story.end();
    Ok(())
}

fn three_nodes(story: &mut Story, crew: &mut Crew) -> Outcome<Vec<Node>> {
    story.step("Three nodes start, each a process of its own");
    gather(story, crew, &["n1", "n2", "n3"], None)
}

fn children_start(story: &mut Story, nodes: &[Node]) -> Outcome<Places> {
    let children = manifest::parse(MANIFEST).map_err(Failure::failed)?.children;
    let count = children.len();
    story.step(&format!("{count} children of a manifest are started, by a request to n1"));
    let began = Instant::now();
    let result = start(&nodes[0], children)?;
    let answered = began.elapsed();
    let (places, _) = until("the registries agree", PATIENCE, || agreed(nodes, count))?;
    let share = |name: &str| format!("{:.0} %", 100.0 * count_on(&places, name) as f64 / count as f64);
    let rows =
        nodes.iter().map(|node| [node.name.clone(), count_on(&places, &node.name).to_string(), share(&node.name)]);
    story.table(&shares(["NODE", "CHILDREN", "SHARE"], rows));
    let all = all_run(&result, count);
    story.check(all, &format!("all {count} run; the answer took {}", span(answered)))?;
    let spread = nodes.iter().all(|node| count_on(&places, &node.name) * 6 > count);
    story.check(spread, "each node has its part of them")?;
    story.check(true, "the three registries are equal, and hold each child once")?;
    Ok(places)
}

fn calls(story: &mut Story, nodes: &[Node], places: &Places) -> Outcome<Watched> {
    story.step("Children are called, each through a node that does not run it");
    let mut rows = table::plain(["CHILD", "RUNS ON", "ASKED OF", "MESSAGE", "ANSWER"]);
    let mut right = true;
    let samples = samples(places, nodes).into_iter().chain(["mirror-1".to_owned()]);
    for (turn, id) in samples.enumerate() {
        let (message, wanted) = match id.starts_with("mirror") {
            true => (json!({"hello": [1, 2, 3]}), json!({"hello": [1, 2, 3]})),
            false => (json!({"add": turn + 1}), json!({"value": turn + 1})),
        };
        let (at, _) = &places[&id];
        let others: Vec<&Node> = nodes.iter().filter(|node| node.name != *at).collect();
        let asked = others[turn % others.len()];
        let answer = call(asked, &id, &message)?;
        right &= answer == wanted;
        rows.add_row([&id, at, &asked.name, &message.to_string(), &answer.to_string()]);
    }
    story.table(&rows);
    story.check(right, "every answer is right")?;
    let began = Instant::now();
    let mut watched = Watched::new();
    for turn in 1..=COUNTED {
        let id = order(turn);
        call(&nodes[turn % nodes.len()], &id, &json!({"add": 1_000 + turn}))?;
        watched.insert(id.clone(), value(&nodes[(turn + 1) % nodes.len()], &id)?);
    }
    let took = span(began.elapsed());
    let sure = (1..=COUNTED).all(|turn| usize::try_from(watched[&order(turn)]) == Ok(1_000 + turn));
    story
        .check(sure, &format!("{COUNTED} counters were raised through one node and read through another, in {took}"))?;
    Ok(watched)
}

fn a_node_joins(story: &mut Story, crew: &mut Crew, nodes: &mut Vec<Node>, before: &Places) -> Outcome<Places> {
    story.step("A fourth node joins");
    let began = Instant::now();
    let old = nodes.clone();
    let node = crew.start("n4", &[old[0].reached_at.clone()])?;
    nodes.push(node);
    let count = before.len();
    let (after, _) = until("four nodes share the children", PATIENCE, || {
        all_see_each_other(nodes)?;
        let places = agreed(nodes, count)?;
        let owned = count_on(&places, "n4");
        if owned * 8 > count { Ok(places) } else { Err(format!("n4 has {owned} children")) }
    })?;
    let took = span(began.elapsed());
    let moved = |id: &&String| after[*id].0 != before[*id].0;
    let rows = nodes.iter().map(|node| {
        let gave = before.keys().filter(moved).filter(|id| before[*id].0 == node.name).count();
        let got = after.keys().filter(moved).filter(|id| after[*id].0 == node.name).count();
        let counts = [count_on(before, &node.name), gave, got, count_on(&after, &node.name)];
        let [had, gave, got, has] = counts.map(|count| count.to_string());
        [node.name.clone(), had, gave, got, has]
    });
    story.table(&shares(["NODE", "BEFORE", "GAVE", "GOT", "AFTER"], rows));
    let movers = before.keys().filter(moved).count();
    story.check(
        after.len() == count,
        &format!("all {count} run, each once; the four registries are equal, after {took}"),
    )?;
    let only = before.keys().filter(moved).all(|id| after[id].0 == "n4");
    story.check(only, &format!("{movers} children moved, all of them to n4: what need not move stays"))?;
    Ok(after)
}

fn a_node_dies(story: &mut Story, crew: &mut Crew, nodes: &mut Vec<Node>, before: &Places) -> Outcome<Places> {
    story.step("n2 is killed with SIGKILL");
    let began = Instant::now();
    crew.kill("n2")?;
    nodes.retain(|node| node.name != "n2");
    let count = before.len();
    let (after, _) = until("the survivors take over", PATIENCE, || {
        all_see_each_other(nodes)?;
        agreed(nodes, count)
    })?;
    let took = span(began.elapsed());
    let orphan = |id: &&String| before[*id].0 == "n2";
    let rows = nodes.iter().map(|node| {
        let got = before.keys().filter(orphan).filter(|id| after[*id].0 == node.name).count();
        let counts = [count_on(before, &node.name), got, count_on(&after, &node.name)];
        let [had, got, has] = counts.map(|count| count.to_string());
        [node.name.clone(), had, got, has]
    });
    story.table(&shares(["NODE", "BEFORE", "TOOK OVER", "AFTER"], rows));
    let orphans = before.keys().filter(orphan).count();
    let text = format!("all {orphans} children of n2 run again, {took} after the kill; the three registries are equal");
    story.check(after.len() == count, &text)?;
    let still = before.keys().filter(|id| !orphan(id)).all(|id| before[id] == after[id]);
    story.check(still, &format!("the other {} were not touched: same node, same pid", count - orphans))?;
    Ok(after)
}

fn everything_stops(story: &mut Story, crew: &mut Crew, nodes: &[Node], places: &Places) -> Outcome {
    story.step("Everything is stopped");
    let ids: Vec<&String> = places.keys().collect();
    let body = json!({ "ids": ids, "await": true, "timeout_ms": 10_000 });
    let result: StopResultRow = nodes[0].client.delete(CHILDREN, &body, PATIENCE)?;
    let all = result.status == Status::Ok && result.stopped.len() == places.len();
    story.check(all, &format!("all {} children ended, as their nodes confirm", places.len()))?;
    until("the registries are empty", PATIENCE, || agreed(nodes, 0))?;
    story.check(true, "the three registries are empty")?;
    everybody_leaves(story, crew, nodes)
}

/// Every watched counter is asked: one that stayed where it was must have kept its count, one that had to begin anew
/// must have done so.
fn check_counts(story: &mut Story, nodes: &[Node], watched: &mut Watched, before: &Places, after: &Places) -> Outcome {
    let mut stayed = 0;
    let mut wrong = Vec::new();
    for (turn, (id, count)) in watched.iter_mut().enumerate() {
        if before[id] == after[id] {
            stayed += 1;
        } else {
            *count = 0;
        }
        let found = value(&nodes[turn % nodes.len()], id)?;
        if found != *count {
            wrong.push(format!("{id} holds {found}, not {count}"));
        }
    }
    for line in &wrong {
        story.say(line);
    }
    let anew = watched.len() - stayed;
    let text = format!("of {} counters, {stayed} stayed and kept their counts, {anew} began anew", watched.len());
    story.check(wrong.is_empty(), &text)
}

/// Counters that are followed through the story, and what each must hold.
type Watched = BTreeMap<String, i64>;

/// How many of the counters are raised and watched.
const COUNTED: usize = 60;

fn order(turn: usize) -> String {
    format!("order-{turn}")
}

/// Two counters of every node, beyond those that are watched.
fn samples(places: &Places, nodes: &[Node]) -> Vec<String> {
    let fresh = |id: &&String| id.starts_with("order-") && id[6..].parse().is_ok_and(|n: usize| n > COUNTED);
    let of = |node: &Node| {
        let here = places.iter().filter(|(_, (at, _))| *at == node.name).map(|(id, _)| id);
        here.filter(fresh).take(2).cloned().collect::<Vec<_>>()
    };
    nodes.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_is_the_manifest_of_the_demonstration() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/children.toml");
        assert_eq!(std::fs::read_to_string(example).unwrap(), super::MANIFEST);
        assert_eq!(crate::manifest::parse(super::MANIFEST).unwrap().children.len(), 300);
    }
}
