//! See the body, which the core's tests run as well.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/migration_fsm.rs"]
mod body;

fuzz_target!(|bytes: &[u8]| body::run(bytes));
