//! The order of children, and the marks of their starts.

use serde::{Deserialize, Serialize};

use crate::hashing::stable_hash;
use crate::id::ChildId;

/// A child's place in the hash space: the order of the registry, so that an arc of the ring and a bucket of the digest
/// are both one contiguous range of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) hash: u64,
    pub(crate) id: ChildId,
}

impl Key {
    pub(crate) fn new(id: &ChildId) -> Self {
        Self { hash: stable_hash(id.as_str().as_bytes()), id: id.clone() }
    }
}

/// One user's start: which life of which node took it (an index into the registry's origins), and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Dot {
    pub(crate) origin: u32,
    pub(crate) counter: u64,
}
