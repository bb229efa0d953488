//! The simulated world: hosts, the network between them, virtual time, and one loop that moves all of it on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;
use std::time::Duration;

use process_hub_core::config::{HubConfig, NodeConfig};
use process_hub_core::hook::HookEvent;
use process_hub_core::id::{Boot, HubId, Member, NodeId, RequestId};
use process_hub_core::message::HubMessage;
use process_hub_core::request::{Reply, Request};
use process_hub_core::{Effects, Input, Message, Node};

use super::child::ChildFaults;
use super::dice::{Dice, Occasion, Oddity};
use super::event::{Event, HostId, Queue};
use super::host::{Arrival, Clock, Host, Life};
use super::net::{Letter, Net};
use super::random::{Purpose, Random};
use super::trace::Trace;
use crate::history::Tap;
use crate::oracles::seen::{Seen, StepSize};
use crate::oracles::{Watch, truth::Bounds};

/// What the network does to frames besides cuts.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetFaults {
    /// How much longer than its delay a frame may take, in millionths of it.
    pub(crate) jitter: u64,
    /// Relayed frames that come once more later, and that come later instead, in millionths.
    pub(crate) relayed_twice: u32,
    pub(crate) relayed_late: u32,
    /// Frames that come with bits flipped, in millionths.
    pub(crate) corrupted: u32,
    /// Timers that go off twice, in millionths.
    pub(crate) timer_twice: u32,
    /// Whether each message is encoded and decoded on its way.
    pub(crate) codec: bool,
}

/// How long a driver handles what arrives before it does what is due, in microseconds: as that of real nodes.
const TURN: u64 = 5_000;
/// Every so many steps it is looked at what waits in a node.
const LOOK: u64 = 16;

/// What a world is made of.
#[derive(Clone, Debug)]
pub(crate) struct WorldConfig {
    pub(crate) seed: u64,
    pub(crate) nodes: Vec<NodeConfig>,
    pub(crate) clocks: Vec<Clock>,
    pub(crate) hub: HubConfig,
    /// One-way delay while nothing is slow, in microseconds.
    pub(crate) delay: u64,
    pub(crate) dial_timeout: u64,
    pub(crate) bounds: Bounds,
}

/// A moment at which a fault is worth more than at others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Batch,
    Hello,
    Stop,
    Start,
    View,
    Listing,
    Move,
    Answer,
}

impl Moment {
    pub(crate) const ALL: [Moment; 8] = [
        Moment::Batch,
        Moment::Hello,
        Moment::Stop,
        Moment::Start,
        Moment::View,
        Moment::Listing,
        Moment::Move,
        Moment::Answer,
    ];
}

/// The simulated world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) config: WorldConfig,
    pub(crate) hosts: Vec<Host>,
    pub(crate) net: Net,
    pub(crate) net_faults: NetFaults,
    pub(crate) child_faults: ChildFaults,
    pub(crate) queue: Queue,
    pub(crate) dice: Dice,
    /// Whether the faults are over.
    pub(crate) healed: bool,
    /// Whether users have handlers that may alter what is started.
    pub(crate) altering: bool,
    /// Whether hosts save what is declared, and restore it.
    pub(crate) disks: bool,
    /// Whether they do so now and then, rather than as they crash.
    pub(crate) disks_lag: bool,
    /// How many messages a child's mailbox holds.
    pub(crate) mailbox: usize,
    /// A member that says anything, if there is one, and what it was told last.
    pub(crate) insider: Option<HostId>,
    pub(crate) overheard: VecDeque<HubMessage>,
    /// Whether each node has a second hub, and who asked for something there.
    pub(crate) has_neighbour: bool,
    pub(crate) of_neighbour: BTreeSet<RequestId>,
    pub(crate) watch: Watch,
    pub(crate) trace: Trace,
    /// Keeps what a viewer shows, if anybody wants to see it.
    pub(crate) history: Option<Box<Tap>>,
    /// Relayed frames on their way by themselves: to whom, from whom, what.
    pub(crate) late: Vec<Option<(HostId, HostId, Letter)>>,
    pub(crate) replies: BTreeMap<(HostId, RequestId), Reply>,
    pub(crate) keep_replies: bool,
    pub(crate) hooks: Vec<(u64, HostId, HookEvent)>,
    /// What happened that a fault might aim at; drained by whoever wants it.
    pub(crate) moments: Vec<(HostId, Moment)>,
    pub(crate) want_moments: bool,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) sent: Vec<u64>,
    pub(crate) batches: u64,
    /// Hosts that left and whose process ended by itself.
    pub(crate) left: Vec<HostId>,
    pub(crate) inputs: u64,
    next_request: u64,
    effects: Effects,
}

/// The name of a host.
pub(crate) fn node_name(host: HostId) -> NodeId {
    static NAMES: LazyLock<Vec<NodeId>> = LazyLock::new(|| (0..64).map(named).collect());
    NAMES.get(host).cloned().unwrap_or_else(|| named(host))
}

fn named(host: HostId) -> NodeId {
    match NodeId::new(format!("n{}", host + 1)) {
        Ok(name) => name,
        Err(error) => unreachable!("a short name: {error}"),
    }
}

/// The address of a host.
pub(crate) fn address(host: HostId) -> String {
    format!("n{}:1", host + 1)
}

/// Another name for an address: whoever is reached there says that it listens elsewhere.
pub(crate) fn alias(address: &str) -> String {
    format!("alias-of-{address}")
}

impl World {
    pub(crate) fn new(config: WorldConfig, watch: Watch) -> Self {
        let seed = config.seed;
        let count = config.nodes.len();
        let hosts = config.nodes.iter().zip(&config.clocks).map(|(node, clock)| Host::new(node.clone(), *clock));
        Self {
            now: 0,
            hosts: hosts.collect(),
            net: Net::new(count, config.delay),
            net_faults: NetFaults::default(),
            child_faults: ChildFaults::default(),
            queue: Queue::default(),
            dice: Dice::drawn(seed),
            healed: false,
            altering: false,
            disks: false,
            disks_lag: false,
            mailbox: usize::MAX,
            insider: None,
            has_neighbour: false,
            of_neighbour: BTreeSet::new(),
            overheard: VecDeque::new(),
            watch,
            trace: Trace::new(seed),
            history: None,
            late: Vec::new(),
            replies: BTreeMap::new(),
            keep_replies: false,
            hooks: Vec::new(),
            moments: Vec::new(),
            want_moments: false,
            counts: BTreeMap::new(),
            sent: vec![0; count],
            batches: 0,
            left: Vec::new(),
            inputs: 0,
            next_request: 0,
            effects: Effects::new(),
            config,
        }
    }

    pub(crate) fn hub_id(&self) -> &HubId {
        &self.config.hub.id
    }

    /// The node of a host, while one runs.
    pub(crate) fn node(&self, host: HostId) -> Option<&Node> {
        self.hosts[host].life.as_ref().map(|life| &life.node)
    }

    pub(crate) fn is_up(&self, host: HostId) -> bool {
        self.hosts[host].life.is_some()
    }

    /// The hosts with a running node.
    pub(crate) fn up(&self) -> Vec<HostId> {
        (0..self.hosts.len()).filter(|host| self.is_up(*host)).collect()
    }

    /// One more of a kind of fault that really happened.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(crate) fn tell(&mut self, seen: &Seen<'_>) {
        if let Some(history) = &mut self.history {
            history.see(self.now, seen);
        }
        self.watch.see(self.now, seen);
    }

    /// Starts the process of a host in a new life: with a boot above all former ones, or below the last.
    pub(crate) fn boot(&mut self, host: HostId, lower: bool) {
        self.boot_with(host, lower, false);
    }

    /// The same, and with other settings of the hub than all others have if `skewed`.
    pub(crate) fn boot_with(&mut self, host: HostId, lower: bool, skewed: bool) {
        if self.is_up(host) {
            return;
        }
        let former = self.hosts[host].boots.last().copied();
        let key = [host as u64, u64::from(self.hosts[host].lives)];
        let mut random = Random::keyed(self.config.seed, Purpose::Nodes, key);
        let mut boot = Boot(1_000_000_000 + self.now / 1_000 * 1_000 + random.between(0, 999));
        if let (true, Some(former)) = (lower, former) {
            boot = Boot(former.0.saturating_sub(random.between(1, 1_000_000)));
        }
        while self.hosts[host].boots.contains(&boot) {
            boot.0 += 1;
        }
        let seed = random.any();
        let this = &mut self.hosts[host];
        let Ok(node) = Node::new(this.config.clone(), boot, seed) else {
            unreachable!("the configuration was checked")
        };
        this.boots.push(boot);
        this.lives += 1;
        this.skewed = skewed;
        this.powered = true;
        this.tick_at = None;
        this.busy_until = 0;
        this.inbox.clear();
        let member = node.member().clone();
        let (number, instances, altering) = (this.lives, BTreeMap::new(), BTreeMap::new());
        this.life = Some(Life { number, node, instances, altering, view_hash: 0, phase: None, leaving: None });
        self.tell(&Seen::Booted { host, member: &member, skewed });
        self.trace.mark(self.now, host, "boot", boot.0);
        let mut hub = self.config.hub.clone();
        hub.first_start = self.hosts[host].lives == 1;
        let second = hub.clone();
        if skewed {
            hub.barrier_timeout += Duration::from_micros(1);
        }
        self.request(host, Request::OpenHub(hub));
        if self.altering {
            self.arrive(host, Arrival::Altering);
        }
        self.open_neighbour(host, second);
        self.restore(host);
    }

    /// Ends the process of a host at once. A silent machine answers nothing; else its sockets close.
    pub(crate) fn crash(&mut self, host: HostId, silent: bool) {
        if !self.is_up(host) {
            return;
        }
        if self.disks && !self.disks_lag {
            self.save(host);
        }
        self.tell(&Seen::Died { host });
        self.trace.mark(self.now, host, "crash", u64::from(silent));
        let this = &mut self.hosts[host];
        this.life = None;
        this.powered = !silent;
        let unread = std::mem::take(&mut this.inbox);
        this.tick_at = None;
        this.busy_until = 0;
        for (peer, link) in self.net.open_links(host) {
            self.close_end(link, host, silent);
            self.net.set_slot(host, peer, None);
        }
        self.abandon_dials(host);
        for arrival in unread {
            if let Arrival::Frame { letter, .. } | Arrival::Late { letter, .. } = arrival {
                self.lose(letter.number, "its receiver is no more");
            }
        }
    }

    /// Has a host handle nothing until `until`; what comes in waits.
    pub(crate) fn pause(&mut self, host: HostId, until: u64) {
        if !self.is_up(host) || self.hosts[host].busy_until >= until {
            return;
        }
        self.hosts[host].busy_until = until;
        self.tell(&Seen::Stalled { host, on: true });
        self.trace.mark(self.now, host, "pause", until - self.now);
        self.wake_at(host, until);
    }

    /// Hands a request of a local caller to a node, as its driver would.
    pub(crate) fn request(&mut self, host: HostId, request: Request) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        if let (Request::Leave { .. } | Request::LeaveHub { .. }, Some(life)) = (&request, &mut self.hosts[host].life) {
            life.leaving = Some(id);
        }
        self.arrive(host, Arrival::Request { id, request });
        id
    }

    /// The time of what happens next.
    pub(crate) fn next_time(&self) -> Option<u64> {
        self.queue.next_time()
    }

    /// Lets happen all that is planned before or at `until`, and moves time there.
    pub(crate) fn run_until(&mut self, until: u64) {
        while self.next_time().is_some_and(|time| time <= until) {
            self.run_one();
        }
        self.now = self.now.max(until);
    }

    /// Lets the next thing happen.
    pub(crate) fn run_one(&mut self) {
        let Some((time, event)) = self.queue.pop() else { return };
        self.now = self.now.max(time);
        match event {
            Event::Tick { host } => self.tick(host, time),
            Event::Wake { host } => self.wake(host, time),
            Event::Frame { link, dir, lane } => self.frame_due(link, dir, lane),
            Event::Fin { link, dir } => self.fin_due(link, dir),
            Event::Syn { dial } => self.syn_due(dial),
            Event::Refuse { dial } => self.refuse_due(dial),
            Event::DialTimeout { dial } => self.dial_timeout(dial),
            Event::Child { host, life, sequence, step } => self.child_step(host, life, sequence, step),
            Event::Late { index } => self.late_due(index),
            Event::Drain { link, dir } => self.drain(link, dir),
        }
    }

    /// Something arrived for the driver of a host: it is handled now, or once the host is not busy.
    pub(crate) fn arrive(&mut self, host: HostId, arrival: Arrival) {
        if !self.is_up(host) {
            return;
        }
        let this = &mut self.hosts[host];
        if this.busy_until > self.now || !this.inbox.is_empty() {
            this.inbox.push_back(arrival);
            let at = this.busy_until.max(self.now);
            self.wake_at(host, at);
            return;
        }
        self.take(host, arrival);
        self.work(host);
    }

    /// A slow host is busy for a while after each input.
    fn work(&mut self, host: HostId) {
        let this = &mut self.hosts[host];
        if this.service > 0 {
            this.busy_until = this.busy_until.max(self.now + this.service);
        }
    }

    pub(crate) fn wake_at(&mut self, host: HostId, at: u64) {
        let this = &mut self.hosts[host];
        if this.wake_at.is_none_or(|planned| planned > at) {
            this.wake_at = Some(at);
            self.queue.push(at, Event::Wake { host });
        }
    }

    fn wake(&mut self, host: HostId, time: u64) {
        if self.hosts[host].wake_at != Some(time) {
            return;
        }
        self.hosts[host].wake_at = None;
        if self.hosts[host].busy_until > self.now {
            let until = self.hosts[host].busy_until;
            return self.wake_at(host, until);
        }
        if self.watch.truth.hosts[host].stalled {
            self.tell(&Seen::Stalled { host, on: false });
            self.plan_tick(host);
        }
        while self.hosts[host].busy_until <= self.now {
            if self.is_overdue(host) {
                self.step(host, Input::Tick);
            } else {
                let Some(arrival) = self.hosts[host].inbox.pop_front() else { return };
                self.take(host, arrival);
            }
            self.work(host);
        }
        let until = self.hosts[host].busy_until;
        self.wake_at(host, until);
    }

    /// Whether a slow host has handled what arrives for so long that its driver first does what is due.
    fn is_overdue(&self, host: HostId) -> bool {
        let this = &self.hosts[host];
        let wanted = self.node(host).and_then(Node::next_timeout).filter(|_| this.service > 0);
        wanted.is_some_and(|wanted| this.clock.when(wanted) + TURN <= self.now)
    }

    fn tick(&mut self, host: HostId, time: u64) {
        if self.hosts[host].tick_at != Some(time) {
            return;
        }
        self.hosts[host].tick_at = None;
        let this = &self.hosts[host];
        if this.busy_until > self.now {
            let until = this.busy_until;
            self.hosts[host].tick_at = Some(until);
            return self.queue.push(until, Event::Tick { host });
        }
        let Some(wanted) = self.node(host).and_then(Node::next_timeout) else { return };
        if this.clock.at(self.now) < wanted {
            return self.plan_tick(host);
        }
        self.step(host, Input::Tick);
        let rate = self.net_faults.timer_twice;
        if self.dice.roll_for(Oddity::TimerTwice, rate, Occasion::Timer, host, "").is_some() {
            self.count("timer_twice");
            self.step(host, Input::Tick);
        }
        self.work(host);
    }

    /// Plans the timer of a node as it wants it now.
    pub(crate) fn plan_tick(&mut self, host: HostId) {
        let this = &self.hosts[host];
        let Some(wanted) = self.node(host).and_then(Node::next_timeout) else { return };
        // What is wanted at once comes a microsecond later: real drivers take time as well.
        let at = this.clock.when(wanted).max(self.now + 1);
        if this.tick_at.is_none_or(|planned| planned > at) {
            self.hosts[host].tick_at = Some(at);
            self.queue.push(at, Event::Tick { host });
        }
    }

    /// One step of a node: an input in, its effects carried out, everybody told.
    pub(crate) fn step(&mut self, host: HostId, input: Input) {
        let time = self.hosts[host].clock.at(self.now);
        let Some(number) = self.hosts[host].life.as_ref().map(|life| life.number) else { return };
        self.inputs += 1;
        if !self.is_for_neighbour(&input) {
            self.watch.see(self.now, &Seen::Input { host, input: &input });
        }
        let size = input_size(&input);
        self.trace.input(self.now, host, &input);
        if let Some(history) = &mut self.history {
            history.begin(self.now, host, &input);
        }
        let mut effects = std::mem::take(&mut self.effects);
        let Some(life) = self.hosts[host].life.as_mut() else { return };
        life.node.handle(time, input, &mut effects);
        let count = effects.len();
        let viewed = self.look_at_view(host);
        let mut changed = Vec::new();
        for effect in effects.drain() {
            self.trace.effect(host, &effect);
            if let Some(history) = &mut self.history {
                history.effect(&effect);
            }
            if self.is_by_neighbour(&effect) {
                self.carry_for_neighbour(host, number, effect);
                continue;
            }
            self.watch.see(self.now, &Seen::Effect { host, effect: &effect });
            self.carry(host, number, effect, &mut changed);
        }
        self.effects = effects;
        if let Some(history) = &mut self.history {
            history.end(self.hosts[host].life.as_ref().map(|life| &life.node));
        }
        if self.hosts[host].life.as_ref().is_none_or(|life| life.number != number) {
            return;
        }
        let registry_changed = viewed || !changed.is_empty();
        self.look_at_rows(host, viewed, changed);
        let spins = self.spin(host);
        let open = self.hub(host).map_or(0, process_hub_core::Hub::open_requests);
        // What waits does so for long: one look in so many steps finds too much of it.
        let waiting = self.hub(host).filter(|_| self.inputs.is_multiple_of(LOOK));
        let waiting = waiting.map_or((0, 0), process_hub_core::Hub::waiting);
        self.tell(&Seen::Step { host, size: StepSize { input: size, effects: count, open, waiting, spins } });
        // The digest folds all buckets: it is worth its price only where it can be another than before.
        if registry_changed {
            let digest = self.hub(host).map_or(0, |hub| hub.registry().declared_digest() ^ hub.view_hash());
            self.trace.state(digest);
        }
        self.plan_tick(host);
        while let Some(host) = self.left.pop() {
            self.exit(host);
        }
    }

    pub(crate) fn hub(&self, host: HostId) -> Option<&process_hub_core::Hub> {
        self.node(host)?.hub(&self.config.hub.id)
    }

    fn spin(&mut self, host: HostId) -> u32 {
        let this = &mut self.hosts[host];
        let (time, spins) = this.spins;
        // Steps within a microsecond of each other count as one moment.
        this.spins = if self.now <= time + 1 { (self.now, spins + 1) } else { (self.now, 0) };
        this.spins.1
    }

    /// Shows the oracles the view that a step's effects were decided on, if it is another than before.
    fn look_at_view(&mut self, host: HostId) -> bool {
        let Some(life) = self.hosts[host].life.as_mut() else { return false };
        let Some(hub) = life.node.hub(&self.config.hub.id) else { return false };
        let (hash, phase) = (hub.view_hash(), hub.phase());
        let known = self.watch.truth.hosts[host].member.as_ref();
        let viewed = hash != life.view_hash || life.phase != Some(phase) || known != Some(life.node.member());
        (life.view_hash, life.phase) = (hash, Some(phase));
        if viewed {
            let view = hub.view();
            let seen = Seen::View { host, member: life.node.member(), view: &view, hash, phase };
            self.watch.see(self.now, &seen);
            if self.want_moments {
                self.moments.push((host, Moment::View));
            }
        }
        viewed
    }

    /// Shows the oracles what a step changed in the registry of a node.
    fn look_at_rows(&mut self, host: HostId, viewed: bool, mut changed: Vec<process_hub_core::id::ChildId>) {
        let Some(life) = self.hosts[host].life.as_ref() else { return };
        let Some(hub) = life.node.hub(&self.config.hub.id) else { return };
        if viewed {
            let rows: Vec<_> = hub.registry().iter().map(|(id, row)| (id.clone(), row)).collect();
            for (id, row) in &rows {
                let owners: Vec<NodeId> = hub.owners(id).into_iter().cloned().collect();
                let seen = Seen::Row { host, id, lookup: Some(row), owners: &owners };
                self.watch.see(self.now, &seen);
            }
        }
        changed.sort_unstable();
        changed.dedup();
        for id in &changed {
            let row = hub.registry().lookup(id);
            let owners: Vec<NodeId> = hub.owners(id).into_iter().cloned().collect();
            let seen = Seen::Row { host, id, lookup: row.as_ref(), owners: &owners };
            self.watch.see(self.now, &seen);
        }
    }

    /// The member that a host is at present.
    pub(crate) fn member(&self, host: HostId) -> Option<Member> {
        self.node(host).map(|node| node.member().clone())
    }

    /// The host of that name, if there is one.
    pub(crate) fn host_named(&self, node: &NodeId) -> Option<HostId> {
        let number: usize = node.as_str().strip_prefix('n')?.parse().ok()?;
        (1..=self.hosts.len()).contains(&number).then(|| number - 1)
    }
}

fn input_size(input: &Input) -> usize {
    match input {
        Input::Request { request: Request::Start { children, .. }, .. } => children.len(),
        Input::Request { request: Request::Stop { ids, .. }, .. } => ids.len(),
        Input::Message { message: Message::Hub { body, .. } | Message::Relayed { body, .. }, .. } => match body {
            HubMessage::Batch { batch, .. } => {
                batch.starts.len() + batch.stops.len() + batch.rows.len() + batch.gone.len() + batch.failures.len()
            }
            HubMessage::Listing { dots, entries, .. } => dots.len() + entries.len(),
            _ => 1,
        },
        _ => 1,
    }
}
