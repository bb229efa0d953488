//! Steering under way: children that operators move, and this node's drain.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::{NodeId, RequestId};
use crate::message::Assignment;
use crate::registry::{Dot, Key};
use crate::time::Time;

/// How far the move of a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// All members are being told that it is about to be moved: nobody starts a copy that others have not heard of.
    Holding,
    /// It was given to its new node.
    Given,
}

/// A child on its way to the node that an operator chose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Moving {
    pub(crate) caller: RequestId,
    pub(crate) key: Key,
    pub(crate) dot: Dot,
    pub(crate) to: NodeId,
    pub(crate) stage: Stage,
    /// What this node has written last.
    pub(crate) wrote: Assignment,
    /// The number of that change.
    pub(crate) op: u64,
    pub(crate) deadline: Time,
}

/// Steering under way on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Moves {
    pub(crate) moving: Vec<Moving>,
    /// Who waits for this node to be drained, until when.
    pub(crate) draining: Vec<(RequestId, Time)>,
}

impl Moves {
    pub(crate) fn deadline(&self) -> Option<Time> {
        let moving = self.moving.iter().map(|moving| moving.deadline);
        moving.chain(self.draining.iter().map(|(_, deadline)| *deadline)).min()
    }

    pub(crate) fn len(&self) -> usize {
        self.moving.len() + self.draining.len()
    }
}

/// How long a node is remembered for a child that was stopped there, and how long a child whose former owner was
/// another waits at its new one: until all members have heard of the stop, in a cluster that is whole.
pub(crate) const FORMER: Duration = Duration::from_millis(300);

/// Children that are remembered so.
const MOST: usize = 4_096;

/// The nodes of children that were stopped a moment ago. A child of that name that is started again goes to the same:
/// one node carries out both in order, where two might overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Former {
    nodes: BTreeMap<Key, (Time, Vec<NodeId>)>,
    order: VecDeque<(Time, Key)>,
}

impl Former {
    pub(crate) fn remember(&mut self, key: &Key, nodes: Vec<NodeId>, now: Time) {
        self.forget(now);
        let until = now + FORMER;
        self.nodes.insert(key.clone(), (until, nodes));
        self.order.push_back((until, key.clone()));
    }

    /// The nodes that a child of this name was given to a moment ago.
    pub(crate) fn nodes(&self, key: &Key, now: Time) -> &[NodeId] {
        self.nodes.get(key).filter(|(until, _)| *until > now).map_or(&[], |(_, nodes)| nodes)
    }

    fn forget(&mut self, now: Time) {
        while self.order.len() >= MOST || self.order.front().is_some_and(|(until, _)| *until <= now) {
            let Some((until, key)) = self.order.pop_front() else { return };
            if self.nodes.get(&key).is_some_and(|(newest, _)| *newest == until) {
                self.nodes.remove(&key);
            }
        }
    }
}
