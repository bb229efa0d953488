//! What a run simulates: the full set of its options, whatever they were drawn from.

use std::collections::BTreeMap;
use std::time::Duration;

use process_hub_core::config::{HubConfig, MembershipConfig};
use serde::{Deserialize, Serialize};

use super::named;
use crate::own;
use crate::plan::{ALTER_PATIENCE, Plan, bounds, hub_id, node_configs};
use crate::sim::host::Clock;
use crate::sim::random::{Purpose, Random};
use crate::sim::world::{NetFaults, World, WorldConfig, address, alias};

/// A host's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSetup {
    /// What it shows at the beginning, in microseconds.
    pub offset: u64,
    /// How fast it runs, in millionths more than the true rate.
    pub ppm: i64,
}

/// What is simulated. Spans are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// What delays, names of lives and the like are drawn from.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// The settings of the hub, as `process-hub` reads them.
    pub hub: BTreeMap<String, String>,
    /// The clock of each node.
    pub clocks: Vec<ClockSetup>,
    /// The longest one-way delay of a link; each has its own.
    pub delay: u64,
    /// How much longer than its delay a frame may take, in millionths.
    pub jitter: u64,
    /// How long a dial may take.
    pub dial_timeout: u64,
    /// Whether each message is encoded and decoded on its way.
    pub codec: bool,
    /// The pairs of nodes of which the first looks for the second where that does not say that it listens.
    pub aliases: Vec<(usize, usize)>,
    /// Whether the users of the nodes have handlers that may alter what is started.
    pub altering: bool,
    /// Whether what is declared is saved when a process ends, and restored when it is back.
    #[serde(default)]
    pub disks: bool,
    /// Whether it is saved now and then instead, so that what came last is missing.
    #[serde(default)]
    pub disks_lag: bool,
    /// How many messages the mailbox of a child holds; `None` for as many as come.
    #[serde(default)]
    pub mailbox: Option<usize>,
    /// Whether each node has a second hub.
    #[serde(default)]
    pub neighbour: bool,
    /// The node that says anything, if there is one.
    #[serde(default)]
    pub insider: Option<usize>,
    /// Whether children take the least time for everything.
    pub prompt: bool,
    /// When the faults are over.
    pub faults_until: u64,
    /// Whether it goes on for long after all has converged, for nothing to happen any more.
    #[serde(default = "yes")]
    pub long_quiet: bool,
    /// Whether the time to converge is cut short where all has agreed for a third of it.
    #[serde(default)]
    pub brief: bool,
    /// A deliberate defect of the core, if the program has it.
    pub sabotage: Option<String>,
}

fn yes() -> bool {
    true
}

impl Setup {
    /// What a plan comes down to.
    pub(crate) fn of(plan: &Plan) -> Self {
        let world = &plan.world;
        let clock = |clock: &Clock| ClockSetup { offset: clock.offset, ppm: clock.ppm };
        Self {
            seed: world.seed,
            nodes: world.nodes.len(),
            hub: settings(&world.hub),
            clocks: world.clocks.iter().map(clock).collect(),
            delay: world.delay,
            jitter: plan.net.jitter,
            dial_timeout: world.dial_timeout,
            codec: plan.net.codec,
            aliases: plan.aliases.clone(),
            altering: plan.child_faults.altered > 0,
            disks: plan.disks,
            disks_lag: plan.disks_lag,
            mailbox: plan.mailbox,
            neighbour: plan.neighbour,
            insider: plan.insider,
            prompt: false,
            faults_until: plan.faults_until,
            long_quiet: plan.long_quiet,
            brief: plan.brief,
            sabotage: sabotage_of(&world.hub),
        }
    }

    /// # Errors
    /// When nothing can be simulated that way; the text says why.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(1..=named::MAX).contains(&self.nodes) || self.clocks.len() != self.nodes {
            let (nodes, clocks) = (self.nodes, self.clocks.len());
            return Err(format!("{nodes} nodes with {clocks} clocks: there must be 1 to {} of each", named::MAX));
        }
        if let Some((one, other)) = self.aliases.iter().find(|(one, other)| *one.max(other) >= self.nodes) {
            return Err(format!("an alias names nodes {one} and {other}, and there are {}", self.nodes));
        }
        if let Some(host) = self.insider.filter(|host| *host >= self.nodes) {
            return Err(format!("node {host} says anything, and there are {}", self.nodes));
        }
        self.world_config().map(drop)
    }

    fn hub(&self) -> Result<HubConfig, String> {
        let mut hub = HubConfig::new(hub_id());
        for (field, value) in &self.hub {
            if !own::read(&mut hub, field, value) {
                hub.set(field, value).map_err(|error| error.to_string())?;
            }
        }
        sabotage(&mut hub, self.sabotage.as_deref())?;
        hub.check().map_err(|error| error.to_string())?;
        Ok(hub)
    }

    /// What the world is made of.
    pub(crate) fn world_config(&self) -> Result<WorldConfig, String> {
        let hub = self.hub()?;
        let membership = MembershipConfig::default();
        let longest = self.delay + self.delay.saturating_mul(self.jitter) / 1_000_000;
        let mut bounds = bounds(&hub, &membership, self.nodes, longest, self.dial_timeout);
        if self.altering {
            // What a handler that hangs holds up starts after the core's patience with it, and once more if its node
            // is another by then.
            bounds.converge += 2 * ALTER_PATIENCE;
        }
        if self.disks {
            bounds.converge += u64::try_from(hub.recovery_grace.as_micros()).unwrap_or(u64::MAX);
        }
        let mut nodes = node_configs(self.nodes, &membership);
        for (host, other) in &self.aliases {
            let plain = address(*other);
            let place = nodes[*host].join.iter_mut().find(|addr| addr.as_str() == plain);
            if let Some(place) = place {
                *place = alias(&plain).into();
            }
        }
        let clocks = self.clocks.iter().map(|clock| Clock { offset: clock.offset, ppm: clock.ppm }).collect();
        let (seed, delay, dial_timeout) = (self.seed, self.delay, self.dial_timeout);
        Ok(WorldConfig { seed, nodes, clocks, hub, delay, dial_timeout, bounds })
    }

    /// What is set in a new world besides its configuration.
    pub(crate) fn prepare(&self, world: &mut World) {
        for from in 0..self.nodes {
            for to in 0..self.nodes {
                let mut random = Random::keyed(self.seed, Purpose::Delays, [from as u64, to as u64]);
                world.net.set_delay(from, to, random.log_between((self.delay / 10).max(20), self.delay));
            }
        }
        world.net_faults = NetFaults { jitter: self.jitter, codec: self.codec, ..NetFaults::default() };
        world.altering = self.altering;
        (world.disks, world.disks_lag) = (self.disks, self.disks_lag);
        world.has_neighbour = self.neighbour;
        world.mailbox = self.mailbox.unwrap_or(usize::MAX);
        (world.insider, world.watch.truth.insider) = (self.insider, self.insider);
        world.watch.truth.in_all_names = self.seed.is_multiple_of(2);
        world.watch.truth.disks = self.disks && !self.disks_lag;
    }
}

/// The settings of a hub as text that [`HubConfig::set`] reads.
fn settings(hub: &HubConfig) -> BTreeMap<String, String> {
    let mut settings: BTreeMap<String, String> =
        hub.fields().iter().map(|(field, value)| (field.to_string(), value.to_string())).collect();
    let spans = [
        ("restart_window", hub.restart_window),
        ("restart_backoff", hub.restart_backoff),
        ("stop_timeout", hub.stop_timeout),
        ("barrier_timeout", hub.barrier_timeout),
        ("lease", hub.lease),
        ("pause_bound", hub.pause_bound),
        ("recovery_grace", hub.recovery_grace),
    ];
    settings.extend(own::texts(hub).into_iter().map(|(field, text)| (field.to_owned(), text)));
    settings.insert("past_lives".to_owned(), hub.past_lives.to_string());
    settings.extend(spans.map(|(field, span)| (field.to_owned(), text(span))));
    settings
}

fn text(span: Duration) -> String {
    format!("{}us", span.as_micros())
}

#[cfg(feature = "sabotage")]
fn sabotage_of(hub: &HubConfig) -> Option<String> {
    hub.sabotage.map(|sabotage| format!("{sabotage:?}"))
}

#[cfg(feature = "sabotage")]
fn sabotage(hub: &mut HubConfig, name: Option<&str>) -> Result<(), String> {
    use process_hub_core::config::Sabotage;
    let Some(name) = name else { return Ok(()) };
    let found = Sabotage::ALL.into_iter().find(|sabotage| format!("{sabotage:?}") == name);
    hub.sabotage = Some(found.ok_or_else(|| format!("there is no defect {name}; there are {:?}", Sabotage::ALL))?);
    Ok(())
}

#[cfg(not(feature = "sabotage"))]
fn sabotage_of(_: &HubConfig) -> Option<String> {
    None
}

#[cfg(not(feature = "sabotage"))]
fn sabotage(_: &mut HubConfig, name: Option<&str>) -> Result<(), String> {
    match name {
        None => Ok(()),
        Some(name) => Err(format!("the trace needs the defect {name}: build with `--features sabotage`")),
    }
}
