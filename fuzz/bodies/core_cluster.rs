//! The bytes are the decisions of a simulated cluster: what it is set up as, and what is done to it and when, by faults,
//! callers and operators. All oracles watch while it lasts, and once the faults are over, until all has converged.
//!
//! What is decided keeps to the rules that drawn runs keep to: under a quorum with leases nodes stand still no longer than
//! they are said to, and at the end all come back; else no oracle could hold.

use std::collections::BTreeMap;
use std::time::Duration;

use process_hub_core::config::{
    Distribution, Factor, HubConfig, LoadBalancer, Migration, Model, Partition, Redundancy, Signal, Synchronization,
};
use process_hub_core::id::HubId;
use process_hub_simtests::decisions::{Act, ClockSetup, Decision, Decisions, Declared, Operation, Restarts, Setup};
use process_hub_simtests::{Report, replay};
use serde_json::json;

use parts::draw::Draw;

#[path = "parts/mod.rs"]
mod parts;

const SECOND: u64 = 1_000_000;
/// The most decisions in one run.
const MOST: usize = 40;
const CHILDREN: usize = 5;
/// How long a node may stand still under leases.
const PAUSE: u64 = SECOND / 3;

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let decisions = decisions(bytes);
    let report = replay_of(&decisions);
    if let Some(violation) = report.violations.first() {
        panic!("{violation}\n{}", decisions.to_json());
    }
}

/// What becomes of such decisions.
pub(crate) fn replay_of(decisions: &Decisions) -> Report {
    replay(decisions, false).expect("what is drawn can be simulated")
}

/// The decisions that bytes come to.
pub(crate) fn decisions(bytes: &[u8]) -> Decisions {
    let mut draw = Draw::new(bytes);
    let mut setup = draw.setup();
    let mut acts = Acts::new(&mut draw, &setup);
    while !acts.draw.is_empty() && acts.done.len() < MOST {
        acts.one();
    }
    let Acts { mut done, at, leased, .. } = acts;
    setup.faults_until = at + SECOND;
    let mut core: Vec<usize> = (0..setup.nodes).filter(|_| leased || draw.below(4) > 0).collect();
    if core.is_empty() {
        core.push(0);
    }
    let mut others: Vec<usize> = (0..setup.nodes).filter(|host| !core.contains(host)).collect();
    let silenced = others.split_off(draw.below(others.len() + 1));
    let heal = Act::Heal { core, crashed: others, silenced };
    done.push(Decision { at: setup.faults_until, fault: 0, act: heal });
    let written = json!({ "format": 1, "violates": null, "setup": setup, "decisions": done, "quirks": [] });
    Decisions::from_json(&written.to_string()).expect("what is drawn can be written down")
}

impl Draw<'_> {
    fn setup(&mut self) -> Setup {
        let hub = self.strategies();
        let leased = hub.partition.is_leased();
        // Of an even number without a memory nobody knows whether they are all.
        let nodes = if leased { self.one(&[3, 3, 5]) } else { self.one(&[3, 2, 4, 5]) };
        let spans = [("stop_timeout", 500), ("barrier_timeout", 1_000), ("restart_window", 1_000), ("lease", 600)];
        let mut settings: BTreeMap<String, String> =
            hub.fields().iter().map(|(field, value)| (field.to_string(), value.to_string())).collect();
        settings.extend(
            [("restart_backoff", 10), ("pause_bound", 1_000), ("recovery_grace", 1_000)]
                .iter()
                .chain(&spans)
                .map(|(field, millis)| ((*field).to_owned(), format!("{}us", millis * 1_000))),
        );
        if let Partition::StaticQuorum { startup_confirm, .. } = hub.partition {
            let rule = Partition::StaticQuorum { quorum_size: nodes as u32 / 2 + 1, startup_confirm };
            settings.insert("partition".to_owned(), rule.to_string());
        }
        if let Partition::MajorityQuorum { .. } = hub.partition {
            let rule = Partition::MajorityQuorum { initial_cluster_size: nodes as u32, track_max_size: true };
            settings.insert("partition".to_owned(), rule.to_string());
        }
        let mut clock = || ClockSetup { offset: 1 << self.below(40), ppm: self.below(256) as i64 - 128 };
        let clocks = (0..nodes).map(|_| clock()).collect();
        let seed: u64 = self.byte().into();
        Setup {
            clocks,
            seed,
            nodes,
            hub: settings,
            delay: self.one(&[500, 100, 10_000]),
            jitter: self.one(&[0, 500_000]),
            dial_timeout: SECOND,
            codec: self.below(8) == 0,
            aliases: vec![],
            altering: false,
            disks: seed % 4 == 3,
            disks_lag: seed % 8 == 7,
            neighbour: seed % 7 == 6,
            insider: None,
            mailbox: (seed % 5 == 4).then_some(2),
            prompt: false,
            faults_until: 0,
            long_quiet: false,
            brief: true,
            sabotage: None,
        }
    }

    /// Those of drawn runs, with short spans.
    fn strategies(&mut self) -> HubConfig {
        let span = Duration::from_millis;
        let mut hub = HubConfig::new(HubId::new("hub").expect("a name"));
        let balancer = LoadBalancer { push_interval: span(500), ..LoadBalancer::default() };
        let balanced = Distribution::CentralizedLoadBalancer(balancer);
        let hashed = Distribution::ConsistentHashing;
        hub.distribution = self.one(&[hashed.clone(), hashed, Distribution::Guided, balanced]);
        let cold = Migration::ColdSwap { handover: true, state_ttl: span(1_000), state_query_timeout: span(200) };
        let hot = |handover| Migration::HotSwap {
            handover,
            state_query_timeout: span(200),
            child_migration_timeout: span(800),
            retention: span(400),
        };
        hub.migration = self.one(&[hot(true), cold, hot(false), Migration::cold_swap(), Migration::Autonomous]);
        let passive = Model::ActivePassive;
        let standby = Redundancy::Replication { factor: Factor::Copies(2), model: passive, signal: Signal::All };
        if !hub.migration.hands_over() {
            hub.redundancy = self.one(&[Redundancy::Singularity, Redundancy::replication(2), standby]);
        }
        let sync_interval = span(self.one(&[500, 2_000]));
        let gossip = Synchronization::Gossip { sync_interval, recipients: 2 };
        hub.synchronization = self.one(&[Synchronization::PubSub { sync_interval }, gossip]);
        hub.partition = self.one(&[
            Partition::Divergence,
            Partition::StaticQuorum { quorum_size: 2, startup_confirm: true },
            Partition::DynamicQuorum { quorum_size: 60, threshold_time: span(2_000) },
            Partition::MajorityQuorum { initial_cluster_size: 1, track_max_size: true },
        ]);
        hub
    }
}

/// Decisions as they are drawn.
struct Acts<'d, 'a> {
    draw: &'d mut Draw<'a>,
    nodes: usize,
    leased: bool,
    /// How many nodes each child is mapped to.
    mapped: usize,
    at: u64,
    last: u64,
    paused: Vec<u64>,
    done: Vec<Decision>,
}

impl<'d, 'a> Acts<'d, 'a> {
    /// At first all nodes start.
    fn new(draw: &'d mut Draw<'a>, setup: &Setup) -> Self {
        let hub = |field: &str| setup.hub.get(field).map_or("", String::as_str);
        let guided = hub("distribution") == Distribution::Guided.to_string();
        let single = hub("redundancy") == Redundancy::Singularity.to_string();
        let leased = ["static", "majority"].iter().any(|rule| hub("partition").starts_with(rule));
        let mapped = if !guided {
            0
        } else if single {
            1
        } else {
            2
        };
        let paused = vec![0; setup.nodes];
        let mut acts = Self { draw, nodes: setup.nodes, leased, mapped, at: 0, last: 0, paused, done: vec![] };
        for host in 0..setup.nodes {
            acts.at += acts.draw.one(&[1_000, 1, 300_000]);
            acts.push(Act::Boot { host, lower: false });
        }
        acts
    }

    fn push(&mut self, act: Act) {
        let fault = self.done.len() as u32 + 1;
        self.done.push(Decision { at: self.at, fault, act });
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn one(&mut self) {
        self.at += self.draw.one(&[0, 1_000, 20_000, 100_000, 400_000, SECOND, 3 * SECOND, 50_000]);
        let (host, from, to) = (self.draw.below(self.nodes), self.draw.below(self.nodes), self.draw.below(self.nodes));
        let timeout = self.draw.one(&[50_000, 500_000, 2 * SECOND]);
        let child = self.draw.below(CHILDREN);
        let act = match self.draw.below(32) {
            0..8 => {
                let children = (0..CHILDREN).filter(|_| self.draw.coin()).collect::<Vec<_>>();
                let restart = self.draw.one(&[Restarts::Permanent, Restarts::Transient, Restarts::Temporary]);
                let declared = |child| Declared { child, version: self.number(), restart, tagged: false };
                let children: Vec<Declared> = children.into_iter().map(declared).collect();
                let (wait, check_existing, rollback) = (self.draw.coin(), self.draw.coin(), self.draw.coin());
                Act::Start { host, children, wait, timeout, check_existing, rollback, mapped: self.mapped }
            }
            8..10 => {
                let children = (0..CHILDREN).filter(|_| self.draw.coin()).collect();
                Act::Stop { host, children, wait: self.draw.coin(), timeout }
            }
            10..13 => Act::Call { host, child, operation: self.number(), timeout },
            13 => Act::Cast { host, child, operation: self.number() },
            14 => Act::Migrate { host, child, to, timeout },
            15 => Act::Drain { host, deadline: timeout },
            16 => Act::Weight { host, weight: self.draw.below(4) as u32 },
            17 => {
                let all = [Operation::Cordon, Operation::Uncordon, Operation::Undrain, Operation::Pause];
                Act::Operate { host, what: self.draw.one(&all) }
            }
            18 => Act::Operate { host, what: Operation::Resume },
            19 => Act::Crash { host, silent: self.draw.coin() },
            20 | 21 => Act::Boot { host, lower: self.draw.below(4) == 0 },
            22 => Act::Leave { host, deadline: timeout, hub_only: self.draw.below(4) == 0 },
            23 => Act::KillLeaver { host },
            24 => return self.pause(host),
            25 => Act::Congest { from, to, span: timeout },
            26 => Act::Disconnect { from, to },
            27 => return self.groups(true),
            28 => return self.groups(false),
            29 => Act::Uncut { from, to },
            _ => Act::Cut { from, to },
        };
        let to_itself = matches!(act, Act::Cut { from, to } | Act::Uncut { from, to } | Act::Congest { from, to, .. }
            | Act::Disconnect { from, to } if from == to);
        if !to_itself {
            self.push(act);
        }
    }

    fn pause(&mut self, host: usize) {
        let longest = if self.leased { PAUSE } else { 6 * SECOND };
        let span = self.draw.one(&[longest, longest / 4, 10_000]);
        if !self.leased || self.at > self.paused[host] + SECOND {
            self.paused[host] = self.at + span;
            self.push(Act::Pause { host, span });
        }
    }

    /// Two groups are parted, or meet again.
    fn groups(&mut self, cut: bool) {
        let sides = self.draw.byte();
        for from in 0..self.nodes {
            for to in (0..self.nodes).filter(|to| (sides >> from ^ sides >> to) & 1 == 1) {
                self.push(if cut { Act::Cut { from, to } } else { Act::Uncut { from, to } });
            }
        }
    }
}
