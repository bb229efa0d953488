//! What a node is told at its start, beyond what the core needs to know.

use std::time::Duration;

use process_hub_core::config::{ConfigError, MembershipConfig, limits};
use process_hub_core::id::{Addr, Boot, NodeId};
use process_hub_core::spec::Labels;
use process_hub_core::wire::Cookie;
use smol_str::{SmolStr, ToSmolStr};

use crate::record::Sink;
use crate::saved::Store;

/// What a node is told at its start. Made with [`NodeOptions::new`]; change fields as needed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeOptions {
    /// Its name, unique in the cluster.
    pub name: NodeId,
    /// Where it accepts links, in the transport's notation.
    pub listen: Addr,
    /// Where others reach it. Default: where it really listens.
    pub advertise: Option<Addr>,
    /// Where it looks for others; tried for ever.
    pub join: Vec<Addr>,
    /// The cluster it belongs to; nodes of other clusters are refused. Default `default`.
    pub cluster: SmolStr,
    /// The secrets that members prove to each other: the first is used towards others, all are accepted from them.
    pub cookies: Vec<Cookie>,
    /// How it watches the others.
    pub membership: MembershipConfig,
    /// Its share of the children relative to the others', where that is by consistent hashing: 0 is given nothing.
    /// Default 1, at most [`process_hub_core::hashing::MAX_WEIGHT`].
    pub weight: u32,
    /// What it has that children can ask for. Default none.
    pub labels: Labels,
    /// What strangers and slow peers may cost.
    pub limits: LinkLimits,
    /// Messages that may wait for one child. Default 1,024.
    pub mailbox_capacity: usize,
    /// This life of the node's name: higher than any earlier one. Default: from the wall clock and randomness.
    pub boot: Option<Boot>,
    /// Where to write down what the node is handed, so that it can be replayed: see [`crate::record`]. Default nowhere.
    pub record: Option<Sink>,
    /// Where to keep what its hubs have declared, so that it comes back when all nodes have ended: see [`crate::saved`].
    /// Default nowhere.
    pub store: Option<Store>,
}

impl NodeOptions {
    /// The defaults, with no secret: it must be given at least one cookie to talk to anybody.
    #[must_use]
    pub fn new(name: NodeId, listen: impl AsRef<str>) -> Self {
        Self {
            name,
            listen: Addr::new(listen),
            advertise: None,
            join: Vec::new(),
            cluster: SmolStr::new_static("default"),
            cookies: Vec::new(),
            membership: MembershipConfig::default(),
            weight: 1,
            labels: Labels::new(),
            limits: LinkLimits::default(),
            mailbox_capacity: 1_024,
            boot: None,
            record: None,
            store: None,
        }
    }
}

impl NodeOptions {
    /// What the core does not look at.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let at_least = [
            ("mailbox_capacity", self.mailbox_capacity, 1),
            // The listing that opens a stream has to fit in, with room to spare: it holds itself back at half of this.
            ("outbound_bytes", self.limits.outbound_bytes, limits::WINDOW),
        ];
        for (field, value, least) in at_least {
            if value < least {
                let problem = smol_str::format_smolstr!("it has to be at least {least}");
                return Err(ConfigError { field, value: value.to_smolstr(), problem });
            }
        }
        let LinkLimits { connect_timeout, hello_timeout, write_timeout, .. } = self.limits;
        let timeouts =
            [("connect_timeout", connect_timeout), ("hello_timeout", hello_timeout), ("write_timeout", write_timeout)];
        for (field, value) in timeouts {
            if value.is_zero() {
                let problem = SmolStr::new_static("nothing could be done in no time");
                return Err(ConfigError { field, value: "0".into(), problem });
            }
        }
        Ok(())
    }
}

/// What strangers and slow peers may cost a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkLimits {
    /// Connections that have not proved themselves yet, in all. More are dropped. Default 128.
    pub strangers: usize,
    /// The same from one IP address; loopback is exempt. Default 8.
    pub strangers_per_ip: usize,
    /// Connections accepted in a second. More are dropped. Default 50.
    pub accepts_per_second: u32,
    /// How long opening a stream may take, a security layer's handshake included. Default 5 s.
    pub connect_timeout: Duration,
    /// How long the handshake on an open stream may take. Default 2 s.
    pub hello_timeout: Duration,
    /// How long a write may make no headway before the link is closed. Default 10 s.
    pub write_timeout: Duration,
    /// Bytes that may wait to be sent to one peer, at least 4 MiB. Beyond, messages are dropped and later repaired.
    /// Default 8 MiB.
    pub outbound_bytes: usize,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            strangers: 128,
            strangers_per_ip: 8,
            accepts_per_second: 50,
            connect_timeout: Duration::from_secs(5),
            hello_timeout: Duration::from_secs(2),
            write_timeout: Duration::from_secs(10),
            outbound_bytes: 8 << 20,
        }
    }
}
