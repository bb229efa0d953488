//! One side serves: S4, S5, S6 and L5.

use std::collections::BTreeMap;

use process_hub_core::Effect;
use process_hub_core::id::{ChildId, Token};

use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::Truth;
use crate::sim::HostId;

/// S4: two nodes that are not in each other's view never both serve a child, but where two copies serve while it moves: a
/// cut in that moment leaves both until the one without a quorum loses its lease.
#[derive(Debug, Default)]
pub(super) struct Mutex {
    /// Children of which two copies serve.
    twice: Vec<ChildId>,
}

impl Mutex {
    /// Whether two copies serve, and the first pair of them whose hosts do not have each other in view.
    fn apart(id: &ChildId, truth: &Truth) -> (bool, Option<(HostId, HostId)>) {
        let serve = |key: &&super::truth::Key| truth.instances.get(key).is_some_and(super::truth::Instance::serves);
        let serving: Vec<HostId> = truth.live(id).iter().filter(serve).map(|key| key.0).collect();
        let sees = |one: HostId, other: HostId| {
            let member = truth.hosts[other].member.as_ref();
            member.is_some_and(|member| truth.hosts[one].view.contains(member))
        };
        let pairs =
            serving.iter().enumerate().flat_map(|(at, one)| serving[at + 1..].iter().map(|other| (*one, *other)));
        let apart = pairs.clone().find(|(one, other)| !sees(*one, *other) || !sees(*other, *one));
        (serving.len() > 1, apart)
    }

    fn judge(id: &ChildId, truth: &Truth, verdict: &mut Verdict<'_>) -> bool {
        let (twice, apart) = Self::apart(id, truth);
        if let Some((one, other)) = apart {
            let text = format!("n{} and n{} both serve it and are not in each other's view", one + 1, other + 1);
            verdict.fails(Some(one), Some(id), text);
        }
        twice && apart.is_none()
    }
}

impl Oracle for Mutex {
    fn id(&self) -> &'static str {
        "S4"
    }

    fn wants(&self) -> u32 {
        kind::SERVING | kind::VIEW
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !truth.bounds.mutex || truth.bounds.overlaps {
            return;
        }
        match *seen {
            Seen::Serving { host, sequence } => {
                let Some(instance) = truth.instance(host, sequence) else { return };
                verdict.checked();
                if Self::judge(&instance.id, truth, verdict) {
                    self.twice.push(instance.id.clone());
                }
            }
            Seen::View { .. } => self.twice.retain(|id| Self::judge(id, truth, verdict)),
            _ => {}
        }
    }
}

/// S5: as long as somebody remembers, the tokens handed to instances of a child only grow, and a resource that remembers the highest it was shown never
/// has to turn down whoever serves it, but the old one of two copies that serve while the child moves.
#[derive(Debug, Default)]
pub(super) struct TokenOrder {
    handed: BTreeMap<ChildId, Token>,
    shown: BTreeMap<ChildId, Token>,
}

impl Oracle for TokenOrder {
    fn id(&self) -> &'static str {
        "S5"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT | kind::APPLIED | kind::DIED
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !truth.bounds.mutex {
            return;
        }
        match *seen {
            // Nothing that a node can know says how high tokens were.
            Seen::Died { .. } if truth.all_have_forgotten() => *self = Self::default(),
            Seen::Effect { host, effect: Effect::Start { spec, token, .. } } => {
                let before = self.handed.insert(spec.id.clone(), token.clone());
                let grows = before
                    .as_ref()
                    .is_none_or(|before| (before.lineage, before.counter) < (token.lineage, token.counter));
                let before = before.map(|before| before.to_string()).unwrap_or_default();
                verdict.check(grows, host, &spec.id, || format!("token {token} is handed out after {before}"));
            }
            Seen::Applied { host, sequence, .. } if !truth.bounds.overlaps => {
                let Some(instance) = truth.instance(host, sequence) else { return };
                let shown = self.shown.entry(instance.id.clone()).or_insert_with(|| instance.token.clone());
                verdict.check(*shown <= instance.token, host, &instance.id, || {
                    format!("it shows token {} to a resource that has seen {shown}", instance.token)
                });
                if *shown < instance.token {
                    *shown = instance.token.clone();
                }
            }
            _ => {}
        }
    }
}

/// S6: a node whose view has no quorum starts nothing, in the step included in which it has lost it.
#[derive(Debug)]
pub(super) struct NoStartWhenLocked;

impl Oracle for NoStartWhenLocked {
    fn id(&self) -> &'static str {
        "S6"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Seen::Effect { host, effect: Effect::Start { spec, pid, .. } } = *seen else { return };
        let (view, needed) = (truth.hosts[host].view.len(), truth.bounds.quorum);
        if needed > 0 {
            verdict.check(view >= needed, host, &spec.id, || format!("{pid} is started with {view} of {needed}"));
        }
    }
}

/// L5: a side that has a quorum again serves again.
#[derive(Debug)]
pub(super) struct Unlocks;

impl Oracle for Unlocks {
    fn id(&self) -> &'static str {
        "L5"
    }

    fn wants(&self) -> u32 {
        kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !matches!(seen, Seen::Converged) || truth.bounds.quorum == 0 {
            return;
        }
        let enough = truth.core.len() >= truth.bounds.quorum;
        for (host, census) in &truth.census {
            verdict.checked();
            if census.locked == enough {
                let is = if enough { "is still locked" } else { "is not locked" };
                let text = format!("it {is} among {} of {} members", truth.core.len(), truth.bounds.quorum);
                verdict.fails(Some(*host), None, text);
            }
        }
    }
}
