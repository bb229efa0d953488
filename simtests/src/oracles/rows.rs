//! What registries say: S9, S10, S11, and that a mirror of them is complete.

use std::collections::{BTreeMap, BTreeSet};

use process_hub_core::id::{ChildId, Member, NodeId, Pid};
use process_hub_core::message::{Batch, HubMessage};
use process_hub_core::registry::Lookup;
use process_hub_core::{Effect, Input, Message};

use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::Truth;
use crate::sim::HostId;

/// S9: within one view, what a registry shows of a member's row never goes back to an older instance.
#[derive(Debug, Default)]
pub(super) struct Monotonic {
    newest: BTreeMap<HostId, BTreeMap<(ChildId, NodeId), Pid>>,
    views: BTreeMap<HostId, u64>,
}

impl Oracle for Monotonic {
    fn id(&self) -> &'static str {
        "S9"
    }

    fn wants(&self) -> u32 {
        kind::BOOTED | kind::VIEW | kind::ROW
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Booted { host, .. } => {
                self.newest.remove(&host);
            }
            Seen::View { host, hash, .. } => {
                let before = self.views.insert(host, hash);
                if before != Some(hash) {
                    self.newest.remove(&host);
                }
            }
            Seen::Row { host, id, lookup: Some(row), .. } => {
                let newest = self.newest.entry(host).or_default();
                for placement in row.placements.iter().filter(|place| truth.is_honest(&place.pid)) {
                    let pid = &placement.pid;
                    let entry = newest.entry((id.clone(), pid.node.clone())).or_insert_with(|| pid.clone());
                    let older = (pid.boot, pid.sequence) < (entry.boot, entry.sequence);
                    let known = entry.clone();
                    verdict.check(!older, host, id, || format!("row {pid} after {known} in the same view"));
                    *entry = pid.clone();
                }
            }
            _ => {}
        }
    }
}

/// S10: only a node itself says that it runs a child, and only of what it was really started with.
#[derive(Debug, Default)]
pub(super) struct OwnRows {
    relayed: BTreeMap<HostId, BTreeSet<Member>>,
}

impl OwnRows {
    fn sent(host: HostId, batch: &Batch, truth: &Truth, verdict: &mut Verdict<'_>) {
        for row in &batch.rows {
            let key = (host, truth.hosts[host].lives, row.sequence);
            let instance = truth.instances.get(&key).map(|instance| &instance.id).or_else(|| truth.claimed.get(&key));
            let real = instance == Some(&row.id);
            verdict
                .check(real, host, &row.id, || format!("it tells of its instance {}, which never was", row.sequence));
        }
    }
}

impl Oracle for OwnRows {
    fn id(&self) -> &'static str {
        "S10"
    }

    fn wants(&self) -> u32 {
        kind::INPUT | kind::EFFECT | kind::ROW
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Input { host, input: Input::Message { from, message: Message::Relay { .. } } } => {
                self.relayed.entry(host).or_default().insert(from.clone());
            }
            Seen::Effect { host, effect: Effect::Send { message, .. } } => match message {
                Message::Hub { body, .. } | Message::Relay { body, .. } => {
                    if let HubMessage::Batch { batch, .. } = body {
                        Self::sent(host, batch, truth, verdict);
                    }
                }
                Message::Relayed { origin, .. } => {
                    verdict.checked();
                    if !self.relayed.get(&host).is_some_and(|asked| asked.contains(origin)) {
                        verdict.fails(Some(host), None, format!("it relays for {origin}, who never asked"));
                    }
                }
                _ => {}
            },
            Seen::Row { host, id, lookup: Some(row), .. } if !truth.in_all_names || truth.insider.is_none() => {
                for placement in row.placements.iter().filter(|place| truth.is_honest(&place.pid)) {
                    let pid = &placement.pid;
                    let instance = truth.pids.get(pid).and_then(|key| truth.instances.get(key));
                    let real = instance.is_some_and(|instance| instance.id == *id);
                    verdict.check(real, host, id, || format!("it places the child at {pid}, which never was"));
                }
            }
            _ => {}
        }
    }
}

/// S11: a lookup never answers with an instance on a member that is not in the local view.
#[derive(Debug)]
pub(super) struct NoPhantom;

impl Oracle for NoPhantom {
    fn id(&self) -> &'static str {
        "S11"
    }

    fn wants(&self) -> u32 {
        kind::ROW
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Seen::Row { host, id, lookup: Some(row), .. } = *seen else { return };
        let view = &truth.hosts[host].view;
        for placement in row.placements.iter().filter(|place| truth.is_honest(&place.pid)) {
            let pid = &placement.pid;
            let inside = view.contains(&pid.member()) || raised(truth, host, pid);
            verdict.check(inside, host, id, || format!("{pid} is shown, and its member is not in the view {view:?}"));
        }
    }
}

/// Whether the member of `pid` is in the view of `host` under a boot that it was raised to in that same life.
fn raised(truth: &Truth, host: HostId, pid: &Pid) -> bool {
    let Some((there, life, _)) = truth.pids.get(pid) else { return false };
    truth.hosts[host].view.iter().any(|member| truth.members.get(member) == Some(&(*there, *life)))
}

/// Whoever mirrors the registry from the effects alone has all of it, and nothing else.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    hosts: BTreeMap<HostId, BTreeMap<ChildId, Lookup>>,
}

impl Oracle for Mirror {
    fn id(&self) -> &'static str {
        "MIR"
    }

    fn wants(&self) -> u32 {
        kind::BOOTED | kind::VIEW | kind::ROW | kind::CENSUS
    }

    fn see(&mut self, seen: &Seen<'_>, _: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Booted { host, .. } | Seen::View { host, .. } => {
                // A change of the view is mirrored as a whole.
                self.hosts.remove(&host);
            }
            Seen::Row { host, id, lookup, .. } => {
                let mirror = self.hosts.entry(host).or_default();
                match lookup {
                    Some(row) => mirror.insert(id.clone(), row.clone()),
                    None => mirror.remove(id),
                };
            }
            Seen::Census { host, census } => {
                let mirror = self.hosts.entry(host).or_default();
                let rows: BTreeMap<_, _> = census.rows.iter().map(|(id, row, _)| (id, row)).collect();
                for (id, row) in &rows {
                    let same = mirror.get(*id) == Some(*row);
                    verdict.check(same, host, id, || "the registry changed and no effect said so".to_owned());
                }
                for id in mirror.keys().filter(|id| !rows.contains_key(id)) {
                    verdict.fails(Some(host), Some(id), "a row went and no effect said so");
                }
            }
            _ => {}
        }
    }
}

/// Who has other settings of the hub than the others is in none of their views, nor they in its.
#[derive(Debug)]
pub(super) struct Alike;

impl Oracle for Alike {
    fn id(&self) -> &'static str {
        "CFG"
    }

    fn wants(&self) -> u32 {
        kind::VIEW
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Seen::View { host, view, .. } = *seen else { return };
        verdict.checked();
        let own = truth.hosts[host].skewed;
        let other = |member: &&Member| truth.host_of(member).is_some_and(|there| truth.hosts[there].skewed != own);
        if let Some(member) = view.iter().find(other) {
            verdict.fails(Some(host), None, format!("{member} is in its view and has other settings"));
        }
    }
}
