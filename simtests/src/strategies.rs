//! Which strategies the hub of a seed has. Each axis is drawn by itself, so that a sweep covers every pair of options;
//! what the core refuses together is drawn again.
//!
//! A strategy is drawn from the moment it has a line in [`AXES`]; nothing else has to know of it.

use std::sync::Arc;
use std::time::Duration;

use process_hub_core::config::{
    Distribution, Factor, HubConfig, LoadBalancer, Migration, Model, Partition, Redundancy, Signal, Synchronization,
};
use process_hub_core::quorum::majority;

use crate::own::{ByParity, EverySecond, InLine, MoreThanLost, Rendezvous};
use crate::plan::hub_id;
use crate::sim::random::{Purpose, Random};

/// What a choice may depend on besides chance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// How many nodes the cluster has at the most.
    pub(crate) nodes: usize,
    /// The interval of repairs, whoever makes them.
    pub(crate) sync_interval: Duration,
}

/// One option of an axis.
#[derive(Debug)]
struct Choice {
    /// Unique among all axes, short, without spaces.
    name: &'static str,
    /// How often it is drawn, relative to the others of its axis.
    weight: u64,
    /// Writes it into a configuration, its own options drawn.
    set: fn(&mut HubConfig, &mut Random, Frame),
}

/// One of the things in which hubs differ.
#[derive(Debug)]
struct Axis {
    choices: &'static [Choice],
    /// Those that came later: now and then one is drawn, from a stream of its own, and takes the place of what was drawn.
    later: &'static [Choice],
}

impl Axis {
    fn all(&self) -> impl Iterator<Item = &'static Choice> {
        self.choices.iter().chain(self.later)
    }
}

/// How often a choice that came later is drawn, in millionths.
const LATER: u32 = 150_000;

/// All that is drawn. The first choice of an axis is its default.
const AXES: [Axis; 5] = [
    Axis {
        choices: &[
            Choice {
                name: "consistent-hashing",
                weight: 2,
                set: |hub, _, _| hub.distribution = Distribution::ConsistentHashing,
            },
            Choice { name: "guided", weight: 1, set: |hub, _, _| hub.distribution = Distribution::Guided },
            Choice {
                name: "load-balancer",
                weight: 1,
                set: |hub, random, _| {
                    let push_interval = Duration::from_millis(random.log_between(200, 10_000));
                    let options = LoadBalancer { push_interval, ..LoadBalancer::default() };
                    hub.distribution = Distribution::CentralizedLoadBalancer(options);
                },
            },
        ],
        later: &[Choice {
            name: "own-distribution",
            weight: 1,
            set: |hub, _, _| hub.distribution = Distribution::Custom(Arc::new(Rendezvous)),
        }],
    },
    Axis {
        choices: &[
            Choice { name: "singularity", weight: 4, set: |hub, _, _| hub.redundancy = Redundancy::Singularity },
            Choice {
                name: "active-active",
                weight: 1,
                set: |hub, random, _| hub.redundancy = replication(random, Model::ActiveActive),
            },
            Choice {
                name: "active-passive",
                weight: 2,
                set: |hub, random, _| hub.redundancy = replication(random, Model::ActivePassive),
            },
        ],
        later: &[Choice {
            name: "own-redundancy",
            weight: 1,
            set: |hub, random, _| {
                let own = EverySecond { model: draw_model(random), signal: draw_signal(random) };
                hub.redundancy = Redundancy::Custom(Arc::new(own));
            },
        }],
    },
    Axis {
        choices: &[
            Choice { name: "cold-swap", weight: 2, set: |hub, _, _| hub.migration = Migration::cold_swap() },
            Choice { name: "cold-handover", weight: 3, set: |hub, random, _| hub.migration = cold(random) },
            Choice { name: "hot-swap", weight: 2, set: |hub, random, _| hub.migration = hot(random, false) },
            Choice { name: "hot-handover", weight: 4, set: |hub, random, _| hub.migration = hot(random, true) },
            Choice { name: "autonomous", weight: 1, set: |hub, _, _| hub.migration = Migration::Autonomous },
        ],
        later: &[Choice {
            name: "own-migration",
            weight: 1,
            set: |hub, random, _| {
                let own = ByParity::numbered(random.below(ByParity::ALL)).map(Arc::new);
                hub.migration = own.map_or_else(Migration::cold_swap, |own| Migration::Custom(own));
            },
        }],
    },
    Axis {
        choices: &[
            Choice {
                name: "pubsub",
                weight: 2,
                set: |hub, _, frame| {
                    hub.synchronization = Synchronization::PubSub { sync_interval: frame.sync_interval };
                },
            },
            Choice {
                name: "gossip",
                weight: 1,
                set: |hub, random, frame| {
                    let recipients = u32::try_from(random.between(1, 3)).unwrap_or(1);
                    hub.synchronization = Synchronization::Gossip { sync_interval: frame.sync_interval, recipients };
                },
            },
            Choice {
                name: "own-sync",
                weight: 1,
                set: |hub, random, frame| {
                    let most = random.between(0, 3) as usize;
                    let own = InLine { sync_interval: frame.sync_interval, most };
                    hub.synchronization = Synchronization::Custom(Arc::new(own));
                },
            },
        ],
        later: &[],
    },
    Axis {
        choices: &[
            Choice { name: "divergence", weight: 5, set: |hub, _, _| hub.partition = Partition::Divergence },
            Choice {
                name: "static-quorum",
                weight: 3,
                set: |hub, random, frame| {
                    let quorum_size = majority(u32::try_from(frame.nodes).unwrap_or(u32::MAX));
                    let startup_confirm = random.chance(800_000);
                    hub.partition = Partition::StaticQuorum { quorum_size, startup_confirm };
                    draw_lease(hub, random);
                },
            },
            Choice {
                name: "dynamic-quorum",
                weight: 1,
                set: |hub, random, _| {
                    let quorum_size = u32::try_from(random.between(30, 90)).unwrap_or(50);
                    let threshold_time = Duration::from_millis(random.log_between(500, 10_000));
                    hub.partition = Partition::DynamicQuorum { quorum_size, threshold_time };
                },
            },
            Choice {
                name: "majority-quorum",
                weight: 3,
                set: |hub, random, frame| {
                    let whole = u32::try_from(frame.nodes).unwrap_or(u32::MAX);
                    let initial_cluster_size = if random.chance(700_000) { whole } else { 1 };
                    hub.partition = Partition::MajorityQuorum { initial_cluster_size, track_max_size: true };
                    draw_lease(hub, random);
                },
            },
        ],
        later: &[Choice {
            name: "own-rule",
            weight: 1,
            set: |hub, _, _| hub.partition = Partition::Custom(Arc::new(MoreThanLost)),
        }],
    },
];

/// Replication with so many copies as make sense in a small cluster.
fn replication(random: &mut Random, model: Model) -> Redundancy {
    let factor = match random.between(0, 5) {
        0 => Factor::ClusterSize,
        copies => Factor::Copies(u32::try_from(copies.min(4)).unwrap_or(2)),
    };
    Redundancy::Replication { factor, model, signal: draw_signal(random) }
}

fn draw_signal(random: &mut Random) -> Signal {
    match random.between(0, 3) {
        0 => Signal::None,
        1 => Signal::Active,
        2 => Signal::Passive,
        _ => Signal::All,
    }
}

fn draw_model(random: &mut Random) -> Model {
    if random.coin() { Model::ActivePassive } else { Model::ActiveActive }
}

/// Cold swap with handover, its spans short enough to be over within a run.
fn cold(random: &mut Random) -> Migration {
    Migration::ColdSwap {
        handover: true,
        state_ttl: Duration::from_millis(random.log_between(500, 5_000)),
        state_query_timeout: Duration::from_millis(random.log_between(50, 1_000)),
    }
}

/// Hot swap, likewise.
fn hot(random: &mut Random, handover: bool) -> Migration {
    Migration::HotSwap {
        handover,
        state_query_timeout: Duration::from_millis(random.log_between(50, 1_000)),
        child_migration_timeout: Duration::from_millis(random.log_between(300, 3_000)),
        retention: Duration::from_millis(random.log_between(100, 2_000)),
    }
}

/// The spans of a quorum with leases.
fn draw_lease(hub: &mut HubConfig, random: &mut Random) {
    hub.lease = Duration::from_millis(random.log_between(300, 3_000));
    hub.pause_bound = Duration::from_millis(random.log_between(200, 1_000));
}

/// Draws options that came later than their strategies.
fn draw_later_options(hub: &mut HubConfig, random: &mut Random, frame: Frame) {
    if let Distribution::CentralizedLoadBalancer(options) = &mut hub.distribution {
        options.max_history_size = u32::try_from(random.log_between(1, 60)).unwrap_or(30);
        options.weight_decay_permille = u32::try_from(random.between(1, 1_000)).unwrap_or(900);
    }
    hub.concurrent_moves = [2, 8, 256, 256][usize::try_from(random.between(0, 3)).unwrap_or(3)];
    // Leases that outlast the time in which a loss is noticed: a side may take over long before the other has to end.
    if hub.partition.is_leased() && random.chance(300_000) {
        hub.lease = Duration::from_millis(random.log_between(3_000, 12_000));
    }
    // A cluster that admits no further members is to be whole without them.
    if let Partition::MajorityQuorum { initial_cluster_size, track_max_size } = &mut hub.partition
        && *initial_cluster_size as usize >= frame.nodes
    {
        *track_max_size = random.coin();
    }
}

/// How often a combination that the core refuses is drawn again.
const TRIES: u64 = 1_000;

/// The names of the options that a hub has, one an axis; where nothing is asked for, `None`.
pub(crate) type Wanted = [Option<&'static str>; AXES.len()];

/// The names of the options that a hub has, one an axis.
pub(crate) type Names = [&'static str; AXES.len()];

/// Draws the strategies of a seed into `hub`. What is `wanted` is taken; all else is drawn.
///
/// # Errors
/// When what is wanted is refused together, whatever else is drawn.
pub(crate) fn draw(hub: &mut HubConfig, seed: u64, wanted: &Wanted, frame: Frame) -> Result<Names, String> {
    let mut refused = String::new();
    for attempt in 0..TRIES {
        let mut random = Random::keyed(seed, Purpose::Strategies, [attempt]);
        let mut drawn = hub.clone();
        let mut names = [""; AXES.len()];
        for (at, ((axis, name), wanted)) in AXES.iter().zip(&mut names).zip(wanted).enumerate() {
            let find = |choices: &'static [Choice]| {
                wanted.and_then(|wanted| choices.iter().find(|choice| choice.name == wanted))
            };
            let choice = pick(axis.choices, &mut random);
            let choice = find(axis.choices).unwrap_or(choice);
            *name = choice.name;
            (choice.set)(&mut drawn, &mut random, frame);
            let mut random = Random::keyed(seed, Purpose::Strategies, [attempt, at as u64]);
            let later = match wanted {
                Some(_) => find(axis.later),
                None if axis.later.is_empty() || !random.chance(LATER) => None,
                None => Some(pick(axis.later, &mut random)),
            };
            if let Some(choice) = later {
                *name = choice.name;
                (choice.set)(&mut drawn, &mut random, frame);
            }
        }
        let mut random = Random::keyed(seed, Purpose::Strategies, [attempt, AXES.len() as u64]);
        draw_later_options(&mut drawn, &mut random, frame);
        match drawn.check() {
            Ok(()) => {
                *hub = drawn;
                return Ok(names);
            }
            Err(error) => refused = format!("{}: {error}", names.join(" ")),
        }
    }
    Err(refused)
}

fn pick(choices: &'static [Choice], random: &mut Random) -> &'static Choice {
    let total: u64 = choices.iter().map(|choice| choice.weight).sum();
    let mut left = random.between(1, total.max(1));
    for choice in choices {
        if left <= choice.weight {
            return choice;
        }
        left -= choice.weight;
    }
    &choices[0]
}

/// Adds the name of an option to what is wanted.
///
/// # Errors
/// When no axis has it; the text names those there are.
pub(crate) fn want(wanted: &mut Wanted, name: &str) -> Result<(), String> {
    for (axis, wanted) in AXES.iter().zip(wanted) {
        if let Some(choice) = axis.all().find(|choice| choice.name == name) {
            *wanted = Some(choice.name);
            return Ok(());
        }
    }
    let names: Vec<_> = AXES.iter().flat_map(Axis::all).map(|choice| choice.name).collect();
    Err(format!("there is no strategy `{name}`; there are {}", names.join(", ")))
}

/// What is wanted, and the default of each axis of which nothing is.
pub(crate) fn usual(wanted: &Wanted) -> Wanted {
    let mut usual = *wanted;
    for (axis, name) in AXES.iter().zip(&mut usual) {
        *name = name.or(Some(axis.choices[0].name));
    }
    usual
}

/// Two options of different axes, as one word.
pub(crate) fn pairs_of(names: &[&'static str]) -> impl Iterator<Item = String> {
    let pairs = names.iter().enumerate().flat_map(|(at, one)| names[at + 1..].iter().map(move |other| (one, other)));
    pairs.map(|(one, other)| format!("{one}+{other}"))
}

/// Every pair of options of different axes that some hub can have.
pub(crate) fn all_pairs() -> Vec<String> {
    let frame = Frame { nodes: 5, sync_interval: Duration::from_secs(1) };
    let mut pairs = Vec::new();
    for (at, one) in AXES.iter().enumerate() {
        for (offset, other) in AXES[at + 1..].iter().enumerate() {
            for (first, second) in one.all().flat_map(|a| other.all().map(move |b| (a, b))) {
                let mut wanted = Wanted::default();
                (wanted[at], wanted[at + 1 + offset]) = (Some(first.name), Some(second.name));
                if draw(&mut HubConfig::new(hub_id()), 0, &wanted, frame).is_ok() {
                    pairs.push(format!("{}+{}", first.name, second.name));
                }
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FRAME: Frame = Frame { nodes: 5, sync_interval: Duration::from_secs(1) };

    #[test]
    fn every_option_has_a_name_of_its_own() {
        let names: Vec<_> = AXES.iter().flat_map(Axis::all).map(|choice| choice.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(AXES.iter().all(|axis| axis.all().all(|choice| choice.weight > 0)));
    }

    #[test]
    fn what_is_wanted_is_had_and_what_nobody_has_is_refused() {
        for choice in AXES.iter().flat_map(Axis::all) {
            let mut wanted = Wanted::default();
            want(&mut wanted, choice.name).expect("it is there");
            let names = draw(&mut HubConfig::new(hub_id()), 7, &wanted, FRAME).expect("not refused by itself");
            assert!(names.contains(&choice.name));
        }
        assert!(want(&mut Wanted::default(), "hope").is_err());
    }

    #[test]
    fn a_few_hundred_seeds_see_every_pair() {
        let all: BTreeSet<String> = all_pairs().into_iter().collect();
        let seen: BTreeSet<String> = (0..400)
            .filter_map(|seed| draw(&mut HubConfig::new(hub_id()), seed, &Wanted::default(), FRAME).ok())
            .flat_map(|names| pairs_of(&names).collect::<Vec<_>>())
            .collect();
        assert_eq!(all, seen);
    }

    /// The options that came later are not left at their defaults.
    #[test]
    fn later_options_are_drawn_too() {
        let hubs: Vec<HubConfig> = (0..400)
            .map(|seed| {
                let mut hub = HubConfig::new(hub_id());
                draw(&mut hub, seed, &Wanted::default(), FRAME).expect("something is not refused");
                hub
            })
            .collect();
        let (mut sizes, mut decays) = (BTreeSet::new(), BTreeSet::new());
        let (mut tracked, mut confirmed) = (BTreeSet::new(), BTreeSet::new());
        for hub in &hubs {
            if let Distribution::CentralizedLoadBalancer(options) = &hub.distribution {
                sizes.insert(options.max_history_size);
                decays.insert(options.weight_decay_permille);
            }
            match hub.partition {
                Partition::MajorityQuorum { initial_cluster_size, track_max_size } => {
                    tracked.insert(track_max_size);
                    assert!(track_max_size || initial_cluster_size >= 5, "nobody could ever join");
                }
                Partition::StaticQuorum { startup_confirm, .. } => drop(confirmed.insert(startup_confirm)),
                _ => {}
            }
        }
        assert!(sizes.len() > 10 && decays.len() > 10, "{sizes:?} {decays:?}");
        assert_eq!((tracked.len(), confirmed.len()), (2, 2));
    }
}
