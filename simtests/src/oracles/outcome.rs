//! What is left when all is over: L1, L2, L3, S8 and R6.

use std::collections::BTreeMap;

use process_hub_core::id::{ChildId, Pid};
use process_hub_core::registry::Lookup;

use super::ledger::LifeKey;
use super::seen::{Census, Oracle, Seen, Verdict, kind};
use super::truth::Truth;
use crate::sim::HostId;

/// The first census, which all others must equal.
fn reference(truth: &Truth) -> Option<(&HostId, &Census)> {
    truth.census.first_key_value()
}

/// The version that the core declares for each child.
fn declared(truth: &Truth) -> BTreeMap<ChildId, u64> {
    let Some((_, census)) = reference(truth) else { return BTreeMap::new() };
    let version =
        |(id, row, _): &(ChildId, Lookup, _)| Some((id.clone(), super::ledger::version(row.spec.as_deref()?)));
    census.rows.iter().filter_map(version).collect()
}

/// Whether this life still goes on, in the core.
fn survives(truth: &Truth, life: LifeKey) -> bool {
    truth.core.contains(&life.0) && truth.hosts[life.0].lives == life.1
}

/// Whether what was acknowledged then must have outlived the lives that were lost since: R6 promises one.
fn outlives(truth: &Truth, acked: Option<(u64, u32, usize)>) -> bool {
    let Some((_, deaths, view)) = acked else { return false };
    let cut_off = (0..truth.hosts.len()).filter(|host| !truth.core.contains(host));
    let cut_off = cut_off.filter(|host| truth.hosts[*host].member.is_some()).count();
    let lost = (truth.ledger.deaths - deaths) as usize + cut_off;
    view >= 2 && lost <= 1
}

/// L1: the registries of the core are equal, and equal to what really runs.
#[derive(Debug)]
pub(super) struct Agreement;

impl Oracle for Agreement {
    fn id(&self) -> &'static str {
        "L1"
    }

    fn wants(&self) -> u32 {
        kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !matches!(seen, Seen::Converged) {
            return;
        }
        let Some((first, one)) = reference(truth) else { return };
        for (host, census) in &truth.census {
            verdict.checked();
            // To look for each among all is dear where there are many, and needless where they are the same.
            let odd = if census.rows == one.rows {
                None
            } else {
                let odd = census.rows.iter().find(|row| !one.rows.contains(row));
                odd.or_else(|| one.rows.iter().find(|row| !census.rows.contains(row)))
            };
            if let Some((id, row, owners)) = odd {
                let text = format!("it differs from n{} on {row:?}, owners {owners:?}", first + 1);
                verdict.fails(Some(*host), Some(id), text);
            } else if census.digest != one.digest {
                verdict.fails(Some(*host), None, format!("its digest differs from that of n{}", first + 1));
            }
            let view: Vec<_> = truth.hosts[*host].view.iter().filter_map(|member| truth.host_of(member)).collect();
            if view != truth.core {
                verdict.fails(Some(*host), None, format!("its view is {:?}", truth.hosts[*host].view));
            }
        }
        let placed: BTreeMap<&Pid, &ChildId> =
            one.rows.iter().flat_map(|(id, row, _)| row.placements.iter().map(move |place| (&place.pid, id))).collect();
        for (id, keys) in &truth.live {
            for key in keys.iter().filter(|key| truth.core.contains(&key.0)) {
                let pid = &truth.instances[key].pid;
                verdict
                    .check(placed.get(pid) == Some(&id), key.0, id, || format!("{pid} runs and no registry says so"));
            }
        }
        let rows: BTreeMap<&ChildId, &Lookup> = one.rows.iter().map(|(id, row, _)| (id, row)).collect();
        for (pid, id) in placed {
            let real = truth.pids.get(pid).filter(|key| truth.live(id).contains(key));
            let real = real.map(|key| &truth.instances[key]);
            let told = rows.get(id).into_iter().flat_map(|row| &row.placements);
            let told = told.filter(|place| place.pid == *pid).map(|place| (place.role, &place.token)).next();
            if let (Some(real), Some(told)) = (real, told)
                && told != (real.role, &real.token)
            {
                let text = format!("{pid} is {:?} with token {} and was told as {told:?}", real.role, real.token);
                verdict.fails(Some(*first), Some(id), text);
            }
            if real.is_none() {
                verdict.fails(Some(*first), Some(id), format!("{pid} is in the registry and does not run"));
            }
        }
    }
}

/// L2: every child that should run does, once on each node that it belongs to and nowhere else.
#[derive(Debug)]
pub(super) struct NoneLost;

impl Oracle for NoneLost {
    fn id(&self) -> &'static str {
        "L2"
    }

    fn wants(&self) -> u32 {
        kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !matches!(seen, Seen::Converged) {
            return;
        }
        let Some((first, census)) = reference(truth) else { return };
        for (id, row, owners) in &census.rows {
            let Some(spec) = &row.spec else { continue };
            let live: Vec<_> = truth.live(id).iter().filter(|key| truth.core.contains(&key.0)).collect();
            let version = super::ledger::version(spec);
            if owners.is_empty() && truth.bounds.guided {
                // None of the nodes it was mapped to is there: it waits.
                verdict.check(live.is_empty(), *first, id, || format!("{live:?} run off their nodes"));
                continue;
            }
            let places: Vec<_> = live.iter().map(|key| &truth.instances[*key]).collect();
            let right = places.len() == owners.len()
                && places.iter().all(|place| place.version == version && owners.contains(&place.pid.node))
                && owners.iter().all(|owner| places.iter().any(|place| place.pid.node == *owner));
            verdict.check(right, *first, id, || {
                let found = live.iter().map(|key| (&truth.instances[*key].pid, truth.instances[*key].version));
                let found = found_text(found.collect());
                format!("start {version} belongs to {owners:?} and runs as {found}")
            });
        }
        let declared = declared(truth);
        for (version, start) in truth.ledger.starts.iter().filter(|(_, start)| start.is_wanted()) {
            let Some(id) = &start.id else { continue };
            if start.holders.iter().any(|life| survives(truth, *life)) {
                verdict.check(declared.contains_key(id), start.by.0, id, || format!("start {version} is lost"));
            }
        }
    }
}

fn found_text(found: Vec<(&Pid, u64)>) -> String {
    if found.is_empty() { "nothing".to_owned() } else { format!("{found:?}") }
}

/// R6: what was acknowledged to a caller who waited survives the loss of any one node.
#[derive(Debug)]
pub(super) struct Acknowledged;

impl Oracle for Acknowledged {
    fn id(&self) -> &'static str {
        "R6"
    }

    fn wants(&self) -> u32 {
        kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !matches!(seen, Seen::Converged) || truth.census.is_empty() {
            return;
        }
        let declared = declared(truth);
        for (version, start) in &truth.ledger.starts {
            let Some(id) = &start.id else { continue };
            if start.is_wanted() && outlives(truth, start.acked) {
                verdict.check(declared.contains_key(id), start.by.0, id, || {
                    format!("acknowledged start {version} is lost")
                });
            }
            let bound = start.stopped.iter().any(|stop| outlives(truth, stop.acked));
            if bound {
                let gone = declared.get(id) != Some(version);
                verdict.check(gone, start.by.0, id, || format!("the acknowledged stop of start {version} is lost"));
            }
        }
    }
}

/// L3: nothing runs that was stopped, and nothing that no registry declares.
#[derive(Debug)]
pub(super) struct NoZombie;

impl Oracle for NoZombie {
    fn id(&self) -> &'static str {
        "L3"
    }

    fn wants(&self) -> u32 {
        kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !matches!(seen, Seen::Converged) || truth.census.is_empty() {
            return;
        }
        let declared = declared(truth);
        for (id, keys) in &truth.live {
            for key in keys.iter().filter(|key| truth.core.contains(&key.0)) {
                let instance = &truth.instances[key];
                verdict.check(declared.get(id) == Some(&instance.version), key.0, id, || {
                    format!("{} runs start {}, declared is {:?}", instance.pid, instance.version, declared.get(id))
                });
            }
        }
        for (version, start) in &truth.ledger.starts {
            let Some(id) = &start.id else { continue };
            let Some(stop) = start.stopped.iter().find(|stop| survives(truth, stop.by)) else { continue };
            let gone = declared.get(id) != Some(version);
            verdict.check(gone, stop.by.0, id, || format!("start {version} was stopped here and is declared"));
        }
    }
}

/// S8: a stop removes only what it observed; a start that nobody who stopped the child knew of survives.
#[derive(Debug)]
pub(super) struct StopScope;

impl Oracle for StopScope {
    fn id(&self) -> &'static str {
        "S8"
    }

    fn wants(&self) -> u32 {
        kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !matches!(seen, Seen::Converged) || truth.census.is_empty() {
            return;
        }
        let declared = declared(truth);
        let mut stopped: BTreeMap<&ChildId, bool> = BTreeMap::new();
        for start in truth.ledger.starts.values() {
            if let (Some(id), false) = (&start.id, start.stopped.is_empty()) {
                stopped.insert(id, true);
            }
        }
        for (version, start) in truth.ledger.starts.iter().filter(|(_, start)| start.is_wanted()) {
            let Some(id) = start.id.as_ref().filter(|id| stopped.contains_key(id)) else { continue };
            if start.holders.iter().any(|life| survives(truth, *life)) {
                verdict.check(declared.contains_key(id), start.by.0, id, || {
                    format!("start {version} was removed by a stop that cannot have observed it")
                });
            }
        }
    }
}
