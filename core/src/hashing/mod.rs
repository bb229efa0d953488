//! Distribution: which nodes each child belongs to.

mod balancer;
mod moved;
mod ring;
mod subject;

pub(crate) use balancer::Balancer;
pub use balancer::Score;
pub use moved::{MovedRange, moved, moved_owners};
pub use ring::{MAX_WEIGHT, Owners, Ring};
pub(crate) use subject::Subject;

/// The hash that decides placement: the same on every platform and in every version (golden vectors in the tests).
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}
