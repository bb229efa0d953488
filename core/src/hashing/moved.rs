//! What a change of the ring moves.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::ring::{Ring, index_of, last_hash};

/// A range of hashes whose owner differs, by name, between two rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MovedRange {
    /// The first hash.
    pub from: u64,
    /// The last hash.
    pub to: u64,
    /// Who owned it: an index into the old ring's nodes.
    pub old: Option<usize>,
    /// Who owns it now: an index into the new ring's nodes.
    pub new: Option<usize>,
}

/// The ranges whose owner differs between two rings: ascending, none touching another with the same old and new owner,
/// all there are. A range around the end of the hash space comes as two. Linear in the number of points.
#[must_use]
pub fn moved(old: &Ring, new: &Ring) -> Vec<MovedRange> {
    if old == new {
        return Vec::new();
    }
    let renamed = renamed(old, new);
    let (mut before, mut after) = (Arcs::new(old), Arcs::new(new));
    let mut ranges: Vec<MovedRange> = Vec::new();
    let mut from = 0;
    loop {
        let to = before.to.min(after.to);
        let kept = match (before.owner, after.owner) {
            (Some(old), Some(new)) => renamed[old] == Some(new),
            (None, None) => true,
            _ => false,
        };
        if !kept {
            match ranges.last_mut() {
                Some(last)
                    if last.old == before.owner && last.new == after.owner && last.to.wrapping_add(1) == from =>
                {
                    last.to = to;
                }
                _ => ranges.push(MovedRange { from, to, old: before.owner, new: after.owner }),
            }
        }
        let Some(next) = to.checked_add(1) else { return ranges };
        from = next;
        before.pass(to);
        after.pass(to);
    }
}

/// Owners a child beyond which [`moved_owners`] compares rings as wholes: looking at so many for every point would cost
/// more than looking at every child.
const MANY_OWNERS: usize = 8;

/// The ranges in which the first `was` owners by the old ring are not, name by name and in this order, the first `is` by
/// the new one: ascending, none touching another. With one owner a child these are the ranges of [`moved`]; with more
/// than a few, or with as many as there are nodes with a weight, it is all or nothing.
#[must_use]
pub fn moved_owners(old: &Ring, was: usize, new: &Ring, is: usize) -> Vec<(u64, u64)> {
    if old == new && was == is {
        return Vec::new();
    }
    if was == 1 && is == 1 {
        return of_few(old, new).unwrap_or_else(|| of_all(old, new));
    }
    if was != is || is > MANY_OWNERS || is >= new.owning() || was >= old.owning() {
        return alloc::vec![(0, u64::MAX)];
    }
    let renamed = renamed(old, new);
    let (mut before, mut after) = (Walk::new(old), Walk::new(new));
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut from = 0;
    loop {
        let to = before.to().min(after.to());
        let (old, new) = (before.first(was), after.first(is));
        if !old.iter().map(|old| renamed[*old]).eq(new.iter().map(|new| Some(*new))) {
            ranges.push((from, to));
        }
        let Some(next) = to.checked_add(1) else { return join(ranges) };
        from = next;
        before.pass(to);
        after.pass(to);
    }
}

fn of_all(old: &Ring, new: &Ring) -> Vec<(u64, u64)> {
    join(moved(old, new).into_iter().map(|range| (range.from, range.to)))
}

/// Nodes that come and go, up to which [`of_few`] looks at them one by one.
const FEW: usize = 4;

/// The same as [`of_all`] where few nodes come and go and no weight changes: what those who went owned, and what those who
/// came own. Whatever else there is belongs to the same as before, since between two points of nodes that stay there are
/// no others.
fn of_few(old: &Ring, new: &Ring) -> Option<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    let mut changed = 0;
    for (here, there) in [(old, new), (new, old)] {
        for node in here.nodes().iter().filter(|node| there.weight(node) != here.weight(node)) {
            changed += 1;
            if changed > FEW || there.weight(node).is_some() {
                return None;
            }
            ranges.extend(here.arcs(node));
        }
    }
    ranges.sort_unstable();
    Some(join(ranges))
}

/// Makes ranges that touch or overlap, and are in the order of their beginnings, one.
fn join(ranges: impl IntoIterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, to) in ranges {
        match joined.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = to.max(last.1),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// A place on a ring, going upwards from hash 0: a point, and with it all that follow.
struct Walk<'a> {
    points: &'a [u64],
    at: usize,
}

impl<'a> Walk<'a> {
    fn new(ring: &'a Ring) -> Self {
        Walk { points: ring.points(), at: 0 }
    }

    /// The last hash that this place is for.
    fn to(&self) -> u64 {
        self.points.get(self.at).map_or(u64::MAX, |point| last_hash(*point))
    }

    /// Goes on to the place that the hash after `hash` is at.
    fn pass(&mut self, hash: u64) {
        while self.points.get(self.at).is_some_and(|point| last_hash(*point) <= hash) {
            self.at += 1;
        }
    }

    /// The first `most` distinct nodes from here on, beyond the last point from the first on.
    fn first(&self, most: usize) -> SmallVec<[usize; MANY_OWNERS]> {
        let mut nodes = SmallVec::new();
        let (before, after) = self.points.split_at(self.at);
        for index in after.iter().chain(before).map(|point| index_of(*point)) {
            if nodes.len() == most {
                break;
            }
            if !nodes.contains(&index) {
                nodes.push(index);
            }
        }
        nodes
    }
}

/// For each node of `old`, its index in `new`.
fn renamed(old: &Ring, new: &Ring) -> Vec<Option<usize>> {
    old.nodes().iter().map(|node| new.nodes().binary_search(node).ok()).collect()
}

/// The arcs of a ring from hash 0 upwards: the present one's owner and last hash, and what follows.
struct Arcs<'a> {
    owner: Option<usize>,
    to: u64,
    first: Option<usize>,
    rest: &'a [u64],
}

impl<'a> Arcs<'a> {
    fn new(ring: &'a Ring) -> Self {
        let first = ring.points().first().map(|point| index_of(*point));
        let mut arcs = Arcs { owner: first, to: 0, first, rest: ring.points() };
        arcs.take();
        arcs
    }

    /// Goes on to the arc after the hash `at`.
    fn pass(&mut self, at: u64) {
        // Of points at one place the first owns the arc, and the others own nothing.
        while self.to <= at {
            self.take();
        }
    }

    fn take(&mut self) {
        match self.rest.split_first() {
            Some((point, rest)) => {
                (self.owner, self.to, self.rest) = (Some(index_of(*point)), last_hash(*point), rest);
            }
            None => (self.owner, self.to) = (self.first, u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::NodeId;

    fn ring(nodes: &[(u8, u32)]) -> Ring {
        Ring::new(nodes.iter().map(|(at, weight)| (NodeId::new(alloc::format!("n{at}")).unwrap(), *weight)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_few_nodes_move_is_what_a_look_at_all_finds(
            stay in prop::collection::vec((0..6_u8, 0..3_u32), 0..5),
            went in prop::collection::vec((10..13_u8, 0..3_u32), 0..3),
            came in prop::collection::vec((11..16_u8, 0..3_u32), 0..3),
        ) {
            let (old, new) = (ring(&[stay.clone(), went].concat()), ring(&[stay, came].concat()));
            if let Some(few) = of_few(&old, &new) {
                prop_assert_eq!(few, of_all(&old, &new));
            }
        }
    }
}
