//! What one seed is about: cluster, hub, fault families and their rates, clients; drawn from the seed's own stream.

use std::collections::BTreeMap;
use std::time::Duration;

use process_hub_core::config::{Distribution, HubConfig, MembershipConfig, Migration, Model, NodeConfig, Partition};
use process_hub_core::id::HubId;
use process_hub_core::quorum::majority;

use crate::oracles::truth::Bounds;
use crate::own;
use crate::profile::Profile;
use crate::sim::child::ChildFaults;
use crate::sim::host::Clock;
use crate::sim::random::{Purpose, Random};
use crate::sim::world::{NetFaults, WorldConfig, address, node_name};
use crate::strategies::{self, Frame, Names, Wanted};

/// What to simulate. Whatever is not given is drawn from the seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The seed that everything is drawn from.
    pub seed: u64,
    /// How many nodes. Drawn: 3 to 7.
    pub nodes: Option<usize>,
    /// How many different child ids. Drawn: 1 to 60.
    pub children: Option<usize>,
    /// How long the faults last, in simulated seconds. Drawn: 5 to 40.
    pub seconds: Option<u64>,
    /// What sort of life it is.
    pub profile: Profile,
    /// Strategies the hub must have, one an axis; see [`Options::with`].
    pub wanted: Wanted,
    /// A deliberate defect of every hub, to show that an oracle catches it.
    #[cfg(feature = "sabotage")]
    pub sabotage: Option<process_hub_core::config::Sabotage>,
}

impl Options {
    /// Fixes one strategy by its name, such as `pubsub`. Of two on one axis the last counts.
    ///
    /// # Errors
    /// When there is no such strategy, or it cannot go with those that are fixed already. Nothing is changed then.
    pub fn with(mut self, strategy: &str) -> Result<Options, String> {
        strategies::want(&mut self.wanted, strategy)?;
        let frame = Frame { nodes: 3, sync_interval: Duration::from_secs(1) };
        strategies::draw(&mut HubConfig::new(hub_id()), 0, &self.wanted, frame)?;
        Ok(self)
    }

    /// The strategies that are fixed.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = &'static str> {
        self.wanted.into_iter().flatten()
    }
}

/// One sort of fault. Each is off in about half of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Crash,
    Silence,
    Pause,
    CutOneWay,
    CutBothWays,
    Partition,
    Graph,
    Flap,
    Swizzle,
    SlowLink,
    Disconnect,
    Leave,
    SlowNode,
    Congest,
    /// A host saves what is declared.
    Save,
    /// A host comes back with other settings, and later with its own.
    Skew,
}

impl Family {
    /// Those that came later, and are drawn after all else.
    const LATER: [Family; 1] = [Family::Skew];

    pub(crate) const ALL: [Family; 14] = [
        Family::Crash,
        Family::Silence,
        Family::Pause,
        Family::CutOneWay,
        Family::CutBothWays,
        Family::Partition,
        Family::Graph,
        Family::Flap,
        Family::Swizzle,
        Family::SlowLink,
        Family::Disconnect,
        Family::Leave,
        Family::SlowNode,
        Family::Congest,
    ];
}

/// What clients do.
#[derive(Clone, Debug)]
pub(crate) struct ClientPlan {
    /// The mean wait between two requests, in microseconds.
    pub(crate) every: u64,
    /// The most children in one start or stop.
    pub(crate) batch: usize,
    /// Weights of start, stop, call and cast.
    pub(crate) weights: [u64; 4],
    /// How often a request is an operator's, in millionths.
    pub(crate) steering: u32,
    /// How often a burst of requests comes at once, in millionths of the requests.
    pub(crate) storms: u32,
    /// The longest deadline of a request, in microseconds.
    pub(crate) timeout: u64,
}

/// What one seed is about.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) world: WorldConfig,
    /// The strategies of its hub, one an axis.
    pub(crate) strategies: Names,
    pub(crate) children: usize,
    /// How long the faults last, in microseconds.
    pub(crate) faults_until: u64,
    pub(crate) net: NetFaults,
    pub(crate) child_faults: ChildFaults,
    /// The families that are on, with the mean wait between two faults in microseconds.
    pub(crate) families: BTreeMap<Family, u64>,
    /// How many of the faults wait for an interesting moment, in millionths.
    pub(crate) aim: u32,
    /// Whether what has crashed starts again before the faults are over.
    pub(crate) restarts: bool,
    /// Whether cuts are healed before the faults are over.
    pub(crate) heals: bool,
    /// Whether some nodes are lost for good.
    pub(crate) permanent: bool,
    /// Whether the run goes on after the faults, until all has converged.
    pub(crate) converges: bool,
    /// Whether it is watched for long after that, for nothing to happen any more.
    pub(crate) long_quiet: bool,
    /// Whether the time to converge is cut short where all has agreed for a third of it.
    pub(crate) brief: bool,
    /// The nodes that look for another one where it does not say that it listens.
    pub(crate) aliases: Vec<(usize, usize)>,
    /// How often a restart comes with a lower boot, in millionths.
    pub(crate) lower_boots: u32,
    /// Whether what is declared outlives processes.
    pub(crate) disks: bool,
    /// Whether it is saved now and then only.
    pub(crate) disks_lag: bool,
    /// How many messages the mailbox of a child holds, where that is few.
    pub(crate) mailbox: Option<usize>,
    /// Whether each node has a second hub.
    pub(crate) neighbour: bool,
    /// The node that says anything, if there is one.
    pub(crate) insider: Option<usize>,
    /// How many of the nodes come up some time later than the others.
    pub(crate) late: usize,
    pub(crate) client: ClientPlan,
}

pub(crate) const SECOND: u64 = 1_000_000;
/// How many of the faults wait for an interesting moment, in millionths.
const AIMED: u32 = 200_000;

/// One seed in so many is watched for long after all has converged, where only a sample is.
const QUIET_SAMPLE: u64 = 20;
/// One seed in so many is given all the time to converge that the bound says, and watched for that long, where others go on
/// once all has agreed for a third of it.
const WAIT_SAMPLE: u64 = 5;
/// How long the core waits for alter handlers.
pub(crate) const ALTER_PATIENCE: u64 = 5 * SECOND;

pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Plan {
    /// Draws the plan of a seed.
    pub(crate) fn draw(options: &Options) -> Plan {
        if options.profile == Profile::Production {
            return Plan::production(options);
        }
        let mut options = *options;
        if options.profile == Profile::Insider {
            // Who inflates the size of a cluster locks it, which an operator has to undo.
            strategies::want(&mut options.wanted, "divergence").unwrap_or_default();
        }
        let options = &options;
        let mut random = Random::new(options.seed, Purpose::Config);
        let nodes = random.between(3, 7) as usize;
        let children = random.log_between(1, 60) as usize;
        let seconds = random.log_between(5, 40);
        let nodes = options.nodes.unwrap_or(nodes).clamp(1, 64);
        let children = options.children.unwrap_or(children).max(1);
        let seconds = options.seconds.unwrap_or(seconds).max(1);
        let (hub, strategies) = draw_hub(&mut random, options, nodes);
        let membership = MembershipConfig::default();
        let delay = random.log_between(100, 10_000);
        let jitter = random.between(0, 1_000_000);
        let dial_timeout = 1_000_000;
        let bounds = bounds(&hub, &membership, nodes, delay + delay * jitter / SECOND, dial_timeout);
        let drifts = random.coin();
        let clocks = (0..nodes).map(|_| Clock {
            offset: random.log_between(1, 1 << 40),
            ppm: if drifts { i64::try_from(random.between(0, 400)).unwrap_or(0) - 200 } else { 0 },
        });
        let clocks = clocks.collect();
        let nodes = node_configs(nodes, &membership);
        let calm = random.chance(80_000) || options.profile == Profile::Calm;
        let world = WorldConfig { seed: options.seed, nodes, clocks, hub, delay, dial_timeout, bounds };
        let mut plan = Plan {
            world,
            strategies,
            children,
            faults_until: seconds * SECOND,
            net: NetFaults { jitter, codec: random.chance(300_000), ..NetFaults::default() },
            child_faults: ChildFaults::default(),
            families: BTreeMap::new(),
            aim: 0,
            restarts: true,
            heals: true,
            permanent: options.profile == Profile::Permanent,
            converges: options.profile != Profile::Hell,
            long_quiet: !options.profile.samples_quiet() || options.seed.is_multiple_of(QUIET_SAMPLE),
            brief: options.profile.samples_quiet() && !options.seed.is_multiple_of(WAIT_SAMPLE),
            aliases: Vec::new(),
            lower_boots: 0,
            disks: false,
            disks_lag: false,
            mailbox: None,
            neighbour: false,
            insider: None,
            late: 0,
            client: draw_client(&mut random, &bounds),
        };
        let mut steering = Random::new(options.seed, Purpose::Steering);
        if steering.chance(333_333) {
            plan.client.steering = u32::try_from(steering.log_between(20_000, 300_000)).unwrap_or(0);
        }
        if options.profile == Profile::Insider {
            plan.insider = Some(Random::keyed(options.seed, Purpose::Config, [0]).below(plan.world.nodes.len()));
        }
        if !calm {
            plan.draw_faults(&mut random, options.profile);
        }
        plan.draw_aliases(&mut random);
        plan
    }

    /// Five nodes with default settings, a hundred children, and the faults of a usual month in a minute.
    fn production(options: &Options) -> Plan {
        let fixed = Options { nodes: Some(5), children: Some(100), seconds: Some(60), ..*options };
        let wanted = strategies::usual(&options.wanted);
        let mut plan = Plan::draw(&Options { profile: Profile::Swarm, wanted, ..fixed });
        let usual = HubConfig::new(hub_id());
        let hub = &mut plan.world.hub;
        (hub.stop_timeout, hub.barrier_timeout) = (usual.stop_timeout, usual.barrier_timeout);
        (hub.restart_window, hub.max_restarts) = (usual.restart_window, usual.max_restarts);
        (plan.world.delay, plan.net) = (1_000, NetFaults { jitter: 500_000, ..NetFaults::default() });
        plan.child_faults = ChildFaults { ends_in_error: 10_000, start_slow: 10_000, ..ChildFaults::default() };
        let monthly = [(Family::Crash, 30), (Family::Leave, 15), (Family::Pause, 20), (Family::Partition, 40)];
        plan.families = monthly.into_iter().map(|(family, seconds)| (family, seconds * SECOND)).collect();
        (plan.restarts, plan.heals, plan.lower_boots, plan.aim) = (true, true, 0, AIMED);
        plan.client =
            ClientPlan { every: SECOND / 10, batch: 10, weights: [4, 2, 10, 2], steering: 0, storms: 0, ..plan.client };
        plan.aliases.clear();
        plan
    }

    fn draw_faults(&mut self, random: &mut Random, profile: Profile) {
        let hell = profile == Profile::Hell;
        // Where everybody is always down nothing happens: some hells leave time for a cluster to form in between.
        let hotter = if hell { 1 << random.between(0, 3) } else { 1 };
        for family in Family::ALL {
            let (on, every) = (random.coin(), random.log_between(SECOND / 2, 30 * SECOND));
            if hell {
                self.families.insert(family, every / hotter);
            } else if on {
                self.families.insert(family, every);
            }
        }
        // What ends a fault may be missing, too.
        (self.restarts, self.heals) = (!random.chance(100_000), !random.chance(100_000));
        self.aim = AIMED;
        let mut rate = |most: u32| {
            let (on, rate) = (random.coin(), random.log_between(1_000, u64::from(most)));
            if on || hell { u32::try_from(rate).unwrap_or(most) } else { 0 }
        };
        self.net.relayed_twice = rate(300_000);
        self.net.relayed_late = rate(300_000);
        self.child_faults.start_fails = rate(300_000);
        self.child_faults.start_slow = rate(300_000);
        self.child_faults.ends_in_error = rate(300_000);
        self.child_faults.ends_content = rate(100_000);
        self.child_faults.hangs_on_stop = rate(300_000);
        self.child_faults.call_fails = rate(100_000);
        self.lower_boots = rate(500_000);
        if self.world.bounds.hands_over {
            self.child_faults.state_refused = rate(200_000);
            self.child_faults.state_hangs = rate(50_000);
            self.child_faults.state_slow = rate(200_000);
            self.child_faults.state_big = rate(200_000);
            self.child_faults.take_refused = rate(100_000);
            self.child_faults.take_hangs = rate(50_000);
        }
        let (altered, lost) = (rate(500_000), rate(20_000));
        if altered > 0 {
            self.child_faults.altered = altered;
            self.child_faults.alter_lost = lost;
        }
        // A stream of their own: they came later.
        let mut random = Random::keyed(self.world.seed, Purpose::Faults, [u64::MAX]);
        let mut rate = |most: u32| {
            let (on, rate) = (random.coin(), random.log_between(100, u64::from(most)));
            if on || hell { u32::try_from(rate).unwrap_or(most) } else { 0 }
        };
        self.net.corrupted = rate(5_000);
        self.net.timer_twice = rate(100_000);
        self.disks = random.coin();
        // And these later still.
        let mut random = Random::keyed(self.world.seed, Purpose::Faults, [u64::MAX - 1]);
        self.disks_lag = random.chance(300_000) && self.disks;
        self.mailbox = random.chance(300_000).then(|| random.log_between(1, 64) as usize);
        if self.world.bounds.hands_over && random.coin() {
            self.child_faults.take_slow = u32::try_from(random.log_between(30_000, 500_000)).unwrap_or(0);
        }
        // Nodes that nobody has heard of join while all else goes on.
        let late = if random.chance(250_000) { self.world.nodes.len() / 2 } else { 0 };
        self.late = random.between(0, late as u64) as usize;
        self.neighbour = random.chance(100_000) && self.insider.is_none();
        for family in Family::LATER {
            let (on, every) = (random.chance(200_000), random.log_between(SECOND, 30 * SECOND));
            if on || hell {
                self.families.insert(family, every);
            }
        }
        if self.disks {
            self.families.insert(Family::Save, random.log_between(SECOND / 10, 5 * SECOND));
        }
        if random.chance(200_000) {
            self.child_faults.sick = u32::try_from(random.log_between(30_000, 500_000)).unwrap_or(0);
        }
    }

    /// In some seeds nodes look for others where those do not say that they listen.
    fn draw_aliases(&mut self, random: &mut Random) {
        let share = if random.chance(300_000) { 500_000 } else { 0 };
        let nodes = self.world.nodes.len();
        let pairs = (0..nodes).flat_map(|host| (0..nodes).map(move |other| (host, other)));
        self.aliases = pairs.filter(|(host, other)| host != other && random.chance(share)).collect();
    }

    /// The longest that a host may stand still in this run, where what a quorum promises depends on it.
    pub(crate) fn pause_bound(&self) -> Option<u64> {
        self.world.bounds.mutex.then(|| micros(self.world.hub.pause_bound))
    }

    /// All of it in one line, for the reader of a failing seed.
    pub(crate) fn describe(&self) -> String {
        let families: Vec<_> =
            self.families.iter().map(|(family, every)| format!("{family:?}/{}ms", every / 1_000)).collect();
        let sync_interval = self.world.hub.synchronization.sync_interval();
        format!(
            "{} nodes {} children {} faults {} s delay {} us jitter {} sync {sync_interval:?} stop {:?} barrier {:?} \
             codec {} faults [{}] children {:?} relayed twice {} late {} corrupted {} timers twice {} aim {} lower boots {} steering {} disks {} lag {} mailbox {:?} late {} second hub {}",
            self.strategies.join(" "),
            self.world.nodes.len(),
            self.children,
            self.faults_until / SECOND,
            self.world.delay,
            self.net.jitter,
            self.world.hub.stop_timeout,
            self.world.hub.barrier_timeout,
            self.net.codec,
            families.join(" "),
            self.child_faults,
            self.net.relayed_twice,
            self.net.relayed_late,
            self.net.corrupted,
            self.net.timer_twice,
            self.aim,
            self.lower_boots,
            self.client.steering,
            self.disks,
            self.disks_lag,
            self.mailbox,
            self.late,
            self.neighbour,
        )
    }
}

/// Nodes that all look for each other.
pub(crate) fn node_configs(nodes: usize, membership: &MembershipConfig) -> Vec<NodeConfig> {
    let config = |host: usize| {
        let mut config = NodeConfig::new(node_name(host), address(host));
        config.join = (0..nodes).filter(|other| *other != host).map(|other| address(other).into()).collect();
        config.membership = membership.clone();
        config
    };
    (0..nodes).map(config).collect()
}

/// The name of the one hub.
pub(crate) fn hub_id() -> HubId {
    match HubId::new("hub") {
        Ok(id) => id,
        Err(error) => unreachable!("a short name: {error}"),
    }
}

/// The hub of a seed: its strategies, each axis drawn by itself, and the numbers that all hubs have.
fn draw_hub(random: &mut Random, options: &Options, nodes: usize) -> (HubConfig, Names) {
    let mut span = |low: u64, high: u64| Duration::from_millis(random.log_between(low, high));
    let mut hub = HubConfig::new(hub_id());
    let frame = Frame { nodes, sync_interval: span(300, 5_000) };
    let names = match strategies::draw(&mut hub, options.seed, &options.wanted, frame) {
        Ok(names) => names,
        Err(error) => unreachable!("what is wanted was checked when it was asked for: {error}"),
    };
    #[cfg(feature = "sabotage")]
    {
        hub.sabotage = options.sabotage;
    }
    hub.stop_timeout = span(100, 2_000);
    hub.barrier_timeout = span(500, 5_000);
    hub.restart_window = span(500, 4_000);
    hub.max_restarts = u32::try_from(random.log_between(2, 100)).unwrap_or(100);
    // A stream of its own: it came later.
    let mut random = Random::keyed(options.seed, Purpose::Strategies, [u64::MAX]);
    hub.past_lives = u32::try_from(random.log_between(1, 9)).unwrap_or(8);
    hub.recovery_grace = Duration::from_millis(random.log_between(100, 5_000));
    hub.restart_backoff = Duration::from_millis(random.log_between(1, 200));
    (hub, names)
}

fn draw_client(random: &mut Random, bounds: &Bounds) -> ClientPlan {
    ClientPlan {
        every: random.log_between(SECOND / 100, 2 * SECOND),
        batch: random.log_between(1, 20) as usize,
        weights: [random.between(1, 10), random.between(0, 10), random.between(0, 10), random.between(0, 3)],
        storms: u32::try_from(random.log_between(1, 20_000)).unwrap_or(0),
        steering: 0,
        timeout: bounds.converge / 2,
    }
}

/// Intervals until all members have compared with somebody who knows: the `r` of `INVARIANTS.md` 1.1.
fn rounds(hub: &HubConfig, nodes: usize) -> u64 {
    let Some(recipients) = hub.synchronization.recipients() else { return 1 };
    let (mut reached, mut rounds) = (1, 0);
    while reached < nodes {
        reached *= recipients + 1;
        rounds += 1;
    }
    rounds + 3
}

/// The most children that a profile draws.
const MOST_CHILDREN: u64 = 100;

/// The convergence bound and the others, by `INVARIANTS.md` 1.1: `B = F + 2H + r*S + ceil(n_moves/par)*(M + X) + 6D + C`.
pub(crate) fn bounds(
    hub: &HubConfig,
    membership: &MembershipConfig,
    nodes: usize,
    delay: u64,
    dial_timeout: u64,
) -> Bounds {
    let sync = micros(hub.synchronization.sync_interval());
    let repair = sync * rounds(hub, nodes);
    // A relayed frame takes two ways.
    let delay = 2 * delay;
    let keepalive = micros(membership.keepalive);
    let probe = micros(membership.probe_period);
    let stop = micros(hub.stop_timeout);
    let barrier = micros(hub.barrier_timeout);
    let detect = micros(membership.suspicion) + 3 * keepalive + 2 * probe;
    // To find a heal: the longest wait before a dial is tried again, and a dial that was under way in vain. A child
    // that failed too often waits for its window. The rest is for the work itself.
    let constant = micros(membership.redial_max) + dial_timeout + micros(hub.restart_window) + SECOND;
    // A restarted member waits, then reads, then what it was granted before has to be over for the others.
    let leased = matches!(hub.partition, Partition::StaticQuorum { .. } | Partition::MajorityQuorum { .. });
    let fence = micros(hub.lease + hub.pause_bound) + stop;
    let quorum_takes = match hub.partition {
        // A side unlocks at the latest when its losses are forgotten.
        Partition::DynamicQuorum { threshold_time, .. } => micros(threshold_time),
        _ if leased => 3 * fence + 2 * micros(hub.lease),
        _ => 0,
    };
    let ways = own::ways(hub);
    let moves = ways.iter().map(own::moving).max().unwrap_or(0);
    // All children of a node at most, so many at a time, each until its old copy has ended and the new one is heard of.
    let turns = MOST_CHILDREN.div_ceil(u64::from(hub.concurrent_moves)) - 1;
    let waits = turns * (stop + 4 * delay + SECOND / 2);
    let (quorum, mutex) = promises(&hub.partition, nodes);
    let mutex = mutex && hub.redundancy.copies(usize::MAX) == 1;
    Bounds {
        delay,
        overlap: 2 * delay + keepalive + stop + repair + barrier + moves,
        converge: detect
            + 2 * keepalive
            + repair
            + barrier
            + stop
            + 6 * delay
            + constant
            + quorum_takes
            + 2 * moves
            + waits,
        stop,
        slack: SECOND + delay,
        copies: match hub.redundancy.copies(usize::MAX) {
            1 => 0,
            copies => copies,
        },
        one_active: hub.redundancy.model() == Model::ActivePassive,
        guided: hub.distribution == Distribution::Guided,
        by_recipe: matches!(hub.distribution, Distribution::Custom(_)),
        restart_window: micros(hub.restart_window),
        max_restarts: hub.max_restarts,
        restart_backoff: micros(hub.restart_backoff),
        keepalive,
        probe,
        sync,
        lease: if leased { micros(hub.lease) / 3 } else { 0 },
        quorum,
        mutex,
        cold: ways.iter().all(|way| matches!(way, Migration::ColdSwap { .. })),
        hot: ways.iter().all(|way| matches!(way, Migration::HotSwap { .. })),
        hands_over: ways.iter().any(Migration::hands_over),
        overlaps: ways.iter().any(|way| match way {
            // Where several copies run, a way of one's own hands nothing over.
            Migration::HotSwap { handover, .. } => !handover || hub.redundancy.copies(usize::MAX) > 1,
            way => *way == Migration::Autonomous,
        }),
        keeps: ways.iter().filter_map(own::kept).min().unwrap_or(0),
        autonomous: hub.migration == Migration::Autonomous,
    }
}

/// How many members a side of a cluster of this size needs, if that is a number, and whether one side alone serves.
fn promises(partition: &Partition, nodes: usize) -> (usize, bool) {
    match partition {
        Partition::StaticQuorum { quorum_size, startup_confirm: true } => {
            let quorum = *quorum_size as usize;
            (quorum, 2 * quorum > nodes)
        }
        Partition::MajorityQuorum { initial_cluster_size, .. } if *initial_cluster_size as usize >= nodes => {
            (majority(*initial_cluster_size) as usize, true)
        }
        _ => (0, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_plan_and_options_do_not_shift_the_rest() {
        // The options of a quorum depend on how many nodes there are, and are to.
        fn plan(nodes: Option<usize>) -> Plan {
            let mut options = Options::default().with("divergence").unwrap();
            (options.seed, options.nodes) = (11, nodes);
            Plan::draw(&options)
        }
        assert_eq!(plan(None).describe(), plan(None).describe());
        let (three, nine) = (plan(Some(3)), plan(Some(9)));
        assert_eq!(three.world.hub, nine.world.hub);
        assert_eq!((three.world.nodes.len(), nine.world.nodes.len()), (3, 9));
    }

    #[test]
    fn every_family_is_off_in_about_half_of_the_seeds() {
        for family in Family::ALL {
            let on = (0..400).filter(|seed| {
                let options = Options { seed: *seed, ..Options::default() };
                Plan::draw(&options).families.contains_key(&family)
            });
            let on = on.count();
            assert!((120..260).contains(&on), "{family:?} is on in {on} of 400");
        }
    }
}
