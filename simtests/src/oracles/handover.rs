//! Moves of children: S15, S16, S17 and S18.

use std::collections::{BTreeMap, BTreeSet};

use process_hub_core::hook::HookEvent;
use process_hub_core::id::{ChildId, Pid};
use process_hub_core::message::HubMessage;
use process_hub_core::request::Request;
use process_hub_core::steering::Steer;
use process_hub_core::{Effect, Input, Message, StopReason};

use super::moves::mutual;
use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::{Instance, Key, Truth};
use crate::sim::HostId;
use crate::sim::moving::SimState;

/// The other instances of a child, gone ones included.
fn others<'a>(truth: &'a Truth, key: Key, id: &'a ChildId) -> impl Iterator<Item = (&'a Key, &'a Instance)> {
    truth.instances.iter().filter(move |(other, instance)| **other != key && instance.id == *id)
}

/// The present key of an instance.
fn key_of(truth: &Truth, host: HostId, sequence: u64) -> Key {
    (host, truth.hosts[host].lives, sequence)
}

/// S15: under HotSwap a copy that moves is ended only when another one serves, or has come to since; and of two copies of
/// one move one serves. A child whose declaration is being stopped needs no other: the copy that it would go to may have
/// been ended for that.
#[derive(Debug, Default)]
pub(super) struct Continuity {
    /// The copies of a child that the registry of a host shows.
    shown: BTreeMap<(HostId, ChildId), Vec<Pid>>,
}

impl Oracle for Continuity {
    fn id(&self) -> &'static str {
        "S15"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT | kind::SERVING | kind::ROW
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !truth.bounds.hot {
            return;
        }
        match *seen {
            Seen::Row { host, id, lookup, .. } => {
                let pids = lookup.map(|lookup| lookup.placements.iter().map(|place| place.pid.clone()).collect());
                self.shown.insert((host, id.clone()), pids.unwrap_or_default());
            }
            Seen::Effect { host, effect: Effect::Stop { id, sequence, why: StopReason::Moved, .. } } => {
                let key = key_of(truth, host, *sequence);
                let Some(instance) = truth.instances.get(&key).filter(|instance| !instance.frozen) else { return };
                // One that its node takes to be on its way up has served nobody that found it there.
                let Some(since) = instance.up.filter(|_| instance.serves() && instance.known_up) else { return };
                if truth.ledger.starts.get(&instance.version).is_some_and(|start| !start.is_wanted()) {
                    return;
                }
                let mut others = others(truth, key, id);
                // Of one that has ended since, this host may not have heard yet: it is shown as running here.
                let shown = self.shown.get(&(host, id.clone()));
                let unnoticed = |other: &Instance| {
                    other.up.is_some() && !other.frozen && shown.is_some_and(|shown| shown.contains(&other.pid))
                };
                let serves = |other: &Instance| other.serves() || other.up.is_some_and(|up| up >= since);
                let taken_over = others.any(|(_, other)| serves(other) || unnoticed(other));
                verdict.check(taken_over, host, id, || format!("{} is ended and no other copy serves", instance.pid));
            }
            Seen::Serving { host, sequence } if truth.bounds.hands_over => {
                let key = key_of(truth, host, sequence);
                let Some(instance) = truth.instances.get(&key).filter(|instance| instance.standby) else { return };
                let both = truth
                    .live(&instance.id)
                    .iter()
                    .find(|other| **other != key && mutual(truth, host, other.0) && truth.instances[*other].serves());
                verdict.check(both.is_none(), host, &instance.id, || {
                    let other = both.map(|other| truth.instances[other].pid.to_string()).unwrap_or_default();
                    format!("{} stood by and serves while {other} does", instance.pid)
                });
            }
            _ => {}
        }
    }
}

/// S16: a copy that takes over has all that the one before it has done, and no state is taken twice.
#[derive(Debug, Default)]
pub(super) struct StateMoves {
    /// How much each instance has done, that of its predecessors included.
    values: BTreeMap<Key, u64>,
    /// What each instance has taken over, and what it has merged.
    taken: BTreeMap<Key, SimState>,
    merged: BTreeMap<Key, BTreeSet<Key>>,
    /// Copies that have ended and left a state.
    left: BTreeMap<ChildId, Left>,
}

/// The state of a copy that has ended.
#[derive(Clone, Copy, Debug)]
struct Left {
    of: Key,
    at: u64,
    /// Who has it, and has not served yet.
    taker: Option<Key>,
}

impl StateMoves {
    fn took(&mut self, key: Key, state: SimState, merge: bool, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Some(instance) = truth.instances.get(&key) else { return };
        let (host, id) = (key.0, &instance.id);
        let before = if merge { None } else { self.taken.insert(key, state) };
        verdict.check(before.is_none(), host, id, || format!("{} takes over a second state", instance.pid));
        if merge {
            let first = self.merged.entry(key).or_default().insert(state.of);
            verdict.check(first, host, id, || format!("{} merges the state of {:?} twice", instance.pid, state.of));
        }
        let has_it = |other: &Key| {
            self.taken.get(other).is_some_and(|taken| taken.of == state.of && !merge)
                || self.merged.get(other).is_some_and(|merged| merged.contains(&state.of))
        };
        // Whoever loses the other one from its view before that has said that it has the state cannot know that, and goes on
        // from what it has; both have it until they meet. Where a quorum decides, the other one serves no more by then.
        let sees = |other: HostId| {
            let member = truth.hosts[other].member.as_ref();
            member.is_some_and(|member| truth.hosts[host].view.contains(member))
        };
        let must_know = |other: &Key| truth.bounds.mutex || other.0 == host || sees(other.0);
        let serves = |other: &&Key| **other != key && truth.instances[*other].serves();
        let twice = truth.live(id).iter().filter(serves).find(|other| must_know(other) && has_it(other));
        verdict.check(twice.is_none(), host, id, || format!("the state of {:?} is in {twice:?} already", state.of));
        let value = self.values.entry(key).or_default();
        *value = if merge { (*value).max(state.value) } else { state.value };
        match self.left.get_mut(id) {
            Some(left) if !merge && left.of == state.of => left.taker = Some(key),
            _ => drop(self.left.remove(id)),
        }
    }

    fn serves(&mut self, key: Key, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Some(instance) = truth.instances.get(&key) else { return };
        let (host, id) = (key.0, &instance.id);
        match self.taken.get(&key) {
            Some(state) => {
                let source = truth.instances.get(&state.of).filter(|source| source.gone.is_none());
                let planned =
                    source.is_some_and(|source| source.frozen || source.serves()) && mutual(truth, host, state.of.0);
                let done = self.values.get(&state.of).copied().unwrap_or(0);
                verdict.check(!planned || done <= state.value, host, id, || {
                    format!("{} goes on from {}, and the one before it has done {done}", instance.pid, state.value)
                });
                self.left.remove(id);
            }
            None => {
                // One that was asked for before is no successor, but a copy of its own from before the two nodes met: it
                // merges the state, and how long the two may be is S3's.
                let left = self.left.get(id).filter(|left| instance.asked >= left.at);
                let left = left.filter(|Left { of: (other, life, _), at, taker }| {
                    let settled = match taker {
                        None => truth.settled_together(host, *other).is_some_and(|since| since <= *at),
                        // Whoever had it is gone, and that may be a node: the others have seen each other throughout.
                        Some(taker) => {
                            let stays = |one: HostId, two: HostId| {
                                truth.hosts[one].met[two] <= *at && truth.hosts[one].lost[two] <= *at
                            };
                            let gone = truth.instances[taker].gone.is_some();
                            gone && stays(host, *other) && stays(*other, host)
                        }
                    };
                    // As for S14: what was its own all along, a node starts without a look at whom it has just met.
                    let settled = settled && mutual(truth, host, *other);
                    // Where the stop of the child is known, the state is thrown away; here it has yet to be heard of.
                    let declared = truth.ledger.shown(*other, id) == Some(instance.version);
                    *life == truth.hosts[*other].lives && settled && declared && truth.now - at < truth.bounds.keeps
                });
                verdict.check(left.is_none(), host, id, || {
                    format!("{} begins from nothing, and {left:?} has left its state", instance.pid)
                });
            }
        }
    }

    fn ended(&mut self, key: Key, truth: &Truth) {
        let Some(instance) = truth.instances.get(&key) else { return };
        if instance.frozen && truth.bounds.cold && instance.stopping == Some(StopReason::Moved) {
            self.left.insert(instance.id.clone(), Left { of: key, at: truth.now, taker: None });
        }
    }
}

impl Oracle for StateMoves {
    fn id(&self) -> &'static str {
        "S16"
    }

    fn wants(&self) -> u32 {
        kind::MOVE | kind::SERVING | kind::APPLIED | kind::ENDED | kind::EFFECT
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Applied { host, sequence, .. } => {
                if let Some(instance) = truth.instance(host, sequence) {
                    let may = instance.up.is_some() && !instance.frozen;
                    verdict
                        .check(may, host, &instance.id, || format!("{} handles a message and may not", instance.pid));
                }
                *self.values.entry(key_of(truth, host, sequence)).or_default() += 1;
            }
            Seen::Took { host, sequence, state, merge } => {
                self.took(key_of(truth, host, sequence), state, merge, truth, verdict);
            }
            Seen::Serving { host, sequence } => self.serves(key_of(truth, host, sequence), truth, verdict),
            Seen::Ended { host, sequence } => self.ended(key_of(truth, host, sequence), truth),
            // It was given up, and said so; or the child is another by now.
            Seen::Effect { effect: Effect::Hook { event: HookEvent::MigrationFailed { id, .. }, .. }, .. } => {
                self.left.remove(id);
            }
            Seen::Effect { effect: Effect::Start { spec, .. }, .. } => {
                let version = super::ledger::version(spec);
                let other = |left: &Left| truth.instances[&left.of].version != version;
                if self.left.get(&spec.id).is_some_and(other) {
                    self.left.remove(&spec.id);
                }
            }
            _ => {}
        }
    }
}

/// S17: a copy that was frozen for a move is ended only when another one has come to serve since; and in a settled component
/// it does not stay frozen.
#[derive(Debug, Default)]
pub(super) struct Abort {
    frozen: BTreeMap<Key, u64>,
}

impl Oracle for Abort {
    fn id(&self) -> &'static str {
        "S17"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT | kind::MOVE | kind::SERVING | kind::PROBE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Frozen { host, sequence } => drop(self.frozen.insert(key_of(truth, host, sequence), truth.now)),
            Seen::Serving { host, sequence } => drop(self.frozen.remove(&key_of(truth, host, sequence))),
            Seen::Effect { host, effect: Effect::Stop { id, sequence, why: StopReason::Moved, .. } } => {
                let key = key_of(truth, host, *sequence);
                let Some(since) = self.frozen.get(&key).filter(|_| truth.bounds.hot) else { return };
                let served = |(_, other): (&Key, &Instance)| other.serves() || other.up.is_some_and(|up| up >= *since);
                verdict.check(others(truth, key, id).any(served), host, id, || {
                    format!("{} is ended although no other copy has come to serve", truth.instances[&key].pid)
                });
            }
            Seen::Probe => {
                let now = truth.now;
                self.frozen.retain(|key, since| {
                    let live = truth.instances[key].gone.is_none();
                    let settled =
                        truth.hosts[key.0].settled.filter(|_| live && truth.instances[key].stopping.is_none());
                    let lasts = settled.map_or(0, |settled| now - settled.max(*since));
                    if lasts > truth.bounds.overlap + truth.bounds.stop {
                        let instance = &truth.instances[key];
                        verdict.fails(
                            Some(key.0),
                            Some(&instance.id),
                            format!("{} is frozen for {lasts} us", instance.pid),
                        );
                        return false;
                    }
                    live
                });
            }
            _ => {}
        }
    }
}

/// S18: nodes that act by themselves say nothing of moves, and undo nothing while the view is the same.
#[derive(Debug, Default)]
pub(super) struct Autonomous {
    /// The view in which a host has ended its copy last.
    ended: BTreeMap<(HostId, u32, ChildId), u64>,
    /// Children that belong where somebody has said, and all of them if anybody may have.
    given: BTreeSet<ChildId>,
    all_given: bool,
}

impl Oracle for Autonomous {
    fn id(&self) -> &'static str {
        "S18"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT | kind::INPUT
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        if !truth.bounds.autonomous {
            return;
        }
        match *seen {
            Seen::Input { input: Input::Request { request, .. }, .. } => match request {
                Request::Steer { act: Steer::Migrate { id, .. }, .. } => drop(self.given.insert(id.clone())),
                Request::Steer { .. } => self.all_given = true,
                Request::Start { options, .. } => self.all_given |= options.child_mapping.is_some(),
                _ => {}
            },
            Seen::Effect { host, effect } => match effect {
                Effect::SampleLoad { .. } => self.all_given = true,
                Effect::TakeState { id, .. } | Effect::GiveState { id, .. } => {
                    verdict.fails(Some(host), Some(id), "a state is moved");
                }
                Effect::Send { message: Message::Hub { body: HubMessage::Handover { id, .. }, .. }, .. } => {
                    verdict.fails(Some(host), Some(id), "a move is talked about");
                }
                Effect::Stop { id, why: StopReason::Moved, .. } => {
                    let here = &truth.hosts[host];
                    self.ended.insert((host, here.lives, id.clone()), here.view_hash);
                }
                Effect::Start { spec, pid, .. } => {
                    let here = &truth.hosts[host];
                    let ended = self.ended.get(&(host, here.lives, spec.id.clone())) == Some(&here.view_hash);
                    let back = ended && !self.all_given && !self.given.contains(&spec.id);
                    verdict.check(!back, host, &spec.id, || format!("{pid} is started in the view it was ended in"));
                }
                _ => {}
            },
            _ => {}
        }
    }
}
