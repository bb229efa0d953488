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

/// S2: in a component that has been settled for longer than the overlap bound, no copy comes up beside as many as there
/// may be. Copies of a declaration that is being stopped do not count for the next one: S3 says how long they may last.
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
        let beside =
            others.iter().filter(|(key, _)| key.0 != host && truth.settled_together(host, key.0).is_some_and(long));
        let mut beside = beside.filter(|(_, other)| !truth.ledger.stop_under_way(instance.version, other.version));
        // Hot swap without handover has both serve for a moment, and so may nodes that act by themselves: S3 says how long.
        let other = beside.nth(truth.copies(host) - 1 + usize::from(truth.bounds.overlaps));
        verdict.check(other.is_none(), host, &instance.id, || {
            let pid = other.map(|(_, other)| other.pid.to_string()).unwrap_or_default();
            format!("{} serves beside {pid} in a long settled component", instance.pid)
        });
    }
}

/// For each instance that is too many in a settled component: since when that is so, and beside which other one.
fn surplus<'a>(truth: &'a Truth, copies: &'a [(Key, &'a Instance)]) -> Vec<(u64, &'a Instance, Option<&'a Instance>)> {
    let mut found = Vec::new();
    for one in copies {
        let others = copies.iter().filter(|other| other.0 != one.0);
        let mut beside: Vec<_> =
            others.filter_map(|other| Some((together(truth, one, other)?, &other.0, other.1))).collect();
        beside.sort_unstable_by_key(|(since, key, _)| (*since, **key));
        // With a first few it may be; together with the next it was too many.
        match beside.get(truth.copies(one.0.0) - 1) {
            Some((since, _, other)) => found.push((truth.now - since, one.1, Some(*other))),
            None if !beside.is_empty() => found.push((0, one.1, None)),
            None => {}
        }
    }
    found
}

/// S3: copies on nodes that share a settled view do not overlap for longer than the bound, but for as many as there may
/// be.
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
                for (lasts, one, other) in surplus(truth, &copies) {
                    verdict.checked();
                    if let Some(other) = other.filter(|_| lasts > truth.bounds.overlap && still) {
                        still = false;
                        let text = format!("{} and {} both serve for {lasts} us", one.pid, other.pid);
                        verdict.fails(None, Some(id), text);
                    }
                }
                still
            }),
            _ => {}
        }
    }
}

/// S12: in a component settled for longer than the overlap bound, a child has no more instances than it may have copies,
/// in whatever state, and a registry never places two copies on one node.
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
                // One that was told to end has its stop limit on top.
                let bound = truth.bounds.overlap + truth.bounds.stop;
                for (lasts, one, other) in surplus(truth, &live) {
                    verdict.checked();
                    if let Some(other) = other.filter(|_| lasts > bound && still) {
                        still = false;
                        verdict.fails(None, Some(id), format!("{} and {} both live", one.pid, other.pid));
                    }
                }
                still
            }),
            _ => {}
        }
    }
}
