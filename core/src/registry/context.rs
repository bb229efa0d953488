//! Which starts have been seen, whatever became of them: one number a life of a node, and the few beyond a gap. Of lives
//! that are gone one number a name is left in the end.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::declared::mix;
use super::key::Dot;
use crate::id::{Boot, NodeId};

/// What stands for all starts of a life.
pub(crate) const ALL: u64 = u64::MAX;

/// A causal context over interned origins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Context {
    seen: Vec<Seen>,
    /// Of these names, all starts of lives up to and with this one.
    closed: BTreeMap<NodeId, Boot>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Seen {
    upto: u64,
    beyond: BTreeSet<u64>,
}

impl Seen {
    fn covers(&self, counter: u64) -> bool {
        counter <= self.upto || self.beyond.contains(&counter)
    }

    fn is_empty(&self) -> bool {
        self.upto == 0 && self.beyond.is_empty()
    }

    fn insert(&mut self, counter: u64) {
        if counter <= self.upto {
            return;
        }
        if counter == self.upto + 1 {
            self.upto = counter;
            self.close_gap();
        } else {
            self.beyond.insert(counter);
        }
    }

    fn raise(&mut self, upto: u64) {
        if upto > self.upto {
            self.upto = upto;
            self.beyond = self.beyond.split_off(&upto.saturating_add(1));
            self.close_gap();
        }
    }

    fn close_gap(&mut self) {
        while let Some(next) = self.upto.checked_add(1) {
            if !self.beyond.remove(&next) {
                break;
            }
            self.upto = next;
        }
    }
}

impl Context {
    pub(crate) fn covers(&self, dot: Dot) -> bool {
        self.seen.get(usize::from(dot.origin())).is_some_and(|seen| seen.covers(dot.counter()))
    }

    pub(crate) fn insert(&mut self, dot: Dot) {
        self.slot(dot.origin()).insert(dot.counter());
    }

    /// Adds all starts of `origin` up to and with `upto`.
    pub(crate) fn raise(&mut self, origin: u16, upto: u64) {
        self.slot(origin).raise(upto);
    }

    /// The last life of a name of which all starts are taken to be seen, with all before it.
    pub(crate) fn closed(&self, node: &NodeId) -> Option<Boot> {
        self.closed.get(node).copied()
    }

    /// All such names.
    pub(crate) fn all_closed(&self) -> impl Iterator<Item = (&NodeId, Boot)> {
        self.closed.iter().map(|(node, boot)| (node, *boot))
    }

    /// Takes note of one. Whoever interns origins raises those that are covered by it.
    pub(crate) fn close(&mut self, node: &NodeId, upto: Boot) {
        let closed = self.closed.entry(node.clone()).or_insert(upto);
        *closed = upto.max(*closed);
    }

    /// An origin's index is given to another.
    pub(crate) fn clear(&mut self, origin: u16) {
        *self.slot(origin) = Seen::default();
    }

    /// Adds all that `other` has seen of the lives that it tells one by one.
    pub(crate) fn join(&mut self, other: &Context) {
        for (origin, seen) in (0u16..).zip(&other.seen) {
            if !seen.is_empty() {
                let slot = self.slot(origin);
                slot.raise(seen.upto);
                for &counter in &seen.beyond {
                    slot.insert(counter);
                }
            }
        }
    }

    /// What was seen of each origin that is not closed: its index, the contiguous part, and what lies beyond.
    /// One number over all that was seen, by this node's indices.
    pub(crate) fn print(&self) -> u64 {
        let closed = self.closed.values().fold(0, |print, boot| mix(print ^ boot.0));
        let seen = |print, (origin, upto, beyond): (u16, u64, &BTreeSet<u64>)| {
            mix(print ^ mix(u64::from(origin) ^ mix(upto ^ mix(beyond.len() as u64))))
        };
        self.iter().fold(closed, seen)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, u64, &BTreeSet<u64>)> {
        (0u16..)
            .zip(&self.seen)
            .filter(|(_, seen)| !seen.is_empty() && seen.upto != ALL)
            .map(|(origin, seen)| (origin, seen.upto, &seen.beyond))
    }

    /// The contiguous part and what lies beyond of one origin.
    pub(crate) fn of(&self, origin: u16) -> Option<(u64, &BTreeSet<u64>)> {
        self.seen.get(usize::from(origin)).map(|seen| (seen.upto, &seen.beyond))
    }

    fn slot(&mut self, origin: u16) -> &mut Seen {
        let at = usize::from(origin);
        if self.seen.len() <= at {
            self.seen.resize_with(at + 1, Seen::default);
        }
        &mut self.seen[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_close_in_any_order() {
        let mut context = Context::default();
        for counter in [3, 1, 5, 2] {
            context.insert(Dot::new(1, counter));
        }
        let seen: Vec<_> = context.iter().map(|(o, upto, beyond)| (o, upto, beyond.len())).collect();
        assert_eq!(seen, [(1, 3, 1)]);
        assert!(context.covers(Dot::new(1, 5)));
        assert!(!context.covers(Dot::new(1, 4)));
        assert!(!context.covers(Dot::new(0, 1)));
        context.raise(1, 4);
        assert_eq!(context.iter().next().map(|(_, upto, _)| upto), Some(5));
    }

    #[test]
    fn join_is_the_union() {
        let (mut a, mut b) = (Context::default(), Context::default());
        for counter in [1, 2, 7] {
            a.insert(Dot::new(0, counter));
        }
        for counter in [3, 4, 9] {
            b.insert(Dot::new(0, counter));
        }
        a.join(&b);
        let seen: Vec<_> = a.iter().map(|(_, upto, beyond)| (upto, beyond.clone())).collect();
        assert_eq!(seen, [(4, BTreeSet::from([7, 9]))]);
    }
}
