//! Five nodes under a majority quorum, cut three from two: one side serves, never both, and all heals.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use super::crew::{Crew, Node};
use super::network::Network;
use super::sight::{Copies, agreed_copies, all_see_each_other, copies, hub, shares};
use super::stage::{CHILDREN, add, all_run, everybody_leaves, gather, start_counters, value};
use super::story::{Story, span, until};
use crate::api::{ChildRow, StopResultRow};
use crate::failure::Outcome;

const COUNT: usize = 60;
/// How many of the counters are raised and watched.
const RAISED: usize = 30;
/// A quorum of the default times takes over after 9 s; a story may be told faster.
const TOLD: [&str; 10] = [
    "--partition",
    "majority:5",
    "--set",
    "first_start=true",
    "--set",
    "lease=2s",
    "--set",
    "stop_timeout=1s",
    "--set",
    "pause_bound=500ms",
];
const MAJORITY: [&str; 3] = ["n1", "n2", "n3"];
const MINORITY: [&str; 2] = ["n4", "n5"];
/// A takeover waits for leases, and this machine may be busy.
const TAKEOVER: Duration = Duration::from_secs(25);

pub(super) fn tell(crew: &mut Crew) -> Outcome {
    let mut story = Story::begin("ProcessHub: a partition, and a quorum that says who goes on");
    crew.tell_all(&TOLD);
    let network = Network::default();
    story.step("Five nodes start, behind a network that can be cut");
    story.say(&format!("each is told {}", TOLD.join(" ")));
    let nodes = gather(&mut story, crew, &["n1", "n2", "n3", "n4", "n5"], Some(&network))?;
    let before = children_start(&mut story, &nodes)?;
    let (majority, minority) = nodes.split_at(MAJORITY.len());
    let cut_at = the_cut(&mut story, &network, minority)?;
    let after = the_majority_goes_on(&mut story, majority, minority, &before, cut_at)?;
    life_goes_on(&mut story, majority)?;
    the_heal(&mut story, &network, &nodes, &after)?;
    story.step("Everybody leaves");
    everybody_leaves(&mut story, crew, &nodes)?;
    story.end();
    Ok(())
}

fn children_start(story: &mut Story, nodes: &[Node]) -> Outcome<Copies> {
    story.step(&format!("{COUNT} counters are started, by a request to n1, and {RAISED} of them raised"));
    let result = start_counters(&nodes[0], "order", COUNT)?;
    let (copies, _) = until("the registries agree", PATIENCE, || agreed_copies(nodes, COUNT, 1))?;
    for turn in 1..=RAISED {
        add(&nodes[turn % nodes.len()], &order(turn), 100 + turn)?;
    }
    let rows = nodes.iter().map(|node| [node.name.clone(), count_on(&copies, &node.name).to_string()]);
    story.table(&shares(["NODE", "CHILDREN"], rows));
    story.check(all_run(&result, COUNT), &format!("all {COUNT} run, once each; the five registries are equal"))?;
    Ok(copies)
}

fn the_cut(story: &mut Story, network: &Network, minority: &[Node]) -> Outcome<Instant> {
    story.step("The network is cut: n1, n2, n3 | n4, n5");
    network.cut(&MAJORITY, &MINORITY);
    let cut_at = Instant::now();
    let (_, took) = until("the minority is locked", PATIENCE, || minority.iter().try_for_each(is_locked))?;
    story.check(true, &format!("n4 and n5 have no quorum, and are locked, {} after the cut", span(took)))?;
    let runs = |node: &Node| copies(node).map(|copies| count_on(&copies, &node.name));
    let (_, took) = until("the minority runs nothing", PATIENCE, || {
        let still = minority.iter().map(runs).sum::<Result<usize, String>>()?;
        if still == 0 { Ok(()) } else { Err(format!("{still} children run on n4 and n5")) }
    })?;
    story.check(true, &format!("not one child runs there any more, {} later", span(took)))?;
    let refused = start_counters(&minority[0], "minority", 1).err().map(|failure| failure.to_string());
    story.say(&format!(
        "n4, asked to start a child: {}",
        refused.as_deref().unwrap_or("it starts").replace("\n  ", "; ")
    ));
    story.check(refused.is_some_and(|words| words.contains("locked")), "a start is refused there, with words")?;
    let row: ChildRow = minority[1].client.get(&format!("{CHILDREN}/order-1"))?;
    story.check(row.spec.is_some() && row.stale, "what n5 knew can still be read there, marked as stale")?;
    Ok(cut_at)
}

fn the_majority_goes_on(
    story: &mut Story,
    majority: &[Node],
    minority: &[Node],
    before: &Copies,
    cut_at: Instant,
) -> Outcome<Copies> {
    story.step("The majority takes over, once the leases of n4 and n5 must have run out");
    let mut watch = Watch::default();
    let (after, _) = until("the majority takes over", TAKEOVER, || {
        watch.look(&majority[0], minority)?;
        all_see_each_other(majority)?;
        agreed_copies(majority, COUNT, 1)
    })?;
    let took = span(cut_at.elapsed());
    let orphan = |id: &&String| before[*id].iter().any(|place| MINORITY.contains(&place.node.as_str()));
    let rows = majority.iter().map(|node| {
        let got = before.keys().filter(orphan).filter(|id| after[*id][0].node == node.name).count();
        let counts = [count_on(before, &node.name), got, count_on(&after, &node.name)].map(|count| count.to_string());
        let [had, got, has] = counts;
        [node.name.clone(), had, got, has]
    });
    story.table(&shares(["NODE", "BEFORE", "TOOK OVER", "AFTER"], rows));
    let orphans = before.keys().filter(orphan).count();
    story.check(true, &format!("the {orphans} children of n4 and n5 run here, {took} after the cut"))?;
    for id in &watch.twice {
        story.say(&format!("{id} ran on both sides"));
    }
    let text = format!("in {} looks at both sides, no child ran on both", watch.looks);
    story.check(watch.twice.is_empty(), &text)?;
    let newer = before.keys().filter(orphan).all(|id| rank(&after[id][0].token) > rank(&before[id][0].token));
    story.check(newer, "each has a newer token than before: a resource that checks it is safe from the old one")?;
    let still = before.keys().filter(|id| !orphan(id)).all(|id| before[id][0].pid == after[id][0].pid);
    story.check(still, &format!("the other {} were not touched", COUNT - orphans))?;
    Ok(after)
}

fn life_goes_on(story: &mut Story, majority: &[Node]) -> Outcome {
    story.step("Life goes on there: a child is stopped, another one is started, a counter is raised");
    let stopped: StopResultRow =
        majority[1].client.delete(&format!("{CHILDREN}/{}", order(COUNT)), &Value::Null, PATIENCE)?;
    story.check(stopped.errors.is_empty() && stopped.stopped.len() == 1, &format!("{} is stopped", order(COUNT)))?;
    let started = start_counters(&majority[2], "late", 1)?;
    story.check(all_run(&started, 1), "late-1 is started")?;
    let raised = add(&majority[0], "late-1", 7)?;
    story.check(raised == 7, "late-1 holds 7")?;
    until("the three registries agree", PATIENCE, || agreed_copies(majority, COUNT, 1)).map(drop)
}

fn the_heal(story: &mut Story, network: &Network, nodes: &[Node], before: &Copies) -> Outcome {
    story.step("The network heals");
    network.heal();
    let (after, took) = until("all five agree", TAKEOVER, || {
        all_see_each_other(nodes)?;
        let copies = agreed_copies(nodes, COUNT, 1)?;
        let own = MINORITY.map(|name| count_on(&copies, name));
        if own.iter().all(|own| own * 12 > COUNT) {
            Ok(copies)
        } else {
            Err(format!("n4 and n5 have {own:?} children"))
        }
    })?;
    let rows = nodes.iter().map(|node| {
        [node.name.clone(), count_on(before, &node.name).to_string(), count_on(&after, &node.name).to_string()]
    });
    story.table(&shares(["NODE", "BEFORE", "AFTER"], rows));
    let unlocked = nodes.iter().map(|node| hub(node).map(|hub| !hub.locked)).collect::<Result<Vec<_>, _>>();
    story.check(
        unlocked.is_ok_and(|all| all.iter().all(|open| *open)),
        &format!("all five serve, {} after the heal", span(took)),
    )?;
    story
        .check(!after.contains_key(&order(COUNT)), &format!("{} was stopped, and does not come back", order(COUNT)))?;
    story.check(after.contains_key("late-1"), "late-1, which n4 and n5 had never heard of, is known everywhere")?;
    let back = before.iter().filter(|(id, _)| after.contains_key(*id));
    let strays = back
        .filter(|(id, places)| places[0].pid != after[*id][0].pid && !MINORITY.contains(&after[*id][0].node.as_str()));
    story.check(strays.count() == 0, "children moved to n4 and n5 alone: what need not move stays")?;
    let (mut kept, mut right) = (0, true);
    for turn in (1..=RAISED).filter(|turn| before[&order(*turn)][0].pid == after[&order(*turn)][0].pid) {
        let said = value(&nodes[4], &order(turn))?;
        // One that was taken over has begun anew; one that was on this side from the start has counted all along.
        right &= said == 0 || usize::try_from(said) == Ok(100 + turn);
        kept += usize::from(said != 0);
    }
    story.check(
        right && kept > 0,
        &format!("{kept} raised counters that never moved still hold their values, as n5 tells"),
    )
}

/// Looks at both sides of a cut again and again.
#[derive(Default)]
struct Watch {
    looks: usize,
    /// Children that were seen to run on both sides.
    twice: BTreeSet<String>,
}

impl Watch {
    /// What runs on the majority's side is read first: what runs on the other side after that ran at the same time.
    fn look(&mut self, witness: &Node, minority: &[Node]) -> Result<(), String> {
        let here = copies(witness)?;
        for node in minority {
            let there = copies(node)?;
            let own = there.iter().filter(|(_, places)| places.iter().any(|place| place.node == node.name));
            let taken = |id: &&String| {
                let served = here.get(*id).into_iter().flatten();
                served.into_iter().any(|place| MAJORITY.contains(&place.node.as_str()))
            };
            self.twice.extend(own.map(|(id, _)| id).filter(taken).cloned());
        }
        self.looks += 1;
        Ok(())
    }
}

fn is_locked(node: &Node) -> Result<(), String> {
    if hub(node)?.locked { Ok(()) } else { Err(format!("{} is not locked", node.name)) }
}

fn count_on(copies: &Copies, name: &str) -> usize {
    copies.values().filter(|places| places.iter().any(|place| place.node == name)).count()
}

/// The part of a token that orders it under a quorum: its lineage, then its counter.
fn rank(token: &str) -> Option<(u64, u64)> {
    let mut numbers = token.splitn(3, '.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn order(turn: usize) -> String {
    format!("order-{turn}")
}
