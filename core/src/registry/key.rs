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

/// One user's start: which life of which node took it (an index into the registry's origins), and its number there. In
/// one word, since there are two a child: 16 bits and 48.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Dot(u64);

impl Dot {
    /// Numbers of starts are below this.
    pub(crate) const END: u64 = 1 << 48;

    /// The start of this number; a number beyond all that can be is taken for the last.
    pub(crate) fn new(origin: u16, counter: u64) -> Self {
        Dot(u64::from(origin) << 48 | counter.min(Dot::END - 1))
    }

    pub(crate) fn origin(self) -> u16 {
        u16::try_from(self.0 >> 48).unwrap_or(u16::MAX)
    }

    pub(crate) fn counter(self) -> u64 {
        self.0 & (Dot::END - 1)
    }
}

impl core::fmt::Debug for Dot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Dot({}, {})", self.origin(), self.counter())
    }
}
