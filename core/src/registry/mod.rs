//! What should exist (the declared set) and what runs where (the placements): two tables with different rules, kept in
//! one ordered map because every question is about a child or a range of children.
//!
//! The declared set is a delta observed-remove map (Almeida, Shoker, Baquero: "Delta state replicated data types",
//! 2018): only a user's start mints a dot, a stop removes the dots it observed, and a causal context remembers, in one
//! number a life of a node, every dot ever seen. Placements have one writer each, their host.

mod assigned;
mod context;
mod declared;
mod few;
mod key;
mod origins;
mod placements;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::hashing::Subject;
use crate::id::{Boot, ChildId, Member, Pid, Token};
use crate::message::{Assignment, RowState};
use crate::spec::{ChildSpec, Role};

pub(crate) use assigned::Assigned;
pub(crate) use context::{ALL, Context};
pub(crate) use declared::Declared;
use few::Few;
pub(crate) use key::{Dot, Key};
pub(crate) use origins::print_of_seen;
pub(crate) use placements::{Host, HostIx, ME, Row};

/// How many buckets the digest of the declared set has.
pub(crate) const BUCKETS: usize = 1_024;

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

/// One start that is declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Start {
    pub(crate) dot: Dot,
    pub(crate) spec: Arc<ChildSpec>,
    /// Which nodes it was given to, where that is no function of its id.
    pub(crate) assigned: Option<Box<Assignment>>,
}

impl Start {
    /// Whether its owners are more than a matter of the ring.
    pub(crate) fn is_exception(&self) -> bool {
        self.assigned.is_some() || !self.spec.requires.is_empty()
    }
}

/// All that is known of one child.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    /// Concurrent starts, the winner first.
    starts: Few<Start>,
    /// Claims of hosts, retired ones included until they are swept.
    rows: Few<Row>,
}

impl Record {
    /// The start that is to be carried out.
    pub(crate) fn winner(&self) -> Option<&Start> {
        self.starts.first()
    }

    /// What decides where the child belongs, if it is declared.
    pub(crate) fn subject<'a>(&'a self, key: &Key) -> Option<Subject<'a>> {
        let start = self.winner()?;
        Some(Subject { hash: key.hash, spec: Some(&start.spec), assigned: start.assigned.as_deref() })
    }

    pub(crate) fn starts(&self) -> &[Start] {
        &self.starts
    }

    pub(crate) fn has(&self, dot: Dot) -> bool {
        self.starts.iter().any(|start| start.dot == dot)
    }

    /// This node's own claim.
    pub(crate) fn mine(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.host == ME)
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.rows.is_empty()
    }
}

/// The declared set and the placements, as this node knows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registry {
    records: BTreeMap<Key, Record>,
    origins: origins::Origins,
    seen: Context,
    early: assigned::Early,
    buckets: Vec<u64>,
    root: u64,
    declared: usize,
    /// How many starts have owners that are more than a matter of the ring.
    exceptions: usize,
    hosts: Vec<Host>,
    /// A deliberate defect: removals are forgotten.
    #[cfg(feature = "sabotage")]
    pub(crate) forgetful: bool,
    /// A deliberate defect: rows of members that are gone are shown.
    #[cfg(feature = "sabotage")]
    pub(crate) shows_gone: bool,
}

impl Registry {
    pub(crate) fn new(me: Member, minted: Boot) -> Self {
        Self {
            records: BTreeMap::new(),
            origins: origins::Origins::default(),
            seen: Context::default(),
            early: assigned::Early::default(),
            buckets: alloc::vec![0; BUCKETS],
            root: 0,
            declared: 0,
            exceptions: 0,
            hosts: alloc::vec![Host::new(me, minted)],
            #[cfg(feature = "sabotage")]
            forgetful: false,
            #[cfg(feature = "sabotage")]
            shows_gone: false,
        }
    }

    /// What is known of a child; `None` when it is neither declared nor running.
    #[must_use]
    pub fn lookup(&self, id: &ChildId) -> Option<Lookup> {
        let record = self.records.get(&Key::new(id))?;
        let lookup = self.view_of(record);
        (lookup.spec.is_some() || !lookup.placements.is_empty()).then_some(lookup)
    }

    /// Every child that is declared or running, in the order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = (&ChildId, Lookup)> {
        self.records
            .iter()
            .map(|(key, record)| (&key.id, self.view_of(record)))
            .filter(|(_, lookup)| lookup.spec.is_some() || !lookup.placements.is_empty())
    }

    /// How many children are declared.
    #[must_use]
    pub fn len(&self) -> usize {
        self.declared
    }

    /// Whether no child is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.declared == 0
    }

    /// One number over all that is declared: equal on two nodes that agree.
    #[must_use]
    pub fn declared_digest(&self) -> u64 {
        self.root()
    }

    /// Whether the owners of some child are more than a matter of the ring.
    pub(crate) fn has_exceptions(&self) -> bool {
        self.exceptions > 0
    }

    pub(crate) fn record(&self, key: &Key) -> Option<&Record> {
        self.records.get(key)
    }

    /// The records from `from` to the end of the hash `to`, in order.
    pub(crate) fn range(&self, from: &RangeStart, to: u64) -> impl Iterator<Item = (&Key, &Record)> {
        self.records.range((from.bound(), Bound::Unbounded)).take_while(move |(key, _)| key.hash <= to)
    }

    fn view_of(&self, record: &Record) -> Lookup {
        let mut placements: Vec<Placement> = record
            .rows
            .iter()
            .filter(|row| row.state == RowState::Running && self.is_visible(row.host))
            .map(|row| self.placement(row))
            .collect();
        placements.sort_by(|a, b| (a.role, &a.pid).cmp(&(b.role, &b.pid)));
        Lookup { spec: record.winner().map(|start| start.spec.clone()), placements }
    }

    /// Runs `change` on the record of `key`, made if need be and forgotten if nothing is left in it.
    fn edit<R>(&mut self, key: &Key, change: impl FnOnce(&mut Record) -> R) -> R {
        if let Some(record) = self.records.get_mut(key) {
            let result = change(record);
            if record.is_empty() {
                self.records.remove(key);
            }
            return result;
        }
        let mut record = Record::default();
        let result = change(&mut record);
        if !record.is_empty() {
            self.records.insert(key.clone(), record);
        }
        result
    }
}

/// Where a walk over the registry begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RangeStart {
    /// At the first child with this hash or a higher one.
    Hash(u64),
    /// Behind this child.
    After(Key),
}

impl RangeStart {
    fn bound(&self) -> Bound<Key> {
        match self {
            RangeStart::Hash(hash) => Bound::Included(Key { hash: *hash, id: lowest() }),
            RangeStart::After(key) => Bound::Excluded(key.clone()),
        }
    }
}

/// An id that no id is before (a space is the lowest character an id may have).
fn lowest() -> ChildId {
    #[expect(clippy::expect_used, reason = "a constant that passes the check")]
    ChildId::new(" ").expect("a valid id")
}
