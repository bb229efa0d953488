//! After the faults: L6, L7, L8, L9 and L10.

use std::collections::{BTreeMap, BTreeSet};

use process_hub_core::message::HubMessage;
use process_hub_core::{Effect, Message};

use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::Truth;
use crate::sim::HostId;

/// L6: no move, request or instance is left half way.
#[derive(Debug)]
pub(super) struct NothingOpen;

impl Oracle for NothingOpen {
    fn id(&self) -> &'static str {
        "L6"
    }

    fn wants(&self) -> u32 {
        kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !matches!(seen, Seen::Converged) {
            return;
        }
        for (host, census) in &truth.census {
            verdict.checked();
            if !census.settled {
                verdict.fails(Some(*host), None, "it is not settled");
            }
            if census.open > 0 {
                verdict.fails(Some(*host), None, format!("{} requests are open", census.open));
            }
            if census.moves > 0 {
                verdict.fails(Some(*host), None, format!("{} moves are under way", census.moves));
            }
            let real = truth.live.iter().flat_map(|(id, keys)| keys.iter().map(move |key| (id, key)));
            let real: BTreeSet<_> =
                real.filter(|(_, key)| key.0 == *host).map(|(id, key)| (id.clone(), key.2)).collect();
            let told: BTreeSet<_> = census.local.iter().cloned().collect();
            if real != told {
                let odd: Vec<_> = real.symmetric_difference(&told).take(5).collect();
                verdict.fails(Some(*host), None, format!("its own list of instances is wrong in {odd:?}"));
            }
        }
        for (id, keys) in &truth.live {
            for key in keys.iter().filter(|key| truth.core.contains(&key.0)) {
                let instance = &truth.instances[key];
                let done = instance.serves() && instance.stopping.is_none();
                verdict.check(done, key.0, id, || format!("{} is half way", instance.pid));
            }
        }
    }
}

/// L7: once converged, nothing is started or stopped any more.
#[derive(Debug, Default)]
pub(super) struct NoOscillation {
    converged: bool,
}

impl Oracle for NoOscillation {
    fn id(&self) -> &'static str {
        "L7"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT | kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Healed { .. } => self.converged = false,
            Seen::Converged => self.converged = true,
            Seen::Finished if self.converged => verdict.checked(),
            Seen::Effect { host, effect } if self.converged && truth.core.contains(&host) => {
                let id = match effect {
                    Effect::Start { spec, .. } => &spec.id,
                    Effect::Stop { id, .. } => id,
                    _ => return,
                };
                verdict.fails(Some(host), Some(id), "it is started or stopped after convergence");
            }
            _ => {}
        }
    }
}

/// L8: once converged, nodes send no more than probes, keep-alives and anti-entropy take.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    since: Option<u64>,
    sent: BTreeMap<HostId, u64>,
    changes: BTreeMap<HostId, u64>,
}

impl Oracle for Quiet {
    fn id(&self) -> &'static str {
        "L8"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT | kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Healed { .. } => *self = Self::default(),
            Seen::Converged => self.since = Some(truth.now),
            Seen::Effect { host, effect: Effect::Send { message, .. } } if self.since.is_some() => {
                *self.sent.entry(host).or_default() += 1;
                if let Message::Hub { body: HubMessage::Batch { batch, .. }, .. } = message
                    && !(batch.starts.is_empty() && batch.stops.is_empty() && batch.rows.is_empty())
                {
                    *self.changes.entry(host).or_default() += 1;
                }
            }
            Seen::Finished => {
                let Some(since) = self.since else { return };
                let span = truth.now - since;
                let bounds = &truth.bounds;
                let others = truth.hosts.len() as u64 - 1;
                let each = |period: u64| span / period.max(1) + 1;
                // An asking and a grant a round of a lease.
                let leases = if bounds.lease > 0 { 2 * each(bounds.lease) } else { 0 };
                // A probe, its acknowledgement and one indirect try each way; a keep-alive; a pull and its answer.
                let bound = 6 * each(bounds.probe)
                    + others * (2 * each(bounds.keepalive) + 4 * each(bounds.sync) + leases)
                    + 64;
                for host in &truth.core {
                    verdict.checked();
                    let sent = self.sent.get(host).copied().unwrap_or(0);
                    if sent > bound {
                        verdict.fails(Some(*host), None, format!("{sent} messages in {span} us, {bound} are allowed"));
                    }
                    let changes = self.changes.get(host).copied().unwrap_or(0);
                    if changes > 0 {
                        verdict.fails(Some(*host), None, format!("{changes} batches of changes after convergence"));
                    }
                }
            }
            _ => {}
        }
    }
}

/// L9: whatever has happened, a new node can join, and a child can be started.
#[derive(Debug)]
pub(super) struct Joins;

impl Oracle for Joins {
    fn id(&self) -> &'static str {
        "L9"
    }

    fn wants(&self) -> u32 {
        kind::PHASE
    }

    fn see(&mut self, seen: &Seen<'_>, _: &Truth, verdict: &mut Verdict<'_>) {
        let Seen::Joined { host, lacks } = *seen else { return };
        verdict.checked();
        if let Some(lacks) = lacks {
            verdict.fails(Some(host), None, lacks);
        }
    }
}

/// L10: what a node holds grows with nodes and live children, not with history.
#[derive(Debug)]
pub(super) struct Memory;

/// Bytes of written-out state that are allowed for each host, each life of one, and each child.
const BYTES_A_HOST: usize = 8_192;
const BYTES_A_LIFE: usize = 1_024;
const BYTES_A_CHILD: usize = 2_048;
const BYTES_IN_ALL: usize = 65_536;

impl Oracle for Memory {
    fn id(&self) -> &'static str {
        "L10"
    }

    fn wants(&self) -> u32 {
        kind::CENSUS
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Seen::Census { host, census } = *seen else { return };
        let Some(size) = census.size else { return };
        let lives: u32 = truth.hosts.iter().map(|host| host.lives).sum();
        let bound = BYTES_IN_ALL
            + BYTES_A_HOST * truth.hosts.len()
            + BYTES_A_LIFE * lives as usize
            + BYTES_A_CHILD * census.rows.len();
        verdict.checked();
        if size > bound {
            let text = format!("{size} bytes of state with {} children, {bound} are allowed", census.rows.len());
            verdict.fails(Some(host), None, text);
        }
    }
}
