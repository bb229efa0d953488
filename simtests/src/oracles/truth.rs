//! The ground truth: which instances really live, who is connected to whom, and since when all is settled.

use std::collections::BTreeMap;

use process_hub_core::id::{ChildId, Member, Pid, Token};
use process_hub_core::message::Phase;
use process_hub_core::spec::{Restart, Role};
use process_hub_core::{ChildEvent, Effect, Input, StopReason};

use super::ledger::{self, Ledger};
use super::seen::{Census, Seen};
use crate::sim::HostId;
use crate::sim::newcomer::widened;

/// The spans that the oracles judge by, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Bounds {
    /// The longest way of a frame while no fault slows it, relays included.
    pub(crate) delay: u64,
    /// The longest overlap of two copies after two sides share a settled view.
    pub(crate) overlap: u64,
    /// The longest time from the last fault to convergence.
    pub(crate) converge: u64,
    /// The longest time that an instance takes to end.
    pub(crate) stop: u64,
    /// What a deadline may be missed by.
    pub(crate) slack: u64,
    /// How many copies of a child there may be at the most; 0 is one.
    pub(crate) copies: usize,
    /// Whether one copy of a child is active and the others are not.
    pub(crate) one_active: bool,
    /// Whether children wait for the nodes that their callers named.
    pub(crate) guided: bool,
    /// Whether owners are found by the recipe of a child, so that one that is not declared has none.
    pub(crate) by_recipe: bool,
    /// The window of the restart intensity.
    pub(crate) restart_window: u64,
    /// The restarts allowed in it.
    pub(crate) max_restarts: u32,
    /// How long the second restart in the window waits; each one after it waits for twice as long.
    pub(crate) restart_backoff: u64,
    /// The longest time between two frames that keep a link alive.
    pub(crate) keepalive: u64,
    /// The period of probes.
    pub(crate) probe: u64,
    /// The interval of anti-entropy.
    pub(crate) sync: u64,
    /// The period of the rounds by which leases are renewed; zero without leases.
    pub(crate) lease: u64,
    /// How many members a side needs to serve; zero where there is no such number.
    pub(crate) quorum: usize,
    /// Whether the quorum promises that one side serves.
    pub(crate) mutex: bool,
    /// Whether a copy that moves is started after the former one has ended.
    pub(crate) cold: bool,
    /// Whether it is started before.
    pub(crate) hot: bool,
    /// Whether its state moves with it.
    pub(crate) hands_over: bool,
    /// Whether two copies serve for a moment where a child moves: hot swap without handover says so, and so do nodes that act
    /// by themselves.
    pub(crate) overlaps: bool,
    /// The shortest time for which the state of a copy that has ended is kept.
    pub(crate) keeps: u64,
    /// Whether each node acts by itself.
    pub(crate) autonomous: bool,
}

/// Which instance: the host, how-manieth life of it, and the sequence there.
pub(crate) type Key = (HostId, u32, u64);

/// An instance that the driver of some node was told to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    /// Its child.
    pub(crate) id: ChildId,
    /// Its name.
    pub(crate) pid: Pid,
    /// Its ownership token.
    pub(crate) token: Token,
    /// Which start it carries out.
    pub(crate) version: u64,
    /// The part it plays.
    pub(crate) role: Role,
    /// Its restart rule.
    pub(crate) restart: Restart,
    /// It was started to stand by.
    pub(crate) standby: bool,
    /// When it was asked for.
    pub(crate) asked: u64,
    /// When it first served.
    pub(crate) up: Option<u64>,
    /// Its node was told that it is up.
    pub(crate) known_up: bool,
    /// It handles nothing until it is told to serve.
    pub(crate) frozen: bool,
    /// When it was up no longer.
    pub(crate) down: Option<u64>,
    /// When its node was told of its end, or died.
    pub(crate) gone: Option<u64>,
    /// Why it was told to end, if it was.
    pub(crate) stopping: Option<StopReason>,
}

impl Instance {
    /// Whether it is up at this moment, and handles what it is handed.
    #[must_use]
    pub(crate) fn serves(&self) -> bool {
        self.up.is_some() && !self.frozen && self.down.is_none() && self.gone.is_none()
    }
}

/// What is known of one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostTruth {
    /// How many lives it had.
    pub(crate) lives: u32,
    /// Whether its hub has other settings than those of the others.
    pub(crate) skewed: bool,
    /// Who it is, while it lives.
    pub(crate) member: Option<Member>,
    /// The view of its hub.
    pub(crate) view: Vec<Member>,
    /// Its hash.
    pub(crate) view_hash: u64,
    /// When it was installed.
    pub(crate) view_since: u64,
    /// How far it is with the hub.
    pub(crate) phase: Option<Phase>,
    /// Whether it handles nothing.
    pub(crate) stalled: bool,
    /// When a fault last touched it.
    pub(crate) disturbed: u64,
    /// Since when all of its view have the same view and nothing is pending.
    pub(crate) settled: Option<u64>,
    /// When its view last lost each of the hosts.
    pub(crate) lost: Vec<u64>,
    /// When its view last gained each of the hosts while it took part already: sides that had diverged meet.
    pub(crate) met: Vec<u64>,
}

/// The ground truth.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// What the oracles judge by.
    pub(crate) bounds: Bounds,
    /// The present, in microseconds.
    pub(crate) now: u64,
    /// Whether what a node knew as it died comes back with its next life.
    pub(crate) disks: bool,
    /// The member that says anything, if there is one.
    pub(crate) insider: Option<HostId>,
    /// Whether it does so in the names of others, too.
    pub(crate) in_all_names: bool,
    /// Every host.
    pub(crate) hosts: Vec<HostTruth>,
    /// Every instance there ever was.
    pub(crate) instances: BTreeMap<Key, Instance>,
    /// Those whose nodes have not been told of an end.
    pub(crate) live: BTreeMap<ChildId, Vec<Key>>,
    /// Every name of every life there ever was: a life can be raised to a higher boot.
    pub(crate) members: BTreeMap<Member, (HostId, u32)>,
    /// Instances whose recipe may be altered before they start, and their children.
    pub(crate) claimed: BTreeMap<Key, ChildId>,
    /// Every pid there ever was.
    pub(crate) pids: BTreeMap<Pid, Key>,
    /// Starts and stops, and who knows of them.
    pub(crate) ledger: Ledger,
    /// The hosts that are to converge, once the faults are over.
    pub(crate) core: Vec<HostId>,
    /// What the nodes of the core hold, when they should have converged.
    pub(crate) census: BTreeMap<HostId, Census>,
    cuts: Vec<bool>,
}

impl Truth {
    /// Of so many hosts, none alive yet.
    #[must_use]
    pub(crate) fn new(hosts: usize, bounds: Bounds) -> Self {
        let host = HostTruth { lost: vec![0; hosts], met: vec![0; hosts], ..HostTruth::default() };
        Self {
            bounds,
            hosts: vec![host; hosts],
            ledger: Ledger::new(hosts),
            cuts: vec![false; hosts * hosts],
            ..Self::default()
        }
    }

    /// One more host, which was never alive.
    pub(crate) fn add_host(&mut self) {
        let hosts = self.hosts.len();
        self.cuts = widened(&self.cuts, hosts, &false);
        for host in &mut self.hosts {
            host.lost.push(0);
            host.met.push(0);
        }
        self.hosts.push(HostTruth { lost: vec![0; hosts + 1], met: vec![0; hosts + 1], ..HostTruth::default() });
        self.ledger.add_host();
    }

    /// The host that is this member at present.
    #[must_use]
    pub(crate) fn host_of(&self, member: &Member) -> Option<HostId> {
        self.hosts.iter().position(|host| host.member.as_ref() == Some(member))
    }

    /// Whether the life that this was a name of is over.
    #[must_use]
    pub(crate) fn has_died(&self, member: &Member) -> bool {
        let over =
            |(host, life): &(HostId, u32)| self.hosts[*host].member.is_none() || self.hosts[*host].lives != *life;
        self.members.get(member).is_some_and(over)
    }

    /// Whether nobody is left who knows what was before: all are dead, or have yet to learn it from others.
    #[must_use]
    pub(crate) fn all_have_forgotten(&self) -> bool {
        !self.disks && !self.hosts.iter().any(|host| host.phase.is_some_and(|phase| phase >= Phase::Ready))
    }

    /// Whether it is not the member that says anything that says what this is.
    #[must_use]
    pub(crate) fn is_honest(&self, pid: &Pid) -> bool {
        self.insider.is_none_or(|host| crate::sim::world::node_name(host) != pid.node)
    }

    /// The instances of a child that are not gone.
    #[must_use]
    pub(crate) fn live(&self, id: &ChildId) -> &[Key] {
        self.live.get(id).map_or(&[], Vec::as_slice)
    }

    /// How many copies of a child there may be in the view of a host.
    #[must_use]
    pub(crate) fn copies(&self, host: HostId) -> usize {
        self.bounds.copies.max(1).min(self.hosts[host].view.len().max(1))
    }

    /// The present instance of a host under this sequence.
    #[must_use]
    pub(crate) fn instance(&self, host: HostId, sequence: u64) -> Option<&Instance> {
        self.instances.get(&(host, self.hosts[host].lives, sequence))
    }

    /// Whether frames from one host to another are held.
    #[must_use]
    pub(crate) fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.cuts[from * self.hosts.len() + to]
    }

    /// Whether two hosts have the same settled view, and since when.
    #[must_use]
    pub(crate) fn settled_together(&self, one: HostId, other: HostId) -> Option<u64> {
        let (one, other) = (&self.hosts[one], &self.hosts[other]);
        if one.view_hash != other.view_hash || one.view != other.view {
            return None;
        }
        Some(one.settled?.max(other.settled?))
    }

    pub(crate) fn see(&mut self, seen: &Seen<'_>) {
        let now = self.now;
        ledger::see(self, seen);
        match *seen {
            Seen::Booted { host, member, skewed } => {
                let lives = self.hosts[host].lives + 1;
                let lost = std::mem::take(&mut self.hosts[host].lost);
                self.members.insert(member.clone(), (host, lives));
                self.hosts[host] = HostTruth {
                    lives,
                    skewed,
                    member: Some(member.clone()),
                    disturbed: now,
                    met: vec![0; lost.len()],
                    lost,
                    ..HostTruth::default()
                };
                self.settle();
            }
            Seen::Died { host } => self.died(host),
            Seen::Stalled { host, on } => {
                self.hosts[host].stalled = on;
                self.hosts[host].disturbed = now;
                self.settle();
            }
            Seen::Cut { from, to, on } => {
                let hosts = self.hosts.len();
                self.cuts[from * hosts + to] = on;
                self.hosts[from].disturbed = now;
                self.hosts[to].disturbed = now;
                self.settle();
            }
            Seen::Disturbed { host } => {
                self.hosts[host].disturbed = now;
                self.settle();
            }
            Seen::View { host, member, view, hash, phase } => self.viewed(host, member, view, hash, phase),
            Seen::Effect { host, effect } => self.effect(host, effect),
            Seen::Input { host, input: Input::Child { sequence, event, .. } } => {
                if matches!(event, ChildEvent::Exited { .. } | ChildEvent::StartFailed { .. }) {
                    self.gone((host, self.hosts[host].lives, *sequence));
                } else if matches!(event, ChildEvent::Started)
                    && let Some(instance) = self.instance_mut(host, *sequence)
                {
                    instance.known_up = true;
                }
            }
            Seen::Serving { host, sequence } => {
                if let Some(instance) = self.instance_mut(host, sequence) {
                    instance.up.get_or_insert(now);
                    instance.frozen = false;
                }
            }
            Seen::Frozen { host, sequence } => {
                if let Some(instance) = self.instance_mut(host, sequence) {
                    instance.frozen = true;
                }
            }
            Seen::Ended { host, sequence } => {
                if let Some(instance) = self.instance_mut(host, sequence) {
                    instance.down = Some(now);
                }
            }
            Seen::Healed { core } => {
                self.core = core.to_vec();
                // A script may ask for several: who was there at an earlier one may be gone.
                self.census.clear();
            }
            Seen::Census { host, census } => {
                self.census.insert(host, census.clone());
            }
            _ => {}
        }
    }

    fn instance_mut(&mut self, host: HostId, sequence: u64) -> Option<&mut Instance> {
        let key = (host, self.hosts[host].lives, sequence);
        self.instances.get_mut(&key)
    }

    fn effect(&mut self, host: HostId, effect: &Effect) {
        let life = self.hosts[host].lives;
        match effect {
            Effect::Start { spec, pid, token, role, standby, .. } => {
                let key = (host, life, pid.sequence);
                let instance = Instance {
                    id: spec.id.clone(),
                    pid: pid.clone(),
                    token: token.clone(),
                    version: ledger::version(spec),
                    role: *role,
                    restart: spec.restart,
                    asked: self.now,
                    standby: *standby,
                    up: None,
                    known_up: false,
                    frozen: false,
                    down: None,
                    gone: None,
                    stopping: None,
                };
                self.instances.insert(key, instance);
                self.pids.insert(pid.clone(), key);
                self.live.entry(spec.id.clone()).or_default().push(key);
            }
            // It is a claim from here on, although there is nothing to run yet.
            Effect::Alter { pid, spec, .. } => drop(self.claimed.insert((host, life, pid.sequence), spec.id.clone())),
            Effect::Stop { sequence, why, .. } => {
                if let Some(instance) = self.instance_mut(host, *sequence) {
                    instance.stopping = Some(*why);
                }
            }
            Effect::Serve { sequence, token, .. } => {
                if let Some(instance) = self.instance_mut(host, *sequence) {
                    instance.token = token.clone();
                }
            }
            Effect::SetRole { sequence, role, token, .. } => {
                if let Some(instance) = self.instance_mut(host, *sequence) {
                    instance.role = *role;
                    instance.token = token.clone();
                }
            }
            _ => {}
        }
    }

    fn gone(&mut self, key: Key) {
        let Some(instance) = self.instances.get_mut(&key) else { return };
        instance.gone.get_or_insert(self.now);
        let id = instance.id.clone();
        if let Some(live) = self.live.get_mut(&id) {
            live.retain(|other| *other != key);
            if live.is_empty() {
                self.live.remove(&id);
            }
        }
    }

    fn died(&mut self, host: HostId) {
        let keys: Vec<Key> = self.live.values().flatten().filter(|key| key.0 == host).copied().collect();
        keys.into_iter().for_each(|key| self.gone(key));
        let host = &mut self.hosts[host];
        host.member = None;
        host.view.clear();
        host.view_hash = 0;
        host.phase = None;
        host.stalled = false;
        host.disturbed = self.now;
        self.settle();
    }

    fn viewed(&mut self, host: HostId, member: &Member, view: &[Member], hash: u64, phase: Phase) {
        let before = &self.hosts[host];
        let took_part = before.phase == Some(Phase::Ready);
        let changes: Vec<(HostId, bool)> = (0..self.hosts.len())
            .filter_map(|other| {
                let there = self.hosts[other].member.as_ref()?;
                let (was, is) = (before.view.contains(there), view.contains(there));
                (was != is).then_some((other, is))
            })
            .collect();
        for (other, is) in changes {
            if !is {
                self.hosts[host].lost[other] = self.now;
            } else if took_part {
                self.hosts[host].met[other] = self.now;
            }
        }
        let truth = &mut self.hosts[host];
        self.members.insert(member.clone(), (host, truth.lives));
        truth.member = Some(member.clone());
        if truth.view_hash != hash || truth.view != view {
            truth.view = view.to_vec();
            truth.view_hash = hash;
            truth.view_since = self.now;
        }
        if truth.phase != Some(phase) {
            truth.phase = Some(phase);
            truth.disturbed = self.now;
        }
        self.settle();
    }

    /// Finds out for each host whether, and since when, its component is settled: pairwise connected both ways, with
    /// the same view, nobody stalled, and nobody else within reach.
    fn settle(&mut self) {
        let settled: Vec<Option<u64>> = (0..self.hosts.len()).map(|host| self.settled_since(host)).collect();
        for (host, since) in self.hosts.iter_mut().zip(settled) {
            host.settled = since;
        }
    }

    fn settled_since(&self, host: HostId) -> Option<u64> {
        let own = &self.hosts[host];
        if own.view.is_empty() {
            return None;
        }
        let inside: Vec<HostId> = own.view.iter().map(|member| self.host_of(member)).collect::<Option<_>>()?;
        let mut since = 0;
        for one in &inside {
            let truth = &self.hosts[*one];
            let ready = truth.phase == Some(Phase::Ready);
            if truth.stalled || !ready || truth.view_hash != own.view_hash || truth.view != own.view {
                return None;
            }
            if inside.iter().any(|other| one != other && self.is_cut(*one, *other)) {
                return None;
            }
            since = since.max(truth.view_since).max(truth.disturbed);
        }
        let outside = (0..self.hosts.len()).filter(|other| !inside.contains(other));
        for other in outside.filter(|other| self.hosts[*other].member.is_some()) {
            // Whoever can reach the component, if only one way, may be about to join it or to disturb it.
            if inside.iter().any(|one| !self.is_cut(*one, other) || !self.is_cut(other, *one)) {
                return None;
            }
            since = since.max(self.hosts[other].disturbed);
        }
        inside.contains(&host).then_some(since)
    }
}
