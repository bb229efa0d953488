//! The names that take part in a hub, each in its newest life, and who has acknowledged what was seen of older ones: what a
//! node must know before it may forget which starts of a gone life it has seen, one by one (`docs/ALGORITHM.md`, 3).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::hashing::stable_hash;
use crate::id::{Boot, Member, NodeId};
use crate::message::WireLife;

/// What is known of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Life {
    /// The boot of its newest life.
    pub(crate) boot: Boot,
    /// The boot in the starts that this life mints.
    pub(crate) mints: Boot,
    /// An operator has said that this life is over, and that nothing of it will come back.
    pub(crate) forgotten: bool,
}

impl Life {
    /// Whether a life that mints with `boot` is over.
    pub(crate) fn is_past(&self, boot: Boot) -> bool {
        if self.forgotten { boot <= self.mints.max(self.boot) } else { boot < self.mints }
    }
}

/// Acknowledgements of what was seen of the gone lives of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Acks {
    /// Which lives of all names the acknowledging knew, and what of this name's they had seen.
    of: (u64, u64),
    by: BTreeSet<NodeId>,
}

/// The names, and the acknowledgements under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Lives {
    names: BTreeMap<NodeId, Life>,
    print: u64,
    acks: BTreeMap<NodeId, Acks>,
}

/// Names that are remembered at the most; beyond, nothing is compacted.
const MAX_NAMES: usize = 4_096;

fn print(node: &NodeId, life: &Life) -> u64 {
    let mut text: Vec<u8> = Vec::with_capacity(node.as_str().len() + 17);
    text.extend_from_slice(&life.boot.0.to_le_bytes());
    text.extend_from_slice(&life.mints.0.to_le_bytes());
    text.push(u8::from(life.forgotten));
    text.extend_from_slice(node.as_str().as_bytes());
    stable_hash(&text)
}

fn told((node, life): (&NodeId, &Life)) -> WireLife {
    let Life { boot, mints, forgotten } = *life;
    WireLife { member: Member { node: node.clone(), boot }, mints, forgotten }
}

impl Lives {
    /// A member is met, or heard of: its life replaces an earlier one of its name.
    pub(crate) fn meet(&mut self, node: &NodeId, met: Life) {
        let known = self.names.get(node).copied();
        let life = match known {
            Some(known) if known.boot > met.boot => return,
            Some(known) if known.boot == met.boot => {
                Life { mints: known.mints.max(met.mints), forgotten: known.forgotten || met.forgotten, ..met }
            }
            None if self.names.len() >= MAX_NAMES => return,
            _ => met,
        };
        if known == Some(life) {
            return;
        }
        let before = known.map_or(0, |known| print(node, &known));
        self.print = self.print.wrapping_sub(before).wrapping_add(print(node, &life));
        self.names.insert(node.clone(), life);
    }

    /// An operator says that a name's last life is over for good. `None` if the name is not known.
    pub(crate) fn forget(&mut self, node: &NodeId) -> Option<Life> {
        let life = Life { forgotten: true, ..*self.names.get(node)? };
        self.meet(node, life);
        Some(life)
    }

    pub(crate) fn get(&self, node: &NodeId) -> Option<&Life> {
        self.names.get(node)
    }

    /// Whether what this member says counts no more: a later life of its name is known, or its own is forgotten.
    pub(crate) fn is_past(&self, member: &Member) -> bool {
        self.names
            .get(&member.node)
            .is_some_and(|life| life.boot > member.boot || (life.forgotten && life.boot == member.boot))
    }

    /// What is known of the name of a member whose life is over.
    pub(crate) fn past(&self, member: &Member) -> Option<WireLife> {
        let life = self.names.get(&member.node).filter(|_| self.is_past(member))?;
        Some(told((&member.node, life)))
    }

    /// One number over all of them: equal on two nodes that know of the same lives.
    pub(crate) fn print(&self) -> u64 {
        self.print
    }

    /// All of them, for another node.
    pub(crate) fn told(&self) -> Vec<WireLife> {
        self.names.iter().map(told).collect()
    }

    /// A member has seen the same (`seen`) of the gone lives of `node` as this node, and knows of the same lives.
    pub(crate) fn acknowledge(&mut self, node: &NodeId, seen: u64, by: &NodeId) {
        let of = (self.print, seen);
        let acks = self.acks.entry(node.clone()).or_default();
        if acks.of != of {
            *acks = Acks { of, by: BTreeSet::new() };
        }
        acks.by.insert(by.clone());
    }

    /// Whether every other name that is not forgotten has acknowledged that.
    pub(crate) fn is_acknowledged(&self, me: &NodeId, node: &NodeId, seen: u64) -> bool {
        let acks = self.acks.get(node).filter(|acks| acks.of == (self.print, seen));
        let mut others = self.names.iter().filter(|(name, life)| *name != me && !life.forgotten);
        others.all(|(name, _)| acks.is_some_and(|acks| acks.by.contains(name)))
    }

    /// The gone lives of `node` need no acknowledgement any more.
    pub(crate) fn settled(&mut self, node: &NodeId) {
        self.acks.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn life(boot: u64, mints: u64) -> Life {
        Life { boot: Boot(boot), mints: Boot(mints), forgotten: false }
    }

    #[test]
    fn lives_are_joined_in_any_order() {
        let told = [("a", life(1, 1)), ("a", life(3, 2)), ("a", life(3, 3)), ("b", life(5, 5))];
        let of = |order: &[usize]| {
            let mut lives = Lives::default();
            order.iter().for_each(|at| lives.meet(&node(told[*at].0), told[*at].1));
            lives
        };
        let straight = of(&[0, 1, 2, 3]);
        assert_eq!(of(&[3, 2, 0, 1, 2]), straight);
        assert_eq!(straight.get(&node("a")), Some(&life(3, 3)));
    }

    #[test]
    fn a_forgotten_life_is_past_and_a_later_one_is_not() {
        let mut lives = Lives::default();
        lives.meet(&node("a"), life(3, 2));
        assert!(lives.forget(&node("b")).is_none());
        assert!(lives.forget(&node("a")).is_some_and(|life| life.is_past(Boot(3))));
        let member = |boot| Member { node: node("a"), boot: Boot(boot) };
        assert!(lives.is_past(&member(3)));
        assert!(!lives.is_past(&member(4)));
        lives.meet(&node("a"), life(4, 4));
        assert!(!lives.is_past(&member(4)));
        assert!(lives.get(&node("a")).is_some_and(|life| life.is_past(Boot(3)) && !life.is_past(Boot(4))));
    }

    #[test]
    fn all_have_acknowledged_when_they_have_seen_the_same_and_know_the_same_lives() {
        let mut lives = Lives::default();
        for name in ["a", "b", "c"] {
            lives.meet(&node(name), life(1, 1));
        }
        let all_have = |lives: &mut Lives, seen: u64, by: &str| {
            lives.acknowledge(&node("c"), seen, &node(by));
            lives.is_acknowledged(&node("a"), &node("c"), seen)
        };
        assert!(!all_have(&mut lives, 7, "b"));
        assert!(!all_have(&mut lives, 8, "c"), "b has acknowledged something else");
        assert!(all_have(&mut lives, 8, "b"));
        lives.meet(&node("c"), life(2, 2));
        assert!(!all_have(&mut lives, 8, "c"), "b did not know of the new life of c");
        assert!(lives.forget(&node("b")).is_some());
        assert!(all_have(&mut lives, 8, "c"), "b need not acknowledge any more");
    }
}
