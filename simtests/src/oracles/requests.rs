//! What callers are told: S21 and S22.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use process_hub_core::id::{ChildId, RequestId};
use process_hub_core::request::{Reply, Request, StartOutcome, StartResult, Status, StopOutcome, StopResult};
use process_hub_core::{Effect, Input};

use process_hub_core::steering::Steer;

use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::Truth;
use crate::sim::HostId;

/// S21: each request is answered exactly once, by its deadline.
#[derive(Debug, Default)]
pub(super) struct Once {
    open: BTreeMap<(HostId, RequestId), Due>,
    /// For each host, how long it was stalled in all, and since when it is.
    stalled: BTreeMap<HostId, (u64, Option<u64>)>,
}

#[derive(Debug)]
struct Due {
    at: u64,
    stalled: u64,
    told: bool,
}

fn deadline(request: &Request) -> Duration {
    match request {
        Request::Start { options, .. } if options.wait => options.timeout,
        Request::Stop { options, .. } if options.wait => options.timeout,
        Request::Call { timeout, .. } => *timeout,
        Request::Leave { deadline } | Request::LeaveHub { deadline, .. } => *deadline,
        Request::Steer { act: Steer::Migrate { timeout, .. }, .. } => *timeout,
        Request::Steer { act: Steer::Drain { deadline }, .. } => *deadline,
        Request::Steer { .. } | Request::Explain { .. } | Request::Plan { .. } => Duration::ZERO,
        // It waits a while for its child to come up.
        Request::Cast { .. } => Duration::from_secs(5),
        Request::Start { .. }
        | Request::Stop { .. }
        | Request::OpenHub(_)
        | Request::ResetClusterSize { .. }
        | Request::Restore { .. } => Duration::ZERO,
    }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Once {
    fn overdue(&mut self, truth: &Truth, verdict: &mut Verdict<'_>) {
        for ((host, id), due) in self.open.iter_mut().filter(|(_, due)| !due.told && due.at < truth.now) {
            let (total, since) = self.stalled.get(host).copied().unwrap_or_default();
            let stalled = total - due.stalled;
            if since.is_none() && due.at + stalled + truth.bounds.slack < truth.now {
                due.told = true;
                verdict.fails(Some(*host), None, format!("request {} has no answer after its deadline", id.0));
            }
        }
    }
}

impl Oracle for Once {
    fn id(&self) -> &'static str {
        "S21"
    }

    fn wants(&self) -> u32 {
        kind::INPUT | kind::EFFECT | kind::DIED | kind::FAULT | kind::PROBE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Input { host, input: Input::Request { id, request } } => {
                let stalled = self.stalled.get(&host).map_or(0, |stalled| stalled.0);
                let at = truth.now + micros(deadline(request));
                self.open.insert((host, *id), Due { at, stalled, told: false });
            }
            Seen::Effect { host, effect: Effect::Reply { id, .. } } => {
                verdict.checked();
                if self.open.remove(&(host, *id)).is_none() {
                    verdict.fails(Some(host), None, format!("request {} is answered again, or was never asked", id.0));
                }
            }
            Seen::Died { host } => {
                self.open.retain(|(other, _), _| *other != host);
                self.stalled.remove(&host);
            }
            Seen::Stalled { host, on } => {
                let entry = self.stalled.entry(host).or_default();
                match (on, entry.1) {
                    (true, None) => entry.1 = Some(truth.now),
                    (false, Some(since)) => *entry = (entry.0 + truth.now - since, None),
                    _ => {}
                }
            }
            Seen::Probe => self.overdue(truth, verdict),
            _ => {}
        }
    }
}

/// S22: what is reported as started was live meanwhile, what was refused never runs, what was confirmed as stopped has
/// ended there, and of a batch that was rolled back nothing is left.
#[derive(Debug, Default)]
pub(super) struct Honest {
    starts: BTreeMap<(HostId, RequestId), (u64, BTreeMap<ChildId, u64>)>,
    stops: BTreeMap<(HostId, RequestId), (u64, BTreeMap<ChildId, u64>)>,
    refused: BTreeSet<u64>,
}

impl Honest {
    fn started(&self, key: (HostId, RequestId), result: &StartResult, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Some((asked, versions)) = self.starts.get(&key) else { return };
        for (id, pids) in &result.started {
            for pid in pids {
                let instance = truth.pids.get(pid).and_then(|key| truth.instances.get(key));
                let lived = instance.is_some_and(|instance| {
                    instance.id == *id && instance.up.is_some() && instance.gone.is_none_or(|gone| gone >= *asked)
                });
                verdict.check(lived, key.0, id, || format!("{pid} is reported as started and did not live meanwhile"));
                let ours = instance.is_some_and(|instance| versions.get(id) == Some(&instance.version));
                verdict.check(ours, key.0, id, || format!("{pid} is reported as started and runs another start"));
            }
            if pids.is_empty() {
                verdict.fails(Some(key.0), Some(id), "it is reported as started, and nowhere");
            }
        }
        if (result.status == Status::Ok) != result.errors.is_empty() {
            verdict.fails(Some(key.0), None, format!("status {:?} with {:?}", result.status, result.errors));
        }
        for id in versions.keys() {
            let started = result.started.iter().filter(|(other, _)| other == id).count();
            let failed = result.errors.iter().filter(|failure| failure.id == *id).count();
            if started + failed == 0 {
                verdict.fails(Some(key.0), Some(id), "the result says nothing of it");
            }
        }
    }

    fn stopped(&self, key: (HostId, RequestId), result: &StopResult, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Some((asked, versions)) = self.stops.get(&key) else { return };
        for (id, nodes) in &result.stopped {
            for node in nodes {
                let left = truth.live(id).iter().find(|other| {
                    let instance = &truth.instances[*other];
                    instance.pid.node == *node
                        && versions.get(id) == Some(&instance.version)
                        && instance.asked < *asked
                        && instance.serves()
                });
                verdict
                    .check(left.is_none(), key.0, id, || format!("{node} confirmed the end of {left:?}, which serves"));
            }
        }
    }

    fn rolled_back(truth: &Truth, verdict: &mut Verdict<'_>) {
        for (version, start) in &truth.ledger.starts {
            let Some(id) = &start.id else { continue };
            let holder = truth.core.contains(&start.by.0) && truth.hosts[start.by.0].lives == start.by.1;
            if start.rolled_back.is_none() || start.refused || !holder {
                continue;
            }
            let left = truth
                .live(id)
                .iter()
                .find(|key| truth.core.contains(&key.0) && truth.instances[*key].version == *version);
            verdict.check(left.is_none(), start.by.0, id, || {
                format!("start {version} was rolled back and {left:?} lives")
            });
        }
    }
}

impl Oracle for Honest {
    fn id(&self) -> &'static str {
        "S22"
    }

    fn wants(&self) -> u32 {
        kind::INPUT | kind::EFFECT | kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Input { host, input: Input::Request { id, request } } => match request {
                Request::Start { children, .. } => {
                    let versions = children.iter().map(|spec| (spec.id.clone(), super::ledger::version(spec)));
                    self.starts.insert((host, *id), (truth.now, versions.collect()));
                }
                Request::Stop { ids, .. } => {
                    let shown = |id: &ChildId| Some((id.clone(), truth.ledger.shown(host, id)?));
                    self.stops.insert((host, *id), (truth.now, ids.iter().filter_map(shown).collect()));
                }
                _ => {}
            },
            Seen::Effect { host, effect: Effect::Reply { id, reply } } => {
                let key = (host, *id);
                match reply {
                    Reply::Start(Ok(StartOutcome::Done(result))) => self.started(key, result, truth, verdict),
                    Reply::Stop(Ok(StopOutcome::Done(result))) => self.stopped(key, result, truth, verdict),
                    _ => {}
                }
                let refused = |version: &u64| truth.ledger.starts.get(version).is_some_and(|start| start.refused);
                let versions = self.starts.remove(&key).map(|(_, versions)| versions).unwrap_or_default();
                self.refused.extend(versions.into_values().filter(refused));
                self.stops.remove(&key);
            }
            Seen::Effect { host, effect: Effect::Start { spec, .. } } => {
                let version = super::ledger::version(spec);
                if self.refused.contains(&version) {
                    verdict.fails(
                        Some(host),
                        Some(&spec.id),
                        format!("start {version} was refused, and is carried out"),
                    );
                }
            }
            Seen::Converged => Self::rolled_back(truth, verdict),
            _ => {}
        }
    }
}
