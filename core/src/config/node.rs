//! What a node is told at its start.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, limits, positive};
use crate::hashing::MAX_WEIGHT;
use crate::id::{Addr, NodeId};
use crate::message::Attributes;
use crate::spec::Labels;

/// What a node is told at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Its name, unique in the cluster.
    pub name: NodeId,
    /// Where others reach it.
    pub advertise: Addr,
    /// Where it looks for others; tried for ever, at a bounded rate.
    pub join: Vec<Addr>,
    /// How it watches the others.
    pub membership: MembershipConfig,
    /// Its share of the children relative to the others', where that is by consistent hashing: 1 is normal, 0 is given
    /// nothing, at most [`MAX_WEIGHT`]. Default 1.
    pub weight: u32,
    /// What it has that children can ask for with [`crate::spec::ChildSpec::requires`]. Default none.
    pub labels: Labels,
}

impl NodeConfig {
    /// A node that looks for nobody, with default timing.
    #[must_use]
    pub fn new(name: NodeId, advertise: impl AsRef<str>) -> Self {
        let membership = MembershipConfig::default();
        Self { name, advertise: Addr::new(advertise), join: Vec::new(), membership, weight: 1, labels: Labels::new() }
    }

    /// # Errors
    /// Names the first field that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.advertise.is_empty() || self.advertise.len() > 256 {
            return Err(ConfigError::new("advertise", &self.advertise, "must be an address of 1 to 256 bytes"));
        }
        if self.weight > MAX_WEIGHT {
            return Err(ConfigError::new("weight", self.weight, &format!("must be at most {MAX_WEIGHT}")));
        }
        if !self.labels.are_within_limits() {
            let problem = format!("must be at most {} labels of 1 to {} bytes", limits::LABELS, limits::LABEL);
            return Err(ConfigError::new("labels", format!("{:?}", self.labels), &problem));
        }
        self.membership.check()
    }

    /// What it says of itself when it starts.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        Attributes { weight: self.weight, labels: self.labels.clone(), ..Attributes::default() }
    }
}

/// How a node watches the others. The defaults aim at ten nodes on one network: a killed process is known everywhere
/// in half a second, a silent machine in three, a heal in five.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
