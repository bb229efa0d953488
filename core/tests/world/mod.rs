//! Whole hubs against each other, without membership and without time: messages arrive in order and at once unless a
//! test says otherwise.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use process_hub_core::config::HubConfig;
use process_hub_core::hook::{HookEvent, HookKind};
use process_hub_core::id::{Boot, ChildId, HubId, Kind, Member, NodeId, RequestId};
use process_hub_core::message::HubMessage;
use process_hub_core::request::{
    CallError, Reply, Request, StartError, StartOptions, StartOutcome, StartResult, StopOptions, StopOutcome,
    StopResult, Target,
};
use process_hub_core::spec::{ChildSpec, Role};
use process_hub_core::{ChildEvent, Effect, Effects, ExitReason, Hub, HubInput, Message, Time, wire};

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) hubs: BTreeMap<NodeId, Hub>,
    pub(crate) wires: VecDeque<(Member, Member, HubMessage)>,
    pub(crate) events: VecDeque<(NodeId, HubInput)>,
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
    /// Every live instance: child, node, sequence; and how often one was started.
    pub(crate) live: BTreeMap<(ChildId, NodeId), u64>,
    pub(crate) starts: usize,
    pub(crate) replies: BTreeMap<RequestId, Reply>,
    pub(crate) next: u64,
    pub(crate) broken: BTreeSet<ChildId>,
    pub(crate) messages: usize,
    /// How long these are when they are encoded.
    pub(crate) bytes: usize,
    /// What the user of each node was told, in order.
    pub(crate) hooks: Vec<(NodeId, HookEvent)>,
    /// The roles that copies were told, in order.
    pub(crate) roles: Vec<(ChildId, NodeId, Role)>,
    pub(crate) config: HubConfig,
}

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub(crate) fn id(text: impl AsRef<str>) -> ChildId {
    ChildId::new(text).unwrap()
}

pub(crate) fn spec(text: impl AsRef<str>) -> ChildSpec {
    ChildSpec::new(id(text), Kind::new("counter").unwrap(), Vec::new())
}

pub(crate) fn hub_id() -> HubId {
    HubId::new("h").unwrap()
}

/// How many bytes a message takes on its way.
fn encoded(body: &HubMessage) -> usize {
    let mut bytes = Vec::new();
    wire::encode(&Message::Hub { hub: hub_id(), body: body.clone() }, &mut bytes).unwrap();
    bytes.len()
}

impl World {
    pub(crate) fn new(names: &[&str]) -> World {
        Self::with(names, HubConfig::new(hub_id()))
    }

    pub(crate) fn with(names: &[&str], config: HubConfig) -> World {
        let mut world = World {
            now: Time::from_millis(1),
            hubs: BTreeMap::new(),
            wires: VecDeque::new(),
            events: VecDeque::new(),
            cut: BTreeSet::new(),
            live: BTreeMap::new(),
            starts: 0,
            replies: BTreeMap::new(),
            next: 0,
            broken: BTreeSet::new(),
            messages: 0,
            bytes: 0,
            hooks: Vec::new(),
            roles: Vec::new(),
            config,
        };
        for (at, name) in names.iter().enumerate() {
            world.join(name, 1, at == 0);
        }
        world
    }

    /// A node with a new boot; the first one knows that it is alone.
    pub(crate) fn join(&mut self, name: &str, boot: u64, alone: bool) {
        let me = Member { node: node(name), boot: Boot(boot) };
        let hub = Hub::new(self.config.clone(), me.clone(), alone, self.now).unwrap();
        let others: Vec<Member> =
            self.hubs.values().flat_map(|hub| hub.view()).collect::<BTreeSet<_>>().into_iter().collect();
        let names: Vec<NodeId> = self.hubs.keys().cloned().collect();
        self.hubs.insert(me.node.clone(), hub);
        self.input(name, HubInput::Tick);
        for other in names {
            let member = others.iter().find(|member| member.node == other).unwrap().clone();
            self.input(name, HubInput::MemberUp(member));
            self.input(other.as_str(), HubInput::MemberUp(me.clone()));
        }
        self.run();
    }

    pub(crate) fn input(&mut self, name: &str, input: HubInput) {
        let mut effects = Effects::new();
        let Some(hub) = self.hubs.get_mut(name) else { return };
        hub.handle(self.now, input, &mut effects);
        self.carry_out(name, effects);
    }

    pub(crate) fn carry_out(&mut self, name: &str, effects: Effects) {
        let Some(me) = self.member(name) else { return };
        for effect in effects {
            match effect {
                Effect::Send { to, message: Message::Hub { body, .. }, .. } => {
                    self.wires.push_back((me.clone(), to, body))
                }
                Effect::Start { spec, pid, .. } => {
                    self.starts += 1;
                    let event = if self.broken.contains(&spec.id) {
                        ChildEvent::StartFailed { reason: "broken".into() }
                    } else {
                        let before = self.live.insert((spec.id.clone(), me.node.clone()), pid.sequence);
                        assert_eq!(before, None, "two instances of {} on {name}", spec.id);
                        ChildEvent::Started
                    };
                    self.events.push_back((me.node.clone(), HubInput::Child { sequence: pid.sequence, event }));
                }
                Effect::Stop { id, sequence, .. } => {
                    assert_eq!(self.live.remove(&(id, me.node.clone())), Some(sequence));
                    let event = ChildEvent::Exited { reason: ExitReason::Shutdown };
                    self.events.push_back((me.node.clone(), HubInput::Child { sequence, event }));
                }
                Effect::Deliver { sequence, call: Some(call), payload, .. } => {
                    let event = ChildEvent::Replied { call, reply: Ok(payload) };
                    self.events.push_back((me.node.clone(), HubInput::Child { sequence, event }));
                }
                Effect::Hook { event, .. } => self.hooks.push((me.node.clone(), event)),
                Effect::SetRole { id, role, .. } => self.roles.push((id, me.node.clone(), role)),
                Effect::Reply { id, reply } => assert!(self.replies.insert(id, reply).is_none(), "answered twice"),
                _ => {}
            }
        }
    }

    pub(crate) fn member(&self, name: &str) -> Option<Member> {
        let hub = self.hubs.get(name)?;
        hub.view().into_iter().find(|member| member.node.as_str() == name)
    }

    /// Delivers until nothing moves any more at this moment.
    pub(crate) fn run(&mut self) {
        loop {
            if let Some((name, input)) = self.events.pop_front() {
                self.input(name.as_str(), input);
                continue;
            }
            if let Some((from, to, body)) = self.wires.pop_front() {
                let there = self.member(to.node.as_str()) == Some(to.clone());
                if there && !self.cut.contains(&(from.node.clone(), to.node.clone())) {
                    self.messages += 1;
                    self.bytes += encoded(&body);
                    self.input(to.node.as_str(), HubInput::Message { from, body });
                }
                continue;
            }
            let due: Vec<NodeId> = self
                .hubs
                .iter()
                .filter(|(_, hub)| hub.next_timeout().is_some_and(|at| at <= self.now))
                .map(|(name, _)| name.clone())
                .collect();
            if due.is_empty() {
                // What follows closely is told together, a moment later.
                let soon = self.hubs.values().filter_map(Hub::next_timeout).min();
                match soon.filter(|at| at.since(self.now) <= Duration::from_millis(1)) {
                    Some(at) => self.now = at,
                    None => return,
                }
                continue;
            }
            for name in due {
                self.input(name.as_str(), HubInput::Tick);
            }
        }
    }

    pub(crate) fn run_for(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(50) {
            self.now += Duration::from_millis(50);
            self.run();
        }
    }

    pub(crate) fn request(&mut self, name: &str, request: Request) -> RequestId {
        self.next += 1;
        let id = RequestId(self.next);
        self.input(name, HubInput::Request { id, request });
        self.run();
        id
    }

    pub(crate) fn start(
        &mut self,
        name: &str,
        children: Vec<ChildSpec>,
        options: StartOptions,
    ) -> Result<StartResult, StartError> {
        let id = self.request(name, Request::Start { hub: hub_id(), children, options });
        if !self.replies.contains_key(&id) {
            self.run_for(11_000);
        }
        match self.replies.remove(&id) {
            Some(Reply::Start(Ok(StartOutcome::Done(result)))) => Ok(result),
            Some(Reply::Start(Err(error))) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn start_ok(&mut self, name: &str, count: usize) -> StartResult {
        self.start_ok_named(name, "c", count)
    }

    pub(crate) fn start_ok_named(&mut self, name: &str, prefix: &str, count: usize) -> StartResult {
        let children = (0..count).map(|at| spec(format!("{prefix}{at}"))).collect();
        let result = self.start(name, children, StartOptions::default()).unwrap();
        assert_eq!(result.errors, []);
        result
    }

    pub(crate) fn stop(&mut self, name: &str, ids: &[&str]) -> StopResult {
        let ids = ids.iter().map(id).collect();
        let request = self.request(name, Request::Stop { hub: hub_id(), ids, options: StopOptions::default() });
        if !self.replies.contains_key(&request) {
            self.run_for(11_000);
        }
        match self.replies.remove(&request) {
            Some(Reply::Stop(Ok(StopOutcome::Done(result)))) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn call(&mut self, name: &str, child: &str) -> Result<(), CallError> {
        let to = Target::Child(id(child));
        let timeout = Duration::from_secs(1);
        let request = self.request(name, Request::Call { hub: hub_id(), to, payload: "hi".into(), timeout });
        if !self.replies.contains_key(&request) {
            self.run_for(1_500);
        }
        match self.replies.remove(&request) {
            Some(Reply::Call(reply)) => reply.map(|bytes| assert_eq!(bytes, "hi")),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn down(&mut self, at: &str, gone: &Member) {
        self.input(at, HubInput::MemberDown(gone.clone()));
    }

    pub(crate) fn crash(&mut self, name: &str) {
        let gone = self.member(name).unwrap();
        self.hubs.remove(name);
        self.live.retain(|(_, node), _| node.as_str() != name);
        let left: Vec<NodeId> = self.hubs.keys().cloned().collect();
        for other in left {
            self.down(other.as_str(), &gone);
        }
        self.run();
    }

    pub(crate) fn partition(&mut self, left: &[&str], right: &[&str]) {
        for a in left {
            for b in right {
                self.cut.insert((node(a), node(b)));
                self.cut.insert((node(b), node(a)));
            }
        }
        let members: Vec<Member> = self.hubs.keys().filter_map(|name| self.member(name.as_str())).collect();
        for (side, others) in [(left, right), (right, left)] {
            for name in side {
                for gone in members.iter().filter(|member| others.contains(&member.node.as_str())) {
                    self.down(name, gone);
                }
            }
        }
        self.run();
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        let members: Vec<Member> = self.hubs.keys().filter_map(|name| self.member(name.as_str())).collect();
        for member in &members {
            for other in members.iter().filter(|other| *other != member) {
                self.input(member.node.as_str(), HubInput::MemberUp(other.clone()));
            }
        }
        self.run();
    }

    /// All agree, and what they agree on is what is.
    pub(crate) fn assert_converged(&self, declared: usize) {
        let mut registries = Vec::new();
        for (name, hub) in &self.hubs {
            assert!(hub.is_settled(), "{name} is not settled: {:#?}", hub.view());
            let rows: Vec<_> = hub.registry().iter().map(|(id, lookup)| (id.clone(), lookup)).collect();
            registries.push((name, rows));
        }
        for (name, rows) in &registries[1..] {
            let differing = rows.iter().zip(&registries[0].1).find(|(a, b)| a != b);
            assert!(*rows == registries[0].1, "{name} and {} differ: {differing:#?}", registries[0].0);
        }
        let rows = &registries[0].1;
        assert_eq!(rows.len(), declared);
        let truth: BTreeSet<(ChildId, NodeId, u64)> =
            self.live.iter().map(|((id, node), sequence)| (id.clone(), node.clone(), *sequence)).collect();
        let mut told = BTreeSet::new();
        for (id, lookup) in rows {
            assert_eq!(lookup.placements.len(), 1, "{id} runs {} times", lookup.placements.len());
            let pid = &lookup.placements[0].pid;
            assert_eq!(self.hubs.values().next().unwrap().owner(id), Some(&pid.node));
            told.insert((id.clone(), pid.node.clone(), pid.sequence));
        }
        assert_eq!(told, truth);
    }

    /// What the user of a node was told of the kinds of event that are wanted.
    pub(crate) fn told(&self, name: &str, wanted: impl Fn(&HookEvent) -> bool) -> Vec<HookEvent> {
        let here = self.hooks.iter().filter(|(node, _)| node.as_str() == name);
        here.map(|(_, event)| event.clone()).filter(wanted).collect()
    }

    /// Who was told of one kind of event, in order.
    pub(crate) fn hooks_of(&self, kind: HookKind) -> Vec<(NodeId, HookEvent)> {
        self.hooks.iter().filter(|(_, event)| event.kind() == kind).cloned().collect()
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.live.keys().filter(|(_, node)| node.as_str() == name).count()
    }
}
