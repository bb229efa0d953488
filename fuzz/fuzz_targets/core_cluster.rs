//! See the body, which the tests of the simulator run as well.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/core_cluster.rs"]
mod body;

fuzz_target!(|bytes: &[u8]| body::run(bytes));
