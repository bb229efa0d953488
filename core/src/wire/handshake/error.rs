//! Why a handshake failed, in words for this node's own log; the other side learns none of it.

use core::ops::RangeInclusive;

use smol_str::SmolStr;

use crate::id::{Boot, NodeId};

/// Why there is no authenticated link. The handshake is over: send [`refusal`](super::Handshake::refusal), close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// What arrived is not of this protocol at all.
    #[error("the other side does not speak this protocol: is another service listening there?")]
    Stranger,
    /// No version of the protocol is spoken by both.
    #[error(
        "the other side speaks protocol versions {} to {}, this node {} to {}: upgrade the older one",
        theirs.start(), theirs.end(), ours.start(), ours.end()
    )]
    Version {
        /// The versions of this node.
        ours: RangeInclusive<u16>,
        /// The versions of the other side.
        theirs: RangeInclusive<u16>,
    },
    /// It belongs to another cluster.
    #[error("node `{node}` belongs to cluster `{theirs}`, this node to `{ours}`: give both the same cluster name")]
    Cluster {
        /// The other node, as it calls itself.
        node: NodeId,
        /// The cluster of this node.
        ours: SmolStr,
        /// The cluster of the other side.
        theirs: SmolStr,
    },
    /// It was built with other limits, and would refuse what this node sends, or the reverse.
    #[error("node `{node}` was built with other limits of sizes: run the same build on both")]
    Limits {
        /// The other node, as it calls itself.
        node: NodeId,
    },
    /// It does not hold a cookie of this node's, or somebody between the two changed what was said.
    #[error("node `{node}` does not know this cluster's cookie: give both nodes the same one")]
    Cookie {
        /// The other node, as it calls itself.
        node: NodeId,
    },
    /// The other side is this very node, in this life.
    #[error("the other side is this node itself")]
    Myself,
    /// Another process goes by this node's name.
    #[error("another process is called `{node}` too (boot {boot}): give each node of a cluster a name of its own")]
    SameName {
        /// The name.
        node: NodeId,
        /// The other's life.
        boot: Boot,
    },
    /// What this node said came back to it.
    #[error("the other side repeats what this node said: something on the way reflects it")]
    Reflected,
    /// The other side refused, and says why in its own log only.
    #[error("the other side refused this node: the cluster name or the cookie differs, its log says which")]
    Refused,
    /// It is out of its turn or makes no sense.
    #[error("the other side broke the opening of the link: {0}")]
    Malformed(&'static str),
    /// The handshake has ended before.
    #[error("the opening of the link is over")]
    Over,
}
