//! What clients asked for, which start is which, and which lives may know of which start.
//!
//! Every simulated start carries a number of its own in its arguments, its *version*, so that instances, registries
//! and acknowledgements can be matched with the very start they belong to.

use std::collections::BTreeMap;

use bytes::Bytes;
use process_hub_core::id::{ChildId, RequestId};
use process_hub_core::message::{HubMessage, WireEntry};
use process_hub_core::request::{ChildFailure, OnFailure, Reply, Request, StartOutcome, StopOutcome};
use process_hub_core::spec::{ChildSpec, Restart};
use process_hub_core::{ChildEvent, Effect, ExitReason, Input, Message};

use super::seen::Seen;
use super::truth::Truth;
use crate::sim::HostId;

/// The arguments of a start with this version.
#[must_use]
pub(crate) fn args(version: u64) -> Bytes {
    Bytes::copy_from_slice(&version.to_le_bytes())
}

/// The version of a recipe; zero when it has none.
#[must_use]
pub(crate) fn version(spec: &ChildSpec) -> u64 {
    spec.args.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A node in one of its lives.
pub(crate) type LifeKey = (HostId, u32);

/// What became of one start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Start {
    /// Of which child.
    pub(crate) id: Option<ChildId>,
    /// At which node in which life.
    pub(crate) by: LifeKey,
    /// It was refused: nothing of it may ever run.
    pub(crate) refused: bool,
    /// It was accepted.
    pub(crate) accepted: bool,
    /// It was awaited and answered Ok: when, how many lives had ended by then, and how many members the view had.
    pub(crate) acked: Option<(u64, u32, usize)>,
    /// Somebody who may have known of it stopped the child, or it may have been given up.
    pub(crate) maybe_stopped: bool,
    /// Somebody who knew of it for sure stopped it.
    pub(crate) stopped: Vec<Stop>,
    /// Its batch was rolled back, at that time.
    pub(crate) rolled_back: Option<u64>,
    /// Lives whose registry once showed it as declared.
    pub(crate) holders: Vec<LifeKey>,
}

impl Start {
    /// Whether nobody can have stopped it.
    #[must_use]
    pub(crate) fn is_wanted(&self) -> bool {
        self.accepted && !self.refused && !self.maybe_stopped && self.stopped.is_empty() && self.rolled_back.is_none()
    }
}

/// A stop that observed a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Where it was accepted.
    pub(crate) by: LifeKey,
    /// When it was answered as confirmed, how many lives had ended by then, and how many members the view had.
    pub(crate) acked: Option<(u64, u32, usize)>,
}

#[derive(Clone, Debug)]
struct OpenStart {
    versions: Vec<(ChildId, u64)>,
    silent: bool,
}

#[derive(Clone, Debug)]
struct OpenStop {
    /// The children, with the version that the node's registry showed.
    ids: Vec<(ChildId, Option<u64>)>,
}

#[derive(Clone, Debug, Default)]
struct LifeLedger {
    known: BTreeMap<ChildId, Vec<u64>>,
    shown: BTreeMap<ChildId, u64>,
    starts: BTreeMap<RequestId, OpenStart>,
    stops: BTreeMap<RequestId, OpenStop>,
}

/// All starts and stops.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Every start by its version.
    pub(crate) starts: BTreeMap<u64, Start>,
    /// How many lives have ended.
    pub(crate) deaths: u32,
    hosts: Vec<LifeLedger>,
}

impl Ledger {
    pub(crate) fn new(hosts: usize) -> Self {
        Self { hosts: vec![LifeLedger::default(); hosts], ..Self::default() }
    }

    pub(crate) fn add_host(&mut self) {
        self.hosts.push(LifeLedger::default());
    }

    /// The version that a host's registry shows as declared.
    #[must_use]
    pub(crate) fn shown(&self, host: HostId, id: &ChildId) -> Option<u64> {
        self.hosts[host].shown.get(id).copied()
    }

    /// Whether two starts are of two declarations of a child, the former of which somebody stops who was not told yet
    /// that all its copies have ended. What was started on purpose before that may come up beside what the stop has yet
    /// to reach: whoever must not have that waits for the answer to the stop.
    #[must_use]
    pub(crate) fn stop_under_way(&self, one: u64, other: u64) -> bool {
        let Some(former) = self.starts.get(&one.min(other)).filter(|_| one != other) else { return false };
        former.maybe_stopped && former.stopped.iter().all(|stop| stop.acked.is_none())
    }

    fn learn(&mut self, host: HostId, id: &ChildId, version: u64) {
        let ledger = &mut self.hosts[host];
        let known = ledger.known.entry(id.clone()).or_default();
        if known.contains(&version) {
            return;
        }
        known.push(version);
        let being_stopped = ledger.stops.values().any(|stop| stop.ids.iter().any(|(other, _)| other == id));
        if being_stopped && let Some(start) = self.starts.get_mut(&version) {
            start.maybe_stopped = true;
        }
    }

    fn observe_all(&mut self, host: HostId, id: &ChildId) {
        for version in self.hosts[host].known.get(id).into_iter().flatten() {
            if let Some(start) = self.starts.get_mut(version) {
                start.maybe_stopped = true;
            }
        }
    }
}

pub(crate) fn see(truth: &mut Truth, seen: &Seen<'_>) {
    match *seen {
        Seen::Booted { host, .. } => truth.ledger.hosts[host] = LifeLedger::default(),
        Seen::Died { host } => {
            let ledger = &mut truth.ledger;
            ledger.deaths += 1;
            let lost = std::mem::take(&mut ledger.hosts[host]);
            // It may have given some of them up, and died before it could say so.
            for (_, version) in lost.starts.values().flat_map(|open| &open.versions) {
                if let Some(start) = ledger.starts.get_mut(version) {
                    start.maybe_stopped = true;
                }
            }
        }
        Seen::Input { host, input } => input_seen(truth, host, input),
        Seen::Effect { host, effect: Effect::Reply { id, reply } } => reply_seen(truth, host, *id, reply),
        Seen::Row { host, id, lookup, .. } => {
            let life = (host, truth.hosts[host].lives);
            let ledger = &mut truth.ledger;
            match lookup.and_then(|lookup| lookup.spec.as_ref()) {
                Some(spec) => {
                    let version = version(spec);
                    ledger.hosts[host].shown.insert(id.clone(), version);
                    ledger.learn(host, id, version);
                    if let Some(start) = ledger.starts.get_mut(&version)
                        && !start.holders.contains(&life)
                    {
                        start.holders.push(life);
                    }
                }
                None => {
                    ledger.hosts[host].shown.remove(id);
                }
            }
        }
        _ => {}
    }
}

fn input_seen(truth: &mut Truth, host: HostId, input: &Input) {
    let by = (host, truth.hosts[host].lives);
    match input {
        Input::Request { id, request: Request::Start { children, options, .. } } => {
            let ledger = &mut truth.ledger;
            let versions: Vec<_> = children.iter().map(|spec| (spec.id.clone(), version(spec))).collect();
            for (id, version) in &versions {
                let start = Start { id: Some(id.clone()), by, ..Start::default() };
                ledger.starts.insert(*version, start);
                ledger.learn(host, id, *version);
            }
            // One that nobody waits for may be rolled back without anybody being told.
            let silent = !options.wait && options.on_failure == OnFailure::Rollback;
            ledger.hosts[host].starts.insert(*id, OpenStart { versions, silent });
        }
        Input::Request { id, request: Request::Stop { ids, .. } } => {
            let ledger = &mut truth.ledger;
            ids.iter().for_each(|id| ledger.observe_all(host, id));
            let ids = ids.iter().map(|id| (id.clone(), ledger.shown(host, id))).collect();
            ledger.hosts[host].stops.insert(*id, OpenStop { ids });
        }
        Input::Request { request: Request::Restore { part, .. }, .. } => part.children().for_each(|spec| {
            truth.ledger.learn(host, &spec.id, version(spec));
        }),
        Input::Message { message, .. } => entries(message).iter().for_each(|entry| {
            truth.ledger.learn(host, &entry.spec.id, version(&entry.spec));
        }),
        Input::Child { sequence, event: ChildEvent::Exited { reason }, .. } => {
            ended(truth, host, *sequence, reason, by);
        }
        Input::Child { sequence, event: ChildEvent::StartFailed { .. }, .. } => {
            // Whoever started it may give it up for that, unless it was told already that it runs.
            let version = truth.instance(host, *sequence).map(|instance| instance.version);
            if let Some(start) = version.and_then(|version| truth.ledger.starts.get_mut(&version)) {
                start.maybe_stopped |= start.acked.is_none();
            }
        }
        _ => {}
    }
}

/// An instance that ended by itself, and whose rule says that this stops the child, is a stop at that node.
fn ended(truth: &mut Truth, host: HostId, sequence: u64, reason: &ExitReason, by: LifeKey) {
    let Some(instance) = truth.instance(host, sequence) else { return };
    let done = match instance.restart {
        // It has never served: another copy does, or its state waits, and the child goes on.
        _ if instance.up.is_none() => false,
        Restart::Permanent => false,
        Restart::Transient => *reason == ExitReason::Normal,
        Restart::Temporary => true,
    };
    if !done {
        return;
    }
    let (id, version, asked) = (instance.id.clone(), instance.version, instance.stopping.is_some());
    truth.ledger.observe_all(host, &id);
    if !asked && let Some(start) = truth.ledger.starts.get_mut(&version) {
        start.maybe_stopped = true;
        start.stopped.push(Stop { by, acked: None });
    }
}

fn entries(message: &Message) -> &[WireEntry] {
    let (Message::Hub { body, .. } | Message::Relayed { body, .. }) = message else { return &[] };
    match body {
        HubMessage::Batch { batch, .. } | HubMessage::Rumor { batch, .. } => &batch.starts,
        HubMessage::Listing { entries, .. } => entries,
        _ => &[],
    }
}

fn reply_seen(truth: &mut Truth, host: HostId, id: RequestId, reply: &Reply) {
    let by = (host, truth.hosts[host].lives);
    // A member that has died and is still in the view is one that the answer may rest on: its loss comes after the answer.
    let unnoticed = truth.hosts[host].view.iter().filter(|member| truth.has_died(member)).count();
    let deaths = truth.ledger.deaths.saturating_sub(u32::try_from(unnoticed).unwrap_or(u32::MAX));
    let stamp = (truth.now, deaths, truth.hosts[host].view.len());
    match reply {
        Reply::Start(outcome) => {
            let Some(open) = truth.ledger.hosts[host].starts.remove(&id) else { return };
            for (child, version) in &open.versions {
                let Some(start) = truth.ledger.starts.get_mut(version) else { continue };
                match outcome {
                    Err(_) => start.refused = true,
                    Ok(StartOutcome::Initiated) => {
                        start.accepted = true;
                        start.maybe_stopped |= open.silent;
                    }
                    Ok(StartOutcome::Done(result)) => {
                        start.accepted = true;
                        if result.rollback {
                            start.rolled_back = Some(stamp.0);
                            start.maybe_stopped = true;
                        }
                        let failure = result.errors.iter().find(|failure| failure.id == *child);
                        match failure.map(|failure| &failure.reason) {
                            Some(ChildFailure::AlreadyStarted) => start.refused = true,
                            Some(_) => start.maybe_stopped = true,
                            None => start.acked = Some(stamp),
                        }
                    }
                }
            }
        }
        Reply::Stop(outcome) => {
            let Some(open) = truth.ledger.hosts[host].stops.remove(&id) else { return };
            for (child, version) in &open.ids {
                let acked = match outcome {
                    Err(_) => continue,
                    Ok(StopOutcome::Initiated) => None,
                    Ok(StopOutcome::Done(result)) => {
                        let failure = result.errors.iter().find(|failure| failure.id == *child);
                        if failure.is_some_and(|failure| failure.reason == ChildFailure::NotFound) {
                            continue;
                        }
                        result.stopped.iter().any(|(id, _)| id == child).then_some(stamp)
                    }
                };
                if let Some(start) = version.and_then(|version| truth.ledger.starts.get_mut(&version)) {
                    start.stopped.push(Stop { by, acked });
                }
            }
        }
        _ => {}
    }
}
