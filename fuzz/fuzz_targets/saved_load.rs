//! See the body, which the driver's tests run as well.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/saved_load.rs"]
mod body;

fuzz_target!(|bytes: &[u8]| body::run(bytes));
