//! One node that is told anything at all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[path = "../../fuzz/bodies/core_sequence.rs"]
mod core_sequence;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(400) })]

    #[test]
    fn one_node_stands_whatever_it_is_told(bytes in proptest::collection::vec(any::<u8>(), 0..1_500)) {
        core_sequence::run(&bytes);
    }
}
