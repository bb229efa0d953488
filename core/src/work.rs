//! What a hub has yet to look at: ranges of the registry, taken in bounded slices.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

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
    /// Children that were looked at while the view was not complete and have to be looked at again once it is.
    waiting: BTreeSet<Key>,
    /// There are more of them than are remembered.
    many_wait: bool,
}

/// Children that are remembered one by one while a view is not complete; beyond, all are looked at.
const MAX_WAITING: usize = 4_096;

impl Work {
    pub(crate) fn is_empty(&self) -> bool {
        self.passes.is_empty()
    }

    /// A child waits for the view to be complete.
    pub(crate) fn wait(&mut self, key: &Key) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.insert(key.clone());
        } else if !self.waiting.contains(key) {
            self.many_wait = true;
        }
    }

    /// The view is complete: takes the ranges of the children that have waited for it.
    pub(crate) fn take_waiting(&mut self) -> Vec<(u64, u64)> {
        let waiting = core::mem::take(&mut self.waiting);
        if core::mem::take(&mut self.many_wait) {
            return alloc::vec![(0, u64::MAX)];
        }
        waiting.into_iter().map(|key| (key.hash, key.hash)).collect()
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
