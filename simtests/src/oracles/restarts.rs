//! S25: what happens when an instance ends by itself.

use std::collections::{BTreeMap, BTreeSet};

use process_hub_core::hook::HookEvent;
use process_hub_core::id::ChildId;
use process_hub_core::spec::Restart;
use process_hub_core::{ChildEvent, Effect, ExitReason, Input};

use super::ledger;
use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::Truth;
use crate::sim::HostId;

/// S25: restart rules, the back-off and the intensity limit are honoured.
#[derive(Debug, Default)]
pub(super) struct RestartRule {
    /// Starts that are over for good, as each host knows.
    done: BTreeMap<HostId, BTreeSet<u64>>,
    /// Children whose instance failed, by the user's start they belong to.
    failed: BTreeMap<(HostId, ChildId, u64), Failed>,
}

/// When an instance failed that has not been started again, when those before it failed, and when they were.
#[derive(Debug, Default)]
struct Failed {
    at: Option<u64>,
    before: Vec<u64>,
    restarts: Vec<u64>,
    /// It was told to wait until the window has room, which may be soon.
    limited: bool,
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
            self.failed.entry((host, instance.id.clone(), instance.version)).or_default().at = Some(truth.now);
        }
    }

    fn started(&mut self, host: HostId, id: &ChildId, version: u64, truth: &Truth, verdict: &mut Verdict<'_>) {
        if self.done.get(&host).is_some_and(|done| done.contains(&version)) {
            verdict.fails(Some(host), Some(id), format!("start {version} ended for good here, and is started again"));
        }
        let Some(failed) = self.failed.get_mut(&(host, id.clone(), version)) else { return };
        let Some(at) = failed.at.take() else { return };
        let limited = std::mem::take(&mut failed.limited);
        verdict.checked();
        // A clock that runs fast sees a shorter window.
        let fast = |span: u64| span - span / 1_000;
        let window = fast(truth.bounds.restart_window);
        // It ran elsewhere meanwhile, or could not be started: no limit has anything to do with a start so much later.
        if truth.now - at >= truth.bounds.restart_window {
            return;
        }
        // A restart that was held up for longer than the window, by a quorum say, is the first again: failures count.
        failed.before.retain(|time| at - time < window);
        if let Some(doublings) = failed.before.len().min(20).checked_sub(1).filter(|_| !limited) {
            let least = fast((truth.bounds.restart_backoff << doublings).min(window));
            let waited = truth.now - at;
            if waited < least {
                let text = format!("restart {} of late, after {waited} us instead of {least} us", doublings + 2);
                verdict.fails(Some(host), Some(id), text);
            }
        }
        failed.before.push(at);
        failed.restarts.push(truth.now);
        failed.restarts.retain(|time| truth.now - time < window);
        if failed.restarts.len() > truth.bounds.max_restarts as usize {
            verdict.fails(Some(host), Some(id), format!("{} restarts within {window} us", failed.restarts.len()));
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
            Seen::Effect { host, effect: Effect::Hook { event: HookEvent::RestartIntensityReached { id }, .. } } => {
                let its = self.failed.iter_mut().filter(|((at, of, _), _)| (at, of) == (&host, id));
                its.for_each(|(_, failed)| failed.limited = true);
            }
            Seen::Effect { host, effect: Effect::Start { spec, .. } } => {
                self.started(host, &spec.id, ledger::version(spec), truth, verdict);
            }
            _ => {}
        }
    }
}
