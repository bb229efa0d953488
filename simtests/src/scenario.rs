//! Whole-cluster tests that read like a script, on the same simulator and under the same oracles as the seeds.
//!
//! ```
//! use process_hub_simtests::scenario::Cluster;
//!
//! let mut c = Cluster::new(3);
//! c.start("n1", &["a", "b"]);
//! c.cut("n1", "n2");
//! c.run_for_secs(5);
//! c.heal();
//! c.settle();
//! c.assert_converged();
//! ```

mod counts;
mod moves;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use process_hub_core::config::{HubConfig, MembershipConfig, Synchronization};
use process_hub_core::hook::HookEvent;
use process_hub_core::id::{ChildId, NodeId, Pid, RequestId};
use process_hub_core::registry::Lookup;
use process_hub_core::request::{
    CallError, Reply, Request, StartError, StartOptions, StartOutcome, StartResult, StopOptions, StopOutcome,
    StopResult, Target,
};
use process_hub_core::spec::{ChildSpec, Restart, Role};
use process_hub_core::steering::{Steer, SteerError};

use crate::client::counter;
use crate::oracles::seen::{Census, Seen};
use crate::oracles::truth::Instance;
use crate::oracles::{Watch, ledger};
use crate::plan::{bounds, hub_id, node_configs};
use crate::run::{state_size, take_census};
use crate::sim::HostId;
use crate::sim::host::Clock;
use crate::sim::world::{World, WorldConfig};

const DIAL_TIMEOUT: u64 = 1_000_000;
const DELAY: u64 = 500;

/// A simulated cluster under a script. Its nodes are called `n1`, `n2` and so on.
///
/// Every method that lets time pass panics as soon as an oracle finds a violation.
#[derive(Debug)]
pub struct Cluster {
    world: World,
    version: u64,
}

/// A child's name, or a panic: tests choose valid ones.
fn id(text: &str) -> ChildId {
    ChildId::new(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn ids<S: AsRef<str>>(texts: &[S]) -> Vec<ChildId> {
    texts.iter().map(|text| id(text.as_ref())).collect()
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Cluster {
    /// So many nodes, all up, in one settled hub with default settings but a sync interval of 2 s.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self::with(nodes, |_| {})
    }

    /// The same with other settings of the hub.
    #[must_use]
    pub fn with(nodes: usize, settings: impl FnOnce(&mut HubConfig)) -> Self {
        let mut cluster = Self::unbooted(nodes, settings);
        for host in 0..nodes {
            cluster.world.boot(host, false);
        }
        cluster.settle();
        cluster
    }

    /// So many nodes, none of them up.
    #[must_use]
    pub fn unbooted(nodes: usize, settings: impl FnOnce(&mut HubConfig)) -> Self {
        let mut hub = HubConfig::new(hub_id());
        hub.synchronization = Synchronization::PubSub { sync_interval: Duration::from_secs(2) };
        settings(&mut hub);
        let membership = MembershipConfig::default();
        let bounds = bounds(&hub, &membership, nodes, 2 * DELAY, DIAL_TIMEOUT);
        let config = WorldConfig {
            seed: 1,
            nodes: node_configs(nodes, &membership),
            clocks: vec![Clock::default(); nodes],
            hub,
            delay: DELAY,
            dial_timeout: DIAL_TIMEOUT,
            bounds,
        };
        let mut world = World::new(config, Watch::new(nodes, bounds));
        world.keep_replies = true;
        Self { world, version: 0 }
    }

    fn host(&self, node: &str) -> HostId {
        let name = NodeId::new(node).ok().and_then(|name| self.world.host_named(&name));
        name.unwrap_or_else(|| panic!("there is no node {node}"))
    }

    /// The names of the nodes that are up.
    #[must_use]
    pub fn up(&self) -> Vec<String> {
        self.world.up().into_iter().map(|host| format!("n{}", host + 1)).collect()
    }

    /// The simulated time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.world.now)
    }

    /// Starts the process of a node, in a new life.
    pub fn boot(&mut self, node: &str) {
        self.world.boot(self.host(node), false);
    }

    /// Starts the process of a node with a boot below that of its last life: its wall clock stepped back.
    pub fn boot_with_older_clock(&mut self, node: &str) {
        self.world.boot(self.host(node), true);
    }

    /// Writes down what is declared, as a node knows it: its later lives restore that.
    pub fn save(&mut self, node: &str) {
        self.world.save(self.host(node));
    }

    /// Forgets what a node has written down.
    pub fn wipe(&mut self, node: &str) {
        let host = self.host(node);
        self.world.hosts[host].disk.clear();
        self.world.hosts[host].saved = None;
    }

    /// Kills the process of a node; its sockets close.
    pub fn crash(&mut self, node: &str) {
        self.world.crash(self.host(node), false);
    }

    /// Switches a machine off: nobody is told.
    pub fn switch_off(&mut self, node: &str) {
        self.world.crash(self.host(node), true);
    }

    /// Has a node leave, and waits until its process has ended.
    pub fn leave(&mut self, node: &str) {
        let host = self.host(node);
        let deadline = Duration::from_secs(10);
        self.world.request(host, Request::Leave { deadline });
        self.run_until(deadline + Duration::from_secs(1), |cluster| !cluster.world.is_up(host));
        assert!(!self.world.is_up(host), "{node} does not leave");
    }

    /// Has nodes leave at the same time, and waits until their processes have ended: how long that took.
    pub fn leave_together(&mut self, nodes: &[&str]) -> Duration {
        let began = self.now();
        let hosts: Vec<_> = nodes.iter().map(|node| self.host(node)).collect();
        let deadline = Duration::from_secs(10);
        for host in &hosts {
            self.world.request(*host, Request::Leave { deadline });
        }
        self.run_until(deadline + Duration::from_secs(1), |cluster| {
            hosts.iter().all(|host| !cluster.world.is_up(*host))
        });
        self.now() - began
    }

    /// Has a node handle nothing for a while.
    pub fn pause(&mut self, node: &str, span: Duration) {
        let until = self.world.now + micros(span);
        self.world.pause(self.host(node), until);
    }

    /// Holds all frames between two nodes.
    pub fn cut(&mut self, one: &str, other: &str) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Holds all frames from one node to another.
    pub fn cut_one_way(&mut self, from: &str, to: &str) {
        let (from, to) = (self.host(from), self.host(to));
        self.world.cut(from, to);
    }

    /// Holds all frames between nodes of different groups.
    pub fn partition(&mut self, groups: &[&[&str]]) {
        for (index, group) in groups.iter().enumerate() {
            for other in groups[index + 1..].iter().copied().flatten() {
                group.iter().for_each(|one| self.cut(one, other));
            }
        }
    }

    /// Lets all frames flow again.
    pub fn heal(&mut self) {
        for from in 0..self.world.hosts.len() {
            for to in 0..self.world.hosts.len() {
                self.world.mend(from, to);
            }
        }
    }

    /// Every relayed frame comes twice from here on, the second time much later, if `twice`; or only late.
    pub fn relays_misbehave(&mut self, twice: bool, late: bool) {
        self.world.net_faults.relayed_twice = if twice { 1_000_000 } else { 0 };
        self.world.net_faults.relayed_late = if late { 500_000 } else { 0 };
    }

    /// Prints every step from here on, or no more.
    pub fn trace(&mut self, on: bool) {
        self.world.trace.print = on;
    }

    /// How often the simulator counted something, such as `relayed_frame`.
    #[must_use]
    pub fn counted(&self, what: &str) -> u64 {
        self.world.counts.get(what).copied().unwrap_or(0)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Lets whole seconds pass.
    pub fn run_for_secs(&mut self, seconds: u64) {
        self.run_for(Duration::from_secs(seconds));
    }

    /// Lets time pass until `done`, at most `span`.
    fn run_until(&mut self, span: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.world.now + micros(span);
        while self.world.now < end && !done(self) {
            self.world.run_until((self.world.now + 1_000).min(end));
            if self.world.now.is_multiple_of(100_000) {
                self.world.tell(&Seen::Probe);
            }
            if let Some(violation) = self.world.watch.violations.first() {
                panic!("{violation}");
            }
        }
    }

    /// Lets time pass until all nodes that are up have one view and nothing left to do; panics after the convergence
    /// bound. Returns how long it took.
    pub fn settle(&mut self) -> Duration {
        let before = self.world.now;
        let bound = Duration::from_micros(self.world.config.bounds.converge);
        self.run_until(bound, Self::is_settled);
        assert!(self.is_settled(), "not settled within {bound:?}: {}", self.unsettled());
        Duration::from_micros(self.world.now - before)
    }

    /// The convergence bound.
    pub(crate) fn bound(&self) -> Duration {
        Duration::from_micros(self.world.config.bounds.converge)
    }

    /// Whether all nodes that are up have one view and nothing left to do.
    pub(crate) fn has_settled(&self) -> bool {
        self.is_settled()
    }

    fn is_settled(&self) -> bool {
        let up = self.world.up();
        let hubs: Option<Vec<_>> = up.iter().map(|host| self.world.hub(*host)).collect();
        let Some(hubs) = hubs else { return false };
        let Some(first) = hubs.first() else { return true };
        let same = hubs.iter().all(|hub| {
            hub.view_hash() == first.view_hash()
                && hub.registry().declared_digest() == first.registry().declared_digest()
                && hub.is_settled()
                && hub.open_requests() == 0
        });
        let truth = &self.world.watch.truth;
        let members: Vec<_> = up.iter().filter_map(|host| truth.hosts[*host].member.clone()).collect();
        same && first.view().iter().all(|member| members.contains(member))
            && first.view().len() == up.len()
            && self.is_shown_everywhere(&up)
    }

    /// What keeps the cluster from being called settled.
    fn unsettled(&self) -> String {
        let hubs = self.world.up().into_iter().filter_map(|host| Some((host, self.world.hub(host)?)));
        let lines = hubs.map(|(host, hub)| {
            let (view, digest) = (hub.view(), hub.registry().declared_digest());
            let (settled, open) = (hub.is_settled(), hub.open_requests());
            format!("n{}: view {view:?}, digest {digest:x}, settled {settled}, open {open}", host + 1)
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    /// Whether each registry shows exactly what runs.
    fn is_shown_everywhere(&self, up: &[HostId]) -> bool {
        let truth = &self.world.watch.truth;
        let one_active = self.world.config.bounds.one_active;
        let shown = |id: &ChildId, row: &Lookup, owners: usize| {
            let live: Vec<_> = truth.live(id).iter().map(|key| &truth.instances[key]).collect();
            let placed = |instance: &&Instance| {
                row.placements.iter().any(|place| place.pid == instance.pid && place.role == instance.role)
            };
            let active = live.iter().filter(|instance| instance.role == Role::Active).count();
            live.len() == owners
                && row.placements.len() == owners
                && live.iter().all(|instance| instance.serves() && placed(instance))
                && active == if one_active { 1 } else { owners }
        };
        // A child that belongs to nobody runs nowhere.
        let right = |id: &ChildId, row: &Lookup, owners: usize| match owners {
            0 => truth.live(id).is_empty() && row.placements.is_empty(),
            owners => shown(id, row, owners),
        };
        up.iter().filter_map(|host| self.world.hub(*host)).all(|hub| {
            hub.registry().iter().all(|(id, row)| right(id, &row, hub.owners(id).len()))
                && truth.live.keys().all(|id| hub.registry().lookup(id).is_some())
        })
    }

    /// Asks the oracles for what must hold at the end: registries equal and true, each child once on its owner,
    /// nothing half way.
    pub fn assert_converged(&mut self) {
        let core = self.world.up();
        self.world.tell(&Seen::Healed { core: &core });
        for host in &core {
            let Some(hub) = self.world.hub(*host) else { panic!("n{} has no hub", host + 1) };
            let census = Census { size: Some(state_size(hub)), ..take_census(hub) };
            self.world.tell(&Seen::Census { host: *host, census: &census });
        }
        self.world.tell(&Seen::Converged);
        // The script may go on.
        self.world.tell(&Seen::Healed { core: &core });
        if let Some(violation) = self.world.watch.violations.first() {
            panic!("{violation}");
        }
    }

    /// The recipe of a permanent counter.
    #[must_use]
    pub fn spec(&mut self, child: &str) -> ChildSpec {
        self.version += 1;
        ChildSpec::new(id(child), counter(), ledger::args(self.version))
    }

    /// The recipe of a counter with another restart rule.
    #[must_use]
    pub fn spec_with(&mut self, child: &str, restart: Restart) -> ChildSpec {
        self.spec(child).restart(restart)
    }

    /// Children take long to come up from now on (20 us to 0.4 s), or do not any more.
    pub fn children_start_slowly(&mut self, on: bool) {
        self.world.child_faults.start_slow = if on { 1_000_000 } else { 0 };
    }

    /// Declares permanent counters and does not wait.
    pub fn declare<S: AsRef<str>>(&mut self, node: &str, children: &[S]) {
        let children = children.iter().map(|child| self.spec(child.as_ref())).collect();
        let options = StartOptions { wait: false, ..StartOptions::default() };
        self.ask(node, Request::Start { hub: hub_id(), children, options });
    }

    /// Asks and does not wait.
    pub fn ask(&mut self, node: &str, request: Request) -> RequestId {
        self.world.request(self.host(node), request)
    }

    /// Waits for the answer to a request.
    pub fn answer(&mut self, node: &str, request: RequestId) -> Reply {
        let key = (self.host(node), request);
        self.run_until(Duration::from_secs(120), |cluster| cluster.world.replies.contains_key(&key));
        self.world.replies.remove(&key).unwrap_or_else(|| panic!("{node} does not answer"))
    }

    /// Starts permanent counters, awaited, and gives the result.
    pub fn start<S: AsRef<str>>(&mut self, node: &str, children: &[S]) -> StartResult {
        let children = children.iter().map(|child| self.spec(child.as_ref())).collect();
        match self.start_specs(node, children, StartOptions::default()) {
            Ok(StartOutcome::Done(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Starts children with other options.
    pub fn start_specs(
        &mut self,
        node: &str,
        children: Vec<ChildSpec>,
        options: StartOptions,
    ) -> Result<StartOutcome, StartError> {
        let request = self.ask(node, Request::Start { hub: hub_id(), children, options });
        match self.answer(node, request) {
            Reply::Start(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// Stops children, awaited, and gives the result.
    pub fn stop<S: AsRef<str>>(&mut self, node: &str, children: &[S]) -> StopResult {
        let options = StopOptions::default();
        let request = self.ask(node, Request::Stop { hub: hub_id(), ids: ids(children), options });
        match self.answer(node, request) {
            Reply::Stop(Ok(StopOutcome::Done(result))) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Adds one to a counter, and gives what it shows.
    ///
    /// # Errors
    /// Those of a call.
    pub fn call(&mut self, node: &str, child: &str) -> Result<u64, CallError> {
        self.version += 1;
        let payload = Bytes::copy_from_slice(&self.version.to_le_bytes());
        let (to, timeout) = (Target::Child(id(child)), Duration::from_secs(5));
        let request = self.ask(node, Request::Call { hub: hub_id(), to, payload, timeout });
        match self.answer(node, request) {
            Reply::Call(reply) => reply.map(|bytes| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))),
            other => panic!("{other:?}"),
        }
    }

    /// What a node's registry answers about a child.
    #[must_use]
    pub fn lookup(&self, node: &str, child: &str) -> Option<Lookup> {
        self.world.hub(self.host(node))?.registry().lookup(&id(child))
    }

    /// Whether a node's hub has no quorum.
    #[must_use]
    pub fn is_locked(&self, node: &str) -> bool {
        self.world.hub(self.host(node)).is_some_and(process_hub_core::Hub::is_locked)
    }

    /// Has an operator say at a node how large the cluster is.
    pub fn reset_size(&mut self, node: &str, size: u32) {
        let request = self.ask(node, Request::ResetClusterSize { hub: hub_id(), size });
        match self.answer(node, request) {
            Reply::Reset(Ok(())) => {}
            other => panic!("{other:?}"),
        }
    }

    /// Has an operator say at a node that another one will not come back as it was.
    ///
    /// # Errors
    /// Those of the node that is asked.
    pub fn forget(&mut self, node: &str, name: &str) -> Result<(), SteerError> {
        let Ok(name) = NodeId::new(name) else { panic!("{name} is no name of a node") };
        let request = self.ask(node, Request::Steer { hub: hub_id(), act: Steer::Forget { node: name } });
        match self.answer(node, request) {
            Reply::Steered(reply) => reply.map(|_| ()),
            other => panic!("{other:?}"),
        }
    }

    /// How many lives of nodes a node's registry remembers.
    #[must_use]
    pub fn lives(&self, node: &str) -> usize {
        self.world.hub(self.host(node)).map_or(0, |hub| hub.registry().lives())
    }

    /// How large the whole state of a node's hub is when it is written out, in bytes.
    #[must_use]
    pub fn state_size(&self, node: &str) -> usize {
        self.world.hub(self.host(node)).map_or(0, crate::run::state_size)
    }

    /// How many children a node's registry declares.
    #[must_use]
    pub fn declared(&self, node: &str) -> usize {
        self.world.hub(self.host(node)).map_or(0, |hub| hub.registry().len())
    }

    /// Where each child really runs.
    #[must_use]
    pub fn placed(&self) -> BTreeMap<String, Vec<Pid>> {
        let truth = &self.world.watch.truth;
        let serving = |keys: &Vec<_>| {
            let instances = keys.iter().map(|key| &truth.instances[key]);
            instances.filter(|instance| instance.serves()).map(|instance| instance.pid.clone()).collect()
        };
        truth.live.iter().map(|(id, keys)| (id.as_str().to_owned(), serving(keys))).collect()
    }

    /// The nodes that a child belongs to, as a node of the cluster sees it.
    #[must_use]
    pub fn owners(&self, node: &str, child: &str) -> Vec<String> {
        let owners = self.world.hub(self.host(node)).map(|hub| hub.owners(&id(child))).unwrap_or_default();
        owners.into_iter().map(|owner| owner.as_str().to_owned()).collect()
    }

    /// The role that each copy of a child was last given, by node.
    #[must_use]
    pub fn roles(&self, child: &str) -> BTreeMap<String, Role> {
        let truth = &self.world.watch.truth;
        let live = truth.live(&id(child)).iter().map(|key| &truth.instances[key]);
        live.map(|instance| (instance.pid.node.as_str().to_owned(), instance.role)).collect()
    }

    /// Has every start on a node fail from here on, or no more.
    pub fn starts_fail_on(&mut self, node: &str, fail: bool) {
        let host = self.host(node);
        self.world.hosts[host].starts_fail = fail;
    }

    /// Has the first running instance of a child fail. Panics if none runs.
    pub fn fail_child(&mut self, child: &str) {
        let key = self.world.watch.truth.live(&id(child)).first().copied();
        let failed = key.is_some_and(|(host, _, sequence)| self.world.fail_child(host, sequence));
        assert!(failed, "{child} does not run");
    }

    /// The events that a node's hub has told so far.
    pub fn hooks(&self, node: &str) -> impl Iterator<Item = &HookEvent> {
        let host = self.host(node);
        self.world.hooks.iter().filter(move |(_, other, _)| *other == host).map(|(_, _, event)| event)
    }

    /// The members in the view of a node.
    #[must_use]
    pub fn view(&self, node: &str) -> Vec<String> {
        let view = self.world.hub(self.host(node)).map(process_hub_core::Hub::view).unwrap_or_default();
        view.iter().map(|member| member.node.as_str().to_owned()).collect()
    }
}
