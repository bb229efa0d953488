//! Children that move with their state, while they are called without a pause.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use super::PATIENCE;
use super::crew::{Crew, Node};
use super::sight::{Places, agreed, all_see_each_other, count_on, shares};
use super::stage::{add, all_run, everybody_leaves, gather, start_counters, value};
use super::story::{Story, span, until};
use crate::api::steering::DrainedRow;
use crate::failure::{Failure, Outcome};

const COUNT: usize = 60;
const TOLD: [&str; 3] = ["--migration", "hot", "--handover"];

pub(super) fn tell(crew: &mut Crew) -> Outcome {
    let mut story = Story::begin("ProcessHub: children move with their state, while they are called");
    crew.tell_all(&TOLD);
    story.step(&format!("Three nodes start, and {COUNT} counters"));
    story.say(&format!("each is told {}", TOLD.join(" ")));
    let nodes = gather(&mut story, crew, &["n1", "n2", "n3"], None)?;
    let (before, mut ledger) = children_start(&mut story, &nodes)?;

    story.step("n4 joins, while every counter is raised again and again through n1");
    let (nodes, before) = moved(&mut story, &before, &mut ledger, &nodes[0].clone(), || {
        let joined = crew.start("n4", &[nodes[0].reached_at.clone()])?;
        let nodes: Vec<Node> = nodes.iter().cloned().chain([joined]).collect();
        let places = until("n4 has its share", PATIENCE, || share_of(&nodes, "n4", COUNT / 8))?.0;
        Ok((nodes, places))
    })?;

    story.step("n2 is drained meanwhile");
    let (nodes, before) = moved(&mut story, &before, &mut ledger, &nodes[0].clone(), || {
        let path = "/v1/hubs/demo/drain?timeout_ms=10000";
        let drained: DrainedRow = nodes[1].client.post(path, &json!({}), PATIENCE)?;
        if drained.left > 0 {
            return Err(Failure::failed(format!("{} children are left on n2", drained.left)));
        }
        let places = until("n2 runs none", PATIENCE, || share_of(&nodes, "n2", 0))?.0;
        Ok((nodes, places))
    })?;

    story.step("n3 leaves meanwhile, as it does on ctrl-c");
    let (nodes, before) = moved(&mut story, &before, &mut ledger, &nodes[0].clone(), || {
        crew.leave("n3")?;
        let nodes: Vec<Node> = nodes.iter().filter(|node| node.name != "n3").cloned().collect();
        let places = until("the others have its children", PATIENCE, || share_of(&nodes, "n2", 0))?.0;
        Ok((nodes, places))
    })?;

    a_crash(&mut story, crew, &nodes, &before, &ledger)?;
    story.step("Everybody leaves");
    let nodes: Vec<Node> = nodes.into_iter().filter(|node| node.name != "n4").collect();
    everybody_leaves(&mut story, crew, &nodes)?;
    story.end();
    Ok(())
}

/// What each counter holds.
type Ledger = BTreeMap<String, i64>;

fn children_start(story: &mut Story, nodes: &[Node]) -> Outcome<(Places, Ledger)> {
    let started = start_counters(&nodes[0], "order", COUNT)?;
    let (places, _) = until("the registries agree", PATIENCE, || agreed(nodes, COUNT))?;
    let mut ledger = Ledger::new();
    for turn in 1..=COUNT {
        let id = format!("order-{turn}");
        let holds = add(&nodes[turn % nodes.len()], &id, 1_000 + turn)?;
        ledger.insert(id, holds);
    }
    story.check(all_run(&started, COUNT), &format!("all {COUNT} run, and hold from 1001 to {}", 1_000 + COUNT))?;
    Ok((places, ledger))
}

/// Has children move while all counters are raised, and checks that each holds what it must: every raise that was
/// acknowledged, and none that was not tried.
fn moved(
    story: &mut Story,
    before: &Places,
    ledger: &mut Ledger,
    through: &Node,
    act: impl FnOnce() -> Outcome<(Vec<Node>, Places)>,
) -> Outcome<(Vec<Node>, Places)> {
    let callers = Callers::begin(through, ledger.keys().cloned().collect());
    let began = Instant::now();
    let acted = act();
    let took = span(began.elapsed());
    let tallies = callers.end()?;
    let (nodes, after) = acted?;
    let names: Vec<&String> = before.values().chain(after.values()).map(|(node, _)| node).collect();
    let names: std::collections::BTreeSet<&String> = names.into_iter().collect();
    let rows = names.into_iter().map(|name| {
        let [had, has] = [before, &after].map(|places| count_on(places, name).to_string());
        [name.clone(), had, has]
    });
    story.table(&shares(["NODE", "BEFORE", "AFTER"], rows));
    let movers = before.iter().filter(|(id, (at, _))| after[*id].0 != *at).count();
    story.check(movers > 0, &format!("{movers} children moved, after {took} all registries agree"))?;
    let (mut attempted, mut acknowledged, mut longest) = (0, 0, Duration::ZERO);
    let mut wrong = Vec::new();
    for (turn, (id, held)) in ledger.iter_mut().enumerate() {
        let tally = tallies.get(id).copied().unwrap_or_default();
        let holds = value(&nodes[turn % nodes.len()], id)?;
        if holds < *held + tally.acknowledged || holds > *held + tally.attempted {
            wrong.push(format!("{id} held {held}, was raised {tally:?}, and holds {holds}"));
        }
        *held = holds;
        attempted += tally.attempted;
        acknowledged += tally.acknowledged;
        longest = longest.max(tally.longest);
    }
    wrong.iter().for_each(|line| story.say(line));
    let text = format!(
        "of {attempted} raises meanwhile {acknowledged} were acknowledged, each counted once: no value was lost; the longest took {}",
        span(longest)
    );
    story.check(wrong.is_empty() && acknowledged > 0, &text)?;
    Ok((nodes, after))
}

fn a_crash(story: &mut Story, crew: &mut Crew, nodes: &[Node], before: &Places, ledger: &Ledger) -> Outcome {
    story.step("n4 is killed with SIGKILL: what no handover can save");
    let _: serde_json::Value = nodes[1].client.post("/v1/hubs/demo/undrain", &json!({}), PATIENCE)?;
    let (before, _) = until("n2 has its share again", PATIENCE, || share_of(nodes, "n2", before.len() / 8))?;
    crew.kill("n4")?;
    let survivors: Vec<Node> = nodes.iter().filter(|node| node.name != "n4").cloned().collect();
    until("the survivors take over", PATIENCE, || {
        all_see_each_other(&survivors)?;
        agreed(&survivors, COUNT)
    })?;
    let (mut kept, mut anew, mut right) = (0, 0, true);
    for (id, held) in ledger {
        let holds = value(&survivors[0], id)?;
        let lost = before[id].0 == "n4";
        right &= holds == if lost { 0 } else { *held };
        (kept, anew) = if lost { (kept, anew + 1) } else { (kept + 1, anew) };
    }
    story.check(right, &format!("{kept} counters keep their values; the {anew} that ran on n4 begin anew"))
}

/// Where all run, once `name` runs more than `least`, or none where that is 0.
fn share_of(nodes: &[Node], name: &str, least: usize) -> Result<Places, String> {
    all_see_each_other(nodes)?;
    let places = agreed(nodes, COUNT)?;
    let own = count_on(&places, name);
    if (least == 0 && own == 0) || (least > 0 && own > least) { Ok(places) } else { Err(format!("{name} has {own}")) }
}

/// How often a counter was raised by one.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    attempted: i64,
    acknowledged: i64,
    longest: Duration,
}

/// Threads that raise counters without a pause.
struct Callers {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<BTreeMap<String, Tally>>>,
}

impl Callers {
    const WORKERS: usize = 3;

    fn begin(through: &Node, ids: Vec<String>) -> Callers {
        let stop = Arc::new(AtomicBool::new(false));
        let workers = (0..Self::WORKERS).map(|worker| {
            let ids: Vec<String> = ids.iter().skip(worker).step_by(Self::WORKERS).cloned().collect();
            let (stop, through) = (stop.clone(), through.clone());
            thread::spawn(move || call_all(&through, &ids, &stop))
        });
        Callers { workers: workers.collect(), stop }
    }

    fn end(self) -> Outcome<BTreeMap<String, Tally>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = BTreeMap::new();
        for worker in self.workers {
            all.extend(worker.join().map_err(|_| Failure::failed("a caller panicked"))?);
        }
        Ok(all)
    }
}

fn call_all(through: &Node, ids: &[String], stop: &AtomicBool) -> BTreeMap<String, Tally> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for id in ids.iter().cycle() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let tally = tallies.entry(id.clone()).or_default();
        let began = Instant::now();
        tally.attempted += 1;
        tally.acknowledged += i64::from(add(through, id, 1).is_ok());
        tally.longest = tally.longest.max(began.elapsed());
    }
    tallies
}
