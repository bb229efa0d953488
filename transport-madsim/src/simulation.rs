//! The harness: a cluster of somebody's own children, simulated under many seeds.

use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use madsim::net::NetSim;
use madsim::rand::random;
use madsim::time::Instant;
use process_hub::HubBuilder;
use process_hub::core::config::HubConfig;

use crate::cluster::{Cluster, Recipe, simulate};

/// One seed in so many is run twice.
const TWICE: u64 = 8;

/// The seeds to simulate with: `SIM_SEEDS=A..B` from the environment, or the one of `MADSIM_TEST_SEED`, or `usual`.
///
/// # Panics
/// When a variable is set and makes no sense: it must not be taken for the default.
#[must_use]
#[expect(clippy::panic, reason = "a wrong seed must not be taken for the default")]
pub fn seeds(usual: Range<u64>) -> Range<u64> {
    if std::env::var_os("MADSIM_TEST_SEED").is_some() {
        let seed = crate::seed();
        return seed..seed.saturating_add(1);
    }
    let Ok(text) = std::env::var("SIM_SEEDS") else { return usual };
    let range = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range
        .filter(|range: &Range<u64>| !range.is_empty())
        .unwrap_or_else(|| panic!("SIM_SEEDS = {text}: it must be a range that is not empty, such as 0..100"))
}

/// Simulates a cluster under many seeds. Every seed is another run: other delays, other losses, another order.
///
/// ```
/// # #[cfg(madsim)]
/// # fn main() {
/// use process_hub_madsim::Simulation;
///
/// let ran = Simulation::of(|hub| hub).nodes(3).seeds(0..2).run(|cluster| async move {
///     cluster.kill(2);
///     cluster.restart(2);
///     cluster.complete(3).await;
/// });
/// assert_eq!(ran.seeds, 2);
/// # }
/// # #[cfg(not(madsim))]
/// # fn main() {}
/// ```
#[derive(Clone)]
#[must_use = "nothing is simulated until it is run"]
pub struct Simulation {
    recipe: Recipe,
    seeds: Range<u64>,
    loss: f64,
    latency: Range<Duration>,
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation")
            .field("nodes", &self.recipe.size)
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}

/// What was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How many seeds.
    pub seeds: u64,
    /// How many of them twice, to see that both runs are the same.
    pub twice: u64,
}

/// What two runs of a seed are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// The next random number: another one if any was drawn more, or less.
    random: u64,
    took: Duration,
    tally: u64,
}

impl Simulation {
    /// Of three nodes, each with the hub `sim` and the kinds that `kinds` registers, under seeds 0 to 15 unless the
    /// environment says otherwise (see [`seeds`]), on a network that loses nothing.
    pub fn of(kinds: fn(HubBuilder) -> HubBuilder) -> Self {
        let recipe = Recipe { size: 3, kinds, settings: |_| {} };
        let latency = Duration::from_millis(1)..Duration::from_millis(10);
        Self { recipe, seeds: seeds(0..16), loss: 0.0, latency }
    }

    /// So many nodes, at most 250.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.recipe.size = nodes.clamp(1, 250);
        self
    }

    /// Changes the hub's configuration: its strategies, its times.
    pub fn hub(mut self, settings: fn(&mut HubConfig)) -> Self {
        self.recipe.settings = settings;
        self
    }

    /// These seeds, unless the environment says otherwise.
    pub fn seeds(mut self, usual: Range<u64>) -> Self {
        self.seeds = seeds(usual);
        self
    }

    /// The share of packets that are lost, from 0 to 1. Streams repeat them, so that it shows as delay.
    pub fn packet_loss(mut self, share: f64) -> Self {
        self.loss = share.clamp(0.0, 1.0);
        self
    }

    /// How long a packet takes.
    pub fn latency(mut self, between: Range<Duration>) -> Self {
        self.latency = between;
        self
    }

    /// Runs `scenario` once for each seed, on a cluster whose nodes are in each other's view; every eighth seed twice,
    /// and the two runs must be the same. The scenario must take its randomness and its time from the simulation
    /// (`madsim::rand`, `madsim::time`).
    ///
    /// # Panics
    /// When the scenario does, for the first such seed, which is printed with the line that repeats it; when a seed run
    /// twice gives two different runs; and when there are no seeds: a test that ran nothing must not be green.
    #[expect(clippy::panic, reason = "it is for tests")]
    pub fn run<F>(self, scenario: impl Fn(Arc<Cluster>) -> F + Send + Sync + 'static) -> Ran
    where
        F: Future<Output = ()> + 'static,
    {
        assert!(!self.seeds.is_empty(), "there are no seeds to simulate with: nothing was tested");
        let scenario = Arc::new(scenario);
        let mut ran = Ran { seeds: 0, twice: 0 };
        for seed in self.seeds.clone() {
            let once = self.one(seed, scenario.clone());
            ran.seeds += 1;
            if seed.is_multiple_of(TWICE) {
                let again = self.one(seed, scenario.clone());
                ran.twice += 1;
                if once != again {
                    panic!(
                        "seed {seed} gives two different runs ({once:?}, then {again:?}): something takes time, \
                         randomness or an order of its own from outside of the simulation"
                    );
                }
            }
        }
        ran
    }

    fn one<F>(&self, seed: u64, scenario: Arc<impl Fn(Arc<Cluster>) -> F + Send + Sync + 'static>) -> Mark
    where
        F: Future<Output = ()> + 'static,
    {
        let Self { recipe, loss, latency, .. } = self.clone();
        let run = move || async move {
            NetSim::current().update_config(|config| {
                config.packet_loss_rate = loss;
                config.send_latency = latency;
            });
            let began = Instant::now();
            let cluster = Arc::new(Cluster::start(recipe).await);
            scenario(cluster.clone()).await;
            Mark { took: began.elapsed(), tally: cluster.tally(), random: random() }
        };
        catch_unwind(AssertUnwindSafe(|| simulate(seed, run))).unwrap_or_else(|panic| {
            eprintln!("the simulation failed with seed {seed}");
            resume_unwind(panic)
        })
    }
}
