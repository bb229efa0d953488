//! Starts of one child that may belong to different nodes: those that were removed a while ago, and what waits here until every
//! member knows which of them is to be carried out.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::NodeId;
use crate::message::Assignment;
use crate::registry::{Context, Dot, Key, Start};
use crate::time::Time;

/// How long a removed start is remembered: until a member that has not
/// heard of its removal is no member any more; less where all are known to have heard.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How long a child that is started again goes to the nodes it was given to before: one node carries out both in order.
pub(crate) const FORMER: Duration = Duration::from_millis(300);

/// Removed starts that are remembered.
const MOST: usize = 4_096;

/// A start that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Removed {
    pub(crate) dot: Dot,
    /// What it was, unless its removal was heard of before it.
    pub(crate) start: Option<Start>,
    at: Time,
}

/// Starts that were removed a while ago: somebody who has not heard of that may carry them out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Former {
    starts: BTreeMap<Key, Vec<Removed>>,
    order: VecDeque<(Time, Key)>,
}

impl Former {
    /// A start was removed; `None` if it has yet to arrive, or is told only now.
    pub(crate) fn remember(&mut self, key: &Key, dot: Dot, start: Option<Start>, now: Time) {
        if let Some(removed) = self.find(key, dot) {
            removed.start = removed.start.take().or(start);
            return;
        }
        if self.order.len() >= MOST {
            self.forget_first();
        }
        self.starts.entry(key.clone()).or_default().push(Removed { dot, start, at: now });
        self.order.push_back((now, key.clone()));
    }

    fn find(&mut self, key: &Key, dot: Dot) -> Option<&mut Removed> {
        self.starts.get_mut(key)?.iter_mut().find(|removed| removed.dot == dot)
    }

    /// The removed starts of a child.
    pub(crate) fn of(&self, key: &Key) -> impl Iterator<Item = &Removed> {
        self.starts.get(key).into_iter().flatten()
    }

    /// The nodes that a child of this name was given to a moment ago.
    pub(crate) fn nodes(&self, key: &Key, now: Time) -> impl Iterator<Item = &NodeId> {
        let recent = self.starts.get(key).into_iter().flatten().filter(move |removed| removed.at + FORMER > now);
        recent.filter_map(|removed| removed.start.as_ref()?.assigned.as_deref()).flat_map(|assigned| &assigned.nodes)
    }

    /// A removed start was given to nodes, as is heard of only now.
    pub(crate) fn assigned(&mut self, key: &Key, dot: Dot, assignment: Assignment) {
        let Some(start) = self.find(key, dot).and_then(|removed| removed.start.as_mut()) else { return };
        if start.assigned.as_deref().is_none_or(|known| *known < assignment) {
            start.assigned = Some(assignment.into());
        }
    }

    /// Forgets starts whose names may be given to others.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(Dot) -> bool) {
        self.starts.retain(|_, removed| {
            removed.retain(|removed| is_kept(removed.dot));
            !removed.is_empty()
        });
    }

    /// Whether a member that has seen this much has seen all that was removed before `at`.
    pub(crate) fn all_seen(&self, at: Time, seen: &Context) -> bool {
        let mut removed = self.starts.values().flatten().filter(|removed| removed.at < at);
        removed.all(|removed| seen.covers(removed.dot))
    }

    pub(crate) fn is_any_before(&self, at: Time) -> bool {
        self.order.front().is_some_and(|(first, _)| *first < at)
    }

    /// Forgets what was removed before `known`, of which nothing is to come any more, and what is too old to matter.
    pub(crate) fn forget(&mut self, known: Time, now: Time) {
        while self.order.front().is_some_and(|(at, _)| *at < known || *at + REMEMBERED <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((at, key)) = self.order.pop_front() else { return };
        let Some(removed) = self.starts.get_mut(&key) else { return };
        removed.retain(|removed| removed.at > at);
        if removed.is_empty() {
            self.starts.remove(&key);
        }
    }
}

/// What all members are being told, or know, of one child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Word {
    /// The start that is to be carried out,
    winner: Dot,
    /// and not these.
    others: Vec<Dot>,
    /// This node's change that says so.
    op: u64,
}

/// Children of which all members are told which start is to be carried out, before this node does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Words {
    words: BTreeMap<Key, Word>,
    /// Those that not all members are known to have, by this node's change.
    waiting: BTreeMap<u64, Key>,
}

impl Words {
    /// Whether all members know that this start is to be carried out and none of the others.
    pub(crate) fn are_known(&self, key: &Key, winner: Dot, others: &[Dot]) -> bool {
        self.has(key, winner, others).is_some_and(|word| !self.waiting.contains_key(&word.op))
    }

    /// Whether they know or are being told.
    pub(crate) fn are_told(&self, key: &Key, winner: Dot, others: &[Dot]) -> bool {
        self.has(key, winner, others).is_some()
    }

    fn has(&self, key: &Key, winner: Dot, others: &[Dot]) -> Option<&Word> {
        let said = |word: &&Word| word.winner == winner && others.iter().all(|dot| word.others.contains(dot));
        self.words.get(key).filter(said)
    }

    /// They are told, by this change.
    pub(crate) fn tell(&mut self, key: &Key, winner: Dot, others: Vec<Dot>, op: u64) {
        self.forget(key);
        self.waiting.insert(op, key.clone());
        self.words.insert(key.clone(), Word { winner, others, op });
    }

    /// The oldest change that not all are known to have.
    pub(crate) fn first(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|(op, _)| *op)
    }

    /// All have this change.
    pub(crate) fn known(&mut self, op: u64) -> Option<Key> {
        self.waiting.remove(&op)
    }

    pub(crate) fn forget(&mut self, key: &Key) {
        if let Some(word) = self.words.remove(key) {
            self.waiting.remove(&word.op);
        }
    }

    /// What some have yet to be told: of each child the start to be carried out, and the others.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Key, Dot, &[Dot])> {
        let of = |key| self.words.get(key).map(|word| (key, word.winner, &word.others[..]));
        self.waiting.values().filter_map(of)
    }

    /// Forgets starts whose names may be given to others.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(Dot) -> bool) {
        for word in self.words.values_mut() {
            word.others.retain(|dot| is_kept(*dot));
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::*;
    use crate::id::{ChildId, Kind};
    use crate::spec::ChildSpec;

    fn start(counter: u64) -> (Key, Dot, Option<Start>) {
        let id = ChildId::new("c").unwrap();
        let spec = Arc::new(ChildSpec::new(id.clone(), Kind::new("k").unwrap(), Vec::new()));
        let dot = Dot::new(0, counter);
        (Key::new(&id), dot, Some(Start { dot, spec, assigned: None }))
    }

    fn seen(upto: u64) -> Context {
        let mut seen = Context::default();
        seen.raise(0, upto);
        seen
    }

    #[test]
    fn a_removed_start_is_remembered_until_all_have_seen_it_or_a_minute_has_passed() {
        let mut former = Former::default();
        let ((key, one, _), (_, other, told)) = (start(1), start(2));
        former.remember(&key, one, None, Time(10));
        former.remember(&key, other, None, Time(20));
        former.remember(&key, other, told.clone(), Time(25));
        assert_eq!(former.of(&key).map(|removed| removed.start.clone()).collect::<Vec<_>>(), [None, told]);
        assert!(former.all_seen(Time(20), &seen(1)) && !former.all_seen(Time(21), &seen(1)));
        former.forget(Time(20), Time(30));
        assert_eq!(former.of(&key).map(|removed| removed.dot.counter()).collect::<Vec<_>>(), [2]);
        former.forget(Time(20), Time(20) + REMEMBERED);
        assert_eq!(former, Former::default());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut former = Former::default();
        for counter in 1..=MOST as u64 + 5 {
            let (key, dot, start) = start(counter);
            former.remember(&key, dot, start, Time(counter));
        }
        let (key, ..) = start(1);
        assert_eq!(former.of(&key).count(), MOST);
        former.retain(|dot| dot.counter() > MOST as u64);
        assert_eq!(former.of(&key).count(), 5);
    }

    #[test]
    fn what_is_known_is_known_of_this_start_against_these_others() {
        let mut words = Words::default();
        let (key, ..) = start(1);
        let dots = [Dot::new(0, 1), Dot::new(0, 2), Dot::new(1, 1)];
        words.tell(&key, dots[0], Vec::from([dots[1]]), 7);
        assert!(words.are_told(&key, dots[0], &dots[1..2]) && !words.are_known(&key, dots[0], &dots[1..2]));
        assert_eq!((words.first(), words.waiting().count()), (Some(7), 1));
        assert_eq!(words.known(7), Some(key.clone()));
        assert!(words.are_known(&key, dots[0], &dots[1..2]) && words.first().is_none());
        assert!(!words.are_told(&key, dots[0], &dots[1..]) && !words.are_told(&key, dots[1], &[]));
        words.forget(&key);
        assert_eq!(words, Words::default());
    }
}
