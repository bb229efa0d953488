//! Memberships on a simulated network: virtual time, links that open, close, refuse and stall.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::NodeConfig;
use crate::hashing::stable_hash;
use crate::id::{Addr, Boot, Member, NodeId};
use crate::input::{DialFailure, LinkEvent};
use crate::membership::{Fact, Membership};
use crate::message::Message;
use crate::time::Time;

const NEVER_ANSWERED: Duration = Duration::from_secs(1);
const RETRANSMISSION: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Power {
    Running,
    /// The process is gone, its host answers.
    Killed,
    /// Nothing answers.
    Silent,
}

pub(super) struct Machine {
    pub(super) membership: Membership,
    config: NodeConfig,
    pub(super) power: Power,
    paused: Option<Time>,
    tick: Option<Time>,
    /// By the index of the machine at the other end.
    links: BTreeMap<usize, u64>,
    dialling: BTreeSet<Addr>,
    up: BTreeMap<NodeId, Boot>,
    linked: BTreeSet<Member>,
    /// `Up`, `Down` and `Left`, in order.
    pub(super) history: Vec<(Time, Fact)>,
    pub(super) raised: usize,
}

#[derive(Debug)]
struct Conn {
    opener: usize,
    other: usize,
    boots: [Boot; 2],
    /// When the last frame to the opener, and to the other, arrives.
    last: [Time; 2],
}

enum Event {
    Tick(usize),
    Dialled { from: usize, addr: Addr },
    Link { at: usize, life: Boot, conn: Option<u64>, event: LinkEvent },
    Frame { to: usize, conn: u64, message: Message },
}

pub(super) struct Cluster {
    pub(super) now: Time,
    pub(super) machines: Vec<Machine>,
    queue: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    conns: BTreeMap<u64, Conn>,
    rng: ChaCha8Rng,
    /// Directions in which nothing passes.
    cut: BTreeSet<(usize, usize)>,
    /// Directions in which dials are refused by the host.
    refusing: BTreeSet<(usize, usize)>,
    /// Of 1,000 datagrams, how many are lost.
    pub(super) loss: u32,
    /// Whether keep-alives and refusals are lost too.
    pub(super) lose_all: bool,
    pub(super) inputs: u64,
    pub(super) frames: u64,
    /// A hash over everything that any machine did.
    pub(super) trace: Option<u64>,
    facts: Vec<Fact>,
}

pub(super) fn name(index: usize) -> NodeId {
    NodeId::new(format!("n{index:03}")).unwrap()
}

fn addr(index: usize) -> Addr {
    Addr::new(format!("host{index}:7400"))
}

fn index(addr: &str) -> usize {
    addr.strip_prefix("host").unwrap().strip_suffix(":7400").unwrap().parse().unwrap()
}

fn index_of(node: &NodeId) -> usize {
    node.as_str()[1..].parse().unwrap()
}

impl Cluster {
    /// `count` machines that join by the first, started now.
    pub(super) fn new(count: usize, seed: u64) -> Self {
        let mut cluster = Self {
            now: Time::from_millis(1_000),
            machines: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            conns: BTreeMap::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            cut: BTreeSet::new(),
            refusing: BTreeSet::new(),
            loss: 0,
            lose_all: false,
            inputs: 0,
            frames: 0,
            trace: None,
            facts: Vec::new(),
        };
        for _ in 0..count {
            cluster.add();
        }
        cluster
    }

    /// One more, joining by the first.
    pub(super) fn add(&mut self) -> usize {
        let at = self.machines.len();
        let mut config = NodeConfig::new(name(at), addr(at));
        config.join = alloc::vec![addr(0)];
        let boot = Boot(1_000 + at as u64);
        let membership = Membership::new(&config, boot, self.rng.random());
        self.machines.push(Machine {
            membership,
            config,
            power: Power::Running,
            paused: None,
            tick: None,
            links: BTreeMap::new(),
            dialling: BTreeSet::new(),
            up: BTreeMap::new(),
            linked: BTreeSet::new(),
            history: Vec::new(),
            raised: 0,
        });
        self.wake(at);
        at
    }

    /// A cluster that has formed.
    pub(super) fn formed(count: usize, seed: u64) -> Self {
        let mut cluster = Self::new(count, seed);
        cluster.run_until(Duration::from_secs(20), "the cluster to form", |cluster| cluster.agree());
        cluster.run(Duration::from_secs(2));
        cluster.forget_history();
        cluster
    }

    pub(super) fn forget_history(&mut self) {
        self.machines.iter_mut().for_each(|machine| machine.history.clear());
    }

    pub(super) fn member(&self, at: usize) -> Member {
        self.machines[at].membership.me().clone()
    }

    pub(super) fn sees(&self, at: usize, other: usize) -> bool {
        self.machines[at].membership.is_up(&self.member(other))
    }

    /// Whether every machine that runs has exactly those that run as up.
    pub(super) fn agree(&self) -> bool {
        let running: Vec<usize> = self.running().collect();
        running.iter().all(|at| self.sees_exactly(*at, &running))
    }

    pub(super) fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.machines.len()).filter(|at| self.machines[*at].power == Power::Running)
    }

    pub(super) fn sees_exactly(&self, at: usize, others: &[usize]) -> bool {
        others.iter().all(|other| self.sees(at, *other)) && self.machines[at].up.len() + 1 == others.len()
    }

    pub(super) fn deaths(&self) -> usize {
        let histories = self.machines.iter().map(|machine| &machine.history);
        histories.flatten().filter(|(_, fact)| matches!(fact, Fact::Down(_))).count()
    }

    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.queue.first_key_value().is_some_and(|((at, _), _)| *at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// How long it took until `done`.
    pub(super) fn run_until(&mut self, most: Duration, what: &str, done: impl Fn(&Self) -> bool) -> Duration {
        let begin = self.now;
        while !done(self) {
            assert!(self.now.since(begin) <= most, "waited {most:?} for {what}\n{}", self.report());
            self.run(Duration::from_millis(5));
        }
        self.now.since(begin)
    }

    pub(super) fn report(&self) -> String {
        let mut text = String::new();
        for at in self.running() {
            text += &format!("{}: up {:?}\n", name(at), self.machines[at].up);
        }
        text
    }

    pub(super) fn kill(&mut self, at: usize) {
        self.machines[at].power = Power::Killed;
        let links = core::mem::take(&mut self.machines[at].links);
        for (other, conn) in links {
            self.tell_closed(at, other, conn);
        }
    }

    pub(super) fn silence(&mut self, at: usize) {
        self.machines[at].power = Power::Silent;
        self.machines[at].links.clear();
    }

    pub(super) fn restart(&mut self, at: usize, boot: u64) {
        if self.machines[at].power == Power::Running {
            self.kill(at);
        }
        let seed = self.rng.random();
        let machine = &mut self.machines[at];
        machine.membership = Membership::new(&machine.config, Boot(boot), seed);
        machine.power = Power::Running;
        machine.tick = None;
        machine.dialling.clear();
        machine.up.clear();
        machine.linked.clear();
        machine.history.clear();
        self.wake(at);
    }

    pub(super) fn pause(&mut self, at: usize, span: Duration) {
        self.machines[at].paused = Some(self.now + span);
    }

    /// Has the host of `to` refuse all links with `from`, and closes the one there is.
    pub(super) fn refuse(&mut self, from: usize, to: usize) {
        self.refusing.extend([(from, to), (to, from)]);
        self.flap(from, to);
    }

    /// Closes the link between two, as seen by both.
    pub(super) fn flap(&mut self, one: usize, other: usize) {
        let Some(conn) = self.machines[one].links.get(&other).copied() else { return };
        self.tell_closed(one, other, conn);
        self.tell_closed(other, one, conn);
    }

    pub(super) fn leave(&mut self, at: usize) {
        let mut facts = Vec::new();
        self.machines[at].membership.leave(self.now, &mut facts);
        self.carry_out(at, &mut facts);
    }

    pub(super) fn cut_one_way(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub(super) fn cut(&mut self, one: usize, other: usize) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Cuts the first `count` machines from the others.
    pub(super) fn split(&mut self, count: usize) {
        for one in 0..count {
            for other in count..self.machines.len() {
                self.cut(one, other);
            }
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    fn passes(&self, from: usize, to: usize) -> bool {
        self.machines[to].power != Power::Silent && !self.cut.contains(&(from, to))
    }

    fn latency(&mut self) -> Duration {
        Duration::from_micros(self.rng.random_range(150..800))
    }

    fn push(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    fn step(&mut self) {
        let Some(((at, _), event)) = self.queue.pop_first() else { return };
        self.now = self.now.max(at);
        match event {
            Event::Tick(at) => self.on_tick(at),
            Event::Dialled { from, addr } => self.on_dialled(from, addr),
            Event::Link { at, life, conn, event } => self.on_link(at, life, conn, event),
            Event::Frame { to, conn, message } => self.on_frame(to, conn, message),
        }
    }

    /// When the machine can take an input: now, or when its pause ends.
    fn ready(&mut self, at: usize) -> Result<(), Time> {
        match self.machines[at].paused {
            Some(until) if until > self.now => Err(until),
            _ => Ok(()),
        }
    }

    fn on_tick(&mut self, at: usize) {
        if self.machines[at].power != Power::Running || self.machines[at].tick.is_none_or(|due| due > self.now) {
            return;
        }
        if let Err(until) = self.ready(at) {
            self.machines[at].tick = Some(until);
            return self.push(until, Event::Tick(at));
        }
        self.machines[at].tick = None;
        self.input(at, |membership, now, facts| membership.tick(now, facts));
        let next = self.machines[at].membership.next_timeout();
        assert!(next.is_none_or(|next| next > self.now), "a tick leaves nothing that is due");
    }

    fn on_link(&mut self, at: usize, life: Boot, conn: Option<u64>, event: LinkEvent) {
        if let Err(until) = self.ready(at) {
            return self.push(until, Event::Link { at, life, conn, event });
        }
        let machine = &mut self.machines[at];
        // What was on its way to an earlier life reaches nobody. A raised boot is the same life.
        if machine.power != Power::Running || (machine.membership.me().boot != life && machine.raised == 0) {
            return;
        }
        match &event {
            LinkEvent::Failed { addr, .. } => {
                machine.dialling.remove(addr);
            }
            LinkEvent::Up { addr, .. } => {
                machine.dialling.remove(addr);
                machine.links.insert(index(addr), conn.unwrap());
            }
            LinkEvent::Down { member } => {
                let other = index_of(&member.node);
                if machine.links.get(&other) == conn.as_ref() {
                    machine.links.remove(&other);
                } else if conn.is_some() {
                    return;
                }
            }
            _ => {}
        }
        self.input(at, |membership, now, facts| membership.link(now, event, facts));
    }

    fn on_frame(&mut self, to: usize, conn: u64, message: Message) {
        if self.machines[to].power != Power::Running {
            return;
        }
        if let Err(until) = self.ready(to) {
            return self.push(until, Event::Frame { to, conn, message });
        }
        let Some(link) = self.conns.get(&conn) else { return };
        let side = usize::from(link.opener == to);
        let (from, boot) = ([link.opener, link.other][side], link.boots[side]);
        if self.machines[to].links.get(&from) != Some(&conn) {
            return;
        }
        if self.cut.contains(&(from, to)) {
            return self.push(self.now + RETRANSMISSION, Event::Frame { to, conn, message });
        }
        self.frames += 1;
        let from = Member { node: name(from), boot };
        self.input(to, |membership, now, facts| {
            membership.heard(now, &from);
            match message {
                Message::Swim(bytes) => membership.swim(now, &from, &bytes, facts),
                Message::Refused { member } => membership.refused(now, &from, &member, facts),
                _ => {}
            }
        });
    }

    /// Gives one input, and carries out what follows.
    pub(super) fn input(&mut self, at: usize, run: impl FnOnce(&mut Membership, Time, &mut Vec<Fact>)) {
        self.inputs += 1;
        let mut facts = core::mem::take(&mut self.facts);
        run(&mut self.machines[at].membership, self.now, &mut facts);
        self.carry_out(at, &mut facts);
        self.facts = facts;
    }

    fn wake(&mut self, at: usize) {
        let Some(next) = self.machines[at].membership.next_timeout() else { return };
        let next = next.max(self.now);
        if self.machines[at].tick.is_none_or(|tick| tick > next) {
            self.machines[at].tick = Some(next);
            self.push(next, Event::Tick(at));
        }
    }

    fn carry_out(&mut self, at: usize, facts: &mut Vec<Fact>) {
        if let Some(trace) = &mut self.trace {
            let text = format!("{trace} {} {at} {facts:?}", self.now);
            *trace = stable_hash(text.as_bytes());
        }
        for fact in facts.drain(..) {
            self.check(at, &fact);
            match fact {
                Fact::Send { to, message } => self.send(at, &to, message),
                Fact::Dial { addr } => {
                    assert!(self.machines[at].dialling.insert(addr.clone()), "one dial at a time");
                    let latency = self.latency();
                    self.push(self.now + latency, Event::Dialled { from: at, addr });
                }
                Fact::Hangup { member, .. } => self.hangup(at, &member),
                _ => {}
            }
        }
        self.wake(at);
    }

    /// What must hold of every fact.
    fn check(&mut self, at: usize, fact: &Fact) {
        let machine = &mut self.machines[at];
        match fact {
            Fact::Up(member) => {
                assert_ne!(member.node, machine.config.name);
                let before = machine.up.insert(member.node.clone(), member.boot);
                assert_eq!(before, None, "{at}: {member} is up twice");
                machine.history.push((self.now, fact.clone()));
            }
            Fact::Down(member) | Fact::Left(member) => {
                let before = machine.up.remove(&member.node);
                assert_eq!(before, Some(member.boot), "{at}: {member} was not up");
                machine.history.push((self.now, fact.clone()));
            }
            Fact::LinkUp(member) => assert!(machine.linked.insert(member.clone()), "{at}: {member} linked twice"),
            Fact::LinkDown(member) => assert!(machine.linked.remove(member), "{at}: {member} was not linked"),
            Fact::Raised(boot) => {
                assert_eq!(machine.membership.me().boot, *boot);
                machine.raised += 1;
            }
            _ => {}
        }
    }

    fn send(&mut self, from: usize, to: &Member, message: Message) {
        let other = index_of(&to.node);
        let Some(&conn) = self.machines[from].links.get(&other) else { return };
        let lossy = self.lose_all || matches!(message, Message::Swim(_));
        if lossy && self.loss > 0 && self.rng.random_range(0..1_000) < self.loss {
            return;
        }
        let arrival = self.now + self.latency();
        let Some(link) = self.conns.get_mut(&conn) else { return };
        let side = usize::from(link.opener == from);
        let arrival = link.last[side].max(arrival);
        link.last[side] = arrival;
        self.push(arrival, Event::Frame { to: other, conn, message });
    }

    fn hangup(&mut self, at: usize, member: &Member) {
        let other = index_of(&member.node);
        let Some(conn) = self.machines[at].links.remove(&other) else { return };
        let life = self.machines[at].membership.me().boot;
        let event = LinkEvent::Down { member: member.clone() };
        self.push(self.now, Event::Link { at, life, conn: None, event });
        self.tell_closed(at, other, conn);
    }

    /// `at` has closed its end: the other end hears of it, unless the way is cut.
    fn tell_closed(&mut self, at: usize, other: usize, conn: u64) {
        if !self.passes(at, other) {
            return;
        }
        let Some(link) = self.conns.get(&conn) else { return };
        let boot = link.boots[usize::from(link.other == at)];
        let life = link.boots[usize::from(link.other == other)];
        let event = LinkEvent::Down { member: Member { node: name(at), boot } };
        let arrival = self.now + self.latency();
        self.push(arrival, Event::Link { at: other, life, conn: Some(conn), event });
    }

    fn on_dialled(&mut self, from: usize, addr: Addr) {
        if self.machines[from].power != Power::Running {
            return;
        }
        let to = index(&addr);
        let both = self.passes(from, to) && self.passes(to, from);
        let failure = match self.machines[to].power {
            _ if from == to => Some(DialFailure::Myself),
            _ if !both => Some(DialFailure::Unreachable),
            Power::Killed => Some(DialFailure::Refused),
            _ if self.refusing.contains(&(from, to)) => Some(DialFailure::Refused),
            _ => self.settle_duplicate(from, to),
        };
        let life = self.machines[from].membership.me().boot;
        let Some(reason) = failure else { return self.establish(from, to) };
        let wait = if reason == DialFailure::Unreachable { NEVER_ANSWERED } else { self.latency() };
        let event = LinkEvent::Failed { addr, reason, node: None };
        self.push(self.now + wait, Event::Link { at: from, life, conn: None, event });
    }

    /// Of two links between a pair, the one that the smaller name opened stays.
    fn settle_duplicate(&self, from: usize, to: usize) -> Option<DialFailure> {
        let conn = self.machines[to].links.get(&from)?;
        if self.machines[from].links.get(&to) != Some(conn) {
            return None;
        }
        let opener = self.conns.get(conn)?.opener;
        (from >= to || opener == from).then_some(DialFailure::Duplicate)
    }

    fn establish(&mut self, from: usize, to: usize) {
        self.sequence += 1;
        let conn = self.sequence;
        let (one, other) = (&self.machines[from].membership, &self.machines[to].membership);
        let boots = [one.me().boot, other.me().boot];
        let known = [one.known_boot(&name(to)), other.known_boot(&name(from))];
        self.conns.insert(conn, Conn { opener: from, other: to, boots, last: [self.now; 2] });
        let latency = self.latency();
        let later = self.now + latency;
        let link = self.conns.get_mut(&conn).unwrap();
        link.last = [later; 2];
        for (at, peer, when, side) in [(to, from, self.now, 1), (from, to, later, 0)] {
            let member = Member { node: name(peer), boot: boots[1 - side] };
            let dialled = (at == from).then(|| addr(peer));
            let event = LinkEvent::Up { member, addr: addr(peer), dialled, known: known[1 - side] };
            self.push(when, Event::Link { at, life: boots[side], conn: Some(conn), event });
        }
    }
}
