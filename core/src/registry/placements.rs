//! Placements: who runs what, each row written by its host alone and filtered by readers.

use alloc::vec::Vec;
use core::ops::Bound;

use super::{Dot, Key, Placement, RangeStart, Record, Registry};
use crate::config::limits;
use crate::id::{Boot, ChildId, Member, NodeId, Pid, Token};
use crate::message::RowState;
use crate::spec::Role;

/// The index of a host: one stream of rows of one member. A member that comes back gets a new one.
pub(crate) type HostIx = u32;

/// This node's own rows.
pub(crate) const ME: HostIx = 0;

/// One stream of rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    /// Whose rows.
    pub(crate) member: Member,
    /// The boot in that host's pids: the one its life began with.
    minted: Boot,
    /// Whether readers see its rows.
    visible: bool,
    /// How many rows there are, to know when a sweep is done.
    rows: usize,
}

impl Host {
    pub(crate) fn new(member: Member, minted: Boot) -> Self {
        Self { member, minted, visible: true, rows: 0 }
    }
}

/// One host's claim to run a child. Its fields are in an order that leaves no holes: there is one a child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) sequence: u64,
    pub(crate) token: u64,
    dot: Dot,
    pub(crate) host: HostIx,
    pub(crate) lineage: u32,
    pub(crate) role: Role,
    pub(crate) state: RowState,
    /// Whether the other members were told (own rows only).
    pub(crate) published: bool,
}

impl Row {
    /// A host's claim to carry out a start with this instance; nobody was told of it.
    pub(crate) fn new(host: HostIx, dot: Dot, sequence: u64, lineage: u32, token: u64) -> Self {
        let (role, state) = (Role::Active, RowState::Starting);
        Self { sequence, token, dot, host, lineage, role, state, published: false }
    }

    /// Whether this is what the same life of a node has said of the child later than `other`.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        self.sequence > other.sequence
            || (self.sequence == other.sequence && self.lineage == other.lineage && self.token > other.token)
    }

    /// The start that it carries out.
    pub(crate) fn dot(&self) -> Dot {
        self.dot
    }
}

impl Registry {
    /// Room for the rows of a member's new stream.
    pub(crate) fn add_host(&mut self, member: Member, minted: Boot) -> HostIx {
        let host = Host::new(member, minted);
        // A retired host whose rows are all swept leaves its index to the next.
        let free = (1..self.hosts.len()).find(|&at| !self.hosts[at].visible && self.hosts[at].rows == 0);
        let at = free.unwrap_or(self.hosts.len());
        if at == self.hosts.len() {
            self.hosts.push(host);
        } else {
            self.hosts[at] = host;
        }
        HostIx::try_from(at).unwrap_or(HostIx::MAX)
    }

    /// This node has another boot from now on; its pids keep the one they were minted in.
    pub(crate) fn rename_me(&mut self, me: Member) {
        self.hosts[ME as usize].member = me;
    }

    /// From now on nobody sees that host's rows. They are swept later, or overwritten.
    pub(crate) fn retire(&mut self, host: HostIx) {
        self.hosts[host as usize].visible = false;
    }

    /// The lives, as pids name them, whose instances [`Registry::lookup`] can answer with.
    pub fn shown(&self) -> impl Iterator<Item = Member> {
        let shown = self.hosts.iter().filter(|host| host.visible);
        shown.map(|host| Member { node: host.member.node.clone(), boot: host.minted })
    }

    pub(crate) fn is_visible(&self, host: HostIx) -> bool {
        #[cfg(feature = "sabotage")]
        if self.shows_gone {
            return true;
        }
        self.hosts[host as usize].visible
    }

    pub(crate) fn host(&self, host: HostIx) -> &Host {
        &self.hosts[host as usize]
    }

    /// How many rows that host has, retired or not.
    pub(crate) fn rows_of(&self, host: HostIx) -> usize {
        self.hosts[host as usize].rows
    }

    /// Whether one more row of another host's is within its quota, or in place of another. Hosts keep to [`limits::ROWS`]
    /// themselves; that a batch tells of new rows before those that are gone takes none of it.
    pub(crate) fn has_room_for_row(&self, host: HostIx, id: &ChildId) -> bool {
        self.rows_of(host) < limits::ROWS + limits::BATCH
            || self.record(&Key::new(id)).is_some_and(|record| record.rows().iter().any(|row| row.host == host))
    }

    /// As if that host had so many rows.
    #[cfg(test)]
    pub(crate) fn pretend_rows(&mut self, host: HostIx, rows: usize) {
        self.hosts[host as usize].rows = rows;
    }

    /// Puts a row in place of what its host claimed for that child before, and says what that was.
    pub(crate) fn put_row(&mut self, key: &Key, row: Row) -> Option<Row> {
        let host = row.host as usize;
        self.origins.carry(row.dot);
        let before = self.edit(key, |record| match record.rows.iter_mut().find(|old| old.host == row.host) {
            Some(old) => Some(core::mem::replace(old, row)),
            None => {
                record.rows.push(row);
                None
            }
        });
        match &before {
            Some(before) => self.origins.drop_one(before.dot),
            None => self.hosts[host].rows += 1,
        }
        before
    }

    /// Removes a host's row for a child, if it is for that instance (or any, when none is named).
    pub(crate) fn take_row(&mut self, key: &Key, host: HostIx, sequence: Option<u64>) -> Option<Row> {
        let wanted = |row: &Row| row.host == host && sequence.is_none_or(|sequence| sequence == row.sequence);
        let taken = self.edit(key, |record| record.rows.take(wanted));
        if let Some(row) = &taken {
            self.hosts[host as usize].rows -= 1;
            self.origins.drop_one(row.dot);
        }
        taken
    }

    /// Changes this node's own row for a child.
    pub(crate) fn edit_mine(&mut self, key: &Key, change: impl FnOnce(&mut Row)) {
        if let Some(row) =
            self.records.get_mut(key).and_then(|record| record.rows.iter_mut().find(|row| row.host == ME))
        {
            change(row);
        }
    }

    /// Takes the rows of retired hosts out of up to `most` records from `from` to the hash `to`. Returns them, each with
    /// what `ask` says of its record and its node, and where to go on (`None` at the end of the range).
    pub(crate) fn sweep(
        &mut self,
        from: &RangeStart,
        to: u64,
        most: usize,
        ask: impl Fn(&Key, &Record, &NodeId) -> bool,
    ) -> (Vec<(Key, Row, bool)>, Option<Key>) {
        let (mut taken, mut resume, mut empty) = (Vec::new(), None, Vec::new());
        let records = self.records.range_mut((from.bound(), Bound::Unbounded));
        for (count, (key, record)) in records.take_while(|(key, _)| key.hash <= to).enumerate() {
            while let Some(row) = record.rows.take(|row| !self.hosts[row.host as usize].visible) {
                let host = &mut self.hosts[row.host as usize];
                host.rows -= 1;
                self.origins.drop_one(row.dot);
                let asked = ask(key, record, &host.member.node);
                taken.push((key.clone(), row, asked));
            }
            if record.is_empty() {
                empty.push(key.clone());
            }
            if count + 1 == most {
                resume = Some(key.clone());
                break;
            }
        }
        for key in empty {
            self.records.remove(&key);
        }
        (taken, resume)
    }

    /// Whose row it is.
    pub(crate) fn node_of(&self, row: &Row) -> &NodeId {
        &self.host(row.host).member.node
    }

    pub(crate) fn pid(&self, row: &Row) -> Pid {
        let host = self.host(row.host);
        Pid { node: host.member.node.clone(), boot: host.minted, sequence: row.sequence }
    }

    pub(crate) fn token(&self, row: &Row) -> Token {
        let host = self.host(row.host);
        Token { lineage: row.lineage, counter: row.token, node: host.member.node.clone(), boot: host.minted }
    }

    pub(super) fn placement(&self, row: &Row) -> Placement {
        Placement { pid: self.pid(row), role: row.role, token: self.token(row) }
    }
}

impl Record {
    /// The claims of other hosts that readers see.
    pub(crate) fn theirs<'a>(&'a self, registry: &'a Registry) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(|row| row.host != ME && registry.is_visible(row.host))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Whoever claims to run more children than there may be cannot fill the memory of others; what it has said before may change.
    #[test]
    fn rows_beyond_a_hosts_quota_are_not_taken() {
        let member = |node: &str| Member { node: NodeId::new(node).unwrap(), boot: Boot(1) };
        let mut registry = Registry::new(member("n1"), Boot(1));
        let host = registry.add_host(member("n2"), Boot(1));
        let [known, new] = ["known", "new"].map(|id| ChildId::new(id).unwrap());
        let dot = registry.origin(&member("n2")).map(|origin| Dot::new(origin, 1)).unwrap();
        registry.put_row(&Key::new(&known), Row::new(host, dot, 1, 0, 1));
        assert!(registry.has_room_for_row(host, &new));
        registry.pretend_rows(host, limits::ROWS + limits::BATCH);
        assert!(!registry.has_room_for_row(host, &new));
        assert!(registry.has_room_for_row(host, &known));
        let other = registry.add_host(member("n3"), Boot(1));
        assert!(registry.has_room_for_row(other, &new));
    }
}
