//! The events a hub tells its users: the names of the reference, as types.

use alloc::vec::Vec;

use smol_str::SmolStr;

use crate::id::{ChildId, Member, NodeId, Pid, Token};
use crate::request::ChildFailure;

/// Which way the view of a hub changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopologyChange {
    /// A member came.
    NodeUp,
    /// A member went.
    NodeDown,
}

/// Something that happened in a hub on this node. Each is told once a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HookEvent {
    /// A member is about to enter the view.
    PreNodeJoin {
        /// Who.
        node: Member,
    },
    /// A member has entered the view and redistribution has been planned.
    PostNodeJoin {
        /// Who.
        node: Member,
    },
    /// A member is about to go from the view.
    PreNodeLeave {
        /// Who.
        node: Member,
    },
    /// A member has gone from the view and redistribution has been planned.
    PostNodeLeave {
        /// Who.
        node: Member,
    },
    /// Children are about to be moved because of a change of the view.
    PreRedistribution {
        /// Which way it changed.
        event: TopologyChange,
        /// Whose coming or going it was.
        nodes: Vec<NodeId>,
    },
    /// All that a change of the view moves from or to this node has been set going.
    PostRedistribution {
        /// Which way it changed.
        event: TopologyChange,
        /// Whose coming or going it was.
        nodes: Vec<NodeId>,
    },
    /// A batch of children is about to be started on this node.
    PreChildrenStart {
        /// Which.
        children: Vec<ChildId>,
    },
    /// A child's start on this node came to an end.
    PostChildrenStart {
        /// Which child, its instance, and why it failed if it did.
        children: Vec<(ChildId, Option<Pid>, Option<SmolStr>)>,
    },
    /// A row of the registry appeared or changed.
    ChildRegistered {
        /// Of which child.
        id: ChildId,
        /// The instance.
        pid: Pid,
    },
    /// A row of the registry went.
    ChildUnregistered {
        /// Of which child.
        id: ChildId,
        /// The instance that ran.
        pid: Pid,
    },
    /// A restarted child has a new instance.
    ChildPidUpdated {
        /// Which child.
        id: ChildId,
        /// The new instance.
        pid: Pid,
    },
    /// This node's copies of these children were ended so that their new owners start them.
    MigrationCompleted {
        /// To which node.
        node: NodeId,
        /// Which.
        children: Vec<ChildId>,
    },
    /// This node's copy lost to another one and is ended.
    ChildSuperseded {
        /// Which child.
        id: ChildId,
        /// The losing instance.
        pid: Pid,
        /// The token of the winner, where one runs.
        winner: Option<Token>,
    },
    /// A child could not be started here; it stays declared and is tried again unless a request still waits for it.
    ChildStartFailed {
        /// Which child.
        id: ChildId,
        /// Why.
        reason: ChildFailure,
    },
    /// A child failed so often that its next restart waits until the window of its restart intensity has room again.
    RestartIntensityReached {
        /// Which child.
        id: ChildId,
    },
    /// This node is leaving the hub.
    CoordinatorShutdown {
        /// Why.
        reason: SmolStr,
    },
    /// A member speaks for this hub with another configuration and is kept out of the view.
    ConfigMismatch {
        /// Who.
        node: Member,
        /// The fields that differ: name, ours, theirs.
        fields: Vec<(SmolStr, SmolStr, SmolStr)>,
    },
    /// This node's part of the cluster has lost its quorum: its children are ended, and nothing is started or stopped.
    QuorumLost {
        /// How many members the view has.
        members: u32,
        /// How many are needed, where that is a number.
        needed: Option<u32>,
    },
    /// This node's part of the cluster has its quorum (again): what belongs here is started.
    QuorumRegained {
        /// How many members the view has.
        members: u32,
    },
    /// A member was not admitted: with one name more two quorums need no member in common.
    JoinerRefused {
        /// Who.
        node: Member,
        /// How many names there are already.
        names: u32,
    },
}

impl HookEvent {
    /// The event's key, as the reference spells it.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            HookEvent::PreNodeJoin { .. } => "pre_node_join",
            HookEvent::PostNodeJoin { .. } => "post_node_join",
            HookEvent::PreNodeLeave { .. } => "pre_node_leave",
            HookEvent::PostNodeLeave { .. } => "post_node_leave",
            HookEvent::PreRedistribution { .. } => "pre_redistribution",
            HookEvent::PostRedistribution { .. } => "post_redistribution",
            HookEvent::PreChildrenStart { .. } => "pre_children_start",
            HookEvent::PostChildrenStart { .. } => "post_children_start",
            HookEvent::ChildRegistered { .. } => "child_registered",
            HookEvent::ChildUnregistered { .. } => "child_unregistered",
            HookEvent::ChildPidUpdated { .. } => "child_pid_updated",
            HookEvent::MigrationCompleted { .. } => "migration_completed",
            HookEvent::ChildSuperseded { .. } => "child_superseded",
            HookEvent::ChildStartFailed { .. } => "child_start_failed",
            HookEvent::RestartIntensityReached { .. } => "restart_intensity_reached",
            HookEvent::CoordinatorShutdown { .. } => "coordinator_shutdown",
            HookEvent::ConfigMismatch { .. } => "config_mismatch",
            HookEvent::QuorumLost { .. } => "quorum_lost",
            HookEvent::QuorumRegained { .. } => "quorum_regained",
            HookEvent::JoinerRefused { .. } => "joiner_refused",
        }
    }
}
