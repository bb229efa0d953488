//! What members tell each other of what they have seen, and of whom they know.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{Boot, Member};
use crate::wire::bounded;

/// What a member has seen of the starts of one life of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireSeen {
    /// Whose starts.
    pub origin: Member,
    /// All up to and with this one. The highest number there is stands for all starts of this life and of all before it.
    pub upto: u64,
    /// And these, beyond a gap, in ascending order.
    #[serde(with = "bounded::list")]
    pub beyond: Vec<u64>,
}

/// A causal context: which starts a member has seen, whatever became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireContext {
    /// One entry a life of a node, or one for all lives of a name up to one.
    #[serde(with = "bounded::list")]
    pub seen: Vec<WireSeen>,
    /// One number over the lives of all names that the member knows of.
    pub lives: u64,
    /// These lives, in an answer to one who knows of others.
    #[serde(with = "bounded::list")]
    pub names: Vec<WireLife>,
}

/// What a member knows of a name that takes part in the hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireLife {
    /// Its newest life.
    pub member: Member,
    /// The boot in the starts that this life mints.
    pub mints: Boot,
    /// An operator has said that this life is over for good.
    pub forgotten: bool,
}
