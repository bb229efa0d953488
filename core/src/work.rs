//! What a hub has yet to look at: ranges of the registry, taken in bounded slices.

use alloc::collections::VecDeque;

use crate::registry::{HostIx, Key, RangeStart};

/// One pass over a range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pass {
    pub(crate) from: RangeStart,
    pub(crate) to: u64,
    pub(crate) job: Job,
}

/// What to do with each child of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Job {
    /// Compare what should run here with what does.
    Reconcile,
    /// Sweep out rows of this retired host (and any other retired one).
    Sweep(HostIx),
}

/// The queue. Level-triggered: a child or range that is looked at once too often does no harm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    passes: VecDeque<Pass>,
}

impl Work {
    pub(crate) fn is_empty(&self) -> bool {
        self.passes.is_empty()
    }

    pub(crate) fn add_ranges(&mut self, ranges: impl IntoIterator<Item = (u64, u64)>, job: Job) {
        self.passes.extend(ranges.into_iter().map(|(from, to)| Pass { from: RangeStart::Hash(from), to, job }));
    }

    pub(crate) fn next_pass(&mut self) -> Option<Pass> {
        self.passes.pop_front()
    }

    /// Goes on with a pass behind `key` before any other.
    pub(crate) fn resume(&mut self, pass: Pass, key: Key) {
        self.passes.push_front(Pass { from: RangeStart::After(key), ..pass });
    }

    /// Drops what is left of the sweep for a host.
    pub(crate) fn swept(&mut self, host: HostIx) {
        self.passes.retain(|pass| pass.job != Job::Sweep(host));
    }
}
