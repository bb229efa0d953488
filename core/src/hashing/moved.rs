//! What a change of the ring moves.

use alloc::vec::Vec;

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
