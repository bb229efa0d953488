//! Starts, stops and assignments of three authors reach replicas in any order, repeated, in batches cut anywhere, in part
//! only: what is declared afterwards is what a reference of three lines says. So merging is commutative, associative and
//! idempotent; a stop is never undone; and what a replica has missed it gets by comparing with one that has not, so
//! changes and states come to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use process_hub_core::config::{HubConfig, Synchronization};
use process_hub_core::id::{Boot, ChildId, Member};
use process_hub_core::message::{
    Assignment, Attributes, Batch, Hello, HubMessage, Message, Phase, Snapshot, WireAssign, WireContext, WireDot,
    WireEntry, WireMemory, WireStop,
};
use process_hub_core::{Effect, Effects, Hub, HubInput, Time};

use parts::draw::{Draw, hub, name};

#[path = "parts/mod.rs"]
mod parts;

/// A start as all can name it: its number, and the life that took it.
type Name = (u64, Member);

#[derive(Clone)]
enum Change {
    Start(Name, WireEntry),
    Stop(ChildId, Vec<Name>),
    Assign(ChildId, Name, Assignment),
}

/// What was done, and what must come of it.
#[derive(Default)]
struct History {
    changes: Vec<Change>,
    starts: BTreeMap<Name, (ChildId, u8)>,
    stopped: BTreeSet<Name>,
}

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let history = History::draw(&mut draw);
    // In order; in any order, some twice.
    let mut plain = Replica::new("r1");
    history.changes.iter().for_each(|change| plain.apply(0, std::slice::from_ref(change)));
    history.check(&plain);
    let mut mixed = Replica::new("r2");
    let again: Vec<Change> = draw.some(|draw| history.any(draw)).into_iter().flatten().collect();
    let mut order: Vec<Change> = history.changes.iter().cloned().chain(again).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, draw.below(at + 1));
    }
    let mut rest = &order[..];
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(1 + draw.below(4)));
        mixed.apply(draw.below(PEERS.len()), now);
        rest = later;
    }
    history.check(&mixed);
    assert_eq!(mixed.digest(), plain.digest(), "the same whatever the order");

    // One has missed some, another has missed others, a third has missed all.
    let (mut one, mut other, mut third) = (Replica::new("r3"), Replica::new("r4"), Replica::new("r5"));
    for change in &history.changes {
        let who = draw.below(3);
        let change = std::slice::from_ref(change);
        if who != 0 {
            one.apply(draw.below(PEERS.len()), change);
        }
        if who != 1 {
            other.apply(draw.below(PEERS.len()), change);
        }
    }
    meet(&mut [&mut one, &mut other, &mut third]);
    for replica in [&one, &other, &third] {
        history.check(replica);
        assert_eq!(replica.digest(), plain.digest(), "the same for who has missed something");
    }
}

impl History {
    fn draw(draw: &mut Draw<'_>) -> Self {
        let mut history = Self::default();
        let mut numbers = BTreeMap::new();
        for _ in 0..24 {
            if draw.is_empty() {
                break;
            }
            let id = draw.child();
            let declared: Vec<Name> = history.declared(&id).map(|(name, _)| name.clone()).collect();
            match draw.below(4) {
                0 | 1 => {
                    let author = Member { node: name(draw.one(&PEERS)), boot: draw.one(&[Boot(7), Boot(7), Boot(3)]) };
                    let number: &mut u64 = numbers.entry(author.clone()).or_default();
                    // A number that is skipped is of a start that nobody here ever hears of.
                    *number += 1 + u64::from(draw.byte() > 239);
                    let args = u8::try_from(history.starts.len()).unwrap_or(u8::MAX);
                    let mut spec = draw.spec(vec![args]);
                    spec.id = id.clone();
                    let entry = WireEntry { dot: WireDot { origin: 0, counter: *number }, spec: Arc::new(spec) };
                    history.starts.insert((*number, author.clone()), (id, args));
                    history.changes.push(Change::Start((*number, author), entry));
                }
                2 => {
                    let seen: Vec<Name> = declared.into_iter().filter(|_| draw.byte() > 63).collect();
                    history.stopped.extend(seen.iter().cloned());
                    history.changes.push(Change::Stop(id, seen));
                }
                _ if !declared.is_empty() => {
                    let to = draw.one(&declared);
                    let version = draw.number() % (1 << 48);
                    let assignment = Assignment { version, by: draw.node(), nodes: vec![draw.node()], held: false };
                    history.changes.push(Change::Assign(id, to, assignment));
                }
                _ => {}
            }
        }
        history
    }

    fn any(&self, draw: &mut Draw<'_>) -> Option<Change> {
        (!self.changes.is_empty()).then(|| draw.one(&self.changes))
    }

    /// A start is declared exactly if no stop has observed it. The first is carried out.
    fn declared(&self, id: &ChildId) -> impl Iterator<Item = (&Name, u8)> {
        let of = self.starts.iter().filter(move |(name, (of, _))| of == id && !self.stopped.contains(*name));
        of.map(|(name, (_, args))| (name, *args))
    }

    fn check(&self, replica: &Replica) {
        let ids: BTreeSet<&ChildId> = self.starts.values().map(|(id, _)| id).collect();
        let mut declared = 0;
        for id in ids {
            let expected = self.declared(id).next().map(|(_, args)| args);
            let lookup = replica.hub.registry().lookup(id).and_then(|lookup| lookup.spec);
            assert_eq!(lookup.map(|spec| spec.args[0]), expected, "{id} at {}", replica.me);
            declared += usize::from(expected.is_some());
        }
        assert_eq!(replica.hub.registry().len(), declared);
    }
}

/// Through whom changes reach a replica.
const PEERS: [&str; 3] = ["a", "b", "c"];

fn peer(at: usize) -> Member {
    Member { node: name(PEERS[at]), boot: Boot(7) }
}

struct Replica {
    me: Member,
    hub: Hub,
    now: Time,
    told: [u64; PEERS.len()],
    sent: Vec<(Member, HubMessage)>,
}

impl Replica {
    fn new(node: &str) -> Self {
        let mut config = HubConfig::new(hub());
        config.synchronization = Synchronization::PubSub { sync_interval: Duration::from_secs(1) };
        let (me, now) = (Member { node: name(node), boot: Boot(1) }, Time::from_millis(1));
        let hub = Hub::new(config, me.clone(), true, now).expect("in bounds");
        let mut replica = Self { me, hub, now, told: [0; PEERS.len()], sent: Vec::new() };
        for from in (0..PEERS.len()).map(peer) {
            replica.input(HubInput::MemberUp(from.clone()));
            let hello = Hello {
                config: replica.hub.config().digest(),
                fields: replica.hub.config().fields(),
                phase: Phase::Ready,
                minted: from.boot,
                position: None,
                told: (0, 0),
                answer: false,
                attributes: Attributes::default(),
                memory: WireMemory::default(),
                known: None,
            };
            replica.input(HubInput::Message { from, body: HubMessage::Hello(hello) });
        }
        replica
    }

    fn digest(&self) -> u64 {
        self.hub.registry().declared_digest()
    }

    fn input(&mut self, input: HubInput) {
        let mut effects = Effects::new();
        self.hub.handle(self.now, input, &mut effects);
        for effect in effects {
            if let Effect::Send { to, message: Message::Hub { body, .. }, .. } = effect {
                self.sent.push((to, body));
            }
        }
    }

    /// Some changes come in one batch, and once more.
    fn apply(&mut self, through: usize, changes: &[Change]) {
        let mut batch = Batch { snapshot: Snapshot::Last, ..Batch::default() };
        for change in changes {
            let mut origin = |member: &Member| {
                let at = batch.origins.iter().position(|origin| origin == member);
                let at = at.unwrap_or_else(|| {
                    batch.origins.push(member.clone());
                    batch.origins.len() - 1
                });
                u16::try_from(at).unwrap_or(u16::MAX)
            };
            let mut dot = |name: &Name| WireDot { origin: origin(&name.1), counter: name.0 };
            match change {
                Change::Start(name, entry) => {
                    let dot = dot(name);
                    batch.starts.push(WireEntry { dot, spec: entry.spec.clone() });
                }
                Change::Stop(id, names) => {
                    let dots = names.iter().map(dot).collect();
                    batch.stops.push(WireStop { id: id.clone(), dots });
                }
                Change::Assign(id, name, assignment) => {
                    let dot = dot(name);
                    batch.assigns.push(WireAssign { id: id.clone(), dot, assignment: assignment.clone() });
                }
            }
        }
        let number = self.told[through];
        self.told[through] += 1;
        if number > 0 {
            batch.snapshot = Snapshot::Not;
        }
        let batch = Arc::new(batch);
        for _ in 0..2 {
            let body = HubMessage::Batch { epoch: 1, number, batch: batch.clone() };
            self.input(HubInput::Message { from: peer(through), body });
        }
    }
}

/// Replicas are members of one hub for a while.
fn meet(replicas: &mut [&mut Replica]) {
    let members: Vec<Member> = replicas.iter().map(|replica| replica.me.clone()).collect();
    for replica in &mut *replicas {
        let others: Vec<Member> = members.iter().filter(|member| **member != replica.me).cloned().collect();
        others.into_iter().for_each(|other| replica.input(HubInput::MemberUp(other)));
    }
    // Three comparisons with each, and what they take.
    for _ in 0..400 {
        for at in 0..replicas.len() {
            replicas[at].now += Duration::from_millis(10);
            replicas[at].input(HubInput::Tick);
            for (to, body) in std::mem::take(&mut replicas[at].sent) {
                let from = members[at].clone();
                match members.iter().position(|member| *member == to) {
                    Some(other) => replicas[other].input(HubInput::Message { from, body }),
                    None => answer(replicas[at], to, &body),
                }
            }
        }
    }
}

/// Who passes changes on has nothing of his own to compare with, and has seen nothing.
fn answer(replica: &mut Replica, from: Member, body: &HubMessage) {
    if let HubMessage::Pull { round, .. } = body {
        let body = HubMessage::Same { round: *round, context: WireContext::default() };
        replica.input(HubInput::Message { from, body });
    }
}
