//! Steering under way: children that operators move, and this node's drain.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::{Member, NodeId, RequestId};
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
    pub(crate) deadline: Time,
}

/// A child that is held, or was a moment ago, and who has said so behind all that it had told before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hold {
    wrote: Assignment,
    pub(crate) agreed: BTreeSet<Member>,
    /// When this node heard of it first.
    pub(crate) since: Time,
    /// What came of it was known here before: nothing waits for it.
    pub(crate) over: bool,
}

/// How long a hold is remembered: beyond the longest that a move of a child waits for its members, as a rule.
const HELD: Duration = Duration::from_secs(60);

/// Children that are, or a moment ago were, about to be given to other nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Holds(BTreeMap<(Key, Dot), Hold>);

impl Holds {
    /// Forgets those that nobody can wait for any more.
    pub(crate) fn prune(&mut self, now: Time) {
        self.0.retain(|_, hold| hold.since + HELD > now);
    }

    /// A child is held, by the word of `from`, if it is another's: one that is `over` is only remembered.
    pub(crate) fn told(
        &mut self,
        key: &Key,
        dot: Dot,
        wrote: &Assignment,
        from: Option<&Member>,
        over: bool,
        now: Time,
    ) {
        self.prune(now);
        if self.0.len() >= MOST && !self.0.contains_key(&(key.clone(), dot)) {
            return;
        }
        let fresh = || Hold { wrote: wrote.clone(), agreed: BTreeSet::new(), since: now, over };
        let hold = self.0.entry((key.clone(), dot)).or_insert_with(fresh);
        if hold.wrote < *wrote {
            *hold = fresh();
        }
        if hold.wrote == *wrote {
            hold.agreed.extend(from.cloned());
        }
    }

    /// A start is declared no more: what held it is over.
    pub(crate) fn forget(&mut self, key: &Key, dot: Dot) {
        self.0.remove(&(key.clone(), dot));
    }

    /// Forgets holds of starts that are no more: they must not outlive them, since what an origin is known by here is given
    /// to another life later.
    pub(crate) fn retain(&mut self, is_known: impl Fn(&Key, Dot) -> bool) {
        self.0.retain(|(key, dot), _| is_known(key, *dot));
    }

    /// The hold of a start, if it is this one and remembered.
    pub(crate) fn of(&self, key: &Key, dot: Dot, wrote: impl FnOnce(&Assignment) -> bool) -> Option<&Hold> {
        self.0.get(&(key.clone(), dot)).filter(|hold| wrote(&hold.wrote))
    }

    /// All of them, to be told again.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, Dot, &Assignment)> {
        self.0.iter().map(|((key, dot), hold)| (key, *dot, &hold.wrote))
    }
}

/// Steering under way on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Moves {
    pub(crate) moving: Vec<Moving>,
    pub(crate) holds: Holds,
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

/// Holds that are remembered.
const MOST: usize = 4_096;
