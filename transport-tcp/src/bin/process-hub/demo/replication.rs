//! Two copies of each child, of which one is active: the loss of a node promotes the copies that stood by.

use std::collections::BTreeMap;
use std::time::Instant;

use process_hub_core::spec::Role;

use super::PATIENCE;
use super::crew::{Crew, Node};
use super::sight::{Copies, agreed_copies, all_see_each_other, shares};
use super::stage::{add, all_run, everybody_leaves, gather, start_counters, value};
use super::story::{Story, span, until};
use crate::api::PlacementRow;
use crate::client::table;
use crate::failure::Outcome;

const COUNT: usize = 60;
/// How many of the counters are raised and watched.
const RAISED: usize = 30;
const TOLD: [&str; 2] = ["--redundancy", "replication:2:active-passive"];

pub(super) fn tell(crew: &mut Crew) -> Outcome {
    let mut story = Story::begin("ProcessHub: two copies of each child, one of them active");
    crew.tell_all(&TOLD);
    story.step("Three nodes start");
    story.say(&format!("each is told {}", TOLD.join(" ")));
    let nodes = gather(&mut story, crew, &["n1", "n2", "n3"], None)?;
    let before = copies_start(&mut story, &nodes)?;
    calls(&mut story, &nodes, &before)?;
    let (survivors, after) = the_active_die(&mut story, crew, &nodes, &before)?;
    let nodes = the_node_returns(&mut story, crew, &survivors, &after)?;
    story.step("Everybody leaves");
    everybody_leaves(&mut story, crew, &nodes)?;
    story.end();
    Ok(())
}

fn copies_start(story: &mut Story, nodes: &[Node]) -> Outcome<Copies> {
    story.step(&format!("{COUNT} counters are started, by a request to n1"));
    let result = start_counters(&nodes[0], "order", COUNT)?;
    let (copies, _) = until("the copies run", PATIENCE, || settled(nodes))?;
    let rows = nodes.iter().map(|node| {
        let [active, passive] = [Role::Active, Role::Passive].map(|role| count(&copies, &node.name, role).to_string());
        [node.name.clone(), active, passive]
    });
    story.table(&shares(["NODE", "ACTIVE", "PASSIVE"], rows));
    story.check(all_run(&result, COUNT), &format!("all {COUNT} run"))?;
    story.check(true, "each has two copies, on two nodes: one is active; the three registries are equal")?;
    Ok(copies)
}

fn calls(story: &mut Story, nodes: &[Node], copies: &Copies) -> Outcome {
    story.step("Counters are raised: a message goes to the active copy, whoever is asked");
    let mut rows = table::plain(["CHILD", "ACTIVE ON", "PASSIVE ON", "ASKED OF", "MESSAGE", "VALUE"]);
    let mut right = true;
    for turn in 1..=RAISED {
        let (id, asked) = (order(turn), &nodes[turn % nodes.len()]);
        let said = add(asked, &id, 100 + turn)?;
        right &= holds(said, turn) && holds(value(&nodes[(turn + 1) % nodes.len()], &id)?, turn);
        if turn <= 5 {
            let [active, passive] =
                [Role::Active, Role::Passive].map(|role| place(&copies[&id], role).map_or("", |place| &place.node));
            let message = format!("{{\"add\":{}}}", 100 + turn);
            rows.add_row([&id, active, passive, &asked.name, &message, &said.to_string()]);
        }
    }
    story.table(&rows);
    story.check(right, &format!("{RAISED} counters were raised through one node and read through another"))
}

fn the_active_die(story: &mut Story, crew: &mut Crew, nodes: &[Node], before: &Copies) -> Outcome<(Vec<Node>, Copies)> {
    story.step("n2 is killed with SIGKILL");
    let began = Instant::now();
    crew.kill("n2")?;
    let survivors: Vec<Node> = nodes.iter().filter(|node| node.name != "n2").cloned().collect();
    let orphans: Vec<&String> =
        before.iter().filter(|(_, places)| is_on(places, Role::Active, "n2")).map(|(id, _)| id).collect();
    let (_, promoted_after) = until("each child is served again", PATIENCE, || served(&survivors, &orphans))?;
    let (after, _) = until("each has two copies again", PATIENCE, || {
        all_see_each_other(&survivors)?;
        settled(&survivors)
    })?;
    let took = span(began.elapsed());
    let rows = survivors.iter().map(|node| {
        let promoted = orphans.iter().filter(|id| is_on(&after[**id], Role::Active, &node.name)).count();
        let counts = [
            count(before, &node.name, Role::Active),
            promoted,
            count(&after, &node.name, Role::Active),
            count(&after, &node.name, Role::Passive),
        ];
        let [had, promoted, active, passive] = counts.map(|count| count.to_string());
        [node.name.clone(), had, promoted, active, passive]
    });
    story.table(&shares(["NODE", "WAS ACTIVE", "PROMOTED", "ACTIVE", "PASSIVE"], rows));
    let promoted = orphans.iter().all(|id| {
        let (stood_by, serves) = (place(&before[*id], Role::Passive), place(&after[*id], Role::Active));
        stood_by.map(|place| &place.pid) == serves.map(|place| &place.pid)
    });
    let text = format!(
        "the {} children that were active on n2 are served by the copies that stood by: same pids, {} after the kill",
        orphans.len(),
        span(promoted_after)
    );
    story.check(promoted && !orphans.is_empty(), &text)?;
    let untouched = before.iter().filter(|(id, _)| !orphans.contains(id)).all(|(id, places)| {
        place(places, Role::Active).map(|place| &place.pid) == place(&after[id], Role::Active).map(|place| &place.pid)
    });
    story.check(untouched, &format!("the other {} are served by whom they were", COUNT - orphans.len()))?;
    story.check(true, &format!("each has two copies again, {took} after the kill; the two registries are equal"))?;
    counts_after_the_kill(story, &survivors, &orphans)?;
    Ok((survivors, after))
}

/// What was raised on a survivor is still there; a copy that stood by has counted nothing, and says so.
fn counts_after_the_kill(story: &mut Story, survivors: &[Node], orphans: &[&String]) -> Outcome {
    let (mut kept, mut anew, mut right) = (0, 0, true);
    for turn in 1..=RAISED {
        let id = order(turn);
        let said = value(&survivors[turn % survivors.len()], &id)?;
        if orphans.contains(&&id) {
            anew += 1;
            right &= said == 0;
        } else {
            kept += 1;
            right &= holds(said, turn);
        }
    }
    let text = format!(
        "of {RAISED} raised counters, {kept} kept their values; {anew} are served by copies that were told nothing, and begin at 0"
    );
    story.check(right, &text)
}

fn the_node_returns(story: &mut Story, crew: &mut Crew, survivors: &[Node], before: &Copies) -> Outcome<Vec<Node>> {
    story.step("n2 starts again");
    let began = Instant::now();
    let returned = crew.start("n2", &[survivors[0].reached_at.clone()])?;
    let mut nodes: Vec<Node> = survivors.iter().cloned().chain([returned]).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let (after, _) = until("copies move to n2", PATIENCE, || {
        all_see_each_other(&nodes)?;
        let copies = settled(&nodes)?;
        let own = count(&copies, "n2", Role::Active) + count(&copies, "n2", Role::Passive);
        if own * 6 > COUNT { Ok(copies) } else { Err(format!("n2 has {own} copies")) }
    })?;
    let took = span(began.elapsed());
    let rows = nodes.iter().map(|node| {
        let [active, passive] = [Role::Active, Role::Passive].map(|role| count(&after, &node.name, role).to_string());
        [node.name.clone(), active, passive]
    });
    story.table(&shares(["NODE", "ACTIVE", "PASSIVE"], rows));
    let sticky = before.iter().all(|(id, places)| {
        place(places, Role::Active).map(|place| &place.pid) == place(&after[id], Role::Active).map(|place| &place.pid)
    });
    story.check(sticky, "who was active still is: nothing is taken from a copy that serves")?;
    story.check(true, &format!("n2 has its part of the copies that stand by, after {took}"))?;
    Ok(nodes)
}

/// The registry of all of `nodes`, once each child has two copies, one of them active.
fn settled(nodes: &[Node]) -> Result<Copies, String> {
    let copies = agreed_copies(nodes, COUNT, 2)?;
    match copies.iter().find(|(_, places)| places.iter().filter(|place| place.role == Role::Active).count() != 1) {
        None => Ok(copies),
        Some((id, places)) => Err(format!("{id} has {places:?}")),
    }
}

/// Whether each of `ids` has an active copy on one of `nodes`, as all of them see it.
fn served(nodes: &[Node], ids: &[&String]) -> Result<(), String> {
    for node in nodes {
        let copies: BTreeMap<_, _> = super::sight::copies(node)?;
        let serves = |id: &&&String| nodes.iter().any(|node| is_on(&copies[**id], Role::Active, &node.name));
        if let Some(id) = ids.iter().find(|id| !serves(id)) {
            return Err(format!("{} knows of nobody that serves {id}", node.name));
        }
    }
    Ok(())
}

fn place(places: &[PlacementRow], role: Role) -> Option<&PlacementRow> {
    places.iter().find(|place| place.role == role)
}

fn is_on(places: &[PlacementRow], role: Role, node: &str) -> bool {
    places.iter().any(|place| place.role == role && place.node == node)
}

fn count(copies: &Copies, node: &str, role: Role) -> usize {
    copies.values().filter(|places| is_on(places, role, node)).count()
}

fn order(turn: usize) -> String {
    format!("order-{turn}")
}

fn holds(said: i64, turn: usize) -> bool {
    usize::try_from(said) == Ok(100 + turn)
}
