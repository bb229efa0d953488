//! Callers: random starts, stops, calls and casts from random nodes.

use process_hub_core::config::Distribution;
use process_hub_core::id::{ChildId, Kind};

use crate::decisions::{Act, Declared, Operation, Restarts};
use crate::plan::{ClientPlan, Plan};
use crate::sim::HostId;
use crate::sim::random::{Purpose, Random};
use crate::sim::world::{Moment, World};

/// How many of the requests are followed by one that waits for an interesting moment, in millionths.
const AIMED: u32 = 200_000;

/// The callers of a run.
#[derive(Debug)]
pub(crate) struct Client {
    plan: ClientPlan,
    seed: u64,
    children: usize,
    nodes: usize,
    /// How many nodes each child is mapped to; 0 where callers map none.
    mapped: usize,
    /// Whether some requests come at interesting moments.
    aims: bool,
    /// The numbers of the request that is being drawn: each has its own.
    random: Random,
    drawn: u64,
    next: u64,
    /// The number of the last start, or of the last operation.
    last: u64,
    /// The moment at which the next request comes instead, and once that was there, when and where.
    awaits: Option<Moment>,
    sooner: Option<(u64, HostId)>,
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
        let seed = plan.world.seed;
        let mut random = Random::new(seed, Purpose::Clients);
        let next = random.log_between(1, 3_000_000);
        let nodes = plan.world.nodes.len();
        let guided = plan.world.hub.distribution == Distribution::Guided;
        let mapped = if guided { plan.world.hub.redundancy.copies(nodes) } else { 0 };
        let (plan, children, aims) = (plan.client.clone(), plan.children, plan.aim > 0);
        Self { aims, plan, seed, children, nodes, mapped, random, drawn: 0, next, last: 0, awaits: None, sooner: None }
    }

    /// When the next request comes.
    pub(crate) fn next_time(&self) -> u64 {
        self.sooner.map_or(self.next, |(at, _)| at.min(self.next))
    }

    /// Whether a request waits for an interesting moment.
    pub(crate) fn waits(&self) -> bool {
        self.awaits.is_some()
    }

    /// A request that waits for an interesting moment comes where and soon after there is one.
    pub(crate) fn aim(&mut self, now: u64, moments: &[(HostId, Moment)]) {
        let Some((host, _)) = moments.iter().find(|(_, moment)| Some(*moment) == self.awaits) else { return };
        self.awaits = None;
        let mut random = Random::keyed(self.seed, Purpose::Clients, [self.drawn, 1]);
        self.sooner = Some((now + random.log_between(1, 2_000), *host));
    }

    /// The next request, or a burst of them.
    pub(crate) fn run_one(&mut self, world: &mut World) -> Vec<Act> {
        self.begin();
        if let Some((_, host)) = self.sooner.take_if(|(at, _)| *at < self.next) {
            world.count("request_aimed");
            return self.one(&[host]).into_iter().filter(|_| world.is_up(host)).collect();
        }
        self.next += self.random.wait(self.plan.every);
        let mut random = Random::keyed(self.seed, Purpose::Clients, [self.drawn, 0]);
        if self.aims && self.awaits.is_none() && random.chance(AIMED) {
            self.awaits = random.pick(&Moment::ALL);
        }
        let storm = self.random.chance(self.plan.storms);
        let times = if storm { self.random.log_between(10, 200) } else { 1 };
        if storm {
            world.count("storm");
        }
        let up = world.up();
        (0..times).filter_map(|_| self.one(&up)).collect()
    }

    fn begin(&mut self) {
        self.drawn += 1;
        self.random = Random::keyed(self.seed, Purpose::Clients, [self.drawn]);
    }

    fn one(&mut self, up: &[HostId]) -> Option<Act> {
        self.begin();
        let host = self.random.pick(up)?;
        let steers = self.random.chance(self.plan.steering);
        Some(if steers { self.steer(host) } else { self.request(host) })
    }

    fn request(&mut self, host: HostId) -> Act {
        let total: u64 = self.plan.weights.iter().sum();
        let mut drawn = self.random.between(0, total - 1);
        let which = self.plan.weights.iter().position(|weight| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        });
        let timeout = self.random.log_between(50_000, self.plan.timeout);
        match which {
            Some(0) => {
                let wait = self.random.chance(700_000);
                let check_existing = self.random.coin();
                let rollback = self.random.chance(300_000);
                let children = self.some().into_iter().map(|child| self.declared(child)).collect();
                Act::Start { host, children, wait, timeout, check_existing, rollback, mapped: self.mapped }
            }
            Some(1) => {
                let wait = self.random.chance(700_000);
                Act::Stop { host, children: self.some(), wait, timeout }
            }
            Some(2) => Act::Call { host, child: self.child(), operation: self.number(), timeout },
            _ => Act::Cast { host, child: self.child(), operation: self.number() },
        }
    }

    /// An operator gives a child to a node, or spares, empties or asks one.
    fn steer(&mut self, host: HostId) -> Act {
        let timeout = self.random.log_between(50_000, self.plan.timeout);
        let (child, to) = (self.child(), self.random.below(self.nodes));
        let what = match self.random.below(18) {
            0..=7 => return Act::Migrate { host, child, to, timeout },
            8 => Operation::Cordon,
            9 => Operation::Uncordon,
            10 => return Act::Drain { host, deadline: timeout },
            11 => Operation::Undrain,
            12 => Operation::Pause,
            13 => Operation::Resume,
            14 => return Act::Weight { host, weight: u32::try_from(self.random.below(4)).unwrap_or(1) },
            15 => return Act::Labels { host, labels: self.random.below(3) },
            16 => return Act::Explain { host, child },
            _ => return Act::Plan { host, leaves: to },
        };
        Act::Operate { host, what }
    }

    /// Some children, in random order.
    fn some(&mut self) -> Vec<usize> {
        let count = self.random.log_between(1, self.plan.batch as u64) as usize;
        let mut children: Vec<_> = (0..self.children).collect();
        self.random.shuffle(&mut children);
        children.truncate(count);
        children
    }

    fn declared(&mut self, child: usize) -> Declared {
        let restart = match self.random.below(10) {
            0 | 1 => Restarts::Transient,
            2 => Restarts::Temporary,
            _ => Restarts::Permanent,
        };
        Declared { child, version: self.number(), restart, tagged: self.random.coin() }
    }

    fn child(&mut self) -> usize {
        self.random.below(self.children)
    }

    /// A number that was never given before.
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}
