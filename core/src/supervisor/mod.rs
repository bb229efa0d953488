//! The instances of this node, and the rules by which one that ended is started again.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

use crate::effect::StopReason;
use crate::registry::Key;
use crate::time::Time;

/// An instance that a start effect was given out for and whose end was not reported yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Local {
    pub(crate) key: Key,
    /// Set once it was told to end.
    pub(crate) stop: Option<StopReason>,
    /// It has ended; what is left of it is a state for its successor.
    pub(crate) kept: bool,
}

/// When a child that failed is to be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) at: Time,
    /// Its restart intensity is reached: it waits until the window has room.
    pub(crate) intense: bool,
}

/// The instances of this node and the restarts of those that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Supervisor {
    sequence: u64,
    instances: BTreeMap<u64, Local>,
    /// Those that are not up yet.
    starting: BTreeSet<u64>,
    /// How many have ended.
    kept: usize,
    restarts: BTreeMap<Key, VecDeque<Time>>,
    held: BTreeMap<Key, Time>,
    due: BTreeSet<(Time, Key)>,
}

impl Supervisor {
    /// A new instance; its sequence was never given before.
    pub(crate) fn add(&mut self, key: Key) -> u64 {
        self.sequence += 1;
        self.instances.insert(self.sequence, Local { key, stop: None, kept: false });
        self.starting.insert(self.sequence);
        self.sequence
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&Local> {
        self.instances.get(&sequence)
    }

    /// Marks an instance as told to end. False if it was before, or is not there.
    pub(crate) fn stop(&mut self, sequence: u64, why: StopReason) -> bool {
        match self.instances.get_mut(&sequence) {
            Some(local) if local.stop.is_none() => {
                local.stop = Some(why);
                true
            }
            _ => false,
        }
    }

    /// An instance has ended, and its state is kept.
    pub(crate) fn keep(&mut self, sequence: u64) {
        if let Some(local) = self.instances.get_mut(&sequence)
            && !core::mem::replace(&mut local.kept, true)
        {
            self.kept += 1;
        }
    }

    /// An instance is up.
    pub(crate) fn started(&mut self, sequence: u64) {
        self.starting.remove(&sequence);
    }

    /// The children whose instances are not up yet.
    pub(crate) fn starting(&self) -> impl Iterator<Item = &Key> {
        self.starting.iter().filter_map(|sequence| self.instances.get(sequence)).map(|local| &local.key)
    }

    /// How many instances are not up yet.
    pub(crate) fn starting_len(&self) -> usize {
        self.starting.len()
    }

    pub(crate) fn remove(&mut self, sequence: u64) -> Option<Local> {
        self.starting.remove(&sequence);
        let local = self.instances.remove(&sequence)?;
        self.kept -= usize::from(local.kept);
        Some(local)
    }

    /// Whether there is no instance, and no state of one that has ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// How many instances there are.
    pub(crate) fn len(&self) -> usize {
        self.instances.len() - self.kept
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Local)> {
        self.instances.iter().map(|(sequence, local)| (*sequence, local))
    }

    /// The instances behind `sequence`, oldest first.
    pub(crate) fn after(&self, sequence: u64) -> impl Iterator<Item = (u64, &Local)> {
        let from = (core::ops::Bound::Excluded(sequence), core::ops::Bound::Unbounded);
        self.instances.range(from).map(|(sequence, local)| (*sequence, local))
    }

    /// Plans the restart of a child that failed: at once the first time, then after a wait that doubles, and never
    /// more than `max` times in a window.
    pub(crate) fn plan(&mut self, key: &Key, now: Time, max: u32, window: Duration, backoff: Duration) -> Plan {
        let times = self.restarts.entry(key.clone()).or_default();
        while times.front().is_some_and(|time| now.since(*time) >= window) {
            times.pop_front();
        }
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let intense = times.len() >= max;
        let at = if intense {
            match times.len().checked_sub(max.max(1)).and_then(|oldest| times.get(oldest)) {
                Some(oldest) => *oldest + window,
                None => now + window,
            }
        } else {
            let doublings = u32::try_from(times.len()).unwrap_or(u32::MAX).min(20);
            if doublings == 0 { now } else { now + (backoff * (1 << (doublings - 1))).min(window) }
        };
        times.push_back(at);
        while times.len() > max.max(1) {
            times.pop_front();
        }
        if at > now {
            self.hold(key, at);
        }
        Plan { at, intense }
    }

    /// A restart that was due earlier begins only now: its window counts from here.
    pub(crate) fn began(&mut self, key: &Key, now: Time) {
        if let Some(planned) = self.restarts.get_mut(key).and_then(VecDeque::back_mut) {
            *planned = now.max(*planned);
        }
    }

    /// Whether a child has failed lately, so that an instance that comes up is a restart.
    pub(crate) fn is_restart(&self, key: &Key) -> bool {
        self.restarts.contains_key(key)
    }

    pub(crate) fn is_held(&self, key: &Key) -> bool {
        self.held.contains_key(key)
    }

    /// Has a child wait.
    pub(crate) fn hold(&mut self, key: &Key, until: Time) {
        if self.held.get(key).is_some_and(|before| *before >= until) {
            return;
        }
        if let Some(before) = self.held.insert(key.clone(), until) {
            self.due.remove(&(before, key.clone()));
        }
        self.due.insert((until, key.clone()));
    }

    /// Forgets what a child's failures have led to.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.restarts.remove(key);
        if let Some(until) = self.held.remove(key) {
            self.due.remove(&(until, key.clone()));
        }
    }

    /// Lets go of a child whose wait is over.
    pub(crate) fn next_due(&mut self, now: Time) -> Option<Key> {
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.held.remove(&key);
        // It is started now, not when it was planned: a node that was paused must not make up for lost time.
        self.began(&key, now);
        Some(key)
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Forgets failures that no window reaches any more.
    pub(crate) fn prune(&mut self, now: Time, window: Duration) {
        let held = &self.held;
        self.restarts
            .retain(|key, times| held.contains_key(key) || times.back().is_some_and(|time| now.since(*time) < window));
    }

    /// Everything that is kept beside the instances themselves.
    pub(crate) fn waiting(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ChildId;

    const WINDOW: Duration = Duration::from_secs(4);
    const BACKOFF: Duration = Duration::from_millis(10);

    #[test]
    fn restarts_are_immediate_then_doubling_then_throttled() {
        let mut supervisor = Supervisor::default();
        let key = Key::new(&ChildId::new("c").unwrap());
        let mut plan = |now| supervisor.plan(&key, Time::from_millis(now), 4, WINDOW, BACKOFF);
        assert_eq!(plan(0), Plan { at: Time::from_millis(0), intense: false });
        assert_eq!(plan(1), Plan { at: Time::from_millis(11), intense: false });
        assert_eq!(plan(12), Plan { at: Time::from_millis(32), intense: false });
        assert_eq!(plan(33), Plan { at: Time::from_millis(73), intense: false });
        // The fifth has to wait until the first is out of the window.
        assert_eq!(plan(80), Plan { at: Time::from_millis(4_000), intense: true });
        assert_eq!(plan(4_001), Plan { at: Time::from_millis(4_011), intense: true });
    }
}
