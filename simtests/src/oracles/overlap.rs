//! How many copies: S2, S3 and S12.

use std::collections::BTreeSet;

use process_hub_core::Effect;
use process_hub_core::id::ChildId;

use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::{Instance, Key, Truth};

/// The instances of a child that serve.
fn serving<'a>(truth: &'a Truth, id: &ChildId) -> Vec<(Key, &'a Instance)> {
    let known = truth.live(id).iter().filter_map(|key| Some((*key, truth.instances.get(key)?)));
    known.filter(|(_, instance)| instance.serves()).collect()
}

/// Since when two instances were within one settled component, both of them there.
fn together(truth: &Truth, one: &(Key, &Instance), other: &(Key, &Instance)) -> Option<u64> {
    let settled = truth.settled_together(one.0.0, other.0.0)?;
    Some(settled.max(one.1.asked).max(other.1.asked))
}

/// S2: in a component that has been settled for longer than the overlap bound, no second copy comes up.
#[derive(Debug)]
pub(super) struct SettledSingleton;

impl Oracle for SettledSingleton {
    fn id(&self) -> &'static str {
        "S2"
    }

    fn wants(&self) -> u32 {
        kind::SERVING
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Seen::Serving { host, sequence } = *seen else { return };
        let Some(instance) = truth.instance(host, sequence) else { return };
        let long = |since: u64| truth.now.saturating_sub(since) > truth.bounds.overlap;
        if !truth.hosts[host].settled.is_some_and(long) {
            return;
        }
        let others = serving(truth, &instance.id);
        let other =
            others.iter().find(|(key, _)| key.0 != host && truth.settled_together(host, key.0).is_some_and(long));
        verdict.check(other.is_none(), host, &instance.id, || {
            let pid = other.map(|(_, other)| other.pid.to_string()).unwrap_or_default();
            format!("{} serves beside {pid} in a long settled component", instance.pid)
        });
    }
}

/// S3: copies on two nodes that share a settled view do not overlap for longer than the bound.
#[derive(Debug, Default)]
pub(super) struct DuplicateWindow {
    twice: BTreeSet<ChildId>,
}

impl Oracle for DuplicateWindow {
    fn id(&self) -> &'static str {
        "S3"
    }

    fn wants(&self) -> u32 {
        kind::SERVING | kind::PROBE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Serving { host, sequence } => {
                let Some(instance) = truth.instance(host, sequence) else { return };
                if serving(truth, &instance.id).len() > 1 {
                    self.twice.insert(instance.id.clone());
                }
            }
            Seen::Probe => self.twice.retain(|id| {
                let copies = serving(truth, id);
                let mut still = copies.len() > 1;
                for (index, one) in copies.iter().enumerate() {
                    for other in &copies[index + 1..] {
                        let Some(since) = together(truth, one, other) else { continue };
                        verdict.checked();
                        let lasts = truth.now - since;
                        if lasts > truth.bounds.overlap && still {
                            still = false;
                            let text = format!("{} and {} both serve for {lasts} us", one.1.pid, other.1.pid);
                            verdict.fails(None, Some(id), text);
                        }
                    }
                }
                still
            }),
            _ => {}
        }
    }
}

/// S12: in a component settled for longer than the overlap bound, a child has one instance at most, in whatever state,
/// and a registry never places two copies on one node.
#[derive(Debug, Default)]
pub(super) struct Copies {
    suspects: BTreeSet<ChildId>,
}

impl Oracle for Copies {
    fn id(&self) -> &'static str {
        "S12"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT | kind::PROBE | kind::ROW
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Effect { effect: Effect::Start { spec, .. }, .. } if truth.live(&spec.id).len() > 1 => {
                self.suspects.insert(spec.id.clone());
            }
            Seen::Row { host, id, lookup: Some(row), .. } if row.placements.len() > 1 => {
                let nodes: BTreeSet<_> = row.placements.iter().map(|placement| &placement.pid.node).collect();
                let distinct = nodes.len() == row.placements.len();
                verdict.check(distinct, host, id, || format!("two placements on one node: {:?}", row.placements));
            }
            Seen::Probe => self.suspects.retain(|id| {
                let live: Vec<_> = truth.live(id).iter().map(|key| (*key, &truth.instances[key])).collect();
                let mut still = live.len() > 1;
                for (index, one) in live.iter().enumerate() {
                    for other in &live[index + 1..] {
                        let Some(since) = together(truth, one, other) else { continue };
                        verdict.checked();
                        // One that was told to end has its stop limit on top.
                        let bound = truth.bounds.overlap + truth.bounds.stop;
                        if still && truth.now - since > bound {
                            still = false;
                            verdict.fails(None, Some(id), format!("{} and {} both live", one.1.pid, other.1.pid));
                        }
                    }
                }
                still
            }),
            _ => {}
        }
    }
}
