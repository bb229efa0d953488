//! A cluster within a simulation, one simulated machine a node.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use madsim::net::NetSim;
use madsim::runtime::{Handle, Runtime};
use madsim::task::NodeId as Machine;
use madsim::time::sleep;
use process_hub::core::config::HubConfig;
use process_hub::core::id::{HubId, NodeId};
use process_hub::{Cookie, Hub, HubBuilder, NodeHandle, NodeOptions};

use crate::{Madsim, MadsimTcp};

const PORT: u16 = 7_400;
/// How long [`until`] waits, in simulated time.
const PATIENCE: Duration = Duration::from_secs(120);

/// The seed to simulate with: `MADSIM_TEST_SEED` from the environment, or 1.
///
/// # Panics
/// When the variable is set and no number.
#[must_use]
#[expect(clippy::panic, reason = "a wrong seed must not be taken for the default")]
pub fn seed() -> u64 {
    match std::env::var("MADSIM_TEST_SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("MADSIM_TEST_SEED = {text}: it must be a number")),
        Err(_) => 1,
    }
}

/// Runs a simulation to its end, in a thread of its own: madsim keeps some of its determinism by thread.
///
/// # Panics
/// When the simulation does; the seed is printed.
pub fn simulate<F, T>(seed: u64, run: impl FnOnce() -> F + Send + 'static) -> T
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let simulation = thread::spawn(move || Runtime::with_seed_and_config(seed, Default::default()).block_on(run()));
    simulation.join().unwrap_or_else(|panic| {
        eprintln!("to repeat this simulation: MADSIM_TEST_SEED={seed}");
        std::panic::resume_unwind(panic)
    })
}

/// Waits, in simulated time, until `done`.
///
/// # Panics
/// When that takes more than two simulated minutes.
#[expect(clippy::panic, reason = "it is for tests")]
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let mut waited = Duration::ZERO;
    while !done() {
        if waited > PATIENCE {
            panic!("waited two simulated minutes in vain: {what}");
        }
        let step = Duration::from_millis(5);
        sleep(step).await;
        waited += step;
    }
}

type Slot = Arc<Mutex<Option<(NodeHandle, Hub)>>>;

/// A running cluster. Machine `i` runs the node `n{i+1}` with one hub; restarted, it runs it again in a new life.
#[derive(Debug)]
pub struct Cluster {
    machines: Vec<(Machine, Slot)>,
}

/// What the nodes of a cluster are made of.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) size: usize,
    pub(crate) kinds: fn(HubBuilder) -> HubBuilder,
    pub(crate) settings: fn(&mut HubConfig),
}

/// Starts `size` nodes that look for each other, each with the hub `sim` and the kinds that `kinds` registers. Returns
/// once all are in each other's view. [`crate::Simulation`] does more.
pub async fn cluster(size: usize, kinds: fn(HubBuilder) -> HubBuilder) -> Cluster {
    Cluster::start(Recipe { size, kinds, settings: |_| {} }).await
}

fn ip(index: usize) -> IpAddr {
    let host = u8::try_from(index + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, 0, 0, host).into()
}

fn machine(index: usize, recipe: &Recipe) -> (Machine, Slot) {
    let slot = Slot::default();
    let running = slot.clone();
    let recipe = recipe.clone();
    let init = move || {
        let (running, recipe) = (running.clone(), recipe.clone());
        async move {
            let started = start(index, &recipe).await;
            *running.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
            std::future::pending::<()>().await;
        }
    };
    let machine = Handle::current().create_node().name(format!("n{}", index + 1)).ip(ip(index)).init(init).build();
    (machine.id(), slot)
}

#[expect(clippy::expect_used, reason = "names and addresses are made here, and this is for tests")]
async fn start(index: usize, recipe: &Recipe) -> (NodeHandle, Hub) {
    let name = NodeId::new(format!("n{}", index + 1)).expect("a name");
    let mut options = NodeOptions::new(name, format!("{}:{PORT}", ip(index)));
    options.join =
        (0..recipe.size).filter(|other| *other != index).map(|other| format!("{}:{PORT}", ip(other)).into()).collect();
    options.cookies = vec![Cookie::new("only for simulations").expect("it is long enough")];
    let node = process_hub::start(options, Madsim::current(), MadsimTcp).await.expect("the node starts");
    let mut config = HubConfig::new(HubId::new("sim").expect("a name"));
    (recipe.settings)(&mut config);
    let hub = (recipe.kinds)(node.hub(config)).start().await.expect("the hub starts");
    (node, hub)
}

impl Cluster {
    pub(crate) async fn start(recipe: Recipe) -> Self {
        let machines = (0..recipe.size).map(|index| machine(index, &recipe)).collect();
        let cluster = Self { machines };
        cluster.complete(recipe.size).await;
        cluster
    }

    /// How many machines it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.machines.len()
    }

    /// The node on a machine, in its latest life.
    ///
    /// # Panics
    /// When it has never started, or there is no such machine.
    #[must_use]
    pub fn node(&self, index: usize) -> NodeHandle {
        self.latest(index).0
    }

    /// The hub on a machine, in its latest life.
    ///
    /// # Panics
    /// When it has never started, or there is no such machine.
    #[must_use]
    pub fn hub(&self, index: usize) -> Hub {
        self.latest(index).1
    }

    /// Kills a machine: its tasks stop where they are, its sockets close.
    pub fn kill(&self, index: usize) {
        Handle::current().kill(self.machines[index].0);
    }

    /// Starts a killed machine again: the same name, a new life.
    pub fn restart(&self, index: usize) {
        Handle::current().restart(self.machines[index].0);
    }

    /// Stops a machine in its tracks until [`Cluster::resume`].
    pub fn pause(&self, index: usize) {
        Handle::current().pause(self.machines[index].0);
    }

    /// Lets a paused machine go on.
    pub fn resume(&self, index: usize) {
        Handle::current().resume(self.machines[index].0);
    }

    /// Cuts the link from one machine to another, in that direction only.
    pub fn cut(&self, from: usize, to: usize) {
        NetSim::current().clog_link(self.machines[from].0, self.machines[to].0);
    }

    /// Heals the link from one machine to another.
    pub fn heal(&self, from: usize, to: usize) {
        NetSim::current().unclog_link(self.machines[from].0, self.machines[to].0);
    }

    /// Cuts every link between the machines named and all others, in both directions.
    pub fn isolate(&self, machines: &[usize]) {
        self.each_way_between(machines, Self::cut);
    }

    /// Heals every link between the machines named and all others.
    pub fn rejoin(&self, machines: &[usize]) {
        self.each_way_between(machines, Self::heal);
    }

    fn each_way_between(&self, machines: &[usize], act: impl Fn(&Self, usize, usize)) {
        for inside in machines {
            for outside in (0..self.size()).filter(|other| !machines.contains(other)) {
                act(self, *inside, outside);
                act(self, outside, *inside);
            }
        }
    }

    /// How many of what the machines' nodes count, as one number: two runs in which anything was different differ in it.
    pub(crate) fn tally(&self) -> u64 {
        let running = self.machines.iter().filter_map(|(_, slot)| {
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.as_ref().map(|(node, _)| node.stats())
        });
        let counts = running.flat_map(|stats| stats.iter().map(|(_, count)| count).collect::<Vec<_>>());
        counts.fold(0, |tally: u64, count| tally.wrapping_mul(0x0100_0000_01b3).wrapping_add(count))
    }

    /// Waits until every machine's hub runs and has `members` nodes in its view.
    ///
    /// # Panics
    /// When that takes more than two simulated minutes.
    pub async fn complete(&self, members: usize) {
        let complete = |slot: &Slot| {
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.as_ref().is_some_and(|(_, hub)| hub.is_alive() && hub.nodes(true).len() == members)
        };
        until("all views are complete", || self.machines.iter().all(|(_, slot)| complete(slot))).await;
    }

    #[expect(clippy::expect_used, reason = "it is for tests")]
    fn latest(&self, index: usize) -> (NodeHandle, Hub) {
        let slot = self.machines[index].1.lock().unwrap_or_else(PoisonError::into_inner);
        slot.clone().expect("the node on this machine has started")
    }
}
