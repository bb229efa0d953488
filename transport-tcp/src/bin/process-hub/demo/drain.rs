//! An operator empties a node, holds the cluster back, and gives a child to a node: each announced by a plan, and explained.

use std::collections::BTreeMap;

use process_hub_core::request::Status;
use process_hub_core::steering::Plan;
use serde_json::{Value, json};

use super::PATIENCE;
use super::crew::{Crew, Node};
use super::sight::{Places, agreed, all_see_each_other, count_on, shares};
use super::stage::{CHILDREN, all_run, everybody_leaves, gather, start_counters, value};
use super::story::{Story, span, until};
use crate::api::steering::{Done, DrainedRow, ExplanationRow, MigratedRow, ObstacleRow, RuleRow, SteeringRow};
use crate::failure::Outcome;

const COUNT: usize = 90;
const HUB: &str = "/v1/hubs/demo";

pub(super) fn tell(crew: &mut Crew) -> Outcome {
    let mut story = Story::begin("ProcessHub: a node is emptied for maintenance, and filled again");
    story.step("Three nodes start, and 90 counters");
    let nodes = gather(&mut story, crew, &["n1", "n2", "n3"], None)?;
    let started = start_counters(&nodes[0], "order", COUNT)?;
    let (before, _) = until("the registries agree", PATIENCE, || agreed(&nodes, COUNT))?;
    story.check(all_run(&started, COUNT), &format!("all {COUNT} run"))?;
    let plan = a_plan(&mut story, &nodes, &before)?;
    let drained = a_drain(&mut story, &nodes, &before, &plan)?;
    new_children_stay_away(&mut story, &nodes)?;
    a_pause(&mut story, &nodes, &before, &drained)?;
    a_migration(&mut story, &nodes, &before)?;
    story.step("Everybody leaves");
    everybody_leaves(&mut story, crew, &nodes)?;
    story.end();
    Ok(())
}

fn a_plan(story: &mut Story, nodes: &[Node], before: &Places) -> Outcome<Plan> {
    story.step("What would move if n3 went?");
    let plan: Plan = nodes[0].client.post(&format!("{HUB}/plan"), &json!({"leave": {"node": "n3"}}), PATIENCE)?;
    let mut ways: BTreeMap<&str, usize> = BTreeMap::new();
    for planned in &plan.moves {
        *ways.entry(planned.to.first().map_or("nobody", |node| node.as_str())).or_default() += 1;
    }
    let rows = ways.iter().map(|(to, count)| ["n3".to_owned(), (*to).to_owned(), count.to_string()]);
    story.table(&shares(["FROM", "TO", "CHILDREN"], rows));
    let all = usize::try_from(plan.total) == Ok(count_on(before, "n3"));
    story.check(all, &format!("the {} children of n3, and no others", plan.total))?;
    let same = agreed(nodes, COUNT).is_ok_and(|now| now == *before);
    story.check(same, "nothing has moved: it was only asked")?;
    Ok(plan)
}

fn a_drain(story: &mut Story, nodes: &[Node], before: &Places, plan: &Plan) -> Outcome<Places> {
    story.step("n3 is drained");
    let began = std::time::Instant::now();
    let drained: DrainedRow = nodes[2].client.post(&format!("{HUB}/drain?timeout_ms=10000"), &json!({}), PATIENCE)?;
    let took = span(began.elapsed());
    let (after, _) = until("the registries agree", PATIENCE, || {
        all_see_each_other(nodes)?;
        agreed(nodes, COUNT)
    })?;
    story.table(&shares(["NODE", "BEFORE", "AFTER"], two_counts(nodes, before, &after)));
    let empty = drained.status == Status::Ok && count_on(&after, "n3") == 0;
    story.check(empty, &format!("none runs on n3 any more, {took} after it was asked for"))?;
    let as_planned = plan.moves.iter().all(|planned| {
        planned.to.first().is_some_and(|to| after.get(planned.id.as_str()).is_some_and(|(at, _)| at == to.as_str()))
    });
    story.check(as_planned, "each went where the plan had said")?;
    let others = before.iter().filter(|(_, (at, _))| at != "n3").all(|(id, place)| after[id] == *place);
    story.check(others, "the others were not touched: same node, same pid")?;
    let answers = value(&nodes[2], "order-1").is_ok();
    story.check(answers, "n3 is a member as before, and takes requests")?;
    Ok(after)
}

fn new_children_stay_away(story: &mut Story, nodes: &[Node]) -> Outcome {
    story.step("n2 is cordoned, too; new children are started, by a request to n3");
    let done: Done = nodes[1].client.post(&format!("{HUB}/cordon"), &json!({}), PATIENCE)?;
    until("all have heard of the cordon", PATIENCE, || {
        let heard = |node: &Node| steering(node).map(|seen| seen.nodes.get("n2").is_some_and(|n2| n2.cordoned));
        let heard = nodes.iter().map(heard).collect::<Result<Vec<_>, _>>()?;
        if heard.iter().all(|heard| *heard) { Ok(()) } else { Err(format!("heard by {heard:?}")) }
    })?;
    let started = start_counters(&nodes[2], "late", 20)?;
    let (places, _) = until("the registries agree", PATIENCE, || agreed(nodes, COUNT + 20))?;
    let on_n1 = places.iter().filter(|(id, _)| id.starts_with("late-")).all(|(_, (at, _))| at == "n1");
    let text = "all 20 run on n1: a drained node is given none, and a cordoned one none that are new";
    story.check(done.status == Status::Ok && all_run(&started, 20) && on_n1, text)?;
    let ids: Vec<String> = (1..=20).map(|n| format!("late-{n}")).collect();
    let _: Value = nodes[0].client.delete(CHILDREN, &json!({ "ids": ids }), PATIENCE)?;
    let undone: Done = nodes[1].client.post(&format!("{HUB}/uncordon"), &json!({}), PATIENCE)?;
    until("the registries agree", PATIENCE, || agreed(nodes, COUNT))?;
    story.check(undone.status == Status::Ok, "they are stopped, and n2 takes its share again")
}

fn a_pause(story: &mut Story, nodes: &[Node], before: &Places, drained: &Places) -> Outcome {
    story.step("The hub is paused, then n3 is taken back");
    let _: Done = nodes[0].client.post(&format!("{HUB}/pause"), &json!({}), PATIENCE)?;
    until("all have heard of the pause", PATIENCE, || {
        let paused = nodes.iter().map(|node| steering(node).map(|seen| seen.paused)).collect::<Result<Vec<_>, _>>()?;
        if paused.iter().all(|paused| *paused) { Ok(()) } else { Err(format!("heard by {paused:?}")) }
    })?;
    let _: Done = nodes[2].client.post(&format!("{HUB}/undrain"), &json!({}), PATIENCE)?;
    let waiting = before.iter().find(|(_, (at, _))| at == "n3").map(|(id, _)| id.clone()).unwrap_or_default();
    let (why, _) = until("the pause is what keeps a child", PATIENCE, || {
        let why = explain(&nodes[0], &waiting)?;
        let paused = why.obstacles.iter().any(|obstacle| matches!(obstacle, ObstacleRow::Paused));
        if why.owners == ["n3"] && paused { Ok(why) } else { Err(format!("{waiting}: {why:?}")) }
    })?;
    let runs_on: Vec<&str> = why.copies.iter().map(|copy| copy.node.as_str()).collect();
    story.say(&format!(
        "{waiting} belongs to {}, runs on {}: rebalancing is paused",
        why.owners.join(", "),
        runs_on.join(", ")
    ));
    let still = agreed(nodes, COUNT).is_ok_and(|now| now == *drained);
    story.check(still, "nothing moves, and `explain` says why")?;
    let _: Done = nodes[1].client.post(&format!("{HUB}/resume"), &json!({}), PATIENCE)?;
    let (after, took) = until("n3 has its children again", PATIENCE, || {
        let now = agreed(nodes, COUNT)?;
        let moved = now.iter().filter(|(id, (at, _))| *at != before[*id].0).count();
        if moved == 0 { Ok(now) } else { Err(format!("{moved} are not where they were")) }
    })?;
    story.table(&shares(["NODE", "DRAINED", "RESUMED"], two_counts(nodes, drained, &after)));
    story.check(true, &format!("resumed, each runs where it ran in the beginning, after {}", span(took)))?;
    let touched = after.iter().filter(|(id, (at, _))| at != "n3" && after[*id] != drained[*id]).count();
    story.check(touched == 0, "none but those of n3 was touched")
}

fn a_migration(story: &mut Story, nodes: &[Node], before: &Places) -> Outcome {
    story.step("One child is given to n2");
    let busy = before.iter().find(|(_, (at, _))| at == "n1").map(|(id, _)| id.clone()).unwrap_or_default();
    let path = format!("{CHILDREN}/{busy}/migrate");
    let moved: MigratedRow = nodes[2].client.post(&path, &json!({"to": "n2"}), PATIENCE)?;
    let (after, _) = until("the registries agree", PATIENCE, || agreed(nodes, COUNT))?;
    let there = moved.node == "n2" && after[&busy] == ("n2".to_owned(), moved.pid.clone());
    story.check(there, &format!("{busy} went from n1 to n2, where it runs as {}", moved.pid))?;
    let (why, _) = until("it can be explained", PATIENCE, || explain(&nodes[0], &busy))?;
    let assigned = matches!(&why.rule, RuleRow::Assigned { nodes, .. } if *nodes == ["n2"]);
    story.check(assigned && why.obstacles.is_empty(), "every node can explain it: it was given to n2, through n3")
}

fn steering(node: &Node) -> Result<SteeringRow, String> {
    node.client.get(&format!("{HUB}/steering")).map_err(|failure| failure.to_string())
}

fn explain(node: &Node, id: &str) -> Result<ExplanationRow, String> {
    node.client.get(&format!("{CHILDREN}/{id}/explain")).map_err(|failure| failure.to_string())
}

fn two_counts(nodes: &[Node], before: &Places, after: &Places) -> Vec<[String; 3]> {
    let row = |node: &Node| {
        let counts = [before, after].map(|places| count_on(places, &node.name).to_string());
        let [before, after] = counts;
        [node.name.clone(), before, after]
    };
    nodes.iter().map(row).collect()
}
