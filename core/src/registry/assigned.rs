//! Assignments: which nodes a start was given to, where that is no pure function of its id.
//!
//! A register attached to a start's dot: it is written by many, the highest wins, and it dies with its dot, so that no
//! assignment can bring back a child that was stopped.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::declared::mix;
use super::{Context, Dot, Key, Registry};
use crate::hashing::stable_hash;
use crate::id::NodeId;
use crate::message::Assignment;
use crate::time::Time;

/// What became of an assignment that was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assigned {
    /// It holds now.
    Taken,
    /// One that was known outranks it, or it is known already.
    Outranked,
    /// Its start has yet to arrive: it is kept until then.
    Early,
    /// Its start was removed.
    Gone,
}

/// Assignments of starts that have not arrived yet: what comes by way of one member can be ahead of what comes by way
/// of another. Beyond so many they are dropped; a comparison brings them later.
const MAX_EARLY: usize = 4_096;

/// Assignments that are ahead of their starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Early(BTreeMap<Dot, Given>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Given {
    key: Key,
    assignment: Assignment,
    /// When it was heard of first.
    since: Time,
}

impl Early {
    fn keep(&mut self, key: &Key, dot: Dot, assignment: Assignment, now: Time) {
        let full = self.0.len() >= MAX_EARLY;
        match self.0.get_mut(&dot) {
            Some(given) if given.key == *key && given.assignment < assignment => given.assignment = assignment,
            Some(_) => {}
            None if full => {}
            None => {
                self.0.insert(dot, Given { key: key.clone(), assignment, since: now });
            }
        }
    }

    /// Takes out the one of a start of this child.
    pub(super) fn take(&mut self, key: &Key, dot: Dot) -> Option<Assignment> {
        if self.0.is_empty() {
            return None;
        }
        self.0.remove(&dot).filter(|given| given.key == *key).map(|given| given.assignment)
    }

    /// Drops those of starts of this origin.
    pub(super) fn forget(&mut self, origin: u16) {
        self.0.retain(|dot, _| dot.origin() != origin);
    }

    /// Drops those of starts that are known to have been removed.
    pub(super) fn prune(&mut self, seen: &Context) {
        self.0.retain(|dot, _| !seen.covers(*dot));
    }
}

impl Registry {
    /// The assignment of a start that is declared.
    pub(crate) fn assignment(&self, key: &Key, dot: Dot) -> Option<&Assignment> {
        self.records.get(key)?.starts.iter().find(|start| start.dot == dot)?.assigned.as_deref()
    }

    /// The starts of a child that were given to nodes and have yet to arrive, by whom, and since when that is known here.
    pub(crate) fn early(&self, key: &Key) -> impl Iterator<Item = (Dot, &NodeId, Time)> {
        let early = self.early.0.iter().filter(move |(_, given)| given.key == *key);
        early.map(|(dot, given)| (*dot, &given.assignment.by, given.since))
    }

    /// Whether one start of a child goes before another.
    pub(crate) fn is_before(&self, one: Dot, other: Dot) -> bool {
        self.rank(one) < self.rank(other)
    }

    /// Takes an assignment, in whatever order and how often they come.
    pub(crate) fn assign(&mut self, key: &Key, dot: Dot, assignment: Assignment, now: Time) -> Assigned {
        let Some(start) = self.records.get(key).and_then(|record| record.starts.iter().find(|start| start.dot == dot))
        else {
            if self.seen.covers(dot) {
                return Assigned::Gone;
            }
            self.early.keep(key, dot, assignment, now);
            return Assigned::Early;
        };
        if start.assigned.as_deref().is_some_and(|known| *known >= assignment) {
            return Assigned::Outranked;
        }
        self.exceptions += usize::from(!start.is_exception());
        self.toggle(key, dot, false);
        self.edit(key, |record| {
            if let Some(start) = record.starts.iter_mut().find(|start| start.dot == dot) {
                start.assigned = Some(Box::new(assignment));
            }
        });
        self.toggle(key, dot, true);
        Assigned::Taken
    }

    /// What an assignment adds to the digest of its start; nothing where there is none.
    pub(super) fn assigned_print(&self, key: &Key, dot: Dot) -> u64 {
        self.assignment(key, dot).map_or(0, print)
    }
}

fn print(assignment: &Assignment) -> u64 {
    let mut text: Vec<u8> = Vec::new();
    text.extend_from_slice(&assignment.version.to_le_bytes());
    text.push(u8::from(assignment.held));
    for name in core::iter::once(&assignment.by).chain(&assignment.nodes) {
        text.extend_from_slice(name.as_str().as_bytes());
        text.push(0);
    }
    mix(stable_hash(&text))
}
