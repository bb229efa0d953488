//! The faults: drawn at random, aimed at interesting moments now and then, and all undone at the end.

use std::collections::BTreeMap;

use process_hub_core::request::Request;
use process_hub_core::steering::Steer;

use crate::oracles::seen::Seen;
use crate::plan::{Family, Plan};
use crate::sim::HostId;
use crate::sim::child::ChildFaults;
use crate::sim::random::{Purpose, Random};
use crate::sim::world::{NetFaults, World};

/// Something to do at a planned time.
#[derive(Clone, Debug)]
enum Act {
    Fire { family: Family, aimed: Option<HostId> },
    Start { host: HostId },
    Kill { host: HostId },
    Cut { from: HostId, to: HostId },
    Uncut { from: HostId, to: HostId },
    LinkSpeed { from: HostId, to: HostId, factor: u64 },
    NodeSpeed { host: HostId, service: u64 },
}

/// Where the faults come from.
#[derive(Debug)]
pub(crate) struct Chaos {
    plan: BTreeMap<(u64, u64), Act>,
    sequence: u64,
    random: Random,
    moments: Random,
    families: BTreeMap<Family, u64>,
    aim: u32,
    lower_boots: u32,
    delay: u64,
    /// The longest that a host may stand still without breaking what a quorum promises.
    pause_bound: Option<u64>,
}

/// The faults that a sweep must have seen, by the names under which they are counted.
pub(crate) const EXPECTED: [&str; 36] = [
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
];

impl Chaos {
    /// The faults of a plan; hosts come up one after the other at first.
    pub(crate) fn new(plan: &Plan) -> Self {
        let seed = plan.world.seed;
        let mut chaos = Self {
            plan: BTreeMap::new(),
            sequence: 0,
            random: Random::new(seed, Purpose::Faults),
            moments: Random::new(seed, Purpose::Moments),
            families: plan.families.clone(),
            aim: plan.aim,
            lower_boots: plan.lower_boots,
            delay: plan.world.delay,
            pause_bound: plan.pause_bound(),
        };
        for host in 0..plan.world.nodes.len() {
            let at = chaos.random.log_between(1, 2_000_000);
            chaos.at(at, Act::Start { host });
        }
        for (family, every) in plan.families.clone() {
            let at = 500_000 + chaos.random.wait(every);
            chaos.at(at, Act::Fire { family, aimed: None });
        }
        chaos
    }

    fn at(&mut self, time: u64, act: Act) {
        self.sequence += 1;
        self.plan.insert((time, self.sequence), act);
    }

    /// The time of the next fault.
    pub(crate) fn next_time(&self) -> Option<u64> {
        self.plan.first_key_value().map(|((time, _), _)| *time)
    }

    /// Now and then an interesting moment draws a fault upon itself.
    pub(crate) fn aim(&mut self, world: &mut World) {
        for (host, _) in world.moments.drain(..) {
            if self.moments.chance(self.aim) {
                let families: Vec<_> = self.families.keys().copied().collect();
                let Some(family) = self.moments.pick(&families) else { continue };
                let at = world.now + self.moments.log_between(1, 5_000);
                self.at(at, Act::Fire { family, aimed: Some(host) });
            }
        }
    }

    /// Does the next thing that is planned.
    pub(crate) fn run_one(&mut self, world: &mut World) {
        let Some(((time, _), act)) = self.plan.pop_first() else { return };
        world.run_until(time);
        match act {
            Act::Fire { family, aimed } => {
                if aimed.is_some() {
                    world.count("aimed");
                } else if let Some(every) = self.families.get(&family) {
                    let at = time + self.random.wait(*every);
                    self.at(at, Act::Fire { family, aimed: None });
                }
                self.fire(world, family, aimed);
            }
            Act::Start { host } => self.start(world, host),
            Act::Kill { host } => {
                if world.hosts[host].life.as_ref().is_some_and(|life| life.leaving.is_some()) {
                    world.count("leave_killed_midway");
                    world.crash(host, false);
                }
            }
            Act::Cut { from, to } => world.cut(from, to),
            Act::Uncut { from, to } => world.uncut(from, to),
            Act::LinkSpeed { from, to, factor } => {
                world.net.set_slow(from, to, factor);
                world.tell(&Seen::Disturbed { host: from });
                world.tell(&Seen::Disturbed { host: to });
            }
            Act::NodeSpeed { host, service } => {
                world.hosts[host].service = service;
                world.tell(&Seen::Disturbed { host });
            }
        }
    }

    fn start(&mut self, world: &mut World, host: HostId) {
        if world.is_up(host) {
            return;
        }
        let again = world.hosts[host].lives > 0;
        let lower = again && self.random.chance(self.lower_boots);
        if again {
            world.count("restart");
        }
        if lower {
            world.count("restart_with_lower_boot");
        }
        world.boot(host, lower);
    }

    /// How long a fault lasts.
    fn span(&mut self) -> u64 {
        self.random.log_between(20_000, 15_000_000)
    }

    fn fire(&mut self, world: &mut World, family: Family, aimed: Option<HostId>) {
        let up = world.up();
        let Some(host) = aimed.filter(|host| world.is_up(*host)).or_else(|| self.random.pick(&up)) else { return };
        let others: Vec<_> = (0..world.hosts.len()).filter(|other| *other != host).collect();
        let Some(peer) = self.random.pick(&others) else { return };
        let now = world.now;
        let until = now + self.span();
        match family {
            Family::Crash | Family::Silence => {
                let silent = family == Family::Silence;
                world.count(if silent { "silent_crash" } else { "crash" });
                world.crash(host, silent);
                self.at(until, Act::Start { host });
            }
            Family::Pause => {
                world.count("pause");
                // Two pauses may follow each other.
                let until = self.pause_bound.map_or(until, |bound| until.min(now + bound / 3));
                world.pause(host, until);
            }
            Family::CutOneWay => {
                world.count("cut_one_way");
                self.cut_until(world, host, peer, until);
            }
            Family::CutBothWays => {
                world.count("cut_both_ways");
                self.cut_both(world, host, peer, until);
            }
            Family::Partition => self.partition(world, until),
            Family::Graph => self.graph(world, until),
            Family::Flap => self.flap(world, host, peer),
            Family::Swizzle => self.swizzle(world, until),
            Family::SlowLink => {
                world.count("slow_link");
                let factor = self.random.log_between(2, 500_000 / self.delay.max(1));
                self.at(now, Act::LinkSpeed { from: host, to: peer, factor });
                self.at(until, Act::LinkSpeed { from: host, to: peer, factor: 1 });
            }
            Family::Disconnect => {
                if world.disconnect(host, peer) {
                    world.count("disconnect");
                }
            }
            Family::Leave => self.leave(world, host, until),
            // A slow host is late by any amount: no quorum is safe then.
            Family::SlowNode if self.pause_bound.is_some() => {}
            Family::SlowNode => {
                world.count("slow_node");
                let service = self.random.log_between(20, 2_000);
                self.at(now, Act::NodeSpeed { host, service });
                self.at(until, Act::NodeSpeed { host, service: 0 });
            }
            Family::Congest => world.congest(host, peer, now + self.random.log_between(1_000, 3_000_000)),
        }
    }

    fn cut_until(&mut self, world: &mut World, from: HostId, to: HostId, until: u64) {
        world.cut(from, to);
        self.at(until, Act::Uncut { from, to });
    }

    fn cut_both(&mut self, world: &mut World, one: HostId, other: HostId, until: u64) {
        self.cut_until(world, one, other, until);
        self.cut_until(world, other, one, until);
    }

    /// Two or three groups that do not hear each other.
    fn partition(&mut self, world: &mut World, until: u64) {
        world.count("partition");
        let groups = self.random.between(2, 3) as usize;
        let group: Vec<_> = (0..world.hosts.len()).map(|_| self.random.below(groups)).collect();
        self.cut_pairs(world, until, |one, other| group[one] != group[other]);
    }

    /// A bridge, a ring or a star: what is left is connected, but not every pair.
    fn graph(&mut self, world: &mut World, until: u64) {
        let hosts = world.hosts.len();
        let mut order: Vec<_> = (0..hosts).collect();
        self.random.shuffle(&mut order);
        let mut place = vec![0; hosts];
        order.iter().enumerate().for_each(|(at, host)| place[*host] = at);
        match self.random.below(3) {
            0 => {
                world.count("bridge");
                let side = |host: HostId| (place[host] * 2 + 1).cmp(&hosts);
                self.cut_pairs(world, until, |one, other| {
                    let both = [side(one), side(other)];
                    both[0] != both[1]
                        && !both.contains(&std::cmp::Ordering::Equal)
                        && place[one] != 0
                        && place[other] != 0
                });
            }
            1 => {
                world.count("ring");
                self.cut_pairs(world, until, |one, other| {
                    let apart = place[one].abs_diff(place[other]);
                    apart != 1 && apart != hosts - 1
                });
            }
            _ => {
                world.count("star");
                self.cut_pairs(world, until, |one, other| place[one] != 0 && place[other] != 0);
            }
        }
    }

    fn cut_pairs(&mut self, world: &mut World, until: u64, cut: impl Fn(HostId, HostId) -> bool) {
        for one in 0..world.hosts.len() {
            for other in one + 1..world.hosts.len() {
                if cut(one, other) {
                    self.cut_both(world, one, other, until);
                }
            }
        }
    }

    /// A link that comes and goes.
    fn flap(&mut self, world: &mut World, one: HostId, other: HostId) {
        world.count("flap");
        let period = self.random.log_between(100_000, 4_000_000);
        let mut at = world.now;
        for _ in 0..self.random.between(2, 10) {
            for (from, to) in [(one, other), (other, one)] {
                self.at(at, Act::Cut { from, to });
                self.at(at + period, Act::Uncut { from, to });
            }
            at += 2 * period;
        }
    }

    /// Directions are cut one after the other, and healed in another order.
    fn swizzle(&mut self, world: &mut World, until: u64) {
        world.count("swizzle");
        let now = world.now;
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

    fn leave(&mut self, world: &mut World, host: HostId, until: u64) {
        if world.hosts[host].life.as_ref().is_none_or(|life| life.leaving.is_some()) {
            return;
        }
        world.count("leave");
        let deadline = std::time::Duration::from_micros(self.random.log_between(100_000, 5_000_000));
        // A process that leaves the hub and then ends without a word is gone for the hub as well as for the cluster.
        let hub = world.hub_id().clone();
        let request = match self.random.chance(300_000) {
            true => Request::LeaveHub { hub, deadline },
            false => Request::Leave { deadline },
        };
        world.request(host, request);
        if self.random.chance(400_000) {
            let at = world.now + self.random.log_between(1, 2_000_000);
            self.at(at, Act::Kill { host });
        }
        self.at(until.max(world.now + 5_500_000), Act::Start { host });
    }

    /// Ends all faults. A random core is whole and connected from now on; the others stay dead or cut off for good.
    pub(crate) fn heal(&mut self, world: &mut World) -> Vec<HostId> {
        let mut random = Random::new(world.config.seed, Purpose::Heal);
        self.plan.clear();
        self.aim = 0;
        world.want_moments = false;
        world.child_faults = ChildFaults::default();
        world.net_faults =
            NetFaults { jitter: world.net_faults.jitter, codec: world.net_faults.codec, ..NetFaults::default() };
        let astray: Vec<_> = world.late.iter_mut().filter_map(Option::take).collect();
        astray.iter().for_each(|(_, _, letter)| world.lose(letter.number, "it went astray"));
        let hosts = world.hosts.len();
        // Who has forgotten what a quorum knew is let in again only where all are there.
        let whole = random.coin() || world.config.bounds.lease > 0;
        let mut core: Vec<_> = (0..hosts).filter(|_| random.chance(800_000) || whole).collect();
        if core.is_empty() {
            core = vec![random.below(hosts)];
        }
        for host in 0..hosts {
            world.hosts[host].service = 0;
            world.hosts[host].busy_until = world.hosts[host].busy_until.min(world.now);
            world.wake_at(host, world.now);
            if world.hosts[host].life.as_ref().is_some_and(|life| life.leaving.is_some()) {
                world.crash(host, false);
            }
            if !core.contains(&host) && random.coin() {
                world.crash(host, random.coin());
            }
            if core.contains(&host) && !world.is_up(host) {
                world.boot(host, false);
            }
        }
        for from in 0..hosts {
            for to in 0..hosts {
                world.net.set_slow(from, to, 1);
                if core.contains(&from) && core.contains(&to) {
                    world.mend(from, to);
                } else if from != to {
                    world.cut(from, to);
                }
            }
        }
        let links: Vec<u32> = world.net.links.keys().copied().collect();
        for link in links {
            (0..2).for_each(|dir| world.drain(link, dir));
        }
        for host in &core {
            // What operators did about nodes is undone, too, so that children are where their strategy wants them.
            for act in [Steer::Undrain, Steer::Uncordon, Steer::Weight(1), Steer::Resume] {
                world.request(*host, Request::Steer { hub: world.hub_id().clone(), act });
            }
        }
        world.tell(&Seen::Healed { core: &core });
        core
    }
}
