//! A start of several copies is over when each of them is up or has failed.

use smallvec::SmallVec;

use super::Step;
use crate::hub::Hub;
use crate::id::{NodeId, Pid};
use crate::message::RowState;
use crate::registry::{Dot, Key, Record, Row};
use crate::request::ChildFailure;
use crate::requests::Outcome;

impl Hub {
    /// A copy is up: the request that waits for its start is told, unless it waits for more of them.
    pub(super) fn copy_is_up(&mut self, step: &mut Step<'_>, key: &Key, row: &Row) {
        if !self.config.redundancy.is_several() {
            let pid = self.registry.pid(row);
            self.resolve(row.dot(), || Outcome::Started(smallvec::smallvec![pid]));
        } else if self.awaits(row.dot()) {
            self.settle_start(step, key, row.dot());
        }
    }

    /// The owner `node` could not start a copy. The request that waits for it is told; a child of which no copy is up
    /// is not declared any more then. Says whether it was.
    pub(super) fn copy_failed(
        &mut self,
        step: &mut Step<'_>,
        key: &Key,
        dot: Dot,
        node: NodeId,
        why: ChildFailure,
    ) -> bool {
        if !self.awaits(dot) {
            return false;
        }
        if self.config.redundancy.is_several() {
            self.requests.copy_failed(dot.counter(), node, why);
            return self.settle_start(step, key, dot);
        }
        self.resolve(dot, || Outcome::Failed(Some(node), why));
        self.retract(step, key, &[dot]);
        true
    }

    /// Whether a request of this node's waits for a start.
    pub(super) fn awaits(&self, dot: Dot) -> bool {
        self.is_mine(dot) && self.requests.is_awaited(dot.counter())
    }

    /// Whether a request of this node's waits for the start that a child's owners carry out.
    pub(super) fn awaits_winner(&self, record: &Record) -> bool {
        record.winner().is_some_and(|start| self.awaits(start.dot))
    }

    /// The owners of a child may have changed: whoever waits for its copies may wait for others now, or for fewer.
    pub(super) fn recheck_start(&mut self, step: &mut Step<'_>, key: &Key) {
        let start = self.registry.record(key).and_then(|record| record.winner()).map(|start| start.dot);
        if let Some(dot) = start.filter(|dot| self.awaits(*dot)) {
            self.settle_start(step, key, dot);
        }
    }

    /// Looks whether every owner has its copy up or has failed to start it, and tells the request that waits for that.
    /// Says whether none is up, so that the child was undeclared.
    pub(super) fn settle_start(&mut self, step: &mut Step<'_>, key: &Key, dot: Dot) -> bool {
        let Some(up) = self.registry.record(key).and_then(|record| self.copies_up(record, key, dot)) else {
            return false;
        };
        if !up.is_empty() {
            self.requests.forgive(dot.counter(), &up);
            self.resolve(dot, || Outcome::Started(up));
            return false;
        }
        let first = self.requests.failed_copies(dot.counter()).first().cloned();
        let (node, why) = first.map_or((None, ChildFailure::NotFound), |(node, why)| (Some(node), why));
        self.resolve(dot, || Outcome::Failed(node, why));
        self.retract(step, key, &[dot]);
        true
    }

    /// The copies of a start that are up, in the order of the owners; `None` while some owner has neither its copy up
    /// nor failed to start it, or nobody owns the child.
    fn copies_up(&self, record: &Record, key: &Key, dot: Dot) -> Option<SmallVec<[Pid; 1]>> {
        record.winner().filter(|start| start.dot == dot)?;
        let owners = self.view.owners(&record.subject(key)?);
        let failed = self.requests.failed_copies(dot.counter());
        let mut up = SmallVec::new();
        for owner in &owners {
            let serves = |row: &&Row| {
                row.state == RowState::Running
                    && row.dot() == dot
                    && self.registry.is_visible(row.host)
                    && self.registry.node_of(row) == *owner
            };
            match record.rows().iter().find(serves) {
                Some(row) => up.push(self.registry.pid(row)),
                None if failed.iter().any(|(node, _)| node == *owner) => {}
                None => return None,
            }
        }
        (!owners.is_empty()).then_some(up)
    }
}
