//! The faults: drawn at random, a share of them kept for interesting moments, and all undone at the end.

use std::collections::BTreeMap;

use process_hub_core::config::Partition;

use crate::decisions::{Act, Decision};
use crate::plan::{Family, Plan};
use crate::sim::HostId;
use crate::sim::random::{Purpose, Random};
use crate::sim::world::{Moment, World};

/// Something to do at a planned time.
#[derive(Clone, Debug)]
enum Planned {
    Fire { family: Family, aimed: Option<HostId> },
    Do(Act),
}

/// Where the faults come from.
#[derive(Debug)]
pub(crate) struct Chaos {
    seed: u64,
    plan: BTreeMap<(u64, u64), (u32, Planned)>,
    sequence: u64,
    /// The number of the fault that is being drawn, and where its random numbers come from.
    fault: u32,
    random: Random,
    moments: Random,
    /// How often each family was drawn.
    drawn: BTreeMap<Family, u64>,
    families: BTreeMap<Family, u64>,
    /// Faults that wait for a moment of their kind.
    armed: Vec<(Family, Moment)>,
    aim: u32,
    restarts: bool,
    heals: bool,
    permanent: bool,
    lower_boots: u32,
    delay: u64,
    /// The longest that a host may stand still without breaking what a quorum promises.
    pause_bound: Option<u64>,
}
/// The faults that a sweep must have seen, by the names under which they are counted.
pub(crate) const EXPECTED: [&str; 40] = [
    "crash",
    "silent_crash",
    "restart",
    "restart_with_lower_boot",
    "pause",
    "cut_one_way",
    "cut_both_ways",
    "partition",
    "bridge",
    "ring",
    "star",
    "flap",
    "swizzle",
    "slow_link",
    "disconnect",
    "leave",
    "left",
    "leave_killed_midway",
    "slow_node",
    "congestion",
    "frame_dropped_by_congestion",
    "tail_lost",
    "dial_refused",
    "dial_timeout",
    "relayed_frame",
    "relayed_frame_late",
    "frame_corrupted",
    "timer_twice",
    "relayed_frame_twice",
    "relayed_frame_astray",
    "aimed",
    "child_start_fails",
    "child_slow_start",
    "child_ends_in_error",
    "child_ends_content",
    "child_hangs_on_stop",
    "storm",
    "codec_round_trip",
    "other_settings",
    "request_aimed",
];

/// The same for those that take strategies of their own to happen: where these are drawn.
pub(crate) const EXPECTED_OF_STRATEGIES: [&str; 9] = [
    "child_altered",
    "corruption_that_decodes",
    "reset_size",
    "restored",
    "saved",
    "second_hub",
    "state_given",
    "state_merged",
    "state_taken",
];

/// The same for those that come up in one seed in some hundred.
pub(crate) const EXPECTED_AT_LENGTH: [&str; 10] = [
    "alter_handler_hangs",
    "call_fails",
    "mailbox_full",
    "state_big",
    "state_hangs",
    "state_refused",
    "state_slow",
    "take_hangs",
    "take_slow",
    "take_refused",
];

impl Chaos {
    /// The faults of a plan; hosts come up one after the other at first.
    pub(crate) fn new(plan: &Plan) -> Self {
        let seed = plan.world.seed;
        let mut chaos = Self {
            seed,
            plan: BTreeMap::new(),
            sequence: 0,
            fault: 0,
            random: Random::new(seed, Purpose::Faults),
            moments: Random::new(seed, Purpose::Moments),
            drawn: BTreeMap::new(),
            families: plan.families.clone(),
            armed: Vec::new(),
            aim: plan.aim,
            restarts: plan.restarts,
            heals: plan.heals,
            permanent: plan.permanent,
            lower_boots: plan.lower_boots,
            delay: plan.world.delay,
            pause_bound: plan.pause_bound(),
        };
        for host in 0..plan.world.nodes.len() {
            chaos.fault += 1;
            let mut at = chaos.random.log_between(1, 2_000_000);
            if host + plan.late >= plan.world.nodes.len() {
                at = chaos.random.between(1, plan.faults_until);
            }
            chaos.at(at, Act::Boot { host, lower: false });
        }
        for (family, every) in plan.families.clone() {
            let at = 500_000 + chaos.random.wait(every);
            chaos.plan(at, Planned::Fire { family, aimed: None });
        }
        chaos
    }

    fn plan(&mut self, time: u64, planned: Planned) {
        self.sequence += 1;
        self.plan.insert((time, self.sequence), (self.fault, planned));
    }

    fn at(&mut self, time: u64, act: Act) {
        self.plan(time, Planned::Do(act));
    }

    /// The time of the next fault.
    pub(crate) fn next_time(&self) -> Option<u64> {
        self.plan.first_key_value().map(|((time, _), _)| *time)
    }

    /// Faults that wait for an interesting moment strike where and when there is one.
    pub(crate) fn aim(&mut self, now: u64, moments: &[(HostId, Moment)]) {
        for (host, moment) in moments {
            let Some(at) = self.armed.iter().position(|(_, awaited)| awaited == moment) else { continue };
            let (family, _) = self.armed.swap_remove(at);
            let after = self.moments.log_between(1, 5_000);
            self.plan(now + after, Planned::Fire { family, aimed: Some(*host) });
        }
    }

    /// Whether a fault waits for an interesting moment.
    pub(crate) fn waits(&self) -> bool {
        !self.armed.is_empty()
    }

    /// Comes to the next thing that is planned: something to do now, or a fault to be drawn, which plans more.
    pub(crate) fn run_one(&mut self, world: &mut World) -> Option<Decision> {
        let ((time, _), (fault, planned)) = self.plan.pop_first()?;
        match planned {
            Planned::Do(act) => Some(Decision { at: time, fault, act }),
            Planned::Fire { family, aimed } => {
                let nth = self.drawn.entry(family).or_default();
                *nth += 1;
                self.random = Random::keyed(self.seed, Purpose::Faults, [family as u64 + 1, *nth]);
                if aimed.is_some() {
                    world.count("aimed");
                } else if let Some(every) = self.families.get(&family) {
                    let at = time + self.random.wait(*every);
                    self.plan(at, Planned::Fire { family, aimed: None });
                }
                if aimed.is_none() && self.random.chance(self.aim) {
                    let moment = self.moments.pick(&Moment::ALL).unwrap_or(Moment::View);
                    self.armed.push((family, moment));
                } else {
                    self.fault += 1;
                    self.fire(world, time, family, aimed);
                }
                None
            }
        }
    }

    /// A host starts again by and by, unless nothing does in this run.
    fn restart(&mut self, at: u64, host: HostId) {
        if self.restarts {
            let lower = self.random.chance(self.lower_boots);
            self.at(at, Act::Boot { host, lower });
        }
    }

    fn fire(&mut self, world: &mut World, now: u64, family: Family, aimed: Option<HostId>) {
        let up = world.up();
        let Some(host) = aimed.filter(|host| world.is_up(*host)).or_else(|| self.random.pick(&up)) else { return };
        let others: Vec<_> = (0..world.hosts.len()).filter(|other| *other != host).collect();
        let Some(peer) = self.random.pick(&others) else { return };
        let until = now + self.random.log_between(20_000, 15_000_000);
        match family {
            Family::Crash | Family::Silence => {
                let silent = family == Family::Silence;
                world.count(if silent { "silent_crash" } else { "crash" });
                self.at(now, Act::Crash { host, silent });
                self.restart(until, host);
            }
            Family::Pause => {
                world.count("pause");
                // Two pauses may follow each other.
                let span = self.pause_bound.map_or(until - now, |bound| (until - now).min(bound / 3));
                self.at(now, Act::Pause { host, span });
            }
            Family::CutOneWay => {
                world.count("cut_one_way");
                self.cut_until(now, host, peer, until);
            }
            Family::CutBothWays => {
                world.count("cut_both_ways");
                self.cut_both(now, host, peer, until);
            }
            Family::Partition => self.partition(world, now, until),
            Family::Graph => self.graph(world, now, until),
            Family::Flap => self.flap(world, now, host, peer),
            Family::Swizzle => self.swizzle(world, now, until),
            Family::SlowLink => {
                world.count("slow_link");
                let factor = self.random.log_between(2, 500_000 / self.delay.max(1));
                self.at(now, Act::SlowLink { from: host, to: peer, factor });
                self.at(until, Act::SlowLink { from: host, to: peer, factor: 1 });
            }
            Family::Disconnect => self.at(now, Act::Disconnect { from: host, to: peer }),
            Family::Leave => self.leave(world, now, host, until),
            // A slow host is late by any amount: no quorum is safe then.
            Family::SlowNode if self.pause_bound.is_some() => {}
            Family::SlowNode => {
                world.count("slow_node");
                let service = self.random.log_between(20, 2_000);
                self.at(now, Act::SlowNode { host, service });
                self.at(until, Act::SlowNode { host, service: 0 });
            }
            Family::Save => self.at(now, Act::Save { host }),
            Family::Skew => {
                self.at(now, Act::Skew { host });
                self.at(until, Act::Crash { host, silent: false });
                self.restart(until + 1, host);
            }
            Family::Congest => {
                let span = self.random.log_between(1_000, 3_000_000);
                self.at(now, Act::Congest { from: host, to: peer, span });
            }
        }
    }

    fn cut_until(&mut self, now: u64, from: HostId, to: HostId, until: u64) {
        self.at(now, Act::Cut { from, to });
        if self.heals {
            self.at(until, Act::Uncut { from, to });
        }
    }

    fn cut_both(&mut self, now: u64, one: HostId, other: HostId, until: u64) {
        self.cut_until(now, one, other, until);
        self.cut_until(now, other, one, until);
    }

    /// Two or three groups that do not hear each other.
    fn partition(&mut self, world: &mut World, now: u64, until: u64) {
        world.count("partition");
        let groups = self.random.between(2, 3) as usize;
        let group: Vec<_> = (0..world.hosts.len()).map(|_| self.random.below(groups)).collect();
        self.cut_pairs(world, now, until, |one, other| group[one] != group[other]);
    }

    /// A bridge, a ring or a star: what is left is connected, but not every pair.
    fn graph(&mut self, world: &mut World, now: u64, until: u64) {
        let hosts = world.hosts.len();
        let mut order: Vec<_> = (0..hosts).collect();
        self.random.shuffle(&mut order);
        let mut place = vec![0; hosts];
        order.iter().enumerate().for_each(|(at, host)| place[*host] = at);
        match self.random.below(3) {
            0 => {
                world.count("bridge");
                let side = |host: HostId| (place[host] * 2 + 1).cmp(&hosts);
                self.cut_pairs(world, now, until, |one, other| {
                    let both = [side(one), side(other)];
                    both[0] != both[1]
                        && !both.contains(&std::cmp::Ordering::Equal)
                        && place[one] != 0
                        && place[other] != 0
                });
            }
            1 => {
                world.count("ring");
                self.cut_pairs(world, now, until, |one, other| {
                    let apart = place[one].abs_diff(place[other]);
                    apart != 1 && apart != hosts - 1
                });
            }
            _ => {
                world.count("star");
                self.cut_pairs(world, now, until, |one, other| place[one] != 0 && place[other] != 0);
            }
        }
    }

    fn cut_pairs(&mut self, world: &World, now: u64, until: u64, cut: impl Fn(HostId, HostId) -> bool) {
        for one in 0..world.hosts.len() {
            for other in one + 1..world.hosts.len() {
                if cut(one, other) {
                    self.cut_both(now, one, other, until);
                }
            }
        }
    }

    /// A link that comes and goes.
    fn flap(&mut self, world: &mut World, now: u64, one: HostId, other: HostId) {
        world.count("flap");
        let period = self.random.log_between(100_000, 4_000_000);
        let mut at = now;
        for _ in 0..self.random.between(2, 10) {
            for (from, to) in [(one, other), (other, one)] {
                self.at(at, Act::Cut { from, to });
                self.at(at + period, Act::Uncut { from, to });
            }
            at += 2 * period;
        }
    }

    /// Directions are cut one after the other, and healed in another order.
    fn swizzle(&mut self, world: &mut World, now: u64, until: u64) {
        world.count("swizzle");
        for from in 0..world.hosts.len() {
            for to in 0..world.hosts.len() {
                if from != to && self.random.chance(500_000) {
                    let (cut, uncut) = (self.random.between(now, until), self.random.between(until, until + 3_000_000));
                    self.at(cut, Act::Cut { from, to });
                    self.at(uncut, Act::Uncut { from, to });
                }
            }
        }
    }

    fn leave(&mut self, world: &mut World, now: u64, host: HostId, until: u64) {
        if world.hosts[host].life.as_ref().is_none_or(|life| life.leaving.is_some()) {
            return;
        }
        let deadline = self.random.log_between(100_000, 5_000_000);
        // A process that leaves the hub and then ends without a word is gone for the hub as well as for the cluster.
        let hub_only = self.random.chance(300_000);
        self.at(now, Act::Leave { host, deadline, hub_only });
        if self.random.chance(400_000) {
            let at = now + self.random.log_between(1, 2_000_000);
            self.at(at, Act::KillLeaver { host });
        }
        self.restart(until.max(now + 5_500_000), host);
    }

    /// The end of all faults. A random core is whole and connected from then on; the others stay dead or cut off for good.
    pub(crate) fn heal(&mut self, world: &World) -> Act {
        let mut random = Random::new(self.seed, Purpose::Heal);
        self.plan.clear();
        self.armed.clear();
        let hosts = world.hosts.len();
        // Who has forgotten what a quorum knew is let in again only where all are there, and a rule of one's own forgets
        // no loss.
        let needs_all = world.config.bounds.lease > 0 || matches!(world.config.hub.partition, Partition::Custom(_));
        let whole = random.coin() || needs_all;
        let mut core: Vec<_> = (0..hosts).filter(|_| random.chance(800_000) || whole).collect();
        if self.permanent && core.len() == hosts && hosts > 1 && !needs_all {
            core.remove(random.below(hosts));
        }
        // Who says anything is put out.
        core.retain(|host| Some(*host) != world.insider);
        if core.is_empty() {
            let one = random.below(hosts);
            core = vec![if Some(one) == world.insider { (one + 1) % hosts } else { one }];
        }
        let (mut crashed, mut silenced) = (Vec::new(), Vec::new());
        for host in (0..hosts).filter(|host| !core.contains(host)) {
            if random.coin() {
                if random.coin() { silenced.push(host) } else { crashed.push(host) }
            }
        }
        Act::Heal { core, crashed, silenced }
    }
}
