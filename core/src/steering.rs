//! What an operator can do about where children run, and what an operator can ask about it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::config::limits;
use crate::hashing::MAX_WEIGHT;
use crate::id::{ChildId, HubId, NodeId, Pid};
use crate::spec::{Labels, Role};

/// What to do about where the children of a hub run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Steer {
    /// Give a child to a node, for as long as that node is there. Answered by [`Steered::Migrated`] once a copy runs
    /// there.
    Migrate {
        /// Which child.
        id: ChildId,
        /// To which node.
        to: NodeId,
        /// How long to wait. A move that takes longer goes on all the same.
        timeout: Duration,
    },
    /// This node is given nothing new from now on; what it has it keeps.
    Cordon,
    /// Undoes a cordon. What was placed elsewhere meanwhile stays there.
    Uncordon,
    /// Move all children of this node to others, and be given none, as long as it is not undone. Unlike a leave, the node
    /// stays a member and takes requests. Answered by [`Steered::Drained`].
    Drain {
        /// How long to wait until nothing runs here any more. Children that take longer move all the same.
        deadline: Duration,
    },
    /// Undoes a drain: this node is given children again.
    Undrain,
    /// This node's share of the children relative to the others', where that is by consistent hashing: 0 is given
    /// nothing, at most [`crate::hashing::MAX_WEIGHT`]. Children move for it.
    Weight(u32),
    /// What this node has that children can ask for, in place of what it had. Children that ask for what it has no more
    /// move, or wait for a node that has it.
    Labels(Labels),
    /// In the whole hub: copies stay where they are, even if they belong elsewhere. Children that have lost their node,
    /// and new ones, are started all the same, and nodes that drain or leave are emptied.
    Pause,
    /// Undoes a pause: what belongs elsewhere moves.
    Resume,
    /// A node that is down will not come back in the life it was in, with what it knew then: nobody keeps anything for its
    /// sake any more. If it does come back, it is not listened to until it is started anew, empty. In the whole hub, as
    /// far as it learns of it: one member tells another when they compare what they have declared.
    Forget {
        /// Its name.
        node: NodeId,
    },
}

/// What came of a [`Steer`] that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Steered {
    /// It holds.
    Done,
    /// The child runs there.
    Migrated(Pid),
    /// How many children still run here: 0, or what is left at the deadline.
    Drained(u64),
}

/// Steering was refused or did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SteerError {
    /// The node does not take part in that hub. Nothing changed.
    #[error("this node does not take part in hub `{0}`: name one that it runs")]
    UnknownHub(HubId),
    /// No such child is declared. Nothing changed.
    #[error("no child `{0}` is declared: start it first")]
    NotFound(ChildId),
    /// The node is not in the view, or gives its children away. Nothing changed.
    #[error("node `{0}` is not a member that children can belong to: name one that is up and does not drain or leave")]
    NotAMember(NodeId),
    /// The child belongs to that node already. Nothing changed.
    #[error("child `{id}` belongs to node `{node}` already: name another one")]
    SameNode {
        /// Which child.
        id: ChildId,
        /// Which node.
        node: NodeId,
    },
    /// This node drains already. Nothing changed.
    #[error("this node drains already: wait for that, or undrain it first")]
    Draining,
    /// This node leaves. Nothing changed.
    #[error("this node is leaving the cluster: ask another one")]
    Leaving,
    /// There is no other node that could take the children. Nothing changed.
    #[error("no other node can take this one's children: start or undrain one first")]
    NoTargetNodes,
    /// The hub has lost its quorum. Nothing changed.
    #[error("hub `{0}` is locked: it has lost its quorum; try again when enough nodes are back")]
    Locked(HubId),
    /// It did not come to its end in time, and goes on.
    #[error("child `{0}` does not run there yet: it still moves; look it up later")]
    Timeout(ChildId),
    /// Not all members have agreed to the move in time: the child stays where it is. Nothing changed.
    #[error("child `{0}` stays where it is: not every member answered in time; try again, or wait until all do")]
    Unanswered(ChildId),
    /// The weight is out of its range. Nothing changed.
    #[error("a weight of {0} cannot be: name one from 0 to {MAX_WEIGHT}")]
    TooHeavy(u32),
    /// The labels are out of their limits. Nothing changed.
    #[error("too many labels, or too long ones: give at most {} of 1 to {} bytes", limits::LABELS, limits::LABEL)]
    BadLabels,
    /// Somebody else gave the child to another node meanwhile, or stopped it.
    #[error("child `{0}` was given to another node, or stopped, meanwhile: look it up and decide anew")]
    Superseded(ChildId),
    /// The node is a member and up. Nothing changed.
    #[error("node `{0}` is up: stop it, and forget it when it is down")]
    StillHere(NodeId),
    /// No such name ever took part in the hub, or it is forgotten already. Nothing changed.
    #[error("node `{0}` is not known, or forgotten already: name one that once took part in the hub")]
    UnknownName(NodeId),
    /// Too many requests are open on this node. Nothing changed.
    #[error("{0} requests are open on this node already: wait for some to be answered")]
    Overloaded(usize),
}

/// What operators have said about where the children of a hub run, as one node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steering {
    /// Whether copies stay where they are although they belong elsewhere.
    pub paused: bool,
    /// Every member of the view.
    pub nodes: BTreeMap<NodeId, NodeSteering>,
}

/// What a member is to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSteering {
    /// Its share relative to the others', where that is by consistent hashing.
    pub weight: u32,
    /// What children can ask for.
    pub labels: Labels,
    /// Whether it is given nothing new.
    pub cordoned: bool,
    /// Whether it gives its children away and is given none.
    pub draining: bool,
}

/// Why a child is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The child.
    pub id: ChildId,
    /// What decides where it belongs.
    pub rule: Rule,
    /// The nodes it belongs to, first owner first.
    pub owners: Vec<NodeId>,
    /// The copies there are, as this node knows, those that are starting or ending included.
    pub copies: Vec<Copy>,
    /// What keeps it from being where it belongs, in the order of weight; empty when it is there.
    pub obstacles: Vec<Obstacle>,
}

/// What decides where a child belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Consistent hashing: the hash of its id and the members of the view.
    Ring {
        /// The hash.
        hash: u64,
    },
    /// The caller of its start named its nodes.
    Mapping(Vec<NodeId>),
    /// The load balancer chose its nodes.
    Balancer(Vec<NodeId>),
    /// It was given to nodes, by an operator or to spare a cordoned node; where none of them is there, the hub's
    /// distribution decides.
    Assigned {
        /// Which nodes.
        nodes: Vec<NodeId>,
        /// By which node.
        by: NodeId,
    },
    /// The load balancer has yet to choose.
    Unassigned,
    /// Another strategy decides.
    Other,
}

/// One copy of a child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Copy {
    /// The instance, and with it the node.
    pub pid: Pid,
    /// The part it plays.
    pub role: Role,
    /// Whether it serves: it is neither starting nor ending.
    pub serves: bool,
}

/// What keeps a child from being where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Obstacle {
    /// The hub is locked on this node, which cannot know what runs elsewhere.
    Locked,
    /// None of the nodes that could own it is there (or has the labels it asks for).
    NoOwner,
    /// Members have yet to install this node's view.
    ViewIncomplete(Vec<NodeId>),
    /// Rebalancing is paused in the hub.
    Paused,
    /// It is about to be moved: its copies must be known everywhere first.
    Held,
    /// A copy has to end first.
    Occupied(NodeId),
    /// It failed on this node and waits for its next start.
    BackOff,
    /// Its copy on this node refused to be moved, or its move failed: that is tried again in a second.
    Deferred,
    /// It waits until fewer children are on their way from this node, or to it.
    Queued,
    /// Its owner has yet to start it.
    Starting(NodeId),
}

/// A change of the members, to be planned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Change {
    /// A node joins, with this share of the ring and these labels.
    Join {
        /// Its name.
        node: NodeId,
        /// Its weight, 1 is normal.
        weight: u32,
        /// What children can ask for.
        labels: Vec<SmolStr>,
    },
    /// A node goes: it leaves, drains or is lost.
    Leave(NodeId),
    /// A node's share of the ring changes.
    Weight {
        /// Its name.
        node: NodeId,
        /// Its new weight.
        weight: u32,
    },
}

/// What a change would move.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The children whose owners would be others, in the order of their hashes: the first [`Plan::MOST`].
    pub moves: Vec<Move>,
    /// How many there are in all.
    pub total: u64,
}

impl Plan {
    /// How many moves are listed at the most.
    pub const MOST: usize = 4_096;
}

/// One child whose owners would be others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The child.
    pub id: ChildId,
    /// To whom it belongs.
    pub from: Vec<NodeId>,
    /// To whom it would belong. Fewer than before, or none, where it would wait for a node or for the load balancer.
    pub to: Vec<NodeId>,
}
