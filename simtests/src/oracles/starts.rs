//! What may be started: S1, S7, and that no pid or token is used twice.

use std::collections::{BTreeMap, BTreeSet};

use process_hub_core::Effect;
use process_hub_core::id::{ChildId, Pid, Token};

use super::ledger;
use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::Truth;

/// S1: a node never runs two instances of one child.
#[derive(Debug)]
pub(super) struct OnePerNode;

impl Oracle for OnePerNode {
    fn id(&self) -> &'static str {
        "S1"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Seen::Effect { host, effect: Effect::Start { spec, pid, .. } } = *seen else { return };
        let other = truth.live(&spec.id).iter().find(|key| key.0 == host && key.2 != pid.sequence);
        verdict.check(other.is_none(), host, &spec.id, || format!("{pid} is started while {other:?} lives here"));
    }
}

/// S7: once a node knows that a start was stopped, it never carries it out or declares it again in that life.
#[derive(Debug, Default)]
pub(super) struct NoResurrection {
    /// For each host: what its registry showed, and what it stopped showing although nothing took its place.
    hosts: BTreeMap<usize, Known>,
}

#[derive(Debug, Default)]
struct Known {
    shown: BTreeMap<ChildId, u64>,
    gone: BTreeSet<u64>,
}

impl NoResurrection {
    fn judge(&self, host: usize, id: &ChildId, version: u64, does: &str, truth: &Truth, verdict: &mut Verdict<'_>) {
        let life = (host, truth.hosts[host].lives);
        let gone = self.hosts.get(&host).is_some_and(|known| known.gone.contains(&version));
        let start = truth.ledger.starts.get(&version);
        let stopped = start.is_some_and(|start| start.stopped.iter().any(|stop| stop.by == life));
        if start.is_some_and(|start| start.maybe_stopped) {
            verdict.checked();
        }
        if gone || stopped {
            verdict.fails(Some(host), Some(id), format!("it knew that start {version} was stopped, and {does} it"));
        }
    }
}

impl Oracle for NoResurrection {
    fn id(&self) -> &'static str {
        "S7"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT | kind::ROW | kind::BOOTED
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Booted { host, .. } => {
                self.hosts.insert(host, Known::default());
            }
            Seen::Effect { host, effect: Effect::Start { spec, .. } } => {
                self.judge(host, &spec.id, ledger::version(spec), "runs", truth, verdict);
            }
            Seen::Row { host, id, lookup, .. } => {
                let version = lookup.and_then(|row| row.spec.as_deref()).map(ledger::version);
                let known = self.hosts.entry(host).or_default();
                match version {
                    Some(version) => {
                        let before = known.shown.insert(id.clone(), version);
                        if before != Some(version) {
                            self.judge(host, id, version, "declares", truth, verdict);
                        }
                    }
                    None => {
                        if let Some(before) = known.shown.remove(id) {
                            verdict.checked();
                            known.gone.insert(before);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// No pid and no token is ever used for two instances.
#[derive(Debug, Default)]
pub(super) struct Unique {
    pids: BTreeSet<Pid>,
    tokens: BTreeMap<Token, Pid>,
}

impl Oracle for Unique {
    fn id(&self) -> &'static str {
        "PID"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        let (host, spec, pid, token) = match *seen {
            Seen::Effect { host, effect: Effect::Start { spec, pid, token, .. } } => (host, spec, pid, token),
            Seen::Effect { host, effect: Effect::SetRole { id, sequence, token, .. } } => {
                let Some(instance) = truth.instance(host, *sequence) else { return };
                let holder = self.tokens.entry(token.clone()).or_insert_with(|| instance.pid.clone());
                if *holder != instance.pid {
                    verdict.fails(Some(host), Some(id), format!("token {token} of {holder} is used twice"));
                }
                return;
            }
            _ => return,
        };
        verdict.check(self.pids.insert(pid.clone()), host, &spec.id, || format!("pid {pid} is used twice"));
        if self.tokens.insert(token.clone(), pid.clone()).is_some() {
            verdict.fails(Some(host), Some(&spec.id), format!("token {token} is used twice"));
        }
    }
}
