//! Callers: random starts, stops, calls and casts from random nodes.

use std::time::Duration;

use bytes::Bytes;
use process_hub_core::config::Distribution;
use process_hub_core::hashing::stable_hash;
use process_hub_core::id::{ChildId, Kind};
use process_hub_core::request::{ChildMapping, OnFailure, Request, StartOptions, StopOptions, Target};
use process_hub_core::spec::{ChildSpec, Metadata, Restart};
use process_hub_core::steering::{Change, Steer};

use crate::oracles::ledger;
use crate::plan::{ClientPlan, Plan};
use crate::sim::HostId;
use crate::sim::random::{Purpose, Random};
use crate::sim::world::{World, node_name};

/// What operators say that a node has.
const LABELS: [&str; 2] = ["fast", "near"];

/// The callers of a run.
#[derive(Debug)]
pub(crate) struct Client {
    plan: ClientPlan,
    random: Random,
    steering: Random,
    ids: Vec<ChildId>,
    next: u64,
    /// The number of the last start, or of the last operation.
    last: u64,
}

/// The name of a child.
pub(crate) fn child_id(number: usize) -> ChildId {
    match ChildId::new(format!("c{number}")) {
        Ok(id) => id,
        Err(error) => unreachable!("a short name: {error}"),
    }
}

/// The kind of all simulated children.
pub(crate) fn counter() -> Kind {
    match Kind::new("counter") {
        Ok(kind) => kind,
        Err(error) => unreachable!("a short name: {error}"),
    }
}

impl Client {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut random = Random::new(plan.world.seed, Purpose::Clients);
        let steering = Random::split(plan.world.seed, Purpose::Steering, 1);
        let next = random.log_between(1, 3_000_000);
        let ids = (0..plan.children).map(child_id).collect();
        Self { plan: plan.client.clone(), random, steering, ids, next, last: 0 }
    }

    /// When the next request comes.
    pub(crate) fn next_time(&self) -> u64 {
        self.next
    }

    /// Makes the next request, or a burst of them.
    pub(crate) fn run_one(&mut self, world: &mut World) {
        world.run_until(self.next);
        self.next += self.random.wait(self.plan.every);
        let storm = self.random.chance(self.plan.storms);
        let times = if storm { self.random.log_between(10, 200) } else { 1 };
        if storm {
            world.count("storm");
        }
        for _ in 0..times {
            let up: Vec<_> = world.up();
            let Some(host) = self.random.pick(&up) else { return };
            let request =
                if self.steering.chance(self.plan.steering) { self.steer(world) } else { self.request(world) };
            self.ask(world, host, request);
        }
    }

    fn ask(&mut self, world: &mut World, host: HostId, request: Request) {
        world.count(match &request {
            Request::Start { .. } => "request_start",
            Request::Stop { .. } => "request_stop",
            Request::Call { .. } => "request_call",
            Request::Steer { .. } => "request_steer",
            _ => "request_other",
        });
        world.request(host, request);
    }

    fn request(&mut self, world: &World) -> Request {
        let hub = world.hub_id().clone();
        let total: u64 = self.plan.weights.iter().sum();
        let mut drawn = self.random.between(0, total - 1);
        let which = self.plan.weights.iter().position(|weight| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        });
        let timeout = Duration::from_micros(self.random.log_between(50_000, self.plan.timeout));
        match which {
            Some(0) => {
                let wait = self.random.chance(700_000);
                let check_existing = self.random.coin();
                let rollback = self.random.chance(300_000);
                let on_failure = if rollback { OnFailure::Rollback } else { OnFailure::Continue };
                let ids = self.some_ids();
                let child_mapping = self.mapping(world, &ids);
                let children = ids.into_iter().map(|id| self.spec(id)).collect();
                let options = StartOptions { wait, timeout, check_existing, on_failure, child_mapping };
                Request::Start { hub, children, options }
            }
            Some(1) => {
                let wait = self.random.chance(700_000);
                Request::Stop { hub, ids: self.some_ids(), options: StopOptions { wait, timeout } }
            }
            Some(2) => Request::Call { hub, to: self.target(), payload: self.payload(), timeout },
            _ => Request::Cast { hub, to: self.target(), payload: self.payload() },
        }
    }

    /// An operator gives a child to a node, or spares, empties or asks one.
    fn steer(&mut self, world: &World) -> Request {
        let hub = world.hub_id().clone();
        let random = &mut self.steering;
        let timeout = Duration::from_micros(random.log_between(50_000, self.plan.timeout));
        let id = self.ids[random.below(self.ids.len())].clone();
        let to = node_name(random.below(world.config.nodes.len()));
        let act = match random.below(18) {
            0..=7 => Steer::Migrate { id, to, timeout },
            8 => Steer::Cordon,
            9 => Steer::Uncordon,
            10 => Steer::Drain { deadline: timeout },
            11 => Steer::Undrain,
            12 => Steer::Pause,
            13 => Steer::Resume,
            14 => Steer::Weight(u32::try_from(random.below(4)).unwrap_or(1)),
            15 => Steer::Labels(LABELS.iter().take(random.below(3)).collect()),
            16 => return Request::Explain { hub, id },
            _ => return Request::Plan { hub, change: Change::Leave(to) },
        };
        Request::Steer { hub, act }
    }

    /// Where the hub is guided: nodes for each child. All callers of a child name the same, or else two starts at once
    /// would be of one child in two places, which no strategy undoes before they know of each other.
    fn mapping(&self, world: &World, ids: &[ChildId]) -> Option<ChildMapping> {
        let hub = &world.config.hub;
        let nodes = world.config.nodes.len();
        let copies = hub.redundancy.copies(nodes);
        let place = |id: &ChildId| usize::try_from(stable_hash(id.as_str().as_bytes()) >> 32).unwrap_or(0);
        let mapped = |id: &ChildId| (0..copies).map(|copy| node_name((place(id) + copy) % nodes)).collect();
        (hub.distribution == Distribution::Guided).then(|| ids.iter().map(|id| (id.clone(), mapped(id))).collect())
    }

    fn some_ids(&mut self) -> Vec<ChildId> {
        let count = self.random.log_between(1, self.plan.batch as u64) as usize;
        let mut ids = self.ids.clone();
        self.random.shuffle(&mut ids);
        ids.truncate(count);
        ids
    }

    fn spec(&mut self, id: ChildId) -> ChildSpec {
        self.last += 1;
        let restart = match self.random.below(10) {
            0 | 1 => Restart::Transient,
            2 => Restart::Temporary,
            _ => Restart::Permanent,
        };
        let spec = ChildSpec::new(id, counter(), ledger::args(self.last)).restart(restart);
        if self.random.coin() { spec.metadata(Metadata::new().with("tag", "some")) } else { spec }
    }

    fn target(&mut self) -> Target {
        let at = self.random.below(self.ids.len());
        Target::Child(self.ids[at].clone())
    }

    fn payload(&mut self) -> Bytes {
        self.last += 1;
        Bytes::copy_from_slice(&self.last.to_le_bytes())
    }
}
