//! The declared set under any order and any loss of changes, and the pure functions of members: bodies of fuzz targets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[path = "../../fuzz/bodies/names.rs"]
mod names;
#[path = "../../fuzz/bodies/quorum.rs"]
mod quorum;
#[path = "../../fuzz/bodies/registry_merge.rs"]
mod registry_merge;
#[path = "../../fuzz/bodies/ring.rs"]
mod ring;
#[path = "../../fuzz/bodies/upgrade.rs"]
mod upgrade;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn what_is_declared_does_not_depend_on_how_it_was_told(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        registry_merge::run(&bytes);
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn any_ring_is_a_function_of_its_set(bytes in proptest::collection::vec(any::<u8>(), 0..250)) {
        ring::run(&bytes);
    }
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn any_verdict_is_that_of_the_reference(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
        quorum::run(&bytes);
    }
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn any_text_is_a_name_or_is_refused(text in "\\PC{0,20}|.{0,300}|[a-z/]{1,9}/[0-9]{1,21}/[0-9]{1,21}") {
        names::run(text.as_bytes());
    }

    #[test]
    fn spliced_messages_decode_or_fail_cleanly(bytes in proptest::collection::vec(any::<u8>(), 0..9)) {
        upgrade::run(&bytes);
    }
}

/// A difference here is a change of protocol without a new encoding: give it a number and a fixture of its own.
#[test]
fn what_was_written_once_is_read_for_ever() {
    let all = upgrade::fixtures();
    assert!(all.len() >= 40, "the fixtures are whole: {}", all.len());
    all.iter().for_each(|(name, version, bytes)| upgrade::check(name, *version, bytes));
}
