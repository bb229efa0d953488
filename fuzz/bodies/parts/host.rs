//! One node with an honest driver, and what must hold at any node whatever it is told.
//!
//! After each step: effects in bounds; S1 (one instance of a child at a time); S6 (none is started under a lock); S7
//! (what was stopped is not started again); S10 and S11 (a lookup shows what runs here and nobody outside the view); S21
//! (one answer, to an open request); no life of a name comes up after a later one; what is sent can be written and read;
//! no time that is named has passed once it was answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use process_hub_core::config::NodeConfig;
use process_hub_core::id::{Addr, Boot, ChildId, HubId, Member, NodeId, Pid, RequestId};
use process_hub_core::request::{Reply, Request};
use process_hub_core::spec::ChildSpec;
use process_hub_core::wire::record::Fingerprint;
use process_hub_core::wire::{decode, encode};
use process_hub_core::{
    CallKey, ChildEvent, Effect, Effects, ExitReason, Input, LoadSample, MemberInfo, MemberState, Message, Node,
    StateUse, Time,
};

/// More than any step in so small a world may lead to.
const MOST_EFFECTS: usize = 1_000;
/// More ticks than there may be work for at one time.
const MOST_TICKS: usize = 500;

/// Something the node waits for.
#[derive(Clone, Debug)]
pub(crate) enum Due {
    Start(HubId, u64),
    Stop(HubId, u64),
    State(HubId, u64, u32),
    Give(HubId, u64),
    Call(HubId, u64, CallKey),
    Alter(HubId, u64, Arc<ChildSpec>),
    Load(HubId),
}

/// An instance, from its start to its end.
#[derive(Debug)]
struct Instance {
    id: ChildId,
    pid: Pid,
    up: bool,
    ending: bool,
    frozen: bool,
    /// It does not stand by, or not any more.
    serves: bool,
    /// It was given the state of its predecessor.
    given: bool,
}

pub(crate) struct Host {
    pub(crate) node: Node,
    pub(crate) now: Time,
    /// What it has sent, dialled and hung up since somebody looked.
    pub(crate) sent: Vec<(Member, Message)>,
    pub(crate) dialled: Vec<Addr>,
    pub(crate) hung_up: Vec<Member>,
    pub(crate) due: VecDeque<Due>,
    /// The states that its instances were given.
    pub(crate) states: Vec<Bytes>,
    fingerprint: Fingerprint,
    instances: BTreeMap<(HubId, u64), Instance>,
    open: BTreeMap<RequestId, Vec<(ChildId, u64)>>,
    requests: u64,
    versions: u64,
    stopped: BTreeSet<u64>,
    boots: BTreeMap<NodeId, Boot>,
    pub(crate) most_effects: usize,
}

/// The version of a recipe that a start of [`Host`] brought; others have none.
fn version(spec: &ChildSpec) -> Option<u64> {
    Some(u64::from_le_bytes(spec.args.as_ref().try_into().ok()?))
}

impl Host {
    pub(crate) fn new(config: NodeConfig, seed: u64) -> Self {
        let node = Node::new(config, Boot(1), seed).expect("in bounds");
        Self {
            node,
            now: Time::from_millis(1),
            sent: Vec::new(),
            dialled: Vec::new(),
            hung_up: Vec::new(),
            due: VecDeque::new(),
            states: Vec::new(),
            fingerprint: Fingerprint::default(),
            instances: BTreeMap::new(),
            open: BTreeMap::new(),
            requests: 0,
            // Numbers of its own, whatever the other hosts' are.
            versions: (seed + 1) << 32,
            stopped: BTreeSet::new(),
            boots: BTreeMap::new(),
            most_effects: 0,
        }
    }

    /// One number over all that it ever wanted done.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint.value()
    }

    pub(crate) fn next_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    pub(crate) fn open_requests(&self) -> usize {
        self.open.len()
    }

    /// What it has sent, whom it has hung up and dialled since it was asked last.
    pub(crate) fn take_wishes(&mut self) -> (Vec<(Member, Message)>, Vec<Member>, Vec<Addr>) {
        use std::mem::take;
        (take(&mut self.sent), take(&mut self.hung_up), take(&mut self.dialled))
    }

    /// The children that are up here.
    pub(crate) fn running(&self) -> impl Iterator<Item = &ChildId> {
        self.instances.values().filter(|instance| instance.up).map(|instance| &instance.id)
    }

    /// How many copies of a child serve here, and how many are frozen.
    pub(crate) fn copies(&self, id: &ChildId) -> (usize, usize) {
        let up = || self.instances.values().filter(|instance| instance.id == *id && instance.up && instance.serves);
        (up().filter(|instance| !instance.frozen).count(), up().filter(|instance| instance.frozen).count())
    }

    /// One of the instances there are.
    pub(crate) fn any_pid(&self, which: u8) -> Option<(ChildId, Pid)> {
        let all = self.instances.len();
        let instance = self.instances.values().nth(usize::from(which) % all.max(1))?;
        Some((instance.id.clone(), instance.pid.clone()))
    }

    /// A caller asks for something.
    pub(crate) fn ask(&mut self, request: Request) {
        self.requests += 1;
        let id = RequestId(self.requests);
        let mut stops = Vec::new();
        if let Request::Stop { hub, ids, .. } = &request {
            let shown = |id: &ChildId| version(&*self.node.hub(hub)?.registry().lookup(id)?.spec?);
            stops.extend(ids.iter().filter_map(|id| Some((id.clone(), shown(id)?))));
        }
        self.open.insert(id, stops);
        self.step(Input::Request { id, request });
    }

    /// Lets time pass up to then; ticks are as late as asked for.
    pub(crate) fn run_to(&mut self, until: Time) {
        self.now = self.now.max(until);
        let mut ticks = 0;
        while self.node.next_timeout().is_some_and(|at| at <= self.now) {
            ticks += 1;
            assert!(
                ticks < MOST_TICKS,
                "at {} it is to be woken at {:?}, for ever",
                self.now,
                self.node.next_timeout()
            );
            self.step(Input::Tick);
        }
    }

    pub(crate) fn step(&mut self, input: Input) {
        let mut effects = Effects::new();
        self.node.handle(self.now, input, &mut effects);
        self.fingerprint.add(&effects);
        self.most_effects = self.most_effects.max(effects.len());
        assert!(effects.len() <= MOST_EFFECTS, "{} effects of one step", effects.len());
        for effect in effects {
            self.carry_out(effect);
        }
        self.check();
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, message, .. } => self.send(to, message),
            Effect::Dial { addr } => self.dialled.push(addr),
            Effect::Hangup { member, .. } => self.hung_up.push(member),
            Effect::Start { hub, spec, pid, standby, .. } => self.start(hub, &spec, pid, standby),
            Effect::Stop { hub, id, sequence, .. } => {
                let instance = self.instance(&hub, &id, sequence);
                assert!(!instance.ending, "{id} is told to end twice");
                instance.ending = true;
                self.due.push_back(Due::Stop(hub, sequence));
            }
            Effect::TakeState { hub, id, sequence, attempt, .. } => {
                let instance = self.instance(&hub, &id, sequence);
                assert!(instance.up, "{id} is asked for its state before it is up");
                instance.frozen = true;
                self.due.push_back(Due::State(hub, sequence, attempt));
            }
            Effect::GiveState { hub, id, sequence, state, why, .. } => {
                let instance = self.instance(&hub, &id, sequence);
                assert!(instance.up, "{id} is given a state before it is up");
                if why == StateUse::Handover {
                    assert!(!instance.serves && !instance.given, "{id} is given a second state (S16)");
                    instance.given = true;
                }
                self.states.push(state);
                self.due.push_back(Due::Give(hub, sequence));
            }
            Effect::Serve { hub, id, sequence, .. } => {
                let instance = self.instance(&hub, &id, sequence);
                (instance.frozen, instance.serves) = (false, true);
            }
            Effect::SetRole { hub, id, sequence, .. } => drop(self.instance(&hub, &id, sequence)),
            Effect::Alter { hub, pid, spec } => self.due.push_back(Due::Alter(hub, pid.sequence, spec)),
            Effect::Deliver { hub, id, sequence, call, .. } => {
                let instance = self.instance(&hub, &id, sequence);
                assert!(instance.up && !instance.frozen, "{id} is handed a message: {instance:?}");
                self.due.extend(call.map(|call| Due::Call(hub, sequence, call)));
            }
            Effect::Reply { id, reply } => self.answered(id, &reply),
            Effect::HubClosed { hub } => self.instances.retain(|(of, _), _| *of != hub),
            Effect::SampleLoad { hub } => self.due.push_back(Due::Load(hub)),
            Effect::Hook { .. } | Effect::RegistryChanged { .. } | Effect::ViewChanged { .. } => {}
        }
    }

    fn send(&mut self, to: Member, message: Message) {
        let mut bytes = Vec::new();
        encode(&message, &mut bytes).unwrap_or_else(|error| panic!("{error}: {message:?}"));
        let read = decode(&bytes).unwrap_or_else(|error| panic!("{error}: {message:?}"));
        assert_eq!(read, message, "what is sent is what is read");
        assert_ne!(to, *self.node.member(), "nobody talks to himself");
        self.sent.push((to, message));
    }

    fn start(&mut self, hub: HubId, spec: &ChildSpec, pid: Pid, standby: bool) {
        let id = spec.id.clone();
        let is_other = |((of, _), instance): (&(HubId, u64), &Instance)| *of == hub && instance.id == id;
        assert!(!self.instances.iter().any(is_other), "a second instance of {id}, {pid} (S1)");
        assert!(!self.node.hub(&hub).is_some_and(|hub| hub.is_locked()), "{id} is started under a lock (S6)");
        assert_eq!(pid.node, self.node.member().node);
        let stopped = version(spec).is_some_and(|version| self.stopped.contains(&version));
        assert!(!stopped, "{id} was stopped and is started again (S7)");
        let (up, ending, frozen, given) = (false, false, false, false);
        let instance = Instance { id, pid: pid.clone(), up, ending, frozen, serves: !standby, given };
        let before = self.instances.insert((hub.clone(), pid.sequence), instance);
        assert!(before.is_none(), "{pid} was there before");
        self.due.push_back(Due::Start(hub, pid.sequence));
    }

    fn instance(&mut self, hub: &HubId, id: &ChildId, sequence: u64) -> &mut Instance {
        let instance = self.instances.get_mut(&(hub.clone(), sequence));
        let instance = instance.unwrap_or_else(|| panic!("there is no instance {sequence} of {id}"));
        assert_eq!(instance.id, *id);
        instance
    }

    fn answered(&mut self, id: RequestId, reply: &Reply) {
        let stops = self.open.remove(&id);
        let stops = stops.unwrap_or_else(|| panic!("an answer to nothing that is open (S21): {reply:?}"));
        if let Reply::Stop(Ok(_)) = reply {
            self.stopped.extend(stops.into_iter().map(|(_, version)| version));
        }
    }

    /// The driver's answer to something that is due. `how` 0 is the plain one.
    pub(crate) fn answer(&mut self, due: Due, how: u8) {
        let (hub, sequence, event) = match due {
            Due::Load(hub) => {
                let sample = LoadSample { cpu_permille: u32::from(how), ..LoadSample::default() };
                return self.step(Input::Load { hub, sample });
            }
            Due::Alter(hub, sequence, spec) => (hub, sequence, ChildEvent::Altered { spec }),
            Due::Start(hub, sequence) => {
                let Some(instance) = self.instances.get_mut(&(hub.clone(), sequence)) else { return };
                let fails = how % 4 == 3;
                instance.up = !fails;
                (
                    hub,
                    sequence,
                    if fails { ChildEvent::StartFailed { reason: "no".into() } } else { ChildEvent::Started },
                )
            }
            Due::Stop(hub, sequence) => {
                let reason = if how.is_multiple_of(2) { ExitReason::Shutdown } else { ExitReason::Killed };
                (hub, sequence, ChildEvent::Exited { reason })
            }
            Due::State(hub, sequence, attempt) => {
                let state = if how % 4 == 3 { Err("no".into()) } else { Ok(Bytes::from_static(b"state")) };
                (hub, sequence, ChildEvent::State { attempt, state, queued: Vec::new() })
            }
            Due::Give(hub, sequence) => {
                let result = if how % 4 == 3 { Err("no".into()) } else { Ok(()) };
                (hub, sequence, ChildEvent::StateTaken { result })
            }
            Due::Call(hub, sequence, call) => {
                let reply = if how % 4 == 3 { Err("no".into()) } else { Ok(Bytes::from_static(b"yes")) };
                (hub, sequence, ChildEvent::Replied { call, reply })
            }
        };
        self.child(hub, sequence, event);
    }

    /// An instance that is up ends by itself.
    pub(crate) fn end(&mut self, which: u8, reason: ExitReason) {
        let up: Vec<_> =
            self.instances.iter().filter(|(_, instance)| instance.up).map(|(key, _)| key.clone()).collect();
        if let Some((hub, sequence)) = up.get(usize::from(which) % up.len().max(1)).cloned() {
            self.child(hub, sequence, ChildEvent::Exited { reason });
        }
    }

    /// Says what happened to an instance, unless it has ended.
    fn child(&mut self, hub: HubId, sequence: u64, event: ChildEvent) {
        let key = (hub, sequence);
        let ends = matches!(event, ChildEvent::Exited { .. } | ChildEvent::StartFailed { .. });
        let altered = matches!(event, ChildEvent::Altered { .. });
        if !self.instances.contains_key(&key) && !altered {
            return;
        }
        if ends {
            self.instances.remove(&key);
        }
        self.step(Input::Child { hub: key.0, sequence, event });
    }

    fn check(&mut self) {
        // A name that was only heard of may have been heard of wrongly.
        let up = |info: &MemberInfo| matches!(info.state, MemberState::Up | MemberState::Suspect);
        for info in self.node.members().into_iter().filter(up) {
            let before = self.boots.insert(info.member.node.clone(), info.member.boot);
            assert!(before.is_none_or(|before| before <= info.member.boot), "{} comes after {before:?}", info.member);
        }
        for hub in self.node.hubs() {
            let view = hub.view();
            for (id, lookup) in hub.registry().iter() {
                for placement in lookup.placements {
                    let pid = placement.pid;
                    assert!(view.iter().any(|member| member.node == pid.node), "{pid} of {id} is not in view (S11)");
                    let key = (hub.config().id.clone(), pid.sequence);
                    let here = self.instances.get(&key).is_some_and(|instance| instance.pid == pid && instance.up);
                    assert!(here || pid.node != self.node.member().node, "{pid} of {id} does not run here (S10)");
                }
            }
        }
    }

    /// Time passes until no request is open, at most so much; everything is answered as it should be.
    pub(crate) fn quiet(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end && !self.open.is_empty() {
            while let Some(due) = self.due.pop_front() {
                self.answer(due, 0);
            }
            let next = self.node.next_timeout().unwrap_or(end);
            self.run_to(next.max(self.now).min(end));
            self.sent.clear();
        }
    }
}
