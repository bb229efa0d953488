//! One seed from the beginning to the verdict.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use process_hub_core::Hub;
use process_hub_core::request::Request;
use process_hub_viewer::{About, History};

use crate::chaos::Chaos;
use crate::client::Client;
use crate::history::Tap;
use crate::oracles::Watch;
use crate::oracles::seen::{Census, Seen, Violation};
use crate::oracles::truth::Bounds;
use crate::plan::{Options, Plan};
use crate::sim::HostId;
use crate::sim::world::World;
use crate::story::Story;

/// How often the oracles that wait for time to pass are asked, in microseconds.
const PROBE: u64 = 100_000;

/// What came of one seed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The command that repeats it.
    pub repeat: String,
    /// What it was about.
    pub about: String,
    /// The strategies of its hub, one an axis.
    pub strategies: Vec<&'static str>,
    /// The rolling hash over all that happened.
    pub trace_hash: String,
    /// Inputs that nodes handled.
    pub inputs: u64,
    /// Messages that nodes sent.
    pub sent: u64,
    /// The simulated time in all, in microseconds.
    pub simulated: u64,
    /// The convergence bound, in microseconds.
    pub bound: u64,
    /// How long after the last fault all had converged, in microseconds; `None` if they never had.
    pub converged_after: Option<u64>,
    /// How often each oracle had something real to check.
    pub checked: BTreeMap<&'static str, u64>,
    /// How often each fault really happened.
    pub faults: BTreeMap<&'static str, u64>,
    /// What must not be and was.
    pub violations: Vec<Violation>,
}

/// Everything of one run.
#[derive(Debug)]
struct Run {
    plan: Plan,
    world: World,
    chaos: Chaos,
    client: Client,
    probed: u64,
    converged_after: Option<u64>,
}

/// Runs a seed. With `print` every step is printed as it happens.
#[must_use]
pub fn run(options: &Options, print: bool) -> Report {
    let mut run = Run::new(options);
    run.world.trace.print = print;
    run.run_to_end();
    run.report(options)
}

/// Runs a seed and keeps its history, the last `most_steps` of it. The run is the same as without.
#[must_use]
pub fn run_with_history(options: &Options, most_steps: usize) -> (Report, History) {
    let mut run = Run::new(options);
    run.world.history = Some(Box::new(Tap::new(run.about(options, most_steps))));
    run.run_to_end();
    let (now, tap) = (run.world.now, run.world.history.take());
    let history = tap.map(|tap| tap.finish(now, &run.world.watch.violations)).unwrap_or_default();
    (run.report(options), history)
}

/// Runs a seed once more for a story.
pub(crate) fn tell(options: &Options, story: Story) -> Story {
    let mut run = Run::new(options);
    run.world.trace.story = Some(story);
    let _ = catch_unwind(AssertUnwindSafe(|| run.all()));
    run.world.trace.story.unwrap_or_default()
}

/// The command that repeats a run.
#[must_use]
pub fn repeat(options: &Options) -> String {
    let mut line = format!("process-hub-sim run --seed {}", options.seed);
    if let Some(nodes) = options.nodes {
        line += &format!(" --nodes {nodes}");
    }
    if let Some(children) = options.children {
        line += &format!(" --children {children}");
    }
    if let Some(seconds) = options.seconds {
        line += &format!(" --seconds {seconds}");
    }
    options.fixed().for_each(|strategy| line += &format!(" --with {strategy}"));
    line
}

impl Run {
    fn new(options: &Options) -> Self {
        let plan = Plan::draw(options);
        let watch = Watch::new(plan.world.nodes.len(), plan.world.bounds);
        let mut world = World::new(plan.world.clone(), watch);
        let mut delays = crate::sim::random::Random::split(options.seed, crate::sim::random::Purpose::Config, 1);
        for from in 0..plan.world.nodes.len() {
            for to in 0..plan.world.nodes.len() {
                world.net.set_delay(from, to, delays.log_between((plan.world.delay / 10).max(20), plan.world.delay));
            }
        }
        world.net_faults = plan.net.clone();
        world.child_faults = plan.child_faults;
        world.want_moments = plan.aim > 0;
        let (chaos, client) = (Chaos::new(&plan), Client::new(&plan));
        Self { plan, world, chaos, client, probed: 0, converged_after: None }
    }

    /// A panic of a node is a finding like others.
    fn run_to_end(&mut self) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.all())) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            self.world.watch.fail("S27", self.world.now, format!("panic: {}", text.unwrap_or_default()));
        }
    }

    /// What its history is of.
    fn about(&self, options: &Options, most_steps: usize) -> About {
        About {
            title: format!("seed {}", options.seed),
            key: options.seed.to_string(),
            repeat: repeat(options),
            about: self.plan.describe(),
            late_after: self.bounds().delay,
            lanes: self.world.hosts.iter().map(|host| (host.config.name.as_str().to_owned(), false)).collect(),
            most_steps,
        }
    }

    fn failed(&self) -> bool {
        !self.world.watch.violations.is_empty()
    }

    fn bounds(&self) -> Bounds {
        self.plan.world.bounds
    }

    fn all(&mut self) {
        self.faults();
        if self.failed() {
            return;
        }
        let core = self.chaos.heal(&mut self.world);
        let healed = self.world.now;
        if self.bounds().lease > 0 {
            self.reset_size(&core, healed);
        }
        let bound = self.bounds().converge;
        let mut last_bad = None;
        while self.world.now < healed + bound && !self.failed() {
            let until = (self.world.now + PROBE).min(healed + bound);
            self.world.run_until(until);
            self.world.tell(&Seen::Probe);
            if !self.has_converged(&core) {
                last_bad = Some(self.world.now);
            }
        }
        if self.failed() {
            return;
        }
        self.census(&core);
        self.world.tell(&Seen::Converged);
        self.converged_after = (last_bad != Some(self.world.now)).then(|| last_bad.map_or(0, |time| time - healed));
        while self.world.now < healed + 3 * bound && !self.failed() {
            self.world.run_until(self.world.now + 10 * PROBE);
            self.world.tell(&Seen::Probe);
        }
        if !self.failed() {
            self.world.tell(&Seen::Finished);
        }
    }

    /// Where all have forgotten what a quorum knew and there are fewer of them than there could be, an operator has to
    /// say how many there are. Now and then one does so without need.
    fn reset_size(&mut self, core: &[HostId], healed: u64) {
        let nodes = self.plan.world.nodes.len();
        let odd = !nodes.is_multiple_of(2);
        if odd && !self.plan.world.seed.is_multiple_of(4) {
            return;
        }
        let Some(host) = core.first() else { return };
        self.world.run_until(healed + self.bounds().converge / 4);
        let (hub, size) = (self.world.hub_id().clone(), u32::try_from(nodes).unwrap_or(u32::MAX));
        self.world.count("reset_size");
        self.world.request(*host, Request::ResetClusterSize { hub, size });
    }

    /// The faults and the clients, side by side.
    fn faults(&mut self) {
        let end = self.plan.faults_until;
        while !self.failed() {
            let world = self.world.next_time().unwrap_or(u64::MAX);
            let chaos = self.chaos.next_time().unwrap_or(u64::MAX);
            let (client, probe) = (self.client.next_time(), self.probed + PROBE);
            let next = world.min(chaos).min(client).min(probe);
            if next > end {
                break;
            }
            if next == world {
                self.world.run_one();
                if self.world.want_moments {
                    self.chaos.aim(&mut self.world);
                }
            } else if next == chaos {
                self.chaos.run_one(&mut self.world);
            } else if next == client {
                self.client.run_one(&mut self.world);
            } else {
                self.world.run_until(probe);
                self.probed = probe;
                self.world.tell(&Seen::Probe);
            }
        }
    }

    /// Whether all of the core seems to agree. Cheap; the oracles look closely later.
    fn has_converged(&self, core: &[HostId]) -> bool {
        let hubs: Option<Vec<&Hub>> = core.iter().map(|host| self.world.hub(*host)).collect();
        let Some(hubs) = hubs else { return false };
        let Some(first) = hubs.first() else { return false };
        let same = |hub: &&Hub| {
            hub.view_hash() == first.view_hash()
                && hub.registry().declared_digest() == first.registry().declared_digest()
                && hub.open_requests() == 0
        };
        let truth = &self.world.watch.truth;
        let live = truth.live.values().flatten().filter(|key| core.contains(&key.0));
        let live = live.filter(|key| truth.instances[*key].serves()).count();
        hubs.iter().all(same) && first.view().len() == core.len() && live == wanted(first)
    }

    fn census(&mut self, core: &[HostId]) {
        for host in core {
            // A comparison with another member may be on its way at any moment; it takes a few ways.
            let patience = self.world.now + 20 * self.bounds().delay + PROBE;
            while self.world.now < patience && !self.world.hub(*host).is_some_and(Hub::is_settled) {
                self.world.run_until(self.world.now + 1_000);
            }
        }
        for host in core {
            let Some(hub) = self.world.hub(*host) else { continue };
            let census = take_census(hub);
            self.world.tell(&Seen::Census { host: *host, census: &census });
        }
    }

    fn report(self, options: &Options) -> Report {
        Report {
            seed: options.seed,
            repeat: repeat(options),
            about: self.plan.describe(),
            strategies: self.plan.strategies.to_vec(),
            trace_hash: format!("{:016x}", self.world.trace.hash()),
            inputs: self.world.inputs,
            sent: self.world.sent.iter().sum(),
            simulated: self.world.now,
            bound: self.bounds().converge,
            converged_after: self.converged_after,
            checked: self.world.watch.checked(),
            faults: self.world.counts.clone(),
            violations: self.world.watch.violations,
        }
    }
}

/// How many copies are to run: none of a child that waits for the nodes that it is mapped to.
fn wanted(hub: &Hub) -> usize {
    hub.registry().iter().filter(|(_, row)| row.spec.is_some()).map(|(id, _)| hub.owners(id).len()).sum()
}

/// All that a hub holds.
pub(crate) fn take_census(hub: &Hub) -> Census {
    let registry = hub.registry();
    Census {
        rows: registry
            .iter()
            .map(|(id, row)| (id.clone(), row, hub.owners(id).into_iter().cloned().collect()))
            .collect(),
        digest: registry.declared_digest(),
        settled: hub.is_settled(),
        locked: hub.is_locked(),
        open: hub.open_requests(),
        moves: hub.migrations(),
        local: hub.local().map(|(id, sequence)| (id.clone(), sequence)).collect(),
        size: state_size(hub),
    }
}

/// How large all that a hub holds is when it is written out, in bytes: every field of it, whatever it is for.
pub(crate) fn state_size(hub: &Hub) -> usize {
    /// Counts what is written.
    struct Counter(usize);
    impl std::fmt::Write for Counter {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // A counter takes everything.
    let _ = std::fmt::Write::write_fmt(&mut counter, format_args!("{hub:?}"));
    counter.0
}
