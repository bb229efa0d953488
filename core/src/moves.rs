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
    /// When this node said so last.
    said: Time,
    /// It was given or let go a while ago: nothing waits for it any more. It is kept so as to be known when it comes back.
    pub(crate) over: bool,
}

impl Hold {
    fn is_fresh(&self, now: Time) -> bool {
        !self.over || self.said + HELD > now
    }
}

/// How long a hold that was given or let go is waited for, and told to whoever comes: beyond any way that it takes.
const HELD: Duration = Duration::from_secs(60);

/// Children that are, or a moment ago were, about to be given to other nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Holds(BTreeMap<(Key, Dot), Hold>);

impl Holds {
    /// Nobody waits any more for those that have come to an end a while ago.
    pub(crate) fn age(&mut self, now: Time, is_held: impl Fn(&Key, Dot, &Assignment) -> bool) {
        for ((key, dot), hold) in &mut self.0 {
            hold.over |= hold.said + HELD <= now && !is_held(key, *dot, &hold.wrote);
        }
    }

    /// A child is held, by the word of `from`, if it is another's. False if this node has said so itself of late.
    pub(crate) fn told(&mut self, key: &Key, dot: Dot, wrote: &Assignment, from: Option<&Member>, now: Time) -> bool {
        if self.0.len() >= MOST && !self.0.contains_key(&(key.clone(), dot)) {
            let Some(over) = self.0.iter().find(|(_, hold)| hold.over).map(|(at, _)| at.clone()) else { return false };
            self.0.remove(&over);
        }
        let fresh = || Hold { wrote: wrote.clone(), agreed: BTreeSet::new(), since: now, said: now, over: false };
        let mut news = false;
        let hold = self.0.entry((key.clone(), dot)).or_insert_with(|| {
            news = true;
            fresh()
        });
        if hold.wrote < *wrote {
            *hold = fresh();
            news = true;
        }
        if hold.wrote != *wrote {
            return false;
        }
        hold.agreed.extend(from.cloned());
        news |= !hold.is_fresh(now);
        if news {
            hold.said = now;
        }
        news
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

    /// Those that whoever comes is told of.
    pub(crate) fn fresh(&self, now: Time) -> impl Iterator<Item = (&Key, Dot, &Assignment)> {
        self.0.iter().filter(move |(_, hold)| hold.is_fresh(now)).map(|((key, dot), hold)| (key, *dot, &hold.wrote))
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
