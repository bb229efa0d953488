//! What members tell each other for the sake of a quorum.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::wire::bounded;

/// A member's word that it has installed a view and told all its rows as of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// The view's hash.
    pub view: u64,
    /// Which installation of a view it is at this member, from 1: one that it comes back to has another.
    pub number: u64,
    /// The highest ballot of tokens that it has recorded.
    pub ballot: u64,
}

/// What a member counts for in a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// One.
    Counted,
    /// Nothing: what an earlier life of it granted may still last.
    Waiting,
    /// Nothing before it was told what it has forgotten; whatever an earlier life of it granted is over.
    Waited,
}

/// What a member knows of the cluster for the sake of its quorum. Of two the larger holds, field by field; `size` only
/// within one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Known {
    /// How often an operator has reset the cluster's size.
    pub epoch: u32,
    /// The size that the cluster is known to have had.
    pub size: u32,
    /// The lineage of its tokens.
    pub lineage: u32,
    /// The highest ballot of tokens.
    pub ballot: u64,
}

/// A member that was lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireLoss {
    /// Who.
    pub node: NodeId,
    /// How long ago, in microseconds.
    pub ago: u64,
}

/// What a member remembers of the cluster for the sake of its quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireMemory {
    /// In brief.
    pub known: Known,
    /// The names that were members in that epoch.
    #[serde(with = "bounded::list")]
    pub names: Vec<NodeId>,
    /// The members that were lost of late, where that counts.
    #[serde(with = "bounded::list")]
    pub losses: Vec<WireLoss>,
}
