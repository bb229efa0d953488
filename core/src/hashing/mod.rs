//! Distribution: which node each child belongs to.

mod moved;
mod ring;

pub use moved::{MovedRange, moved};
pub use ring::{MAX_WEIGHT, Owners, Ring};

/// The hash that decides placement: the same on every platform and in every version (golden vectors in the tests).
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}
