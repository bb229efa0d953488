//! Children whose nodes their caller names: they run there or nowhere, and come back with their node.

use std::time::Instant;

use process_hub_core::request::Status;
use serde_json::{Map, Value};

use super::PATIENCE;
use super::crew::{Crew, Node};
use super::sight::{Copies, all_see_each_other, copies, shares};
use super::stage::{CHILDREN, all_run, everybody_leaves, gather, start_with, value};
use super::story::{Story, span, until};
use crate::api::steering::{ExplanationRow, ObstacleRow, RuleRow};
use crate::api::{Mapping, NewChild, StartBody};
use crate::client::table;
use crate::failure::Outcome;

const COUNT: usize = 30;
const TOLD: [&str; 2] = ["--distribution", "guided"];

pub(super) fn tell(crew: &mut Crew) -> Outcome {
    let mut story = Story::begin("ProcessHub: children run on the nodes that their caller names");
    crew.tell_all(&TOLD);
    story.step("Three nodes start");
    story.say(&format!("each is told {}", TOLD.join(" ")));
    let mut nodes = gather(&mut story, crew, &["n1", "n2", "n3"], None)?;
    what_makes_no_sense(&mut story, &nodes)?;
    let before = children_start(&mut story, &nodes)?;
    a_node_joins(&mut story, crew, &mut nodes, &before)?;
    let (survivors, waiting) = their_node_dies(&mut story, crew, &nodes, &before)?;
    let nodes = they_come_back(&mut story, crew, &survivors, &waiting)?;
    story.step("Everybody leaves");
    everybody_leaves(&mut story, crew, &nodes)?;
    story.end();
    Ok(())
}

fn lamp(n: usize) -> NewChild {
    NewChild {
        id: format!("lamp-{n}"),
        kind: "counter".to_owned(),
        args: Value::from(n),
        restart: Default::default(),
        metadata: Map::new(),
        requires: Vec::new(),
    }
}

/// Lamp 1 hangs at n1, lamp 2 at n2, and so on around.
fn node_of(n: usize) -> String {
    format!("n{}", (n - 1) % 3 + 1)
}

fn mapping(lamps: impl Iterator<Item = usize>) -> Mapping {
    lamps.map(|n| (format!("lamp-{n}"), vec![node_of(n)])).collect()
}

fn what_makes_no_sense(story: &mut Story, nodes: &[Node]) -> Outcome {
    story.step("Starts that do not say where are refused, whole");
    let two = || StartBody::of(vec![lamp(1), lamp(2)]);
    let both = |nodes: &[&str]| {
        let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        Mapping::from([("lamp-1".to_owned(), nodes.clone()), ("lamp-2".to_owned(), nodes)])
    };
    let cases = [
        ("no mapping", None, "none was given"),
        ("lamp-2 is not in it", Some(mapping([1].into_iter())), "`lamp-2` is not in the mapping"),
        ("two nodes for one copy", Some(both(&["n1", "n2"])), "mapped to 2 nodes"),
        ("no nodes", Some(both(&[])), "mapped to 0 nodes"),
    ];
    let mut rows = table::plain(["THE MAPPING", "THE ANSWER"]);
    let mut right = true;
    for (what, child_mapping, words) in cases {
        let answer = start_with(&nodes[0], &StartBody { child_mapping, ..two() });
        let said = answer.err().map(|failure| failure.to_string()).unwrap_or_default();
        right &= said.contains(words);
        rows.add_row([what, said.lines().next().unwrap_or_default()]);
    }
    story.table(&rows);
    let nothing = until("nothing was started", PATIENCE, || copies(&nodes[1]))?.0.is_empty();
    story.check(right && nothing, "each is told what is wrong, and nothing is started")
}

fn children_start(story: &mut Story, nodes: &[Node]) -> Outcome<Copies> {
    story.step(&format!("{COUNT} lamps are started by a request to n1, each where it hangs"));
    let body = StartBody { child_mapping: Some(mapping(1..=COUNT)), ..StartBody::of((1..=COUNT).map(lamp).collect()) };
    let result = start_with(&nodes[0], &body)?;
    let (places, _) = until("each runs where it hangs", PATIENCE, || hang(nodes, &["n1", "n2", "n3"]))?;
    story.table(&counts(nodes, &places));
    let ok = result.status == Status::Ok && all_run(&result, COUNT);
    story.check(ok, &format!("all {COUNT} run, each on the node that was named for it"))?;
    Ok(places)
}

fn a_node_joins(story: &mut Story, crew: &mut Crew, nodes: &mut Vec<Node>, before: &Copies) -> Outcome {
    story.step("n4 joins");
    let node = crew.start("n4", &[nodes[0].reached_at.clone()])?;
    nodes.push(node);
    until("n4 is known", PATIENCE, || all_see_each_other(nodes))?;
    let (after, _) = until("each runs where it hangs", PATIENCE, || hang(nodes, &["n1", "n2", "n3"]))?;
    story.check(after == *before, "nothing moves: nobody named n4")?;
    let (why, _) = until("n4 knows the mapping", PATIENCE, || explain(&nodes[3], "lamp-2"))?;
    let named = matches!(&why.rule, RuleRow::Mapping { nodes } if *nodes == ["n2"]);
    story.check(named, "n4 knows of lamp-2, which was started before it came, that its start named n2")
}

fn their_node_dies(
    story: &mut Story,
    crew: &mut Crew,
    nodes: &[Node],
    before: &Copies,
) -> Outcome<(Vec<Node>, Copies)> {
    story.step("n2 is killed with SIGKILL");
    let began = Instant::now();
    crew.kill("n2")?;
    let survivors: Vec<Node> = nodes.iter().filter(|node| node.name != "n2").cloned().collect();
    let (after, _) = until("the others know", PATIENCE, || {
        all_see_each_other(&survivors)?;
        hang(&survivors, &["n1", "n3"])
    })?;
    let took = span(began.elapsed());
    story.table(&counts(nodes, &after));
    let waiting = after.values().filter(|places| places.is_empty()).count();
    story.check(
        waiting == COUNT / 3,
        &format!("its {waiting} lamps are declared and run nowhere, {took} after the kill"),
    )?;
    let still = before.iter().filter(|(_, places)| places[0].node != "n2").all(|(id, places)| after[id] == *places);
    story.check(still, "the others were not touched: same node, same pid")?;
    let (why, _) = until("it can be explained", PATIENCE, || explain(&survivors[0], "lamp-2"))?;
    let no_owner = why.obstacles.iter().any(|obstacle| matches!(obstacle, ObstacleRow::NoOwner));
    story.check(no_owner && why.owners.is_empty(), "`explain lamp-2` says: no node that could own it is there")?;
    Ok((survivors, after))
}

fn they_come_back(story: &mut Story, crew: &mut Crew, survivors: &[Node], before: &Copies) -> Outcome<Vec<Node>> {
    story.step("n2 starts again, and is told nothing but where another node is");
    let began = Instant::now();
    let returned = crew.start("n2", &[survivors[2].reached_at.clone()])?;
    let mut nodes: Vec<Node> = survivors.iter().cloned().chain([returned]).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let (after, _) = until("its lamps are back", PATIENCE, || {
        all_see_each_other(&nodes)?;
        hang(&nodes, &["n1", "n2", "n3"])
    })?;
    let took = span(began.elapsed());
    story.table(&counts(&nodes, &after));
    story.check(true, &format!("its {} lamps are back with it, {took} after it was started", COUNT / 3))?;
    let still = before.iter().filter(|(_, places)| !places.is_empty()).all(|(id, places)| after[id] == *places);
    story.check(still, "the others were not touched")?;
    let burns = value(&nodes[0], "lamp-2")? == 2;
    story.check(burns, "lamp-2 answers, with the argument of its start")?;
    Ok(nodes)
}

/// What all of `nodes` agree on, once each lamp runs on its node if that is among `up`, and nowhere if not.
fn hang(nodes: &[Node], up: &[&str]) -> Result<Copies, String> {
    let mut first: Option<Copies> = None;
    for node in nodes {
        let seen = copies(node)?;
        for n in 1..=COUNT {
            let (id, at) = (format!("lamp-{n}"), node_of(n));
            let wanted: Vec<&str> = up.iter().copied().filter(|name| *name == at).collect();
            let places: Vec<&str> = seen.get(&id).into_iter().flatten().map(|place| place.node.as_str()).collect();
            if places != wanted {
                return Err(format!("{} has {id} on {places:?}, not on {wanted:?}", node.name));
            }
        }
        match &first {
            None => first = Some(seen),
            Some(first) if *first == seen => {}
            Some(_) => return Err(format!("{} and {} differ", nodes[0].name, node.name)),
        }
    }
    first.ok_or_else(|| "nobody was asked".to_owned())
}

fn counts(nodes: &[Node], places: &Copies) -> comfy_table::Table {
    let on = |name: &str| places.values().flatten().filter(|place| place.node == name).count().to_string();
    let rows = nodes.iter().map(|node| [node.name.clone(), on(&node.name)]);
    let nowhere = places.values().filter(|places| places.is_empty()).count();
    let rest = (nowhere > 0).then(|| ["(nowhere)".to_owned(), nowhere.to_string()]);
    shares(["NODE", "LAMPS"], rows.chain(rest))
}

fn explain(node: &Node, id: &str) -> Result<ExplanationRow, String> {
    node.client.get(&format!("{CHILDREN}/{id}/explain")).map_err(|failure| failure.to_string())
}
