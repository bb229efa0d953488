//! S25: what happens when an instance ends by itself.

use std::collections::{BTreeMap, BTreeSet};

use process_hub_core::id::ChildId;
use process_hub_core::spec::Restart;
use process_hub_core::{ChildEvent, Effect, ExitReason, Input};

use super::ledger;
use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::Truth;
use crate::sim::HostId;

/// S25: restart rules and the intensity limit are honoured.
#[derive(Debug, Default)]
pub(super) struct RestartRule {
    /// Starts that are over for good, as each host knows.
    done: BTreeMap<HostId, BTreeSet<u64>>,
    /// Children whose instance failed, by the user's start they belong to, and when they were started again.
    failed: BTreeMap<(HostId, ChildId, u64), (bool, Vec<u64>)>,
}

impl RestartRule {
    fn exited(&mut self, host: HostId, sequence: u64, reason: &ExitReason, truth: &Truth) {
        let Some(instance) = truth.instance(host, sequence) else { return };
        if instance.stopping.is_some() {
            return;
        }
        let over = match instance.restart {
            // It has never served: another copy does, or its state waits, and the child goes on.
            _ if instance.up.is_none() => false,
            Restart::Permanent => false,
            Restart::Transient => *reason == ExitReason::Normal,
            Restart::Temporary => true,
        };
        if over {
            self.done.entry(host).or_default().insert(instance.version);
        } else {
            self.failed.entry((host, instance.id.clone(), instance.version)).or_default().0 = true;
        }
    }

    fn started(&mut self, host: HostId, id: &ChildId, version: u64, truth: &Truth, verdict: &mut Verdict<'_>) {
        if self.done.get(&host).is_some_and(|done| done.contains(&version)) {
            verdict.fails(Some(host), Some(id), format!("start {version} ended for good here, and is started again"));
        }
        let Some((failed, times)) = self.failed.get_mut(&(host, id.clone(), version)) else { return };
        if !std::mem::take(failed) {
            return;
        }
        verdict.checked();
        // A clock that runs fast sees a shorter window.
        let window = truth.bounds.restart_window - truth.bounds.restart_window / 1_000;
        times.push(truth.now);
        times.retain(|time| truth.now - time < window);
        if times.len() > truth.bounds.max_restarts as usize {
            verdict.fails(Some(host), Some(id), format!("{} restarts within {window} us", times.len()));
        }
    }
}

impl Oracle for RestartRule {
    fn id(&self) -> &'static str {
        "S25"
    }

    fn wants(&self) -> u32 {
        kind::BOOTED | kind::INPUT | kind::EFFECT
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Booted { host, .. } => {
                self.done.remove(&host);
                self.failed.retain(|(other, ..), _| *other != host);
            }
            Seen::Input { host, input: Input::Child { sequence, event: ChildEvent::Exited { reason }, .. } } => {
                self.exited(host, *sequence, reason, truth);
            }
            Seen::Effect { host, effect: Effect::Start { spec, .. } } => {
                self.started(host, &spec.id, ledger::version(spec), truth, verdict);
            }
            _ => {}
        }
    }
}
