//! Who is active: S13 and L4.

use std::collections::BTreeSet;

use process_hub_core::Effect;
use process_hub_core::id::ChildId;
use process_hub_core::spec::Role;

use super::moves::mutual;
use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::{Instance, Key, Truth};

/// The copies of a child that are active.
fn active<'a>(truth: &'a Truth, id: &ChildId) -> Vec<(Key, &'a Instance)> {
    let known = truth.live(id).iter().filter_map(|key| Some((*key, truth.instances.get(key)?)));
    known.filter(|(_, instance)| instance.role == Role::Active).collect()
}

/// S13: where one copy of a child is active, no second one is promoted while the first lives on a member of the view, and
/// of two that a partition has made one steps back within the overlap bound. A copy of a declaration that is being
/// stopped may be beside one of the next.
#[derive(Debug, Default)]
pub(super) struct OneActive {
    twice: BTreeSet<ChildId>,
}

impl Oracle for OneActive {
    fn id(&self) -> &'static str {
        "S13"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT | kind::PROBE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !truth.bounds.one_active {
            return;
        }
        match *seen {
            Seen::Effect { host, effect: Effect::SetRole { id, sequence, role: Role::Active, .. } } => {
                let others = active(truth, id);
                let version = truth.instance(host, *sequence).map_or(0, |mine| mine.version);
                let other = others.iter().find(|(key, other)| {
                    key.0 != host && mutual(truth, host, key.0) && !truth.ledger.stop_under_way(version, other.version)
                });
                verdict.check(other.is_none(), host, id, || {
                    let pid = other.map(|(_, other)| other.pid.to_string()).unwrap_or_default();
                    format!("it is promoted while {pid} is active on a member of the view")
                });
                if others.len() > 1 {
                    self.twice.insert(id.clone());
                }
            }
            Seen::Effect { host, effect: Effect::Start { spec, role: Role::Active, .. } } => {
                verdict.fails(Some(host), Some(&spec.id), "it is active from the start");
            }
            Seen::Probe => self.twice.retain(|id| {
                let copies = active(truth, id);
                let mut still = copies.len() > 1;
                for (index, one) in copies.iter().enumerate() {
                    for other in &copies[index + 1..] {
                        let Some(settled) = truth.settled_together(one.0.0, other.0.0) else { continue };
                        verdict.checked();
                        let lasts = truth.now - settled.max(one.1.asked).max(other.1.asked);
                        // One that does not belong there is told to end, and has its stop limit on top.
                        if lasts > truth.bounds.overlap + truth.bounds.stop && still {
                            still = false;
                            let text = format!("{} and {} are both active for {lasts} us", one.1.pid, other.1.pid);
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

/// L4: where one copy of a child is active, one is in the end.
#[derive(Debug)]
pub(super) struct AnActive;

impl Oracle for AnActive {
    fn id(&self) -> &'static str {
        "L4"
    }

    fn wants(&self) -> u32 {
        kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !matches!(seen, Seen::Converged) || !truth.bounds.one_active {
            return;
        }
        let Some((first, census)) = truth.census.first_key_value() else { return };
        for (id, _, owners) in census.rows.iter().filter(|(_, row, _)| row.spec.is_some()) {
            // A child that waits for nodes that are not there has no copy; that it has none is L2's.
            if owners.is_empty() && truth.bounds.guided {
                continue;
            }
            let count = active(truth, id).iter().filter(|(key, _)| truth.core.contains(&key.0)).count();
            verdict.check(count == 1, *first, id, || format!("{count} of its copies are active"));
        }
    }
}
