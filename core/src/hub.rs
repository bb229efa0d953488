//! A hub: one named group of nodes and its children, as seen by one node.

use alloc::vec::Vec;

use crate::config::HubConfig;
use crate::id::{ChildId, Member, NodeId};
use crate::message::Phase;
use crate::registry::Registry;

/// One named group of nodes and its children, as seen by one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hub {
    config: HubConfig,
    registry: Registry,
}

impl Hub {
    /// What it was told at its start.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// What is declared and what runs where. Read-only.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The members of the installed view, this node included, sorted.
    #[must_use]
    pub fn view(&self) -> Vec<Member> {
        Vec::new()
    }

    /// The hash of the installed view: equal on two nodes exactly if their views are.
    #[must_use]
    pub fn view_hash(&self) -> u64 {
        0
    }

    /// Whether every member of the view has said that it has installed it, and nothing is left to move, start or stop
    /// here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        true
    }

    /// How far this node is with the hub.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::Ready
    }

    /// The node that a child of this name belongs to in the installed view; `None` when nobody can own anything.
    #[must_use]
    pub fn owner(&self, id: &ChildId) -> Option<&NodeId> {
        let _ = id;
        None
    }

    /// The instances of this node that are starting, running or stopping: child and sequence, sorted by child hash.
    pub fn local(&self) -> impl Iterator<Item = (&ChildId, u64)> {
        core::iter::empty()
    }

    /// Requests and calls of this node's callers that are open.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        0
    }
}
