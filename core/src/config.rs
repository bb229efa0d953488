//! What a node and its hubs are told at the start.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use smol_str::SmolStr;

use crate::hashing::stable_hash;
use crate::id::{Addr, HubId, NodeId};

/// Sizes beyond which something is refused. They bound what one peer can make another hold.
pub mod limits {
    /// A frame's payload, in bytes.
    pub const FRAME: usize = 1 << 20;
    /// A child's arguments, kind, id and metadata together, in bytes.
    pub const SPEC: usize = 64 << 10;
    /// A child's metadata, in bytes.
    pub const METADATA: usize = 16 << 10;
    /// A message to a child, and a child's reply, in bytes.
    pub const PAYLOAD: usize = 512 << 10;
    /// Entries in one list of a wire message. Requests may be larger: they are split.
    pub const BATCH: usize = 4_096;
    /// Children of requests that one step of a node looks at; the rest waits for the next step.
    pub const SLICE: usize = 4_096;
    /// Children that one step of a node looks at because the view has changed: about two milliseconds' worth.
    pub const PASS: usize = 1_024;
    /// Members of a cluster.
    pub const MEMBERS: usize = 1_024;
    /// Hubs on one node.
    pub const HUBS: usize = 256;
    /// Requests and calls of this node's callers that are open at one time, a hub.
    pub const OPEN_REQUESTS: usize = 65_536;
    /// Messages that wait for one child to come up.
    pub const WAITING_MESSAGES: usize = 1_024;
    /// Bytes sent to one member and not yet acknowledged, a hub.
    pub const WINDOW: usize = 4 << 20;
}

/// A value is out of its range or contradicts another. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {field} = {value}: {problem}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: SmolStr,
    /// What is wrong and how to mend it.
    pub problem: SmolStr,
}

impl ConfigError {
    pub(crate) fn new(field: &'static str, value: impl ToString, problem: &str) -> Self {
        Self { field, value: SmolStr::new(value.to_string()), problem: SmolStr::new(problem) }
    }
}

/// What a node is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its name, unique in the cluster.
    pub name: NodeId,
    /// Where others reach it.
    pub advertise: Addr,
    /// Where it looks for others; tried for ever, at a bounded rate.
    pub join: Vec<Addr>,
    /// How it watches the others.
    pub membership: MembershipConfig,
}

impl NodeConfig {
    /// A node that looks for nobody, with default timing.
    #[must_use]
    pub fn new(name: NodeId, advertise: impl AsRef<str>) -> Self {
        Self { name, advertise: Addr::new(advertise), join: Vec::new(), membership: MembershipConfig::default() }
    }

    /// # Errors
    /// Names the first field that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.advertise.is_empty() || self.advertise.len() > 256 {
            return Err(ConfigError::new("advertise", &self.advertise, "must be an address of 1 to 256 bytes"));
        }
        self.membership.check()
    }
}

/// How a node watches the others. The defaults aim at ten nodes on one network: a killed process is known everywhere
/// in half a second, a silent machine in three, a heal in five.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipConfig {
    /// One member is probed in each such period. Raise it on slow networks: detection slows in proportion.
    pub probe_period: Duration,
    /// How long a probed member has to answer before others are asked to probe it. Below half the period.
    pub probe_rtt: Duration,
    /// How long a suspect has to refute before it is declared down. Raise it where nodes stall (overload, long pauses).
    pub suspicion: Duration,
    /// Each link carries at least one frame in each such period, and is closed after three without.
    pub keepalive: Duration,
    /// The first wait before a failed dial is tried again; doubles, with jitter, up to `redial_max`.
    pub redial_min: Duration,
    /// The longest wait before a failed dial is tried again.
    pub redial_max: Duration,
}

impl Default for MembershipConfig {
    fn default() -> Self {
        Self {
            probe_period: Duration::from_millis(300),
            probe_rtt: Duration::from_millis(120),
            suspicion: Duration::from_millis(2_000),
            keepalive: Duration::from_millis(500),
            redial_min: Duration::from_millis(50),
            redial_max: Duration::from_millis(2_000),
        }
    }
}

impl MembershipConfig {
    /// # Errors
    /// Names the first field that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fields = [
            ("membership.probe_period", self.probe_period),
            ("membership.probe_rtt", self.probe_rtt),
            ("membership.suspicion", self.suspicion),
            ("membership.keepalive", self.keepalive),
            ("membership.redial_min", self.redial_min),
            ("membership.redial_max", self.redial_max),
        ];
        for (field, span) in fields {
            positive(field, span)?;
        }
        if self.probe_rtt * 2 > self.probe_period {
            let value = format!("{:?}", self.probe_rtt);
            return Err(ConfigError::new("membership.probe_rtt", value, "must be at most half of probe_period"));
        }
        if self.redial_min > self.redial_max {
            let value = format!("{:?}", self.redial_min);
            return Err(ConfigError::new("membership.redial_min", value, "must not exceed redial_max"));
        }
        Ok(())
    }
}

/// Which node each child belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Distribution {
    /// A pure function of the child's id and the set of members, with minimal movement.
    #[default]
    ConsistentHashing,
}

/// How many copies of a child run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Redundancy {
    /// One.
    #[default]
    Singularity,
}

/// How a child moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Migration {
    /// The old copy has ended before the new one starts.
    #[default]
    ColdSwap,
}

/// How changes reach the other members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Synchronization {
    /// Every change goes to every member; every interval, whatever was missed is repaired.
    PubSub {
        /// How often. Default 15 s.
        sync_interval: Duration,
    },
}

impl Default for Synchronization {
    fn default() -> Self {
        Synchronization::PubSub { sync_interval: Duration::from_secs(15) }
    }
}

/// What a hub does while the cluster is in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Partition {
    /// Each part serves by itself.
    #[default]
    Divergence,
}

/// What a hub is told at its start. Two nodes speak for the same hub only if all of it is equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubConfig {
    /// Its name.
    pub id: HubId,
    /// Which node each child belongs to.
    pub distribution: Distribution,
    /// How many copies run.
    pub redundancy: Redundancy,
    /// How a child moves.
    pub migration: Migration,
    /// How changes reach the other members.
    pub synchronization: Synchronization,
    /// What happens while the cluster is in parts.
    pub partition: Partition,
    /// How many restarts of one child are allowed within `restart_window`. Default 100.
    pub max_restarts: u32,
    /// The window of the restart intensity. Default 4 s.
    pub restart_window: Duration,
    /// The first restart of a child is immediate; later ones within the window wait this long, doubling. Default 10 ms.
    pub restart_backoff: Duration,
    /// How long an instance has to end when it is told to. Default 5 s.
    pub stop_timeout: Duration,
    /// How long a member may keep a view from completing before it leaves this hub's view until it answers again.
    /// Default 5 s.
    pub barrier_timeout: Duration,
    /// A deliberate defect.
    #[cfg(feature = "sabotage")]
    pub sabotage: Option<Sabotage>,
}

/// A deliberate defect of a hub, to show that an oracle catches it. Each has been the defect of a known system.
#[cfg(feature = "sabotage")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sabotage {
    /// Merging with a peer forgets that a start was removed.
    ForgetRemoval,
    /// Who owns a child depends on the order in which this node met the members.
    RingInJoinOrder,
    /// Batches of an earlier life of a member are applied as if the present one had sent them.
    AcceptOldBoot,
    /// A member that is taken to be down has its rows removed for good: its stream goes on where it was when it is back,
    /// as if they had only been hidden.
    RetractInsteadOfFilter,
}

impl HubConfig {
    /// The defaults.
    #[must_use]
    pub fn new(id: HubId) -> Self {
        Self {
            id,
            distribution: Distribution::default(),
            redundancy: Redundancy::default(),
            migration: Migration::default(),
            synchronization: Synchronization::default(),
            partition: Partition::default(),
            max_restarts: 100,
            restart_window: Duration::from_secs(4),
            restart_backoff: Duration::from_millis(10),
            stop_timeout: Duration::from_secs(5),
            barrier_timeout: Duration::from_secs(5),
            #[cfg(feature = "sabotage")]
            sabotage: None,
        }
    }

    /// # Errors
    /// Names the first field that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Synchronization::PubSub { sync_interval } = self.synchronization;
        positive("synchronization.sync_interval", sync_interval)?;
        positive("restart_window", self.restart_window)?;
        positive("restart_backoff", self.restart_backoff)?;
        positive("stop_timeout", self.stop_timeout)?;
        positive("barrier_timeout", self.barrier_timeout)?;
        Ok(())
    }

    /// Every field that two nodes must agree on, by name, with its value as text.
    #[must_use]
    pub fn fields(&self) -> Vec<(SmolStr, SmolStr)> {
        let field = |name: &str, value: alloc::string::String| (SmolStr::new(name), SmolStr::new(value));
        alloc::vec![
            field("distribution", format!("{:?}", self.distribution)),
            field("redundancy", format!("{:?}", self.redundancy)),
            field("migration", format!("{:?}", self.migration)),
            field("synchronization", format!("{:?}", self.synchronization)),
            field("partition", format!("{:?}", self.partition)),
            field("max_restarts", self.max_restarts.to_string()),
            field("restart_window", format!("{:?}", self.restart_window)),
            field("restart_backoff", format!("{:?}", self.restart_backoff)),
            field("stop_timeout", format!("{:?}", self.stop_timeout)),
            field("barrier_timeout", format!("{:?}", self.barrier_timeout)),
        ]
    }

    /// One number for all of [`HubConfig::fields`].
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.fields().iter().fold(0, |digest, (name, value)| {
            let text = format!("{digest:016x}{name}={value}");
            stable_hash(text.as_bytes())
        })
    }
}

fn positive(field: &'static str, span: Duration) -> Result<(), ConfigError> {
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);
    if span.is_zero() || span > LONGEST {
        return Err(ConfigError::new(field, format!("{span:?}"), "must be more than zero and at most a year"));
    }
    Ok(())
}
