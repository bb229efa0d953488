//! A node: membership, and the hubs it takes part in.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;

use crate::config::{ConfigError, HubConfig, NodeConfig, limits};
use crate::effect::{Effect, Effects, Lane};
use crate::hub::{Hub, HubInput};
use crate::id::{Addr, Boot, HubId, Member, NodeId, RequestId};
use crate::input::Input;
use crate::membership::{Fact, Membership, Route};
use crate::message::{Attributes, HubMessage, Message};
use crate::request::{CallError, LeaveHubError, Reply, Request, ResetError, StartError, StopError};
use crate::saved::RestoreError;
use crate::steering::SteerError;
use crate::time::Time;

/// What a member is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// It answers.
    Up,
    /// It did not answer lately and has yet to refute that it is down.
    Suspect,
    /// It is taken to be dead; it is tried again for ever.
    Down,
    /// It said goodbye.
    Left,
}

/// What this node knows of a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemberInfo {
    /// Who.
    pub member: Member,
    /// Where it listens.
    pub addr: Addr,
    /// What it is.
    pub state: MemberState,
}

/// One node of a cluster, as a state machine.
#[derive(Debug)]
pub struct Node {
    membership: Membership,
    hubs: BTreeMap<HubId, Hub>,
    /// What it says of itself in the hubs that it enters.
    attributes: Attributes,
    /// Whether it looks for others.
    seeds: bool,
    leaving: Option<Leaving>,
    /// Hubs that are being left, and those that were: this life takes no part in them again.
    closing: BTreeMap<HubId, Leaving>,
    closed: BTreeSet<HubId>,
    now: Time,
}

/// A leave under way, or over.
#[derive(Debug)]
struct Leaving {
    callers: Vec<RequestId>,
    deadline: Time,
    over: bool,
}

impl Node {
    /// A node in the life `boot`, which must be higher than that of any earlier life of its name as far as the
    /// embedder can tell (wall-clock milliseconds and random bits will do). `seed` feeds its random decisions.
    ///
    /// # Errors
    /// When `config` has a field out of its range.
    pub fn new(config: NodeConfig, boot: Boot, seed: u64) -> Result<Node, ConfigError> {
        config.check()?;
        if boot > Boot::MAX {
            let problem =
                "a boot is less than 2^62: is the clock right? Name a boot above that of the node's last life";
            return Err(ConfigError::new("boot", boot, problem));
        }
        Ok(Node {
            membership: Membership::new(&config, boot, seed),
            hubs: BTreeMap::new(),
            attributes: config.attributes(),
            seeds: !config.join.is_empty(),
            leaving: None,
            closing: BTreeMap::new(),
            closed: BTreeSet::new(),
            now: Time::ZERO,
        })
    }

    /// Takes one input and appends what is to be done. Total: any input is fine in any state.
    pub fn handle(&mut self, now: Time, input: Input, effects: &mut Effects) {
        self.now = self.now.max(now);
        let begin = effects.len();
        match input {
            Input::Tick => self.tick(effects),
            Input::Link(event) => {
                self.with_membership(effects, |membership, now, facts| membership.link(now, event, facts))
            }
            Input::Message { from, message } => self.message(from, message, effects),
            Input::Frame { from, bytes } => self.frame(from, &bytes, effects),
            Input::Request { id, request } => self.request(id, request, effects),
            Input::Load { hub, sample } => self.hub_input(&hub, HubInput::Load(sample), effects),
            Input::Child { hub, sequence, event } => self.hub_input(&hub, HubInput::Child { sequence, event }, effects),
            Input::Altering { hub, wanted } => self.hub_input(&hub, HubInput::Altering { wanted }, effects),
        }
        self.check_hubs_left(effects);
        self.check_left(effects);
        self.route(effects, begin);
    }

    fn tick(&mut self, effects: &mut Effects) {
        if self.membership.next_timeout().is_some_and(|at| at <= self.now) {
            self.with_membership(effects, |membership, now, facts| membership.tick(now, facts));
        }
        let now = self.now;
        for hub in self.hubs.values_mut().filter(|hub| hub.next_timeout().is_some_and(|at| at <= now)) {
            hub.handle(now, HubInput::Tick, effects);
        }
    }

    fn frame(&mut self, from: Member, bytes: &[u8], effects: &mut Effects) {
        match crate::wire::decode(bytes) {
            Ok(message) => self.message(from, message, effects),
            Err(error) => {
                let reason = smol_str::format_smolstr!("bad frame: {error}");
                effects.push(Effect::Hangup { member: from, reason });
            }
        }
    }

    fn message(&mut self, from: Member, message: Message, effects: &mut Effects) {
        self.membership.heard(self.now, &from);
        match message {
            Message::Keepalive => {}
            Message::Swim(bytes) => {
                self.with_membership(effects, |membership, now, facts| membership.swim(now, &from, &bytes, facts));
            }
            Message::Refused { member } => {
                self.with_membership(effects, |membership, now, facts| membership.refused(now, &from, &member, facts));
            }
            Message::Hub { hub, body } => self.hub_message(hub, HubInput::Message { from, body }, effects),
            Message::Relay { to, hub, body } => self.relay(from, to, hub, body, effects),
            // One hop only, and only through a member: further origins cannot be told from forgeries. Whoever has a link
            // to this node says himself that he leaves, since that is never taken back. All else may have been on its way
            // when the link came up, and is waited for.
            Message::Relayed { origin, hub, body }
                if self.membership.is_up(&from)
                    && origin != *self.member()
                    && !(body.is_farewell() && self.membership.route(&origin) == Route::Direct) =>
            {
                self.hub_message(hub, HubInput::Relayed { origin, body }, effects);
            }
            Message::Relayed { .. } => {}
            Message::RelayFailed { to } => self.membership.relay_failed(self.now, &from, &to),
        }
    }

    /// Passes a message on between two members that have no link to each other.
    fn relay(&mut self, from: Member, to: Member, hub: HubId, body: HubMessage, effects: &mut Effects) {
        if to == *self.member() {
            return self.hub_message(hub, HubInput::Message { from, body }, effects);
        }
        let (to, message) = match self.membership.route(&to) {
            Route::Direct => (to, Message::Relayed { origin: from, hub, body }),
            Route::Via(_) | Route::Nowhere => (from, Message::RelayFailed { to }),
        };
        effects.push(Effect::Send { to, lane: Lane::Bulk, message });
    }

    /// Hub messages to members without a link go through another member.
    fn route(&self, effects: &mut Effects, begin: usize) {
        for effect in effects.since(begin) {
            let Effect::Send { to, message, .. } = effect else { continue };
            if !matches!(message, Message::Hub { .. }) {
                continue;
            }
            if let Route::Via(relay) = self.membership.route(to) {
                let target = mem::replace(to, relay);
                if let Message::Hub { hub, body } = mem::replace(message, Message::Keepalive) {
                    *message = Message::Relay { to: target, hub, body };
                }
            }
        }
    }

    fn request(&mut self, id: RequestId, request: Request, effects: &mut Effects) {
        let hub = match &request {
            Request::OpenHub(_) => None,
            Request::Leave { .. } => None,
            Request::LeaveHub { hub, .. } => Some(hub.clone()),
            Request::Start { hub, .. }
            | Request::Stop { hub, .. }
            | Request::Call { hub, .. }
            | Request::Cast { hub, .. }
            | Request::ResetClusterSize { hub, .. }
            | Request::Restore { hub, .. }
            | Request::Steer { hub, .. }
            | Request::Explain { hub, .. }
            | Request::Plan { hub, .. } => Some(hub.clone()),
        };
        match (hub, request) {
            (_, Request::OpenHub(config)) => {
                let opened = self.open_hub(config, effects);
                effects.push(Effect::Reply { id, reply: Reply::Opened(opened) });
            }
            (_, Request::Leave { deadline }) => self.leave(id, self.now + deadline, effects),
            (Some(hub), Request::LeaveHub { deadline, .. }) if self.hubs.contains_key(&hub) => {
                self.leave_hub(id, hub, self.now + deadline, effects);
            }
            (Some(hub), request) if self.hubs.contains_key(&hub) => {
                self.hub_input(&hub, HubInput::Request { id, request }, effects);
            }
            (Some(hub), Request::Start { .. }) => {
                effects.push(Effect::Reply { id, reply: Reply::Start(Err(StartError::UnknownHub(hub))) });
            }
            (Some(hub), Request::Stop { .. }) => {
                effects.push(Effect::Reply { id, reply: Reply::Stop(Err(StopError::UnknownHub(hub))) });
            }
            (Some(hub), Request::Call { .. }) => {
                effects.push(Effect::Reply { id, reply: Reply::Call(Err(CallError::UnknownHub(hub))) });
            }
            (Some(hub), Request::Cast { .. }) => {
                effects.push(Effect::Reply { id, reply: Reply::Cast(Err(CallError::UnknownHub(hub))) });
            }
            (Some(hub), Request::ResetClusterSize { .. }) => {
                effects.push(Effect::Reply { id, reply: Reply::Reset(Err(ResetError::UnknownHub(hub))) });
            }
            (Some(hub), Request::Restore { .. }) => {
                effects.push(Effect::Reply { id, reply: Reply::Restored(Err(RestoreError::UnknownHub(hub))) });
            }
            (Some(hub), Request::LeaveHub { .. }) => {
                effects.push(Effect::Reply { id, reply: Reply::HubLeft(Err(LeaveHubError::UnknownHub(hub))) });
            }
            (Some(hub), Request::Steer { .. }) => {
                effects.push(Effect::Reply { id, reply: Reply::Steered(Err(SteerError::UnknownHub(hub))) });
            }
            (Some(hub), Request::Explain { .. }) => {
                effects.push(Effect::Reply { id, reply: Reply::Explained(Err(SteerError::UnknownHub(hub))) });
            }
            (Some(hub), Request::Plan { .. }) => {
                effects.push(Effect::Reply { id, reply: Reply::Planned(Err(SteerError::UnknownHub(hub))) });
            }
            (None, _) => {}
        }
    }

    fn open_hub(&mut self, config: HubConfig, effects: &mut Effects) -> Result<(), ConfigError> {
        let id = config.id.clone();
        if self.hubs.contains_key(&id) {
            return Err(ConfigError::new("id", id, "this node takes part in that hub already: choose another name"));
        }
        if self.closed.contains(&id) {
            let problem = "this life of the node has left that hub: start the node anew, or choose another name";
            return Err(ConfigError::new("id", id, problem));
        }
        if self.hubs.len() >= limits::HUBS {
            return Err(ConfigError::new("id", id, "this node takes part in too many hubs already"));
        }
        let me = self.member().clone();
        let others: Vec<Member> = self
            .members()
            .into_iter()
            .map(|info| info.member)
            .filter(|member| *member != me && self.membership.is_up(member))
            .collect();
        let alone = others.is_empty() && !self.seeds;
        let mut hub = Hub::with_attributes(config, me, self.attributes.clone(), alone, self.now)?;
        hub.handle(self.now, HubInput::Tick, effects);
        for member in others {
            hub.handle(self.now, HubInput::MemberUp(member), effects);
        }
        self.hubs.insert(id, hub);
        Ok(())
    }

    fn leave(&mut self, id: RequestId, deadline: Time, effects: &mut Effects) {
        let leaving = self.leaving.get_or_insert(Leaving { callers: Vec::new(), deadline, over: false });
        leaving.callers.push(id);
        leaving.deadline = leaving.deadline.min(deadline);
        self.tell_hubs(&HubInput::Leave, effects);
    }

    fn leave_hub(&mut self, caller: RequestId, hub: HubId, deadline: Time, effects: &mut Effects) {
        let none = Leaving { callers: Vec::new(), deadline, over: false };
        let closing = self.closing.entry(hub.clone()).or_insert(none);
        closing.callers.push(caller);
        closing.deadline = closing.deadline.min(deadline);
        self.hub_input(&hub, HubInput::Leave, effects);
    }

    /// Once a hub that is being left has nothing left here, or its deadline has passed, it is no more.
    fn check_hubs_left(&mut self, effects: &mut Effects) {
        while let Some(hub) = self.next_closed() {
            let (Some(closing), Some(mut closed)) = (self.closing.remove(&hub), self.hubs.remove(&hub)) else {
                continue;
            };
            let left = closed.local_len() as u64;
            closed.handle(self.now, HubInput::Close, effects);
            effects.push(Effect::HubClosed { hub: hub.clone() });
            for id in closing.callers {
                effects.push(Effect::Reply { id, reply: Reply::HubLeft(Ok(left)) });
            }
            self.closed.insert(hub);
        }
    }

    fn next_closed(&self) -> Option<HubId> {
        let over = |(hub, closing): &(&HubId, &Leaving)| {
            closing.deadline <= self.now || self.hubs.get(*hub).is_none_or(Hub::has_left)
        };
        self.closing.iter().find(over).map(|(hub, _)| hub.clone())
    }

    /// Whoever takes this node to be in a hub that it has left is told that it is not.
    fn tell_closed(&self, hub: HubId, from: Member, body: &HubMessage, effects: &mut Effects) {
        if self.closed.contains(&hub) && *body != HubMessage::Bye {
            let message = Message::Hub { hub, body: HubMessage::Bye };
            effects.push(Effect::Send { to: from, lane: Lane::Bulk, message });
        }
    }

    /// Once no hub has anything left here, or the deadline has passed, the others are told goodbye.
    fn check_left(&mut self, effects: &mut Effects) {
        let Some(leaving) = &mut self.leaving else { return };
        if leaving.over && leaving.callers.is_empty() {
            return;
        }
        if leaving.over || leaving.deadline <= self.now || self.hubs.values().all(Hub::has_left) {
            let left = self.hubs.values().map(|hub| hub.local_len() as u64).sum();
            for id in mem::take(&mut leaving.callers) {
                effects.push(Effect::Reply { id, reply: Reply::Left(left) });
            }
            if !mem::replace(&mut leaving.over, true) {
                self.with_membership(effects, |membership, now, facts| membership.leave(now, facts));
            }
        }
    }

    fn hub_message(&mut self, hub: HubId, message: HubInput, effects: &mut Effects) {
        if self.hubs.contains_key(&hub) {
            return self.hub_input(&hub, message, effects);
        }
        if let HubInput::Message { from, body } | HubInput::Relayed { origin: from, body } = message {
            self.tell_closed(hub, from, &body, effects);
        }
    }

    fn hub_input(&mut self, hub: &HubId, input: HubInput, effects: &mut Effects) {
        let Some(hub) = self.hubs.get_mut(hub) else { return };
        hub.handle(self.now, input, effects);
        if let Some(known) = hub.outlived.take() {
            self.with_membership(effects, |membership, now, facts| membership.outlived(now, known, facts));
        }
    }

    fn tell_hubs(&mut self, input: &HubInput, effects: &mut Effects) {
        for hub in self.hubs.values_mut() {
            hub.handle(self.now, input.clone(), effects);
        }
    }

    fn with_membership(&mut self, effects: &mut Effects, act: impl FnOnce(&mut Membership, Time, &mut Vec<Fact>)) {
        let mut facts = Vec::new();
        act(&mut self.membership, self.now, &mut facts);
        for fact in facts {
            self.membership_fact(fact, effects);
        }
    }

    /// What follows from a fact of membership.
    fn membership_fact(&mut self, fact: Fact, effects: &mut Effects) {
        match fact {
            Fact::Send { to, message } => effects.push(Effect::Send { to, lane: Lane::Probe, message }),
            Fact::Dial { addr } => effects.push(Effect::Dial { addr }),
            Fact::Hangup { member, reason } => effects.push(Effect::Hangup { member, reason }),
            Fact::Changed => effects.push(Effect::ViewChanged { hub: None }),
            Fact::Up(member) => self.tell_hubs(&HubInput::MemberUp(member), effects),
            Fact::Down(member) | Fact::Left(member) => self.tell_hubs(&HubInput::MemberDown(member), effects),
            Fact::Raised(_) => self.tell_hubs(&HubInput::Raised(self.member().clone()), effects),
            Fact::LinkUp(member) => self.tell_hubs(&HubInput::Reachable(member), effects),
            Fact::Congested(member) => self.tell_hubs(&HubInput::Congested(member), effects),
            // Where the link is gone, there may be another way.
            Fact::Drained(member) | Fact::LinkDown(member) => self.tell_hubs(&HubInput::Drained(member), effects),
        }
    }

    /// When [`Input::Tick`] is wanted next; a time that has passed means at once.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        let hubs = self.hubs.values().filter_map(Hub::next_timeout).min();
        let leaving = self.leaving.as_ref().filter(|leaving| !leaving.over).map(|leaving| leaving.deadline);
        let closing = self.closing.values().map(|closing| closing.deadline).min();
        [self.membership.next_timeout(), hubs, leaving, closing].into_iter().flatten().min()
    }

    /// Itself, in its present life.
    #[must_use]
    pub fn member(&self) -> &Member {
        self.membership.me()
    }

    /// Every member it knows of, itself included, sorted by name.
    #[must_use]
    pub fn members(&self) -> Vec<MemberInfo> {
        self.membership.members()
    }

    /// The highest boot it knows of a name: goes into the hello of a link to that name.
    #[must_use]
    pub fn known_boot(&self, node: &NodeId) -> Option<Boot> {
        self.membership.known_boot(node)
    }

    /// How many datagrams of the membership protocol were refused: malformed, or not from whom they claim.
    #[must_use]
    pub fn refused_datagrams(&self) -> u64 {
        self.membership.refused_datagrams()
    }

    /// A hub it takes part in.
    #[must_use]
    pub fn hub(&self, id: &HubId) -> Option<&Hub> {
        self.hubs.get(id)
    }

    /// The hubs it takes part in, sorted by name.
    pub fn hubs(&self) -> impl Iterator<Item = &Hub> {
        self.hubs.values()
    }
}
