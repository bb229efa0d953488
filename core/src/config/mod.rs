//! What a node and its hubs are told at the start.

mod hub;
mod node;
mod strategy;
mod text;

use alloc::format;
use alloc::string::ToString;
use core::time::Duration;

use smol_str::SmolStr;

pub use hub::HubConfig;
#[cfg(feature = "sabotage")]
pub use hub::Sabotage;
pub use node::{MembershipConfig, NodeConfig};
pub(crate) use strategy::Way;
pub use strategy::{
    Distribution, Factor, LoadBalancer, Migration, Model, Partition, Redundancy, Signal, Synchronization,
};

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
    /// The state of a child on its way to its next owner, in bytes.
    pub const STATE: usize = 64 << 20;
    /// A part of such a state in one message, in bytes.
    pub const CHUNK: usize = 256 << 10;
    /// Entries in one list of a wire message. Requests may be larger: they are split.
    pub const BATCH: usize = 4_096;
    /// Children of requests that one step of a node looks at; the rest waits for the next step.
    pub const SLICE: usize = 4_096;
    /// Children that one step of a node looks at because the view has changed: about two milliseconds' worth.
    pub const PASS: usize = 1_024;
    /// Labels of a node.
    pub const LABELS: usize = 64;
    /// A label of a node, in bytes.
    pub const LABEL: usize = 128;
    /// Members of a cluster.
    pub const MEMBERS: usize = 1_024;
    /// Children that one node runs of a hub, those included that start and end. Further ones fail to start there, and what a
    /// member claims beyond that is passed over.
    pub const ROWS: usize = 1 << 20;
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

/// Strategies are written down as their text. One of somebody's own can be written, and not read back: what it does is
/// not in the text.
mod as_text {
    use alloc::string::ToString;
    use core::str::FromStr;

    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use smol_str::SmolStr;

    use super::ConfigError;

    pub(super) fn serialize<T: ToString, S: Serializer>(strategy: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&strategy.to_string())
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err = ConfigError>,
        D: Deserializer<'de>,
    {
        SmolStr::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

fn positive(field: &'static str, span: Duration) -> Result<(), ConfigError> {
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);
    if span.is_zero() || span > LONGEST {
        return Err(ConfigError::new(field, format!("{span:?}"), "must be more than zero and at most a year"));
    }
    Ok(())
}
