//! Any set of weighted nodes: the ring depends on nothing but the set, each hash has as many distinct owners as there can
//! be, whoever comes or goes moves only what is his, and shares are as the weights are.

use std::collections::BTreeSet;

use arbitrary::Unstructured;
use process_hub_core::hashing::{Ring, moved_owners};
use process_hub_core::id::NodeId;

/// By how much a share may be off, in percent of what it should be.
const TOLERANCE: u128 = 20;

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let mut below = |end: u32| bytes.int_in_range(0..=end).unwrap_or(0);
    let mut nodes: Vec<(NodeId, u32)> = Vec::new();
    for _ in 0..=below(7) {
        let node = NodeId::new(format!("node-{}", below(u32::MAX))).expect("a name");
        if nodes.iter().all(|(other, _)| *other != node) {
            nodes.push((node, below(3)));
        }
    }
    let joiner = nodes.pop().expect("there is one at least");
    let without = Ring::new(nodes.clone());
    // By another order, and one at a time.
    for at in (1..nodes.len()).rev() {
        nodes.swap(at, below(at as u32) as usize);
    }
    assert_eq!(Ring::new(nodes.clone()), without);
    let grown = nodes.iter().fold(Ring::default(), |ring, (node, weight)| ring.with(node, *weight));
    assert_eq!(grown, without);
    let with = without.with(&joiner.0, joiner.1);
    assert_eq!(with, Ring::new(nodes.iter().cloned().chain([joiner.clone()])));
    assert_eq!(with.without(&joiner.0), without);

    let k = below(4) as usize;
    let moves = moved_owners(&without, k, &with, k);
    for _ in 0..16 {
        let hash = u64::from(below(u32::MAX)) << 32 | u64::from(below(u32::MAX));
        one_hash(&without, &with, &joiner.0, hash, k, &moves);
    }
    shares(&with);
}

/// What a joiner changes about one hash; read backwards, what a leaver does.
fn one_hash(without: &Ring, with: &Ring, joiner: &NodeId, hash: u64, k: usize, moves: &[(u64, u64)]) {
    let before: Vec<&NodeId> = without.owners(hash, k).collect();
    let after: Vec<&NodeId> = with.owners(hash, k).collect();
    for (ring, owners) in [(without, &before), (with, &after)] {
        assert_eq!(owners.len(), k.min(ring.owning()), "as many as there can be");
        assert_eq!(owners.iter().collect::<BTreeSet<_>>().len(), owners.len(), "and distinct");
        assert_eq!(owners.first().copied(), ring.owner(hash).filter(|_| k > 0));
        assert!(owners.iter().all(|node| ring.weight(node) > Some(0)), "of those with a weight");
    }
    // The others keep their order: the joiner comes between them, and who was last may fall out.
    let others: Vec<&NodeId> = after.iter().copied().filter(|node| *node != joiner).collect();
    assert_eq!(others, before[..others.len()]);
    let said = moves.iter().any(|(from, to)| (*from..=*to).contains(&hash));
    assert!(said || before == after, "{hash} moves from {before:?} to {after:?}, and is not said to");
}

/// The arcs are apart and make up the whole, each node's as much as its weight says.
fn shares(ring: &Ring) {
    const WHOLE: u128 = 1 << 64;
    let weights: u128 = ring.nodes().iter().filter_map(|node| ring.weight(node)).map(u128::from).sum();
    let mut arcs: Vec<(u64, u64)> = Vec::new();
    for node in ring.nodes() {
        let own = ring.arcs(node);
        let share: u128 = own.iter().map(|(from, to)| u128::from(to - from) + 1).sum();
        let due = WHOLE * u128::from(ring.weight(node).unwrap_or(0)) / weights.max(1);
        let off = share.abs_diff(due);
        assert!(off * 100 <= due * TOLERANCE, "{node} has {share}, and {due} is its share");
        arcs.extend(own);
    }
    arcs.sort_unstable();
    assert!(arcs.windows(2).all(|pair| pair[0].1 < pair[1].0), "no hash has two first owners");
    let covered: u128 = arcs.iter().map(|(from, to)| u128::from(to - from) + 1).sum();
    assert_eq!(covered, if weights == 0 { 0 } else { WHOLE }, "each has one");
}
