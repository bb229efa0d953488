//! The declared set: starts, stops, and what two replicas must exchange to agree.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{BUCKETS, Context, Dot, Key, RangeStart, Record, Registry, Start};
use crate::hashing::stable_hash;
use crate::id::{ChildId, Member};
use crate::message::Assignment;
use crate::spec::ChildSpec;

/// What became of a start that was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// It is new.
    Added,
    /// It was seen before, and is declared still or was removed since.
    Known,
}

/// A part of the declared set: all that lies up to `to`.
#[derive(Debug)]
pub(crate) struct ListingPart {
    pub(crate) to: u64,
    /// What the asker has seen.
    pub(crate) seen: Vec<Dot>,
    /// What it has not.
    pub(crate) unseen: Vec<(Dot, Arc<ChildSpec>)>,
    /// The assignments of all of these.
    pub(crate) assigned: Vec<(ChildId, Dot, Assignment)>,
}

impl Registry {
    pub(crate) fn context(&self) -> &Context {
        &self.seen
    }

    /// Takes a start. Says whether it was new.
    pub(crate) fn declare(&mut self, key: &Key, dot: Dot, spec: Arc<ChildSpec>) -> Declared {
        if self.seen.covers(dot) && !self.is_forgotten(key, dot) {
            return Declared::Known;
        }
        self.seen.insert(dot);
        let rank = self.rank(dot);
        let mut starts = self.records.get(key).map_or(0, |record| record.starts.len());
        let at = (0..starts).find(|&at| rank < self.rank(self.records[key].starts[at].dot)).unwrap_or(starts);
        let start = Start { dot, spec, assigned: self.early.take(key, dot).map(Box::new) };
        self.exceptions += usize::from(start.is_exception());
        self.origins.carry(dot);
        self.edit(key, |record| {
            record.starts.insert(at, start);
            starts = record.starts.len();
        });
        if starts == 1 {
            self.declared += 1;
        }
        self.toggle(key, dot, true);
        Declared::Added
    }

    /// Whether a start that was seen and removed is to be taken for new: never, but for a deliberate defect.
    fn is_forgotten(&self, key: &Key, dot: Dot) -> bool {
        #[cfg(feature = "sabotage")]
        return self.forgetful && !self.records.get(key).is_some_and(|record| record.has(dot));
        #[cfg(not(feature = "sabotage"))]
        {
            let _ = (key, dot);
            false
        }
    }

    /// Takes the removal of one start, also of one that has yet to arrive. Returns it if it was declared.
    pub(crate) fn remove(&mut self, key: &Key, dot: Dot) -> Option<Start> {
        self.seen.insert(dot);
        self.early.take(key, dot);
        self.drop_start(key, dot)
    }

    fn drop_start(&mut self, key: &Key, dot: Dot) -> Option<Start> {
        if !self.records.get(key).is_some_and(|record| record.has(dot)) {
            return None;
        }
        // The digest covers the assignment, which goes with the start.
        self.toggle(key, dot, false);
        let (removed, left) = self.edit(key, |record| {
            let removed = record.starts.take(|start| start.dot == dot);
            (removed, record.starts.len())
        });
        if let Some(start) = &removed {
            self.exceptions -= usize::from(start.is_exception());
            self.origins.drop_one(dot);
            if left == 0 {
                self.declared -= 1;
            }
        }
        removed
    }

    /// One number over the whole declared set: a sum over its buckets, kept as they change.
    pub(crate) fn root(&self) -> u64 {
        self.root
    }

    pub(crate) fn buckets(&self) -> &[u64] {
        &self.buckets
    }

    /// The hash range of a bucket, both ends included.
    pub(crate) fn bucket_range(bucket: usize) -> (u64, u64) {
        let width = u64::MAX / BUCKETS as u64 + 1;
        let from = bucket as u64 * width;
        (from, from + (width - 1))
    }

    /// All that is declared from `from` to `to`, or to an earlier end once `budget` bytes or `most` entries are
    /// reached.
    pub(crate) fn listing(&self, from: u64, to: u64, asker: &Context, budget: usize, most: usize) -> ListingPart {
        let mut part = ListingPart { to, seen: Vec::new(), unseen: Vec::new(), assigned: Vec::new() };
        let (mut bytes, mut last) = (0, from);
        for (key, record) in self.range(&RangeStart::Hash(from), to) {
            let full = bytes >= budget || part.seen.len() + part.unseen.len() + record.starts.len() > most;
            if full && key.hash != last {
                part.to = key.hash - 1;
                break;
            }
            last = key.hash;
            for start in record.starts() {
                if asker.covers(start.dot) {
                    part.seen.push(start.dot);
                    bytes += 10;
                } else {
                    part.unseen.push((start.dot, start.spec.clone()));
                    bytes += 16 + start.spec.size();
                }
                if let Some(assignment) = start.assigned.as_deref() {
                    bytes += assignment.size() + key.id.as_str().len() + 10;
                    part.assigned.push((key.id.clone(), start.dot, assignment.clone()));
                }
            }
        }
        part
    }

    /// The starts declared here from `from` to `to` that a peer's listing of that range lacks although the peer had
    /// seen them: it knows of their removal.
    pub(crate) fn removed_at(&self, from: u64, to: u64, peer: &Context, listed: &[Dot]) -> Vec<(Key, Dot)> {
        let listed: alloc::collections::BTreeSet<Dot> = listed.iter().copied().collect();
        self.range(&RangeStart::Hash(from), to)
            .flat_map(|(key, record)| record.starts.iter().map(move |start| (key, start.dot)))
            .filter(|(_, dot)| peer.covers(*dot) && !listed.contains(dot))
            .map(|(key, dot)| (key.clone(), dot))
            .collect()
    }

    /// The order of concurrent starts: a pure function of them, the same on every node.
    pub(super) fn rank(&self, dot: Dot) -> (u64, &Member) {
        (dot.counter(), self.origin_of(dot))
    }

    pub(super) fn toggle(&mut self, key: &Key, dot: Dot, add: bool) {
        let origin = self.origin_of(dot);
        let name = stable_hash(origin.node.as_str().as_bytes());
        let print = mix(key.hash ^ mix(name ^ mix(origin.boot.0 ^ mix(dot.counter()))));
        let print = print ^ self.assigned_print(key, dot);
        let place = key.hash >> 54;
        let bucket = &mut self.buckets[usize::try_from(place).unwrap_or(0)];
        let before =
            core::mem::replace(bucket, if add { bucket.wrapping_add(print) } else { bucket.wrapping_sub(print) });
        let share = |bucket: u64| mix(bucket ^ mix(place));
        self.root = self.root.wrapping_sub(share(before)).wrapping_add(share(*bucket));
    }
}

impl Record {
    /// How many starts of this child wait for a stop or are carried out.
    pub(crate) fn is_declared(&self) -> bool {
        !self.starts.is_empty()
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood, 2014): every input bit reaches every output bit.
pub(super) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (word ^ (word >> 31)).wrapping_add(0x9e37_79b9_7f4a_7c15)
}
