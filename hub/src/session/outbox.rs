//! What waits to be sent to one peer: two lanes, bounded by bytes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use process_hub_core::message::{Assignment, Batch, HandoverStep, Hello, HubMessage, WireContext, WireMemory};
use process_hub_core::{Lane, Message};

/// Bytes of probes that may wait: they are tiny, and stale ones are worthless.
const PROBE_BYTES: usize = 256 << 10;
/// Bytes of a frame beyond what its message carries, as an estimate.
const OVERHEAD: usize = 64;
/// Bytes of an entry in a batch or listing beyond its names and arguments, as an estimate. Not more than the core's own,
/// by which it holds itself back.
const ENTRY: usize = 16;
/// The same of a row that is gone.
const GONE: usize = 12;

/// What became of a message that was handed to an [`Outbox`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits to be written.
    Queued,
    /// It was dropped, and the outbox has just gone over its mark.
    Overflowed,
    /// It was dropped: the outbox has been over its mark for a while, or is closed.
    Dropped,
}

/// Filled by the driver, emptied by the link's writer. The driver wakes the writer once for many messages.
#[derive(Debug)]
pub(crate) struct Outbox {
    high: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    probes: VecDeque<Message>,
    probe_bytes: usize,
    bulk: VecDeque<Message>,
    bulk_bytes: usize,
    congested: bool,
    closing: bool,
    waker: Option<Waker>,
}

/// What a writer is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Write what was taken. `drained` says that a congested outbox has just come below its low mark.
    Write { drained: bool },
    /// Everything was written and the link is to be closed.
    Close,
}

impl Outbox {
    /// An outbox that is congested when more than `high` bytes wait.
    pub(crate) fn new(high: usize) -> Self {
        Self { high, state: Mutex::default() }
    }

    /// Puts a message at the end of its lane. The writer hears of it at the next [`Outbox::flush`].
    pub(crate) fn push(&self, lane: Lane, message: Message) -> Pushed {
        let weight = weight(&message);
        let mut state = self.state();
        if state.closing {
            return Pushed::Dropped;
        }
        match lane {
            Lane::Probe if state.probe_bytes + weight > PROBE_BYTES => Pushed::Dropped,
            Lane::Probe => {
                state.probe_bytes += weight;
                state.probes.push_back(message);
                Pushed::Queued
            }
            Lane::Bulk if state.congested => Pushed::Dropped,
            Lane::Bulk if state.bulk_bytes + weight > self.high => {
                state.congested = true;
                Pushed::Overflowed
            }
            Lane::Bulk => {
                state.bulk_bytes += weight;
                state.bulk.push_back(message);
                Pushed::Queued
            }
        }
    }

    /// Wakes the writer if it waits.
    pub(crate) fn flush(&self) {
        let waker = self.state().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Has the writer close the link once what waits was written; nothing more is taken.
    pub(crate) fn close(&self) {
        self.state().closing = true;
        self.flush();
    }

    /// Has the writer close the link now; what waits is dropped.
    pub(crate) fn abort(&self) {
        let mut state = self.state();
        state.probes = VecDeque::new();
        state.bulk = VecDeque::new();
        state.closing = true;
        drop(state);
        self.flush();
    }

    /// Moves messages of about `room` bytes to `into`, probes first; pending while there are none.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, room: usize, into: &mut Vec<Message>) -> Poll<Work> {
        let mut state = self.state();
        into.extend(state.probes.drain(..));
        state.probe_bytes = 0;
        let mut taken = 0;
        while taken < room {
            let Some(message) = state.bulk.pop_front() else { break };
            let weight = weight(&message);
            taken += weight;
            state.bulk_bytes = state.bulk_bytes.saturating_sub(weight);
            into.push(message);
        }
        let drained = state.congested && state.bulk_bytes <= self.high / 4;
        if drained {
            state.congested = false;
        }
        if !into.is_empty() || (drained && !state.closing) {
            return Poll::Ready(Work::Write { drained });
        }
        if state.closing {
            return Poll::Ready(Work::Close);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About how many bytes a message holds here and takes on the wire.
fn weight(message: &Message) -> usize {
    let carried = match message {
        Message::Swim(bytes) => bytes.len(),
        Message::Hub { body, .. } | Message::Relay { body, .. } | Message::Relayed { body, .. } => body_weight(body),
        _ => 0,
    };
    OVERHEAD + carried
}

fn body_weight(body: &HubMessage) -> usize {
    match body {
        HubMessage::Batch { batch, .. } => batch_weight(batch),
        HubMessage::Rumor { told, batch, .. } => told.len() + batch_weight(batch),
        HubMessage::Listing { context, dots, entries, assigns, .. } => {
            let entries: usize = entries.iter().map(|entry| ENTRY + entry.spec.size()).sum();
            let assigns: usize = assigns.iter().map(|assign| assignment_weight(&assign.assignment)).sum();
            context_weight(context) + dots.len() * 8 + entries + assigns
        }
        HubMessage::Digests { context, buckets, .. } => context_weight(context) + buckets.len() * 8,
        HubMessage::Same { context, .. } | HubMessage::PullRange { context, .. } => context_weight(context),
        HubMessage::Call { payload, .. } => payload.len(),
        HubMessage::CallReply { reply: Ok(reply), .. } => reply.len(),
        HubMessage::Handover { step: HandoverStep::Chunk { bytes, .. }, .. } => bytes.len(),
        HubMessage::Handover { step: HandoverStep::Taken(Err(reason)), .. } => reason.len(),
        HubMessage::Hello(hello) => hello_weight(hello),
        HubMessage::Memory(memory) | HubMessage::Reset(memory) => memory_weight(memory),
        // Small, whatever is in them.
        HubMessage::BatchAck { .. }
        | HubMessage::Resync { .. }
        | HubMessage::Pull { .. }
        | HubMessage::CallReply { .. }
        | HubMessage::LeaseAsk { .. }
        | HubMessage::LeaseGrant { .. }
        | HubMessage::LeaseRelease { .. }
        | HubMessage::Load(_)
        | HubMessage::Bye
        | HubMessage::Handover { .. } => 0,
    }
}

fn hello_weight(hello: &Hello) -> usize {
    let fields: usize = hello.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    fields + hello.attributes.labels.size() + memory_weight(&hello.memory)
}

fn memory_weight(memory: &WireMemory) -> usize {
    let names = memory.names.iter().chain(memory.losses.iter().map(|loss| &loss.node));
    names.map(|name| name.as_str().len()).sum()
}

fn context_weight(context: &WireContext) -> usize {
    let seen: usize = context.seen.iter().map(|seen| ENTRY + seen.beyond.len() * 8).sum();
    seen + context.names.len() * ENTRY
}

fn assignment_weight(assignment: &Assignment) -> usize {
    ENTRY + assignment.nodes.iter().map(|node| node.as_str().len()).sum::<usize>()
}

fn batch_weight(batch: &Batch) -> usize {
    let starts: usize = batch.starts.iter().map(|entry| ENTRY + entry.spec.size()).sum();
    let stops: usize = batch.stops.iter().map(|stop| ENTRY + stop.id.as_str().len()).sum();
    let rows: usize = batch.rows.iter().map(|row| ENTRY + row.id.as_str().len()).sum();
    let gone: usize = batch.gone.iter().map(|gone| GONE + gone.id.as_str().len()).sum();
    let failures: usize = batch.failures.iter().map(|failure| ENTRY + failure.reason.len()).sum();
    let assigns: usize = batch.assigns.iter().map(|assign| assignment_weight(&assign.assignment)).sum();
    let attributes = batch.attributes.as_ref().map_or(0, |attributes| attributes.labels.size());
    starts + stops + rows + gone + failures + assigns + attributes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use process_hub_core::id::{Boot, ChildId, HubId, Member, NodeId};
    use process_hub_core::message::{WireAssign, WireDot};

    use super::*;

    const KIB: usize = 1_024;

    fn swim(len: usize) -> Message {
        Message::Swim(Bytes::from(vec![7; len - OVERHEAD]))
    }

    fn take(outbox: &Outbox, room: usize) -> (Vec<Message>, Poll<Work>) {
        let mut taken = Vec::new();
        let work = outbox.poll_take(&mut Context::from_waker(Waker::noop()), room, &mut taken);
        (taken, work)
    }

    #[test]
    fn a_probe_goes_before_all_that_waits_in_bulk() {
        let outbox = Outbox::new(8 * KIB);
        for _ in 0..4 {
            outbox.push(Lane::Bulk, swim(KIB));
        }
        outbox.push(Lane::Probe, Message::Keepalive);
        let (taken, work) = take(&outbox, 2 * KIB);
        assert_eq!(work, Poll::Ready(Work::Write { drained: false }));
        assert_eq!(taken, [Message::Keepalive, swim(KIB), swim(KIB)]);
        assert_eq!(take(&outbox, 64 * KIB).0.len(), 2);
        assert_eq!(take(&outbox, 64 * KIB).1, Poll::Pending);
    }

    #[test]
    fn over_the_mark_bulk_is_dropped_until_it_has_drained_and_probes_still_go() {
        let outbox = Outbox::new(4 * KIB);
        let push = || outbox.push(Lane::Bulk, swim(KIB));
        assert_eq!([push(), push(), push(), push()], [Pushed::Queued; 4]);
        assert_eq!([push(), push()], [Pushed::Overflowed, Pushed::Dropped]);
        assert_eq!(outbox.push(Lane::Probe, Message::Keepalive), Pushed::Queued);
        assert_eq!(take(&outbox, 2 * KIB).1, Poll::Ready(Work::Write { drained: false }));
        assert_eq!(push(), Pushed::Dropped, "half is not drained");
        assert_eq!(take(&outbox, KIB).1, Poll::Ready(Work::Write { drained: true }));
        assert_eq!(push(), Pushed::Queued);
    }

    /// A chunk once weighed as much as an acknowledgement: a hundred of them fitted where there was room for two.
    #[test]
    fn whatever_can_be_large_counts_with_what_it_carries() {
        let hub = HubId::new("demo").unwrap();
        let id = ChildId::new("c").unwrap();
        let step = HandoverStep::Chunk { offset: 0, bytes: Bytes::from(vec![7; 2 * KIB]) };
        let names: Vec<_> = (0..200).map(|n| NodeId::new(format!("node-{n:05}")).unwrap()).collect();
        let memory = WireMemory { names: names.clone(), ..WireMemory::default() };
        let nodes = names.clone();
        let assignment = Assignment { version: 1, by: names[0].clone(), nodes, held: false };
        let assigns = vec![WireAssign { id: id.clone(), dot: WireDot { origin: 0, counter: 1 }, assignment }];
        let origin = Member { node: names[0].clone(), boot: Boot(1) };
        let told = Bytes::from(vec![1; 2 * KIB]);
        for body in [
            HubMessage::Handover { id, source: 1, to: 1, attempt: 1, step },
            HubMessage::Memory(memory),
            HubMessage::Batch { epoch: 1, number: 1, batch: Arc::new(Batch { assigns, ..Batch::default() }) },
            HubMessage::Rumor { origin, view: 1, told, batch: Arc::default() },
        ] {
            let outbox = Outbox::new(4 * KIB);
            let what = format!("{body:?}");
            let pushed =
                (0..100).map(|_| outbox.push(Lane::Bulk, Message::Hub { hub: hub.clone(), body: body.clone() }));
            let queued = pushed.filter(|pushed| *pushed == Pushed::Queued).count();
            assert!((1..=2).contains(&queued), "{queued} of {}", &what[..what.len().min(40)]);
        }
    }

    #[test]
    fn probes_are_bounded_too() {
        let outbox = Outbox::new(4 * KIB);
        let pushed = (0..1_000).filter(|_| outbox.push(Lane::Probe, swim(KIB)) == Pushed::Queued).count();
        assert_eq!(pushed, PROBE_BYTES / KIB);
    }

    #[test]
    fn closing_writes_what_waits_and_aborting_does_not() {
        let outbox = Outbox::new(4 * KIB);
        outbox.push(Lane::Bulk, swim(KIB));
        outbox.close();
        assert_eq!(outbox.push(Lane::Bulk, swim(KIB)), Pushed::Dropped);
        assert_eq!(take(&outbox, KIB).0.len(), 1);
        assert_eq!(take(&outbox, KIB).1, Poll::Ready(Work::Close));
        let outbox = Outbox::new(4 * KIB);
        outbox.push(Lane::Bulk, swim(KIB));
        outbox.abort();
        assert_eq!(take(&outbox, KIB), (Vec::new(), Poll::Ready(Work::Close)));
    }
}
