//! The ring of consistent hashing: a pure function of a set of weighted nodes.
//!
//! The hash space is cut into [`STRATA`] equal strata, and a node of weight *w* has *w* points in each of them, at places
//! that only its name decides. So points need no sorting beyond their stratum, the points of a stratum are found by
//! multiplication, and a lookup searches among as many points as there are nodes. A hash belongs to the node of the
//! first point at or after it, beyond the last to that of the first.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::stable_hash;
use crate::id::NodeId;

/// The most points a node can have in a stratum; a greater weight counts as this.
pub const MAX_WEIGHT: u32 = 64;

/// Points of a node of weight 1. Fewer make shares less even: the evenness test states what these achieve.
const STRATA: usize = 1 << STRATA_BITS;
const STRATA_BITS: u32 = 12;

/// A point is one word: the upper 48 bits of a hash, then the index of its node. The index follows the order of the
/// names, so that words sort as points do and two points at one place are ordered by the names of their nodes.
const INDEX_BITS: u32 = 16;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;

/// Who owns which part of the hash space.
///
/// Equal, and hashed equal, exactly if built from the same nodes with the same weights. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Ring {
    nodes: Arc<Vec<NodeId>>,
    weights: Arc<Vec<u32>>,
    points: Arc<Vec<u64>>,
    /// How many of the nodes own something.
    owning: usize,
}

impl Ring {
    /// The ring of these nodes, in whatever order they come. A weight is a node's share relative to the others': 1 is
    /// normal, 0 owns nothing, above [`MAX_WEIGHT`] counts as that. Of a name given twice the first counts; names
    /// beyond the first 65,536 are left out.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = (NodeId, u32)>) -> Ring {
        let mut sorted: Vec<(NodeId, u32)> = nodes.into_iter().collect();
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        sorted.dedup_by(|later, first| later.0 == first.0);
        sorted.truncate(1 << INDEX_BITS);
        let (nodes, weights): (Vec<NodeId>, Vec<u32>) =
            sorted.into_iter().map(|(node, weight)| (node, weight.min(MAX_WEIGHT))).unzip();
        let makers: Vec<Maker> = (0..).zip(&nodes).zip(&weights).map(|((i, n), w)| Maker::new(n, *w, i)).collect();
        let width: usize = weights.iter().map(|weight| *weight as usize).sum();
        let mut points = Vec::with_capacity(STRATA * width);
        for stratum in 0..STRATA as u64 {
            let start = points.len();
            makers.iter().for_each(|maker| maker.push(stratum, &mut points));
            points[start..].sort_unstable();
        }
        Ring::of(nodes, weights, points)
    }

    fn of(nodes: Vec<NodeId>, weights: Vec<u32>, points: Vec<u64>) -> Ring {
        let owning = weights.iter().filter(|weight| **weight > 0).count();
        Ring { nodes: Arc::new(nodes), weights: Arc::new(weights), points: Arc::new(points), owning }
    }

    /// The ring with one more node, or with this weight for a node that it has: equal to the one built anew, in time
    /// linear in the number of points.
    #[must_use]
    pub fn with(&self, node: &NodeId, weight: u32) -> Ring {
        let weight = weight.min(MAX_WEIGHT);
        let at = match self.nodes.binary_search(node) {
            Ok(at) if self.weights[at] == weight => return self.clone(),
            Ok(_) => return self.without(node).with(node, weight),
            Err(at) => at,
        };
        if self.nodes.len() >= 1 << INDEX_BITS {
            // Which names stay is decided on the whole set.
            let known = self.nodes.iter().cloned().zip(self.weights.iter().copied());
            return Ring::new(known.chain([(node.clone(), weight)]));
        }
        let mut nodes = Vec::clone(&self.nodes);
        nodes.insert(at, node.clone());
        let mut weights = Vec::clone(&self.weights);
        weights.insert(at, weight);
        let points = insert(&self.points, &Maker::new(node, weight, at as u64));
        Ring::of(nodes, weights, points)
    }

    /// The ring without a node: equal to the one built anew, in time linear in the number of points.
    #[must_use]
    pub fn without(&self, node: &NodeId) -> Ring {
        let Ok(at) = self.nodes.binary_search(node) else { return self.clone() };
        let mut nodes = Vec::clone(&self.nodes);
        nodes.remove(at);
        let mut weights = Vec::clone(&self.weights);
        let weight = weights.remove(at) as usize;
        let at = at as u64;
        let mut points = Vec::with_capacity(self.points.len() - STRATA * weight);
        let rest = self.points.iter().filter(|point| **point & INDEX_MASK != at);
        points.extend(rest.map(|point| point - u64::from(point & INDEX_MASK > at)));
        Ring::of(nodes, weights, points)
    }

    /// Its nodes, sorted by name, also those of weight 0.
    #[must_use]
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// The weight of a node, if it is on the ring.
    #[must_use]
    pub fn weight(&self, node: &NodeId) -> Option<u32> {
        self.nodes.binary_search(node).ok().map(|at| self.weights[at])
    }

    /// How many of its nodes own something: those with a weight.
    #[must_use]
    pub fn owning(&self) -> usize {
        self.owning
    }

    /// Whether nobody owns anything: there is no node, or none with a weight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The node that a hash belongs to; `None` only on an empty ring.
    #[must_use]
    pub fn owner(&self, hash: u64) -> Option<&NodeId> {
        self.owner_index(hash).map(|at| &self.nodes[at])
    }

    /// The same as an index into [`Ring::nodes`].
    #[must_use]
    pub fn owner_index(&self, hash: u64) -> Option<usize> {
        (!self.is_empty()).then(|| index_of(self.points[self.first_point(hash)]))
    }

    /// The first `k` distinct nodes that a hash belongs to, its owner first; fewer when there are no more.
    #[must_use]
    pub fn owners(&self, hash: u64, k: usize) -> Owners<'_> {
        let at = if self.is_empty() { 0 } else { self.first_point(hash) };
        let words = self.nodes.len().div_ceil(64);
        // Who looks for more than there are goes around the whole ring in vain.
        let left = k.min(self.owning);
        Owners { ring: self, at, steps: self.points.len(), left, seen: SmallVec::from_elem(0, words) }
    }

    /// The ranges of hashes that belong to a node, both ends included, ascending.
    #[must_use]
    pub fn arcs(&self, node: &NodeId) -> Vec<(u64, u64)> {
        let Ok(index) = self.nodes.binary_search(node) else { return Vec::new() };
        let mut arcs: Vec<(u64, u64)> = Vec::new();
        let mut from = 0;
        for &point in self.points.iter() {
            // Of two points at one place the first owns what lies before them.
            if index_of(point) == index && from <= last_hash(point) {
                match arcs.last_mut() {
                    Some(last) if from > 0 && last.1 == from - 1 => last.1 = last_hash(point),
                    _ => arcs.push((from, last_hash(point))),
                }
            }
            from = last_hash(point).saturating_add(1);
        }
        // Beyond the last point, the hash space goes on at the first.
        if self.points.first().is_some_and(|first| index_of(*first) == index) && from > 0 {
            match arcs.last_mut() {
                Some(last) if last.1 == from - 1 => last.1 = u64::MAX,
                _ => arcs.push((from, u64::MAX)),
            }
        }
        arcs
    }

    /// Its points: the place in the upper 48 bits, the node's index in the lower 16, ascending.
    pub(super) fn points(&self) -> &[u64] {
        &self.points
    }

    /// Where in `points` the point lies that owns a hash. There must be points.
    fn first_point(&self, hash: u64) -> usize {
        let width = self.points.len() / STRATA;
        let stratum = (hash >> (64 - STRATA_BITS)) as usize;
        let start = stratum * width;
        let place = hash & !INDEX_MASK;
        let within = self.points[start..start + width].partition_point(|point| *point < place);
        let at = start + within;
        if at == self.points.len() { 0 } else { at }
    }
}

/// The last hash that a point owns.
pub(super) fn last_hash(point: u64) -> u64 {
    point | INDEX_MASK
}

/// The index of a point's node.
pub(super) fn index_of(point: u64) -> usize {
    (point & INDEX_MASK) as usize
}

/// Makes the points of one node.
struct Maker {
    seed: u64,
    weight: u64,
    index: u64,
}

impl Maker {
    fn new(node: &NodeId, weight: u32, index: u64) -> Maker {
        Maker { seed: stable_hash(node.as_str().as_bytes()), weight: u64::from(weight), index }
    }

    /// Appends the node's points in a stratum, in no order.
    fn push(&self, stratum: u64, points: &mut Vec<u64>) {
        for copy in 0..self.weight {
            let number = (stratum << 32) | copy;
            let within = xxh3_64_with_seed(&number.to_le_bytes(), self.seed) >> STRATA_BITS;
            let place = (stratum << (64 - STRATA_BITS)) | within;
            points.push((place & !INDEX_MASK) | self.index);
        }
    }
}

/// Merges the points of one more node into `old`, raising the indexes from its own upwards.
fn insert(old: &[u64], maker: &Maker) -> Vec<u64> {
    let raised = |point: u64| point + u64::from(point & INDEX_MASK >= maker.index);
    let (width, weight) = (old.len() / STRATA, maker.weight as usize);
    let mut points = alloc::vec![0; old.len() + STRATA * weight];
    if width + weight == 0 {
        return points;
    }
    let mut own = Vec::with_capacity(weight);
    for (stratum, mut place) in points.chunks_exact_mut(width + weight).enumerate() {
        own.clear();
        maker.push(stratum as u64, &mut own);
        own.sort_unstable();
        let mut others = &old[stratum * width..(stratum + 1) * width];
        for point in &own {
            // A stratum has as many points as there are nodes: counting them all is quicker than to stop at the right one.
            let before = others.iter().filter(|other| raised(**other) < *point).count();
            let (first, rest) = place.split_at_mut(before);
            first.iter_mut().zip(others).for_each(|(place, other)| *place = raised(*other));
            rest[0] = *point;
            (place, others) = (&mut rest[1..], &others[before..]);
        }
        place.iter_mut().zip(others).for_each(|(place, other)| *place = raised(*other));
    }
    points
}

/// The distinct nodes that a hash belongs to, nearest first. Made by [`Ring::owners`].
#[derive(Clone, Debug)]
pub struct Owners<'a> {
    ring: &'a Ring,
    at: usize,
    steps: usize,
    left: usize,
    seen: SmallVec<[u64; 16]>,
}

impl<'a> Iterator for Owners<'a> {
    type Item = &'a NodeId;

    fn next(&mut self) -> Option<&'a NodeId> {
        while self.left > 0 && self.steps > 0 {
            let index = index_of(self.ring.points[self.at]);
            self.steps -= 1;
            self.at = if self.at + 1 == self.ring.points.len() { 0 } else { self.at + 1 };
            let (word, bit) = (index / 64, 1 << (index % 64));
            if self.seen[word] & bit == 0 {
                self.seen[word] |= bit;
                self.left -= 1;
                return Some(&self.ring.nodes[index]);
            }
        }
        None
    }
}

impl PartialEq for Ring {
    fn eq(&self, other: &Ring) -> bool {
        self.nodes == other.nodes && self.weights == other.weights
    }
}

impl Eq for Ring {}

impl Hash for Ring {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nodes.hash(state);
        self.weights.hash(state);
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.nodes.iter().zip(self.weights.iter())).finish()
    }
}
