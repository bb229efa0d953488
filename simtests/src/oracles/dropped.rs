//! What nothing stood in the way of is done: DROP.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use process_hub_core::hook::HookEvent;
use process_hub_core::id::{ChildId, Member};
use process_hub_core::message::{HandoverStep, HubMessage};
use process_hub_core::{ChildEvent, Effect, Input, Message};

use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::{Key, Truth};
use crate::sim::HostId;

/// The longest time from one try to send a state to the next.
const AGAIN: u64 = 600_000;

/// DROP: the state of a copy is not given up, nor a move of it, while the copy that it was offered to is up and waits for
/// it, both nodes are in one settled view, and all that the two said of it has arrived: whatever was lost before that is
/// said again in time.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    /// Instances that were asked for their state and have not given it.
    asked: BTreeMap<Key, ChildId>,
    /// When each instance was frozen, and when its node was told that it is up.
    frozen: BTreeMap<Key, u64>,
    ready: BTreeMap<Key, u64>,
    /// Instances that were given a state and have not taken it, or have refused one: a child may take its time.
    giving: BTreeMap<Key, ChildId>,
    /// Whom the state of an instance was offered to, and when first.
    offered: BTreeMap<Key, BTreeMap<Key, u64>>,
    said: BTreeMap<ChildId, Vec<Said>>,
}

/// A word about a child's state.
#[derive(Debug)]
struct Said {
    at: u64,
    from: HostId,
    to: HostId,
    hash: u64,
    arrived: bool,
}

fn hash_of(body: &HubMessage) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

fn host_of(truth: &Truth, member: &Member) -> Option<HostId> {
    truth.hosts.iter().position(|host| host.member.as_ref() == Some(member))
}

impl Dropped {
    fn said(&mut self, truth: &Truth, from: HostId, to: &Member, body: &HubMessage) {
        let HubMessage::Handover { id, source, to: other, step, .. } = body else { return };
        let Some(to) = host_of(truth, to) else { return };
        if matches!(step, HandoverStep::Offer { .. }) {
            let key = |host: HostId, sequence: u64| (host, truth.hosts[host].lives, sequence);
            let offered = self.offered.entry(key(from, *source)).or_default();
            offered.entry(key(to, *other)).or_insert(truth.now);
        }
        let said = self.said.entry(id.clone()).or_default();
        said.retain(|said| truth.now - said.at <= window(truth));
        said.push(Said { at: truth.now, from, to, hash: hash_of(body), arrived: false });
    }

    fn arrived(&mut self, truth: &Truth, from: &Member, to: HostId, body: &HubMessage) {
        let HubMessage::Handover { id, .. } = body else { return };
        let Some(from) = host_of(truth, from) else { return };
        let hash = hash_of(body);
        let its = |said: &&mut Said| (said.from, said.to, said.hash) == (from, to, hash);
        self.said.entry(id.clone()).or_default().iter_mut().filter(its).for_each(|said| said.arrived = true);
    }

    fn given_up(&self, truth: &Truth, host: HostId, id: &ChildId, verdict: &mut Verdict<'_>) {
        let long = |since: u64| truth.now - since > window(truth);
        let here = (host, truth.hosts[host].lives);
        if self.asked.iter().any(|(key, asked)| (key.0, key.1) == here && asked == id) {
            return;
        }
        let its = |(key, _): &(&Key, &u64)| (key.0, key.1) == here && truth.instances[*key].id == *id;
        let Some((source, since)) = self.frozen.iter().filter(its).max_by_key(|(_, since)| **since) else { return };
        let busy = |(key, giving): (&Key, &ChildId)| giving == id && truth.instances[key].gone.is_none();
        if !long(*since) || self.giving.iter().any(busy) {
            return;
        }
        let waits = |(key, since): &(&Key, &u64)| {
            let (key, instance) = (**key, &truth.instances[*key]);
            let ready = self.ready.get(&key).is_some_and(|ready| long(*ready));
            let lives = key.1 == truth.hosts[key.0].lives && instance.down.is_none() && instance.gone.is_none();
            let together = truth.settled_together(host, key.0).is_some_and(long);
            long(**since) && ready && lives && together && instance.stopping.is_none()
        };
        let Some((taker, _)) = self.offered.get(source).and_then(|to| to.iter().find(waits)) else { return };
        // What was said last is still on its way.
        let recent = |said: &&Said| (truth.bounds.delay..=window(truth)).contains(&(truth.now - said.at));
        let between = |said: &&Said| [said.from, said.to].iter().all(|end| [host, taker.0].contains(end));
        let lost = self.said.get(id).into_iter().flatten().filter(recent).filter(between).any(|said| !said.arrived);
        verdict.check(lost, host, id, || {
            let (source, taker) = (&truth.instances[source].pid, &truth.instances[taker].pid);
            format!("the state of {source} is given up, and nothing keeps {taker} from taking it")
        });
    }
}

/// How long nothing may have been in the way: for one try more, and for the words and answers of one transfer.
fn window(truth: &Truth) -> u64 {
    AGAIN + 8 * truth.bounds.delay
}

impl Oracle for Dropped {
    fn id(&self) -> &'static str {
        "DROP"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT | kind::INPUT | kind::MOVE
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        let key = |host: HostId, sequence: u64| (host, truth.hosts[host].lives, sequence);
        match *seen {
            Seen::Frozen { host, sequence } => drop(self.frozen.insert(key(host, sequence), truth.now)),
            Seen::Input { host, input: Input::Message { from, message: Message::Hub { body, .. } } } => {
                self.arrived(truth, from, host, body);
            }
            Seen::Input { host, input: Input::Child { sequence, event: ChildEvent::Started, .. } } => {
                self.ready.insert(key(host, *sequence), truth.now);
            }
            Seen::Input {
                host,
                input: Input::Child { sequence, event: ChildEvent::StateTaken { result: Ok(()) }, .. },
            } => {
                verdict.checked();
                self.giving.remove(&key(host, *sequence));
            }
            Seen::Input { host, input: Input::Child { sequence, event: ChildEvent::Exited { .. }, .. } } => {
                self.giving.remove(&key(host, *sequence));
                self.asked.remove(&key(host, *sequence));
            }
            Seen::Effect { host, effect: Effect::TakeState { id, sequence, .. } } => {
                self.asked.insert(key(host, *sequence), id.clone());
            }
            Seen::Input { host, input: Input::Child { sequence, event: ChildEvent::State { .. }, .. } } => {
                self.asked.remove(&key(host, *sequence));
            }
            Seen::Effect { host, effect: Effect::GiveState { id, sequence, .. } } => {
                self.giving.insert(key(host, *sequence), id.clone());
            }
            Seen::Effect { host, effect: Effect::Send { to, message: Message::Hub { body, .. }, .. } } => {
                self.said(truth, host, to, body);
            }
            Seen::Effect { host, effect: Effect::Hook { event: HookEvent::MigrationFailed { id, .. }, .. } } => {
                self.given_up(truth, host, id, verdict);
                let its = |key: &Key| key.0 == host && truth.instances[key].id == *id;
                self.frozen.retain(|key, _| !its(key));
                self.asked.retain(|key, _| !its(key));
            }
            _ => {}
        }
    }
}
