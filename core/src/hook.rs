//! The events a hub tells its users: the names of the reference, as types.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use smol_str::SmolStr;

use crate::id::{ChildId, Member, NodeId, Pid, Token};
use crate::request::ChildFailure;
use crate::spec::{ChildSpec, Role};

/// Which way the view of a hub changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopologyChange {
    /// A member came.
    NodeUp,
    /// A member went.
    NodeDown,
}

/// How the start of one child on this node came out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StartedChild {
    /// Which child.
    pub id: ChildId,
    /// The recipe, metadata included, as it was declared; `None` if the child was stopped meanwhile.
    pub spec: Option<Arc<ChildSpec>>,
    /// Its instance, or why there is none.
    pub outcome: Result<Pid, SmolStr>,
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
    /// Starts of children on this node came to an end. Told as each of them does: a batch does not wait for its slowest.
    PostChildrenStart {
        /// Which, and how.
        children: Vec<StartedChild>,
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
    /// A child that ended by itself has a new instance on its node. Told on every node.
    ChildPidUpdated {
        /// Which child.
        id: ChildId,
        /// The new instance.
        pid: Pid,
    },
    /// This node's copies of these children are about to be ended, because they belong to another node now.
    PreChildrenRedistribution {
        /// Which way the view changed; `None` if it is not because of a change of the view.
        event: Option<TopologyChange>,
        /// Whose they are.
        node: NodeId,
        /// Which.
        children: Vec<ChildId>,
    },
    /// These children were to be started here, and were passed on before they were up: they belong to another node by
    /// now.
    ChildrenForwarded {
        /// Whose they are.
        node: NodeId,
        /// Which.
        children: Vec<ChildId>,
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
    /// The state of these children, which ran on this node, has been taken over by their new copies.
    HandoverDelivered {
        /// Where they run now.
        node: NodeId,
        /// Which.
        children: Vec<ChildId>,
    },
    /// A child should move away from this node and does not yet.
    MigrationDeferred {
        /// Which child.
        id: ChildId,
        /// Where to.
        node: NodeId,
        /// Why not yet.
        reason: SmolStr,
    },
    /// A move of a child was given up: it goes on where it was, and is tried again.
    MigrationFailed {
        /// Which child.
        id: ChildId,
        /// Where to.
        node: NodeId,
        /// Why.
        reason: SmolStr,
    },
    /// A copy of a child plays another part from here on.
    ChildRoleChanged {
        /// Of which child.
        id: ChildId,
        /// Which copy.
        pid: Pid,
        /// What it is now.
        role: Role,
    },
    /// The load of the members was scored anew.
    ScoreboardUpdated {
        /// By whom.
        node: NodeId,
        /// Each member's score: 0 idle, 1,000 full.
        scoreboard: Vec<(NodeId, u32)>,
    },
    /// This node is leaving the hub, or its node is shut down.
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
    /// An operator has forgotten this node while it was away: until it is started anew, others do not listen to it.
    NameForgotten {
        /// Who says so.
        by: NodeId,
    },
}

/// What a hook is about: the sorts of [`HookEvent`], and the one hook that can change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HookKind {
    /// A member is about to enter the view.
    PreNodeJoin,
    /// A member has entered the view.
    PostNodeJoin,
    /// A member is about to go from the view.
    PreNodeLeave,
    /// A member has gone from the view.
    PostNodeLeave,
    /// Children are about to be moved because of a change of the view.
    PreRedistribution,
    /// What a change of the view moves here has been set going.
    PostRedistribution,
    /// Children are about to move away from this node.
    PreChildrenRedistribution,
    /// Children are about to be started on this node.
    PreChildrenStart,
    /// What an instance is started with may be altered. No event: see [`crate::Effect::Alter`].
    ChildDataAlter,
    /// Starts of children on this node came to an end.
    PostChildrenStart,
    /// A row of the registry appeared or changed.
    ChildRegistered,
    /// A row of the registry went.
    ChildUnregistered,
    /// A restarted child has a new instance.
    ChildPidUpdated,
    /// Children that were to be started here were passed on.
    ChildrenForwarded,
    /// Children of this node were ended so that others start them.
    MigrationCompleted,
    /// A child should move and does not yet.
    MigrationDeferred,
    /// A move of a child was given up.
    MigrationFailed,
    /// State of children was taken over by their new copies.
    HandoverDelivered,
    /// A copy plays another part.
    ChildRoleChanged,
    /// A copy lost to another one.
    ChildSuperseded,
    /// A child could not be started here.
    ChildStartFailed,
    /// A child failed so often that its next restart waits.
    RestartIntensityReached,
    /// The load of the members was scored anew.
    ScoreboardUpdated,
    /// The hub has lost its quorum.
    QuorumLost,
    /// The hub has its quorum again.
    QuorumRegained,
    /// A member was not admitted.
    JoinerRefused,
    /// This node was forgotten while it was away.
    NameForgotten,
    /// A member speaks for this hub with another configuration.
    ConfigMismatch,
    /// This node is leaving the hub.
    CoordinatorShutdown,
}

impl HookKind {
    /// All of them.
    pub const ALL: &[HookKind] = &[
        HookKind::PreNodeJoin,
        HookKind::PostNodeJoin,
        HookKind::PreNodeLeave,
        HookKind::PostNodeLeave,
        HookKind::PreRedistribution,
        HookKind::PostRedistribution,
        HookKind::PreChildrenRedistribution,
        HookKind::PreChildrenStart,
        HookKind::ChildDataAlter,
        HookKind::PostChildrenStart,
        HookKind::ChildRegistered,
        HookKind::ChildUnregistered,
        HookKind::ChildPidUpdated,
        HookKind::ChildrenForwarded,
        HookKind::MigrationCompleted,
        HookKind::MigrationDeferred,
        HookKind::MigrationFailed,
        HookKind::HandoverDelivered,
        HookKind::ChildRoleChanged,
        HookKind::ChildSuperseded,
        HookKind::ChildStartFailed,
        HookKind::RestartIntensityReached,
        HookKind::ScoreboardUpdated,
        HookKind::QuorumLost,
        HookKind::QuorumRegained,
        HookKind::JoinerRefused,
        HookKind::NameForgotten,
        HookKind::ConfigMismatch,
        HookKind::CoordinatorShutdown,
    ];

    /// Its key, as the reference spells it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            HookKind::PreNodeJoin => "pre_node_join",
            HookKind::PostNodeJoin => "post_node_join",
            HookKind::PreNodeLeave => "pre_node_leave",
            HookKind::PostNodeLeave => "post_node_leave",
            HookKind::PreRedistribution => "pre_redistribution",
            HookKind::PostRedistribution => "post_redistribution",
            HookKind::PreChildrenRedistribution => "pre_children_redistribution",
            HookKind::PreChildrenStart => "pre_children_start",
            HookKind::ChildDataAlter => "child_data_alter",
            HookKind::PostChildrenStart => "post_children_start",
            HookKind::ChildRegistered => "child_registered",
            HookKind::ChildUnregistered => "child_unregistered",
            HookKind::ChildPidUpdated => "child_pid_updated",
            HookKind::ChildrenForwarded => "children_forwarded",
            HookKind::MigrationCompleted => "migration_completed",
            HookKind::MigrationDeferred => "migration_deferred",
            HookKind::MigrationFailed => "migration_failed",
            HookKind::HandoverDelivered => "handover_delivered",
            HookKind::ChildRoleChanged => "child_role_changed",
            HookKind::ChildSuperseded => "child_superseded",
            HookKind::ChildStartFailed => "child_start_failed",
            HookKind::RestartIntensityReached => "restart_intensity_reached",
            HookKind::ScoreboardUpdated => "scoreboard_updated",
            HookKind::QuorumLost => "quorum_lost",
            HookKind::QuorumRegained => "quorum_regained",
            HookKind::JoinerRefused => "joiner_refused",
            HookKind::NameForgotten => "name_forgotten",
            HookKind::ConfigMismatch => "config_mismatch",
            HookKind::CoordinatorShutdown => "coordinator_shutdown",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// There is no hook of this name. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no hook `{0}`: see the documentation of HookKind for the names")]
pub struct UnknownHook(pub SmolStr);

impl FromStr for HookKind {
    type Err = UnknownHook;

    fn from_str(key: &str) -> Result<Self, UnknownHook> {
        HookKind::ALL.iter().copied().find(|kind| kind.key() == key).ok_or_else(|| UnknownHook(SmolStr::new(key)))
    }
}

impl HookEvent {
    /// What it is about.
    #[must_use]
    pub fn kind(&self) -> HookKind {
        match self {
            HookEvent::PreNodeJoin { .. } => HookKind::PreNodeJoin,
            HookEvent::PostNodeJoin { .. } => HookKind::PostNodeJoin,
            HookEvent::PreNodeLeave { .. } => HookKind::PreNodeLeave,
            HookEvent::PostNodeLeave { .. } => HookKind::PostNodeLeave,
            HookEvent::PreRedistribution { .. } => HookKind::PreRedistribution,
            HookEvent::PostRedistribution { .. } => HookKind::PostRedistribution,
            HookEvent::PreChildrenRedistribution { .. } => HookKind::PreChildrenRedistribution,
            HookEvent::PreChildrenStart { .. } => HookKind::PreChildrenStart,
            HookEvent::PostChildrenStart { .. } => HookKind::PostChildrenStart,
            HookEvent::ChildRegistered { .. } => HookKind::ChildRegistered,
            HookEvent::ChildUnregistered { .. } => HookKind::ChildUnregistered,
            HookEvent::ChildPidUpdated { .. } => HookKind::ChildPidUpdated,
            HookEvent::ChildrenForwarded { .. } => HookKind::ChildrenForwarded,
            HookEvent::MigrationCompleted { .. } => HookKind::MigrationCompleted,
            HookEvent::MigrationDeferred { .. } => HookKind::MigrationDeferred,
            HookEvent::MigrationFailed { .. } => HookKind::MigrationFailed,
            HookEvent::HandoverDelivered { .. } => HookKind::HandoverDelivered,
            HookEvent::ChildRoleChanged { .. } => HookKind::ChildRoleChanged,
            HookEvent::ChildSuperseded { .. } => HookKind::ChildSuperseded,
            HookEvent::ChildStartFailed { .. } => HookKind::ChildStartFailed,
            HookEvent::RestartIntensityReached { .. } => HookKind::RestartIntensityReached,
            HookEvent::ScoreboardUpdated { .. } => HookKind::ScoreboardUpdated,
            HookEvent::QuorumLost { .. } => HookKind::QuorumLost,
            HookEvent::QuorumRegained { .. } => HookKind::QuorumRegained,
            HookEvent::JoinerRefused { .. } => HookKind::JoinerRefused,
            HookEvent::NameForgotten { .. } => HookKind::NameForgotten,
            HookEvent::ConfigMismatch { .. } => HookKind::ConfigMismatch,
            HookEvent::CoordinatorShutdown { .. } => HookKind::CoordinatorShutdown,
        }
    }

    /// The event's key, as the reference spells it.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.kind().key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_and_found_by_its_key() {
        for (at, kind) in HookKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, at);
            assert_eq!(kind.key().parse::<HookKind>().as_ref(), Ok(kind));
        }
        assert_eq!("pre_lunch".parse::<HookKind>(), Err(UnknownHook("pre_lunch".into())));
    }
}
