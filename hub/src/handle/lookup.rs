//! What lookups answer: what was found, and whether it may be out of date.

use std::ops::Deref;
use std::sync::Arc;
use std::{slice, vec};

use process_hub_core::id::{ChildId, Pid};
use process_hub_core::registry::Placement;
use process_hub_core::spec::ChildSpec;

/// What a node knows of one child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChildLookup {
    /// Its recipe, metadata included. `None` where it is no longer declared and a copy still ends.
    pub spec: Option<Arc<ChildSpec>>,
    /// Its running copies on members of the view, the active one first.
    pub placements: Vec<Placement>,
    /// Whether the hub was locked while this was read, so that all of it may be out of date.
    pub stale: bool,
}

/// Children that run, with their copies, sorted by name. It is used like a slice of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChildList {
    /// Each child, and its copies, the active one first.
    pub children: Vec<(ChildId, Vec<Pid>)>,
    /// Whether the hub was locked while this was read, so that all of it may be out of date.
    pub stale: bool,
}

impl Deref for ChildList {
    type Target = [(ChildId, Vec<Pid>)];

    fn deref(&self) -> &Self::Target {
        &self.children
    }
}

impl IntoIterator for ChildList {
    type Item = (ChildId, Vec<Pid>);
    type IntoIter = vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.children.into_iter()
    }
}

impl<'a> IntoIterator for &'a ChildList {
    type Item = &'a (ChildId, Vec<Pid>);
    type IntoIter = slice::Iter<'a, (ChildId, Vec<Pid>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.children.iter()
    }
}
