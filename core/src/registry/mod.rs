//! What should exist, and what runs where.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{ChildId, Pid, Token};
use crate::spec::{ChildSpec, Role};

/// What is known of one child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lookup {
    /// Its recipe. `None` where it is no longer declared and a copy still ends.
    pub spec: Option<Arc<ChildSpec>>,
    /// Its running copies on members of the view, the active one first.
    pub placements: Vec<Placement>,
}

/// One running copy of a child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Placement {
    /// The instance, and with it the node.
    pub pid: Pid,
    /// The part it plays.
    pub role: Role,
    /// Its ownership token.
    pub token: Token,
}

/// The declared set and the placements, as this node knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Registry {}

impl Registry {
    /// What is known of a child; `None` when it is neither declared nor running.
    #[must_use]
    pub fn lookup(&self, id: &ChildId) -> Option<Lookup> {
        let _ = id;
        None
    }

    /// Every child that is declared or running, in the order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = (&ChildId, Lookup)> {
        core::iter::empty()
    }

    /// How many children are declared.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// Whether no child is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One number over all that is declared: equal on two nodes that agree.
    #[must_use]
    pub fn declared_digest(&self) -> u64 {
        0
    }
}
