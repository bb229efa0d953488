//! What the user of a node is told: S23 and S24.

use std::collections::{BTreeMap, BTreeSet};

use process_hub_core::Effect;
use process_hub_core::hook::{HookEvent, StartedChild, TopologyChange};
use process_hub_core::id::{ChildId, Member, NodeId, Pid};

use super::seen::{Census, Oracle, Seen, Verdict, kind};
use super::truth::Truth;
use crate::sim::HostId;

/// The stages of a change of the view, in their order.
const STAGES: [&str; 4] = ["pre_node", "pre_redistribution", "post_redistribution", "post_node"];

/// What one life of a host was told about starts and changes of the view.
#[derive(Debug, Default)]
struct Told {
    /// Starts announced and not given out yet.
    announced: BTreeMap<ChildId, u32>,
    /// Instances whose recipe may be altered, not given out yet.
    asked: BTreeSet<u64>,
    given: BTreeSet<u64>,
    posted: BTreeSet<u64>,
    /// Starts that were announced, and of which no end was told.
    open: BTreeMap<ChildId, u32>,
    /// How often each stage of a node's coming or going was told.
    stages: BTreeMap<(NodeId, bool), [u32; 4]>,
}

/// S23: pre_children_start, child_data_alter, post_children_start, child_registered; and pre_node, pre_redistribution,
/// post_redistribution, post_node: each in this order. Once nothing is left to do, every change of the view and every start
/// that was told to begin has been told to be over.
#[derive(Debug, Default)]
pub(super) struct Order {
    told: BTreeMap<HostId, Told>,
}

impl Order {
    fn hook(&mut self, host: HostId, event: &HookEvent, truth: &Truth, verdict: &mut Verdict<'_>) {
        let told = self.told.entry(host).or_default();
        match event {
            HookEvent::PreChildrenStart { children } => {
                for id in children {
                    *told.announced.entry(id.clone()).or_default() += 1;
                    *told.open.entry(id.clone()).or_default() += 1;
                }
            }
            HookEvent::PostChildrenStart { children } => {
                for StartedChild { id, outcome, .. } in children {
                    let open = told.open.entry(id.clone()).or_default();
                    verdict.check(*open > 0, host, id, || {
                        "post_children_start more often than pre_children_start".to_owned()
                    });
                    *open = open.saturating_sub(1);
                    let Ok(pid) = outcome else { continue };
                    let given = told.given.contains(&pid.sequence);
                    told.posted.insert(pid.sequence);
                    verdict.check(given, host, id, || format!("post_children_start of {pid}, which was never started"));
                }
            }
            HookEvent::ChildRegistered { id, pid } => {
                let here = truth.pids.get(pid).is_some_and(|key| (key.0, key.1) == (host, truth.hosts[host].lives));
                let posted = !here || told.posted.contains(&pid.sequence);
                verdict.check(posted, host, id, || format!("child_registered of {pid} before post_children_start"));
            }
            HookEvent::PreNodeJoin { node } => told.stage(host, std::slice::from_ref(&node.node), true, 0, verdict),
            HookEvent::PreNodeLeave { node } => told.stage(host, std::slice::from_ref(&node.node), false, 0, verdict),
            HookEvent::PreRedistribution { event, nodes } => told.stage(host, nodes, up(*event), 1, verdict),
            HookEvent::PostRedistribution { event, nodes } => told.stage(host, nodes, up(*event), 2, verdict),
            HookEvent::PostNodeJoin { node } => told.stage(host, std::slice::from_ref(&node.node), true, 3, verdict),
            HookEvent::PostNodeLeave { node } => told.stage(host, std::slice::from_ref(&node.node), false, 3, verdict),
            _ => {}
        }
    }
}

fn up(event: TopologyChange) -> bool {
    event == TopologyChange::NodeUp
}

impl Told {
    fn announced(&mut self, host: HostId, id: &ChildId, what: &str, verdict: &mut Verdict<'_>) {
        let announced = self.announced.get_mut(id).filter(|count| **count > 0);
        let holds = announced.is_some();
        if let Some(count) = announced {
            *count -= 1;
        }
        verdict.check(holds, host, id, || format!("{what} before pre_children_start"));
    }

    fn stage(&mut self, host: HostId, nodes: &[NodeId], up: bool, stage: usize, verdict: &mut Verdict<'_>) {
        for node in nodes {
            let stages = self.stages.entry((node.clone(), up)).or_default();
            stages[stage] += 1;
            verdict.checked();
            if stage > 0 && stages[stage] > stages[stage - 1] {
                let way = if up { "up" } else { "down" };
                let text = format!("{} of {node} ({way}) before {}", STAGES[stage], STAGES[stage - 1]);
                verdict.fails(Some(host), None, text);
            }
        }
    }

    /// Nothing is left to do: what was to follow has followed.
    fn all_over(&self, host: HostId, verdict: &mut Verdict<'_>) {
        for ((node, up), stages) in &self.stages {
            verdict.checked();
            if let Some(stage) = (1..STAGES.len()).find(|stage| stages[*stage] < stages[stage - 1]) {
                let way = if *up { "up" } else { "down" };
                let text = format!("{} of {node} ({way}) and no {} after it", STAGES[stage - 1], STAGES[stage]);
                verdict.fails(Some(host), None, text);
            }
        }
        for (id, count) in &self.announced {
            verdict.check(*count == 0, host, id, || "pre_children_start, and no start after it".to_owned());
        }
        for (id, count) in &self.open {
            verdict
                .check(*count == 0, host, id, || "pre_children_start, and no post_children_start after it".to_owned());
        }
    }
}

impl Oracle for Order {
    fn id(&self) -> &'static str {
        "S23"
    }

    fn wants(&self) -> u32 {
        kind::BOOTED | kind::EFFECT | kind::CENSUS
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Booted { host, .. } => drop(self.told.insert(host, Told::default())),
            Seen::Effect { host, effect: Effect::Hook { event, .. } } => self.hook(host, event, truth, verdict),
            Seen::Effect { host, effect: Effect::Alter { pid, spec, .. } } => {
                let told = self.told.entry(host).or_default();
                told.asked.insert(pid.sequence);
                told.announced(host, &spec.id, "child_data_alter", verdict);
            }
            Seen::Effect { host, effect: Effect::Start { pid, spec, .. } } => {
                let told = self.told.entry(host).or_default();
                told.given.insert(pid.sequence);
                if !told.asked.remove(&pid.sequence) {
                    told.announced(host, &spec.id, "a start", verdict);
                }
            }
            Seen::Census { host, census } if census.settled => {
                if let Some(told) = self.told.get(&host) {
                    told.all_over(host, verdict);
                }
            }
            _ => {}
        }
    }
}

/// What one life of a host was told, folded.
#[derive(Debug, Default)]
struct Folded {
    registered: BTreeSet<(ChildId, Pid)>,
    posted: BTreeSet<Pid>,
    updated: BTreeSet<Pid>,
    present: BTreeSet<Member>,
    /// Whether it was told of any row at all: hand-made traces need not tell all of it.
    any: bool,
}

/// S24: every event is told once on each node. At the end, what was told adds up to what the registry lists.
#[derive(Debug, Default)]
pub(super) struct Once {
    told: BTreeMap<HostId, Folded>,
}

impl Once {
    fn hook(&mut self, host: HostId, event: &HookEvent, verdict: &mut Verdict<'_>) {
        let told = self.told.entry(host).or_default();
        told.any |= matches!(event, HookEvent::ChildRegistered { .. });
        let (id, once) = match event {
            HookEvent::ChildRegistered { id, pid } => (Some(id), told.registered.insert((id.clone(), pid.clone()))),
            HookEvent::ChildUnregistered { id, pid } => (Some(id), told.registered.remove(&(id.clone(), pid.clone()))),
            HookEvent::ChildPidUpdated { id, pid } => {
                let known = told.registered.contains(&(id.clone(), pid.clone()));
                (Some(id), told.updated.insert(pid.clone()) && known)
            }
            HookEvent::PostChildrenStart { children } => {
                let mut pids = children.iter().filter_map(|child| child.outcome.as_ref().ok());
                (children.first().map(|child| &child.id), pids.all(|pid| told.posted.insert(pid.clone())))
            }
            HookEvent::PreNodeJoin { node } => (None, told.present.insert(node.clone())),
            HookEvent::PreNodeLeave { node } => (None, told.present.remove(node)),
            _ => return,
        };
        verdict.checked();
        if !once {
            verdict.fails(Some(host), id, format!("told twice, or out of nothing: {event:?}"));
        }
    }

    fn census(&self, host: HostId, census: &Census, verdict: &mut Verdict<'_>) {
        let Some(told) = self.told.get(&host).filter(|told| told.any) else { return };
        let listed: BTreeSet<(ChildId, Pid)> = census
            .rows
            .iter()
            .flat_map(|(id, lookup, _)| lookup.placements.iter().map(|placed| (id.clone(), placed.pid.clone())))
            .collect();
        verdict.checked();
        if let Some((id, pid)) = listed.symmetric_difference(&told.registered).next() {
            let text = format!(
                "{pid} is listed: {}, and was told: {}",
                listed.contains(&(id.clone(), pid.clone())),
                told.registered.contains(&(id.clone(), pid.clone()))
            );
            verdict.fails(Some(host), Some(id), text);
        }
    }
}

impl Oracle for Once {
    fn id(&self) -> &'static str {
        "S24"
    }

    fn wants(&self) -> u32 {
        kind::BOOTED | kind::EFFECT | kind::CENSUS
    }

    fn see(&mut self, seen: &Seen<'_>, _: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Booted { host, .. } => drop(self.told.insert(host, Folded::default())),
            Seen::Effect { host, effect: Effect::Hook { event, .. } } => self.hook(host, event, verdict),
            Seen::Census { host, census } => self.census(host, census, verdict),
            _ => {}
        }
    }
}
