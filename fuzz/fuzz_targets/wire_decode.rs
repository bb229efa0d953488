//! Any bytes, decoded as a message: see the body. Beside it, what decoding may take: room for a small multiple of what
//! has arrived, whatever the bytes claim.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use process_hub_core::wire::decode;

#[path = "../bodies/wire_decode.rs"]
mod body;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes of room for each byte that has arrived. Pairs of empty texts take the most: 48 bytes for 2, and three times that
/// while their list grows.
const EACH: usize = 96;
/// Bytes of room whatever has arrived: an error's words, a list's first elements.
const FIXED: usize = 4 << 10;

fuzz_target!(|bytes: &[u8]| {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    drop(decode(bytes));
    let room = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(room <= FIXED + bytes.len() * EACH, "{room} bytes of room for {} that arrived", bytes.len());
    body::run(bytes);
});
