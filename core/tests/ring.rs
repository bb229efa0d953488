//! The ring of consistent hashing: pure, minimal in what it moves, even, and the same for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use process_hub_core::hashing::{MovedRange, Ring, moved, moved_owners, stable_hash};
use process_hub_core::id::NodeId;
use proptest::prelude::*;

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn ring_of(names: &[&str]) -> Ring {
    Ring::new(names.iter().map(|name| (node(name), 1)))
}

/// Up to six nodes out of twelve, with weights from 0 to 3.
fn members() -> impl Strategy<Value = Vec<(NodeId, u32)>> {
    proptest::collection::btree_map(0..12_u32, 0..4_u32, 0..6)
        .prop_map(|nodes| nodes.into_iter().map(|(number, weight)| (node(&format!("n{number}")), weight)).collect())
}

/// Hashes worth a look: random ones, the ends, and the edges of what moved.
fn probes(ranges: &[MovedRange], random: &[u64]) -> BTreeSet<u64> {
    let edges = ranges.iter().flat_map(|range| {
        [range.from.saturating_sub(1), range.from, range.to, range.to.saturating_add(1), range.from.midpoint(range.to)]
    });
    edges.chain(random.iter().copied()).chain([0, 1, u64::MAX - 1, u64::MAX]).collect()
}

fn agrees_with_brute_force(old: &Ring, new: &Ring, random: &[u64]) -> Result<(), TestCaseError> {
    let ranges = moved(old, new);
    for pair in ranges.windows(2) {
        prop_assert!(pair[0].to < pair[1].from, "ascending and apart: {pair:?}");
        let touching = pair[0].to + 1 == pair[1].from;
        prop_assert!(!touching || (pair[0].old, pair[0].new) != (pair[1].old, pair[1].new), "coalesced: {pair:?}");
    }
    for hash in probes(&ranges, random) {
        let (was, is) = (old.owner(hash).cloned(), new.owner(hash).cloned());
        let at = ranges.partition_point(|range| range.to < hash);
        let range = ranges.get(at).filter(|range| range.from <= hash);
        prop_assert_eq!(range.is_some(), was != is, "{} moves from {:?} to {:?}", hash, was, is);
        if let Some(range) = range {
            prop_assert_eq!(range.old.map(|at| old.nodes()[at].clone()), was);
            prop_assert_eq!(range.new.map(|at| new.nodes()[at].clone()), is);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_ring_is_a_function_of_the_set(
        (members, shuffled) in members().prop_flat_map(|m| (Just(m.clone()), Just(m).prop_shuffle())),
        random in proptest::collection::vec(any::<u64>(), 200),
    ) {
        let at_once = Ring::new(members);
        let mut one_by_one = Ring::default();
        for (node, weight) in &shuffled {
            one_by_one = one_by_one.with(node, *weight);
        }
        let reordered = Ring::new(shuffled);
        prop_assert_eq!(&at_once, &reordered);
        prop_assert_eq!(&at_once, &one_by_one);
        for hash in random {
            prop_assert_eq!(at_once.owner_index(hash), reordered.owner_index(hash));
            prop_assert_eq!(at_once.owner_index(hash), one_by_one.owner_index(hash));
            prop_assert!(at_once.owners(hash, 9).eq(one_by_one.owners(hash, 9)));
        }
        // Whole rings, not samples: nothing differs between them although they are distinct values.
        let marker = node("other");
        prop_assert_eq!(moved(&at_once, &one_by_one.with(&marker, 0)), vec![]);
    }

    #[test]
    fn arcs_are_what_a_node_owns(members in members(), hashes in proptest::collection::vec(any::<u64>(), 50)) {
        let ring = Ring::new(members);
        for node in ring.nodes() {
            let arcs = ring.arcs(node);
            for hash in hashes.iter().copied().chain(arcs.iter().flat_map(|arc| [arc.0, arc.1])).chain([0, u64::MAX]) {
                let within = arcs.iter().any(|arc| (arc.0..=arc.1).contains(&hash));
                prop_assert_eq!(within, ring.owner(hash) == Some(node));
            }
        }
    }

    #[test]
    fn leaving_undoes_joining(members in members(), weight in 0..4_u32) {
        let ring = Ring::new(members);
        let joiner = node("n3x");
        let back = ring.with(&joiner, weight).without(&joiner);
        prop_assert_eq!(&back, &ring);
        // Compared point by point, past the short cut for equal sets.
        prop_assert_eq!(moved(&back, &ring.with(&node("z"), 0)), vec![]);
    }

    #[test]
    fn a_change_of_weight_is_a_new_ring(members in members(), weight in 0..4_u32, hashes in proptest::collection::vec(any::<u64>(), 50)) {
        for at in 0..members.len() {
            let mut changed = members.clone();
            changed[at].1 = weight;
            let anew = Ring::new(changed);
            let from_old = Ring::new(members.clone()).with(&members[at].0, weight);
            prop_assert_eq!(&anew, &from_old);
            prop_assert!(hashes.iter().all(|hash| anew.owner(*hash) == from_old.owner(*hash)));
        }
    }

    #[test]
    fn joins_and_leaves_move_only_what_they_must(members in members()) {
        let without = Ring::new(members);
        let joiner = node("joiner");
        let with = without.with(&joiner, 1);
        prop_assert!(!moved(&without, &with).is_empty());
        for range in moved(&without, &with) {
            prop_assert_eq!(range.new.map(|at| &with.nodes()[at]), Some(&joiner));
        }
        for range in moved(&with, &without) {
            prop_assert_eq!(range.old.map(|at| &with.nodes()[at]), Some(&joiner));
        }
    }

    #[test]
    fn moved_is_complete_and_exact(
        old in members(),
        new in members(),
        random in proptest::collection::vec(any::<u64>(), 200),
    ) {
        agrees_with_brute_force(&Ring::new(old), &Ring::new(new), &random)?;
    }

    #[test]
    fn moved_owners_is_complete_and_exact(
        old in members(),
        new in members(),
        k in 1..4_usize,
        random in proptest::collection::vec(any::<u64>(), 100),
    ) {
        let (old, new) = (Ring::new(old), Ring::new(new));
        let ranges = moved_owners(&old, k, &new, k);
        prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0 && pair[0].1 + 1 < pair[1].0));
        let whole = old != new && ranges == [(0, u64::MAX)];
        let ends = ranges.iter().take(100).flat_map(|(from, to)| [*from, *to, from.wrapping_sub(1), to.wrapping_add(1)]);
        for hash in random.into_iter().chain(ends).chain([0, u64::MAX]) {
            let within = ranges.iter().any(|range| (range.0..=range.1).contains(&hash));
            let same = old.owners(hash, k).eq(new.owners(hash, k));
            // Where there are no more nodes than copies, all is looked at.
            prop_assert!(within != same || whole, "{hash}");
        }
    }

    #[test]
    fn owners_are_distinct_and_complete(members in members(), hash: u64, k in 0..8_usize) {
        let serving = members.iter().filter(|(_, weight)| *weight > 0).count();
        let ring = Ring::new(members);
        let owners: Vec<_> = ring.owners(hash, k).collect();
        prop_assert_eq!(owners.len(), k.min(serving));
        prop_assert_eq!(owners.iter().collect::<BTreeSet<_>>().len(), owners.len());
        prop_assert_eq!(owners.first().copied(), ring.owner(hash).filter(|_| k > 0));
        prop_assert!(owners.iter().all(|node| ring.weight(node) != Some(0)));
    }

    #[test]
    fn the_next_owner_is_who_takes_over(members in members(), hash: u64) {
        let ring = Ring::new(members);
        let heirs: Vec<_> = ring.owners(hash, 2).cloned().collect();
        if let Some(first) = heirs.first() {
            let rest = ring.without(first);
            prop_assert_eq!(rest.owner(hash), heirs.get(1));
        }
    }
}

/// With most of its nodes drained, each point of such a ring was looked at from each other, for minutes.
#[test]
fn more_owners_than_there_are_nodes_with_a_weight_are_not_looked_for_in_vain() {
    let members = |serving: u32| (0..6).map(move |at| (node(&format!("n{at}")), u32::from(at < serving) * 64));
    let (old, new) = (Ring::new(members(2)), Ring::new(members(3)));
    assert_eq!((old.nodes().len(), old.owning(), new.owning()), (6, 2, 3));
    assert_eq!(moved_owners(&old, 3, &new, 3), [(0, u64::MAX)]);
    let each = (0..100_000_u64).map(|hash| old.owners(hash << 40, 5).count());
    assert!(each.into_iter().all(|count| count == 2));
}

#[test]
fn an_empty_ring_owns_nothing() {
    let empty = Ring::default();
    assert!(empty.is_empty());
    assert_eq!((empty.owner(7), empty.owners(7, 3).count()), (None, 0));
    assert_eq!(moved(&empty, &empty), []);
    let idle = empty.with(&node("idle"), 0);
    assert!(idle.is_empty() && idle.nodes().len() == 1 && idle != empty);
    let first = empty.with(&node("n1"), 1);
    assert_eq!(moved(&empty, &first), [MovedRange { from: 0, to: u64::MAX, old: None, new: Some(0) }]);
    assert_eq!(moved(&first, &empty), [MovedRange { from: 0, to: u64::MAX, old: Some(0), new: None }]);
}

/// The largest share over the mean share when `ring` takes `ids`.
fn unevenness(ring: &Ring, ids: usize) -> f64 {
    let mut shares = vec![0_u32; ring.nodes().len()];
    for id in 0..ids {
        shares[ring.owner_index(stable_hash(format!("child-{id}").as_bytes())).unwrap()] += 1;
    }
    let mean = ids as f64 / shares.len() as f64;
    f64::from(*shares.iter().max().unwrap()) / mean
}

/// Of 100 rings of `size` nodes, the 95th percentile of [`unevenness`] and its greatest value.
fn percentile(size: usize, ids: usize) -> (f64, f64) {
    let mut figures: Vec<f64> = (0..100)
        .map(|set| unevenness(&Ring::new((0..size).map(|n| (node(&format!("set{set}-node{n}")), 1))), ids))
        .collect();
    figures.sort_by(f64::total_cmp);
    (figures[94], figures[99])
}

#[test]
fn shares_are_even() {
    for (size, bound) in [(2, 1.05), (3, 1.06), (10, 1.10)] {
        let (p95, max) = percentile(size, 10_000);
        println!("{size} nodes: max/mean {p95:.4} at the 95th percentile, {max:.4} at most");
        assert!(p95 <= bound, "{size} nodes: {p95}");
    }
}

#[test]
fn shares_follow_weights() {
    let ring = Ring::new([(node("small"), 1), (node("large"), 3)]);
    let large = (0..10_000).filter(|id| ring.owner(stable_hash(format!("{id}").as_bytes())) == Some(&node("large")));
    let large = large.count();
    assert!((7_200..7_800).contains(&large), "three quarters, not {large} of 10,000");
}

/// Lines of `tests/data/ring.txt`: a member set, `|`, a child's name, its hash, its owners in order.
#[test]
fn placement_never_changes() {
    let golden = include_str!("data/ring.txt");
    let mut lines = 0;
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let (members, rest) = line.split_once(" | ").unwrap();
        let [id, hash, owners] = rest.split(' ').collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(golden_line(members, id), line, "placement of {id} ({hash}) on {members} was {owners}");
        lines += 1;
    }
    assert_eq!(lines, 60, "the file is whole");
}

fn golden_line(members: &str, id: &str) -> String {
    let ring = Ring::new(members.split(' ').map(|member| {
        let (name, weight) = member.split_once('*').unwrap_or((member, "1"));
        (node(name), weight.parse().unwrap())
    }));
    let hash = stable_hash(id.as_bytes());
    let owners: Vec<_> = ring.owners(hash, 3).map(NodeId::as_str).collect();
    format!("{members} | {id} {hash:016x} {}", owners.join(","))
}

/// Writes the golden file anew: only for a deliberate change of placement, which is a change of protocol.
#[test]
fn golden_file_is_written_on_request() {
    if std::env::var_os("PROCESS_HUB_WRITE_GOLDEN").is_none() {
        return;
    }
    let sets = ["n1", "n1 n2 n3", "alpha beta gamma delta", "n1 n2*2 n3*0 n4*3", "a b c d e f g h i j"];
    let ids =
        ["c1", "c2", "counter-1", "counter-2", "user/42", "größe", "日本", "x", "child_17", "session:0001", "zz", "-"];
    let mut text = String::from("# member set (name*weight) | child, hash of its name, first three owners\n");
    for set in sets {
        for id in ids {
            text += &golden_line(set, id);
            text.push('\n');
        }
    }
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ring.txt"), text).unwrap();
}

#[test]
fn order_of_arguments_does_not_matter_to_a_named_set() {
    assert_eq!(ring_of(&["n3", "n1", "n2"]), ring_of(&["n1", "n2", "n3", "n1"]));
}
