//! One seed from the beginning to the verdict.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use process_hub_core::Hub;
use process_hub_viewer::{About, History};

use crate::chaos::Chaos;
use crate::client::Client;
use crate::decisions::{Act, Decision, Decisions, Operation, Setup};
use crate::history::Tap;
use crate::oracles::Watch;
use crate::oracles::seen::{Census, Seen, Violation};
use crate::oracles::truth::Bounds;
use crate::plan::{Options, Plan};
use crate::profile::Profile;
use crate::sim::HostId;
use crate::sim::dice::Dice;
use crate::sim::world::{World, WorldConfig};
use crate::story::Story;

mod join;

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

/// The parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The faults, and the callers.
    Faults,
    /// The time in which all converges, and the verdict on that.
    Convergence,
    /// The time in which nothing happens any more.
    Quiet,
    /// A new node joins.
    Join,
}

/// Where the decisions of a run come from.
#[derive(Debug)]
enum Source {
    /// They are drawn as it goes on.
    Drawn { chaos: Box<Chaos>, client: Box<Client> },
    /// They are repeated.
    Noted(VecDeque<Decision>),
}

/// Everything of one run.
#[derive(Debug)]
struct Run {
    setup: Setup,
    about: String,
    strategies: Vec<&'static str>,
    /// How far it goes.
    until: Stage,
    /// How far it has come.
    stage: Stage,
    world: World,
    source: Source,
    /// What was decided so far.
    done: Vec<Decision>,
    probed: u64,
    converged_after: Option<u64>,
}

/// Runs a seed. With `print` every step is printed as it happens.
#[must_use]
pub fn run(options: &Options, print: bool) -> Report {
    let mut run = Run::draw(options);
    run.world.trace.print = print;
    run.through();
    run.report(options.seed, repeat(options)).0
}

/// Runs a seed and keeps its history, the last `most_steps` of it. The run is the same as without.
#[must_use]
pub fn run_with_history(options: &Options, most_steps: usize) -> (Report, History) {
    let mut run = Run::draw(options);
    run.world.history = Some(Box::new(Tap::new(run.about(options, most_steps))));
    run.through();
    let (now, tap) = (run.world.now, run.world.history.take());
    let history = tap.map(|tap| tap.finish(now, &run.world.watch.violations)).unwrap_or_default();
    (run.report(options.seed, repeat(options)).0, history)
}

/// Runs a seed, and gives all the decisions that made it what it was.
#[must_use]
pub fn record(options: &Options) -> (Report, Decisions) {
    let mut run = Run::draw(options);
    run.through();
    run.report(options.seed, repeat(options))
}

/// Repeats a run from its decisions. With `print` every step is printed as it happens.
///
/// # Errors
/// When nothing can be simulated that way; the text says why.
pub fn replay(decisions: &Decisions, print: bool) -> Result<Report, String> {
    let mut run = Run::repeat(decisions)?;
    run.world.trace.print = print;
    run.through();
    Ok(run.report(decisions.setup.seed, "process-hub-sim replay FILE".to_owned()).0)
}

/// Repeats a run as far as a stage: at which it ended, its first violation, and how many inputs nodes handled.
///
/// # Errors
/// When nothing can be simulated that way; the text says why.
pub(crate) fn try_out(decisions: &Decisions, until: Stage) -> Result<(Stage, Option<Violation>, u64), String> {
    let mut run = Run::repeat(decisions)?;
    run.until = run.until.min(until);
    run.through();
    Ok((run.stage, run.world.watch.violations.into_iter().next(), run.world.inputs))
}

/// Runs a seed once more for a story.
pub(crate) fn tell(options: &Options, story: Story) -> Story {
    let mut run = Run::draw(options);
    run.world.trace.story = Some(story);
    run.through();
    run.world.trace.story.unwrap_or_default()
}

/// The command that repeats a run.
#[must_use]
pub fn repeat(options: &Options) -> String {
    let mut line = format!("process-hub-sim run --seed {}", options.seed);
    if options.profile != Profile::default() {
        line += &format!(" --profile {}", options.profile);
    }
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
    #[cfg(feature = "sabotage")]
    if let Some(defect) = options.sabotage {
        line += &format!(" --sabotage {defect:?}");
    }
    line
}

impl Run {
    fn draw(options: &Options) -> Self {
        let plan = Plan::draw(options);
        let setup = Setup::of(&plan);
        let source = Source::Drawn { chaos: Box::new(Chaos::new(&plan)), client: Box::new(Client::new(&plan)) };
        let config = match setup.world_config() {
            Ok(config) => config,
            Err(error) => unreachable!("what was drawn can be simulated: {error}"),
        };
        let mut run = Self::new(setup, config, source);
        run.world.net_faults = plan.net.clone();
        run.world.child_faults = plan.child_faults;
        (run.about, run.strategies) = (plan.describe(), plan.strategies.to_vec());
        if !plan.converges {
            run.until = Stage::Faults;
        } else if !plan.long_quiet {
            run.until = Stage::Convergence;
        }
        run
    }

    fn repeat(decisions: &Decisions) -> Result<Self, String> {
        let setup = decisions.setup.clone();
        let config = setup.world_config()?;
        let dice = Dice::noted(setup.seed, &decisions.quirks, setup.prompt);
        let mut run = Self::new(setup, config, Source::Noted(decisions.decisions.iter().cloned().collect()));
        run.world.dice = dice;
        run.about = format!("{} decisions and {} quirks", decisions.decisions.len(), decisions.quirks.len());
        if !decisions.decisions.iter().any(|decision| matches!(decision.act, Act::Heal { .. })) {
            run.until = Stage::Faults;
        } else if !run.setup.long_quiet {
            run.until = Stage::Convergence;
        }
        Ok(run)
    }

    fn new(setup: Setup, config: WorldConfig, source: Source) -> Self {
        let watch = Watch::new(config.nodes.len(), config.bounds);
        let mut world = World::new(config, watch);
        setup.prepare(&mut world);
        let (about, strategies, done) = (String::new(), Vec::new(), Vec::new());
        let (until, stage) = (Stage::Quiet, Stage::Faults);
        Self { setup, about, strategies, until, stage, world, source, done, probed: 0, converged_after: None }
    }

    /// From the beginning to the end; a panic of a node is a finding.
    fn through(&mut self) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.all()));
        if let Err(panic) = outcome {
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
            about: self.about.clone(),
            late_after: self.bounds().delay,
            lanes: self.world.hosts.iter().map(|host| (host.config.name.as_str().to_owned(), false)).collect(),
            most_steps,
        }
    }

    fn failed(&self) -> bool {
        !self.world.watch.violations.is_empty()
    }

    fn bounds(&self) -> Bounds {
        self.world.config.bounds
    }

    fn all(&mut self) {
        self.faults();
        if self.failed() || self.until == Stage::Faults {
            return;
        }
        self.stage = Stage::Convergence;
        let Some(core) = self.heal() else { return };
        let healed = self.world.now;
        let bound = self.bounds().converge;
        let mut last_bad = None;
        while self.world.now < healed + bound && !self.failed() {
            let until = (self.world.now + PROBE).min(healed + bound);
            self.run_until(until);
            self.resume(&core, healed + bound / 4);
            self.world.tell(&Seen::Probe);
            if !self.has_converged(&core) {
                last_bad = Some(self.world.now);
            }
            let agreed_for = self.world.now - last_bad.unwrap_or(healed);
            if self.setup.brief && agreed_for >= bound / 3 && !self.has_more_to_do() {
                break;
            }
        }
        if self.failed() {
            return;
        }
        self.census(&core);
        self.world.tell(&Seen::Converged);
        self.converged_after = (last_bad != Some(self.world.now)).then(|| last_bad.map_or(0, |time| time - healed));
        if self.failed() {
            return;
        }
        if self.until != Stage::Convergence {
            self.stage = Stage::Quiet;
            while self.world.now < healed + 3 * bound && !self.failed() {
                self.run_until(self.world.now + 10 * PROBE);
                self.world.tell(&Seen::Probe);
            }
            if self.failed() {
                return;
            }
            self.world.tell(&Seen::Finished);
        }
        self.stage = Stage::Join;
        self.join(&core);
    }

    /// Lets time pass and does what was decided for then.
    fn run_until(&mut self, until: u64) {
        while let Some(decision) = self.noted(until) {
            self.world.run_until(decision.at);
            self.carry_out(decision);
        }
        self.world.run_until(until);
    }

    /// What is to be repeated next, if that is due by then.
    fn noted(&mut self, until: u64) -> Option<Decision> {
        let Source::Noted(decisions) = &mut self.source else { return None };
        decisions.pop_front_if(|decision| decision.at <= until)
    }

    fn has_more_to_do(&self) -> bool {
        matches!(&self.source, Source::Noted(decisions) if !decisions.is_empty())
    }

    fn carry_out(&mut self, decision: Decision) {
        decision.act.carry_out(&mut self.world);
        self.done.push(decision);
    }

    /// Decides something now that was not planned.
    fn decide(&mut self, at: u64, act: Act) {
        self.world.run_until(at);
        self.carry_out(Decision { at, fault: 0, act });
    }

    /// The faults end; who is to converge from then on.
    fn heal(&mut self) -> Option<Vec<HostId>> {
        let end = self.setup.faults_until;
        match &mut self.source {
            Source::Drawn { chaos, .. } => {
                self.world.run_until(end);
                let act = chaos.heal(&self.world);
                self.decide(end, act);
                self.reset_size(end);
            }
            // What else was to be done at the very end comes first. The time to converge begins once the size is reset, if it is.
            Source::Noted(_) => {
                self.run_until(end);
                if let Source::Noted(decisions) = &self.source
                    && let Some(Decision { at, act: Act::ResetSize { .. }, .. }) = decisions.front()
                {
                    self.run_until(*at);
                }
            }
        }
        self.done.iter().rev().find_map(|decision| match &decision.act {
            Act::Heal { core, .. } => Some(core.clone()),
            _ => None,
        })
    }

    /// Where all have forgotten what a quorum knew and there are fewer of them than there could be, an operator has to
    /// say how many there are. Now and then one does so without need.
    fn reset_size(&mut self, healed: u64) {
        let nodes = self.setup.nodes;
        let odd = !nodes.is_multiple_of(2);
        if self.bounds().lease == 0 || odd && !self.setup.seed.is_multiple_of(4) {
            return;
        }
        let Some(Decision { act: Act::Heal { core, .. }, .. }) = self.done.last() else { return };
        let Some(host) = core.first().copied() else { return };
        let size = u32::try_from(nodes).unwrap_or(u32::MAX);
        self.decide(healed + self.bounds().converge / 4, Act::ResetSize { host, size });
    }

    /// An operator who has resumed what was paused finds that some node has heard only afterwards that it was paused, and
    /// resumes it once more.
    fn resume(&mut self, core: &[HostId], at: u64) {
        let due = matches!(self.source, Source::Drawn { .. }) && (at..at + PROBE).contains(&self.world.now);
        let paused = |host: &HostId| self.world.hub(*host).is_some_and(|hub| hub.steering().paused);
        if let Some(host) = core.iter().copied().find(|host| due && paused(host)) {
            self.decide(self.world.now, Act::Operate { host, what: Operation::Resume });
        }
    }

    /// The faults and the clients, side by side.
    fn faults(&mut self) {
        let end = self.setup.faults_until;
        while !self.failed() {
            let world = self.world.next_time().unwrap_or(u64::MAX);
            let (act, probe) = (self.next_act(), self.probed + PROBE);
            let next = world.min(act).min(probe);
            if next > end {
                break;
            }
            if next == world {
                self.world.run_one();
                if let Source::Drawn { chaos, client } = &mut self.source {
                    let moments = std::mem::take(&mut self.world.moments);
                    chaos.aim(self.world.now, &moments);
                    client.aim(self.world.now, &moments);
                    self.world.want_moments = chaos.waits() || client.waits();
                }
            } else if next == act {
                self.act();
            } else {
                self.world.run_until(probe);
                self.probed = probe;
                self.world.tell(&Seen::Probe);
            }
        }
    }

    /// When the next decision comes, before the faults are over.
    fn next_act(&self) -> u64 {
        let next = match &self.source {
            Source::Drawn { chaos, client } => {
                chaos.next_time().map_or(client.next_time(), |at| at.min(client.next_time()))
            }
            Source::Noted(decisions) => match decisions.front() {
                Some(Decision { act: Act::Heal { .. }, .. }) | None => u64::MAX,
                Some(decision) => decision.at,
            },
        };
        next.max(self.world.now)
    }

    fn act(&mut self) {
        let decisions = match &mut self.source {
            Source::Drawn { chaos, client } => match chaos.next_time().filter(|at| *at <= client.next_time()) {
                Some(at) => {
                    self.world.run_until(at);
                    chaos.run_one(&mut self.world).into_iter().collect()
                }
                None => {
                    let at = client.next_time();
                    self.world.run_until(at);
                    let acts = client.run_one(&mut self.world);
                    acts.into_iter().map(|act| Decision { at, fault: 0, act }).collect()
                }
            },
            Source::Noted(decisions) => {
                let next = decisions.pop_front();
                self.world.run_until(next.as_ref().map_or(0, |decision| decision.at));
                Vec::from_iter(next)
            }
        };
        decisions.into_iter().for_each(|decision| self.carry_out(decision));
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
        let patience = self.world.now + 20 * self.bounds().delay + PROBE;
        while self.world.now < patience && self.world.neighbour_lacks(core).is_some() {
            self.world.run_until(self.world.now + 1_000);
        }
        if let Some(lacks) = self.world.neighbour_lacks(core) {
            self.world.watch.fail("L1", self.world.now, format!("the second hub: {lacks}"));
        }
        for host in core {
            // A comparison with another member may be on its way at any moment; it takes a few ways.
            let patience = self.world.now + 20 * self.bounds().delay + PROBE;
            while self.world.now < patience && !self.world.hub(*host).is_some_and(Hub::is_settled) {
                self.world.run_until(self.world.now + 1_000);
            }
        }
        for host in core {
            let Some(hub) = self.world.hub(*host) else { continue };
            let size = (!self.setup.brief).then(|| state_size(hub));
            let census = Census { size, ..take_census(hub) };
            self.world.tell(&Seen::Census { host: *host, census: &census });
        }
    }

    fn report(self, seed: u64, repeat: String) -> (Report, Decisions) {
        let mut decisions = Decisions::new(self.setup, self.done, self.world.dice.notes());
        decisions.violates = self.world.watch.violations.first().map(|violation| violation.oracle.to_owned());
        let report = Report {
            seed,
            repeat,
            about: self.about,
            strategies: self.strategies,
            trace_hash: format!("{:016x}", self.world.trace.hash()),
            inputs: self.world.inputs,
            sent: self.world.sent.iter().sum(),
            simulated: self.world.now,
            bound: self.world.config.bounds.converge,
            converged_after: self.converged_after,
            checked: self.world.watch.checked(),
            faults: self.world.counts.clone(),
            violations: self.world.watch.violations,
        };
        (report, decisions)
    }
}

/// How many copies are to run: none of a child that waits for the nodes that it is mapped to.
fn wanted(hub: &Hub) -> usize {
    hub.registry().iter().filter(|(_, row)| row.spec.is_some()).map(|(id, _)| hub.owners(id).len()).sum()
}

/// All that a hub holds, but for its size.
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
        size: None,
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
