//! The queue of what is to happen, in the order of (time, sequence).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use process_hub_core::Lane;

/// Index of a host, the same for all its lives.
pub type HostId = usize;

/// One thing that is to happen in the simulated world. Small and `Copy`: what it carries waits elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The timer of a node, if it still wants it.
    Tick { host: HostId },
    /// A host that was busy or stopped looks at its inbox.
    Wake { host: HostId },
    /// The first frame of a queue is at the other end.
    Frame { link: u32, dir: usize, lane: Lane },
    /// The news that an end was closed is at the other end.
    Fin { link: u32, dir: usize },
    /// The opening of a connection is at the host that was dialled.
    Syn { dial: u32 },
    /// "Nobody listens here" is back at the dialler.
    Refuse { dial: u32 },
    /// The dialler gives up.
    DialTimeout { dial: u32 },
    /// A step in the life of an instance.
    Child { host: HostId, life: u32, sequence: u64, step: ChildStep },
    /// A relayed frame that went astray arrives after all.
    Late { index: usize },
    /// A congested queue has drained.
    Drain { link: u32, dir: usize },
}

/// What happens to an instance at a planned time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildStep {
    /// It is up.
    Up,
    /// It could not be started.
    Fail,
    /// It ended because it was told to.
    Stopped,
    /// It did not end in time.
    Killed,
    /// It ended by itself, content.
    Done,
    /// It ended by itself, in error.
    Error,
    /// The message in hand is handled.
    Handle,
    /// Its state is prepared.
    Prepared { attempt: u32 },
    /// It has taken a state over.
    Took,
    /// The alter handlers have come to an end with what it is to be started with.
    Altered,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    time: u64,
    sequence: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.sequence).cmp(&(other.time, other.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What is to happen, earliest first; at the same time, first planned first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry { time, sequence: self.sequence, event }));
    }

    pub(crate) fn next_time(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.0.time)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|entry| (entry.0.time, entry.0.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_first_and_first_planned_first() {
        let mut queue = Queue::default();
        queue.push(5, Event::Tick { host: 0 });
        queue.push(3, Event::Tick { host: 1 });
        queue.push(5, Event::Tick { host: 2 });
        assert_eq!(queue.next_time(), Some(3));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        let expected = [(3, 1), (5, 0), (5, 2)].map(|(time, host)| (time, Event::Tick { host }));
        assert_eq!(order, expected);
    }
}
