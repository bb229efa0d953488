//! The lives of nodes that starts, rows and contexts refer to, each by a small index, and what becomes of those that are
//! gone: once all have seen the same of them, one number a name stands for them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::context::ALL;
use super::{Context, Dot, Key, Registry};
use crate::hashing::stable_hash;
use crate::id::{Boot, Member, NodeId};

/// Lives of nodes that a registry remembers at the most; beyond, messages that name new ones are refused.
const MAX_ORIGINS: usize = 60_000;

/// One life of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    member: Member,
    /// How many starts and rows carry it.
    carried: u32,
}

/// All that are known, and the indices that are free.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Origins {
    slots: Vec<Origin>,
    index: BTreeMap<Member, u16>,
    free: Vec<u16>,
}

impl Origins {
    fn add(&mut self, member: &Member) -> Option<u16> {
        let origin = Origin { member: member.clone(), carried: 0 };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[usize::from(at)] = origin;
                at
            }
            None if self.slots.len() >= MAX_ORIGINS => return None,
            None => {
                self.slots.push(origin);
                u16::try_from(self.slots.len() - 1).ok()?
            }
        };
        self.index.insert(member.clone(), at);
        Some(at)
    }

    /// The lives of a name from one to another, both included.
    fn of(&self, node: &NodeId, from: Boot, to: Boot) -> impl Iterator<Item = (Boot, u16)> {
        let member = |boot| Member { node: node.clone(), boot };
        self.index.range(member(from)..=member(to)).map(|(member, at)| (member.boot, *at))
    }

    pub(super) fn carry(&mut self, dot: Dot) {
        let carried = &mut self.slots[usize::from(dot.origin())].carried;
        *carried = carried.saturating_add(1);
    }

    pub(super) fn drop_one(&mut self, dot: Dot) {
        let carried = &mut self.slots[usize::from(dot.origin())].carried;
        *carried = carried.saturating_sub(1);
    }
}

/// One number for what was seen of a life.
pub(crate) fn print_of_seen<'a>(boot: Boot, upto: u64, beyond: impl IntoIterator<Item = &'a u64>) -> u64 {
    let mut text = Vec::with_capacity(24);
    for word in [boot.0, upto].into_iter().chain(beyond.into_iter().copied()) {
        text.extend_from_slice(&word.to_le_bytes());
    }
    stable_hash(&text)
}

impl Registry {
    /// The index of a life of a node; `None` when there are too many already.
    pub(crate) fn origin(&mut self, member: &Member) -> Option<u16> {
        if let Some(&at) = self.origins.index.get(member) {
            return Some(at);
        }
        let at = self.origins.add(member)?;
        self.seen.clear(at);
        if self.seen.closed(&member.node).is_some_and(|closed| member.boot <= closed) {
            self.seen.raise(at, ALL);
        }
        Some(at)
    }

    pub(crate) fn origin_of(&self, dot: Dot) -> &Member {
        self.origin_at(dot.origin())
    }

    pub(crate) fn origin_at(&self, origin: u16) -> &Member {
        &self.origins.slots[usize::from(origin)].member
    }

    /// How many lives of nodes are remembered.
    #[must_use]
    pub fn lives(&self) -> usize {
        self.origins.index.len()
    }

    /// Adds a peer's context: only after all that the peer had declared then was compared with ours.
    pub(crate) fn join_context(&mut self, peer: &Context) {
        self.seen.join(peer);
        for (node, upto) in peer.all_closed() {
            self.close(node, upto);
        }
        self.early.prune(&self.seen);
    }

    /// From now on all starts of these lives of a name count as seen. Those that are declared stay so.
    pub(crate) fn close(&mut self, node: &NodeId, upto: Boot) {
        self.seen.close(node, upto);
        for (_, at) in self.origins.of(node, Boot(0), upto) {
            self.seen.raise(at, ALL);
        }
        self.early.prune(&self.seen);
    }

    /// A context of another node's says that all starts of these lives count as seen there.
    pub(crate) fn close_in(&self, context: &mut Context, node: &NodeId, upto: Boot) {
        context.close(node, upto);
        for (_, at) in self.origins.of(node, Boot(0), upto) {
            context.raise(at, ALL);
        }
    }

    /// The names of which there are lives that count one by one, and that `is_past` says are over: each with the last such
    /// life, and one number over what was seen of them. Of each name the last `spared` ones do not count.
    pub(crate) fn past(&self, spared: usize, is_past: impl Fn(&Member) -> bool) -> Vec<(NodeId, Boot, u64)> {
        let one_by_one = self.origins.index.iter().filter_map(|(member, at)| {
            let (upto, beyond) = self.seen.of(*at).filter(|(upto, beyond)| *upto > 0 || !beyond.is_empty())?;
            let counts = upto != ALL && is_past(member);
            counts.then(|| (member, print_of_seen(member.boot, upto, beyond)))
        });
        let lives: Vec<(&Member, u64)> = one_by_one.collect();
        let mut past: Vec<(NodeId, Boot, u64)> = Vec::new();
        for (at, (member, print)) in lives.iter().enumerate() {
            if lives.get(at + spared).is_none_or(|(later, _)| later.node != member.node) {
                continue;
            }
            match past.last_mut().filter(|last| last.0 == member.node) {
                Some(last) => (last.1, last.2) = (member.boot, last.2.wrapping_add(*print)),
                None => past.push((member.node.clone(), member.boot, *print)),
            }
        }
        past
    }

    /// Whether all starts of the life that minted this one count as seen.
    pub(crate) fn is_closed(&self, dot: Dot) -> bool {
        let member = self.origin_of(dot);
        self.seen.closed(&member.node).is_some_and(|closed| member.boot <= closed)
    }

    /// Forgets the lives that count as seen as a whole and that nothing carries: their indices go to others. Nobody but this
    /// registry may hold a dot meanwhile.
    pub(crate) fn reclaim(&mut self) {
        let closed = |member: &Member| self.seen.closed(&member.node).is_some_and(|closed| member.boot <= closed);
        let idle = |at: u16| self.origins.slots[usize::from(at)].carried == 0;
        let gone: Vec<(Member, u16)> = self
            .origins
            .index
            .iter()
            .filter(|(member, at)| closed(member) && idle(**at))
            .map(|(member, at)| (member.clone(), *at))
            .collect();
        for (member, at) in gone {
            self.early.forget(at);
            self.seen.clear(at);
            self.origins.index.remove(&member);
            self.origins.free.push(at);
        }
    }

    /// What the life `former` has declared counts as declared by `new`, and under its former name as seen and removed.
    /// Returns what is declared, as it is called now, and the former life's index.
    pub(crate) fn rename_origin(&mut self, former: &Member, new: &Member) -> Option<(Vec<(Key, Dot)>, u16)> {
        let at = self.origins.index.remove(former)?;
        let starts = self.records.iter().flat_map(|(key, record)| record.starts.iter().map(move |start| (key, start)));
        let live: Vec<(Key, Dot)> =
            starts.filter(|(_, start)| start.dot.origin() == at).map(|(key, start)| (key.clone(), start.dot)).collect();
        live.iter().for_each(|(key, dot)| self.toggle(key, *dot, false));
        self.origins.slots[usize::from(at)].member = new.clone();
        self.origins.index.insert(new.clone(), at);
        live.iter().for_each(|(key, dot)| {
            self.toggle(key, *dot, true);
            self.rank_again(key, *dot);
        });
        let (upto, beyond) = self.seen.of(at).map(|(upto, beyond)| (upto, beyond.clone())).unwrap_or_default();
        let known_as = self.origin(former)?;
        self.seen.raise(known_as, upto);
        beyond.into_iter().for_each(|counter| self.seen.insert(Dot::new(known_as, counter)));
        Some((live, known_as))
    }

    /// Puts one of several concurrent starts where it belongs in their order, which has changed.
    fn rank_again(&mut self, key: &Key, dot: Dot) {
        let Some(record) = self.records.get_mut(key).filter(|record| record.starts.len() > 1) else { return };
        let Some(start) = record.starts.take(|start| start.dot == dot) else { return };
        let rank = |dot: Dot| (dot.counter(), &self.origins.slots[usize::from(dot.origin())].member);
        let place = record.starts.iter().filter(|other| rank(other.dot) < rank(dot)).count();
        record.starts.insert(place, start);
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::*;
    use crate::id::{ChildId, Kind};
    use crate::spec::ChildSpec;

    fn member(boot: u64) -> Member {
        Member { node: NodeId::new("n").unwrap(), boot: Boot(boot) }
    }

    fn registry() -> Registry {
        Registry::new(Member { node: NodeId::new("me").unwrap(), boot: Boot(1) }, Boot(1))
    }

    fn declare(registry: &mut Registry, by: &Member, counter: u64, id: &str) -> (Key, Dot) {
        let id = ChildId::new(id).unwrap();
        let (key, dot) = (Key::new(&id), Dot::new(registry.origin(by).unwrap(), counter));
        registry.declare(&key, dot, Arc::new(ChildSpec::new(id, Kind::new("k").unwrap(), Vec::new())));
        (key, dot)
    }

    #[test]
    fn lives_that_are_closed_take_no_room_once_nothing_carries_them() {
        let mut registry = registry();
        let (key, dot) = declare(&mut registry, &member(1), 1, "a");
        for boot in 2..200 {
            let (key, dot) = declare(&mut registry, &member(boot), 1, "b");
            registry.remove(&key, dot);
        }
        assert_eq!(registry.lives(), 199);
        let past = registry.past(0, |member| member.boot < Boot(199));
        assert_eq!(past.iter().map(|(node, boot, _)| (node.as_str(), boot.0)).collect::<Vec<_>>(), [("n", 198)]);
        assert_eq!(registry.past(3, |member| member.boot < Boot(199)).first().map(|of| of.1), Some(Boot(195)));
        assert!(registry.past(198, |member| member.boot < Boot(199)).is_empty());
        let root = registry.root();
        registry.close(&member(0).node, Boot(198));
        registry.reclaim();
        assert_eq!(registry.lives(), 2, "one is alive and one carries a start");
        assert_eq!((registry.len(), registry.root()), (1, root));
        assert_eq!(registry.past(0, |_| true).len(), 1, "the life that goes on still counts one by one");
        // What comes late of any of them is not new.
        let (late, _) = declare(&mut registry, &member(150), 7, "c");
        assert!(registry.record(&late).is_none());
        registry.remove(&key, dot);
        registry.reclaim();
        assert_eq!((registry.lives(), registry.len()), (1, 0));
    }

    #[test]
    fn starts_go_on_under_another_life() {
        let mut registry = registry();
        let (key, dot) = declare(&mut registry, &member(5), 3, "a");
        let (other, rival) = declare(&mut registry, &member(7), 3, "a");
        assert_eq!((&key, registry.record(&key).unwrap().winner().unwrap().dot), (&other, dot));
        let (live, former) = registry.rename_origin(&member(5), &member(9)).unwrap();
        assert_eq!(live, [(key.clone(), dot)]);
        assert_eq!(registry.origin_of(dot), &member(9));
        assert!(
            registry.context().covers(Dot::new(former, 3)) && !registry.record(&key).unwrap().has(Dot::new(former, 3))
        );
        assert_eq!(registry.record(&key).unwrap().winner().unwrap().dot, rival, "in the order of their new names");
        // As if it had been declared so.
        let mut straight = self::registry();
        declare(&mut straight, &member(9), 3, "a");
        declare(&mut straight, &member(7), 3, "a");
        assert_eq!(straight.root(), registry.root());
    }
}
