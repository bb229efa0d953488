//! Runs whose decisions are any bytes: the body of a fuzz target, on bytes that are drawn.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[path = "../../fuzz/bodies/core_cluster.rs"]
mod core_cluster;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(100) })]

    #[test]
    fn any_decisions_are_survived(bytes in proptest::collection::vec(any::<u8>(), 100..400)) {
        core_cluster::run(&bytes);
    }
}

/// Such runs are worth something if the oracles have something to look at in them, and faults really happen.
#[test]
fn any_decisions_are_decisions_indeed() {
    let (mut checked, mut faults) = (BTreeSet::new(), BTreeSet::new());
    let mut state = 7_u32;
    for _ in 0..60 {
        let bytes = (0..400).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let report = core_cluster::replay_of(&core_cluster::decisions(&bytes.collect::<Vec<_>>()));
        checked.extend(report.checked.into_iter().filter(|(_, count)| *count > 0).map(|(oracle, _)| oracle));
        faults.extend(report.faults.into_keys());
    }
    for oracle in ["S1", "S2", "S6", "S7", "S9", "S12", "S13", "S14", "S15", "S16", "S19", "S21", "S23", "L1", "L2"] {
        assert!(checked.contains(oracle), "{oracle} has nothing to check: {checked:?}");
    }
    for fault in ["restart", "leave", "relayed_frame", "dial_timeout"] {
        assert!(faults.contains(fault), "there is no {fault}: {faults:?}");
    }
}
