//! What a hub remembers of its cluster for the sake of its quorum, and how nodes join what each of them remembers.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::{Boot, Member, NodeId};
use crate::message::Known;
use crate::time::Time;

/// What is remembered. Two nodes' memories are joined by the maximum; only an operator's reset, which is a new *epoch*,
/// makes anything smaller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    known: Known,
    /// Every name that was ever a member, in this epoch.
    names: BTreeSet<NodeId>,
    /// Names that were lost, and when.
    lost: BTreeMap<NodeId, Time>,
    /// The lives in which they were lost.
    lost_lives: BTreeMap<NodeId, Boot>,
}

impl Memory {
    pub(crate) fn new(size: u32) -> Self {
        Self { known: Known { size, ..Known::default() }, ..Self::default() }
    }

    pub(crate) fn known(&self) -> Known {
        self.known
    }

    pub(crate) fn names(&self) -> &BTreeSet<NodeId> {
        &self.names
    }

    /// Takes over what another node knows. True if anything of it was new.
    pub(crate) fn join(&mut self, theirs: Known) -> bool {
        let before = self.known;
        if theirs.epoch > before.epoch {
            (self.known.epoch, self.known.size) = (theirs.epoch, theirs.size);
            self.names.clear();
            self.lost.clear();
            self.lost_lives.clear();
        } else if theirs.epoch == before.epoch {
            self.known.size = before.size.max(theirs.size);
        }
        self.known.lineage = before.lineage.max(theirs.lineage);
        self.known.ballot = before.ballot.max(theirs.ballot.min(super::tokens::MOST));
        self.known != before
    }

    /// Takes over the names that another node knows from this epoch, as long as there is room for them.
    pub(crate) fn join_names<'a>(&mut self, epoch: u32, names: impl IntoIterator<Item = &'a NodeId>, most: usize) {
        for name in names {
            if epoch == self.known.epoch && self.names.len() < most {
                self.names.insert(name.clone());
            }
        }
    }

    /// A name became a member.
    pub(crate) fn admit(&mut self, name: &NodeId) {
        self.names.insert(name.clone());
        self.lost.remove(name);
        self.lost_lives.remove(name);
    }

    /// The cluster is known to be this large at least.
    pub(crate) fn grow(&mut self, size: u32) {
        self.known.size = self.known.size.max(size);
    }

    /// A ballot is in use from here on.
    pub(crate) fn record(&mut self, ballot: u64) {
        self.known.ballot = self.known.ballot.max(ballot.min(super::tokens::MOST));
    }

    /// Tokens begin anew, above all that anybody may have handed out.
    pub(crate) fn begin_lineage(&mut self) {
        self.known.lineage = self.known.lineage.saturating_add(1);
    }

    /// An earlier life of this node, or of all, knew of this lineage.
    pub(crate) fn continue_lineage(&mut self, lineage: u32) {
        self.known.lineage = self.known.lineage.max(lineage);
    }

    /// An operator has said how large the cluster is: all else is forgotten.
    pub(crate) fn reset(&mut self, size: u32) {
        self.known.epoch = self.known.epoch.saturating_add(1);
        self.known.size = size;
        self.begin_lineage();
        self.names.clear();
        self.lost.clear();
        self.lost_lives.clear();
    }

    /// A member was lost.
    pub(crate) fn lose(&mut self, name: &NodeId, at: Time) {
        let last = self.lost.entry(name.clone()).or_insert(at);
        *last = at.max(*last);
    }

    /// The life in which a member was lost.
    pub(crate) fn lose_life(&mut self, member: &Member) {
        self.lost_lives.insert(member.node.clone(), member.boot);
    }

    /// The members that were lost and have not come back, sorted by name.
    pub(crate) fn lost_members(&self) -> Vec<Member> {
        self.lost_lives.iter().map(|(node, boot)| Member { node: node.clone(), boot: *boot }).collect()
    }

    /// How many names were lost within this span.
    pub(crate) fn lost(&self, now: Time, within: Duration) -> u32 {
        u32::try_from(self.lost.values().filter(|at| **at + within > now).count()).unwrap_or(u32::MAX)
    }

    /// Forgets losses that are older than this.
    pub(crate) fn age(&mut self, now: Time, within: Duration) {
        self.lost.retain(|_, at| *at + within > now);
    }

    /// When the next loss is old enough to be forgotten.
    pub(crate) fn ages_at(&self, within: Duration) -> Option<Time> {
        self.lost.values().min().map(|at| *at + within)
    }

    /// The losses, with how long ago each was.
    pub(crate) fn losses(&self, now: Time) -> impl Iterator<Item = (&NodeId, Duration)> {
        self.lost.iter().map(move |(name, at)| (name, now.since(*at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    #[test]
    fn sizes_join_by_the_maximum_and_a_reset_outdoes_them() {
        let (mut one, mut other) = (Memory::new(3), Memory::new(1));
        other.grow(5);
        assert!(one.join(other.known()) && !one.join(other.known()));
        assert_eq!(one.known().size, 5);
        one.admit(&node("a"));
        one.reset(2);
        assert_eq!((one.known().size, one.known().epoch, one.known().lineage), (2, 1, 1));
        assert!(!one.join(other.known()), "what was known before the reset counts no more");
        assert!(other.join(one.known()));
        assert_eq!(other.known().size, 2);
        assert!(one.names().is_empty());
    }

    #[test]
    fn joining_commutes() {
        let all: alloc::vec::Vec<Known> = (0..27)
            .map(|at| Known { epoch: at % 3, size: at / 3 % 3, lineage: at / 9, ballot: u64::from(26 - at) })
            .collect();
        for one in &all {
            for other in &all {
                let joined = |first: &Known, second: &Known| {
                    let mut memory = Memory { known: *first, ..Memory::default() };
                    memory.join(*second);
                    memory.known()
                };
                assert_eq!(joined(one, other), joined(other, one));
                assert_eq!(joined(one, one), *one);
            }
        }
    }

    #[test]
    fn losses_age_by_themselves() {
        let (mut memory, window) = (Memory::new(0), Duration::from_secs(30));
        memory.lose(&node("a"), Time::from_millis(1_000));
        memory.lose(&node("b"), Time::from_millis(2_000));
        memory.lose(&node("a"), Time::from_millis(500));
        assert_eq!(memory.lost(Time::from_millis(30_999), window), 2);
        assert_eq!(memory.lost(Time::from_millis(31_000), window), 1);
        assert_eq!(memory.ages_at(window), Some(Time::from_millis(31_000)));
        memory.admit(&node("b"));
        assert_eq!(memory.lost(Time::from_millis(2_000), window), 1);
        memory.age(Time::from_millis(31_000), window);
        assert_eq!(memory.ages_at(window), None);
    }

    #[test]
    fn names_of_another_epoch_or_beyond_the_most_are_not_taken_over() {
        let mut memory = Memory::new(0);
        let names = [node("a"), node("b"), node("c")];
        memory.join_names(0, &names, 2);
        assert_eq!(memory.names().len(), 2);
        memory.reset(0);
        memory.join_names(0, &names, 9);
        assert!(memory.names().is_empty());
    }
}
