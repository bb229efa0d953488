//! A copy of this node that is given away, or the state that it has left.

use alloc::collections::VecDeque;

use bytes::Bytes;

use super::{REPEAT, Target};
use crate::config::limits;
use crate::hashing::stable_hash;
use crate::input::Queued;
use crate::message::{HandoverStep, StateUse};
use crate::registry::Key;
use crate::time::Time;

/// How far a copy is that is given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// It was asked for its state.
    Freezing,
    /// Its state is here; it handles nothing, and will again if its successor does not come to serve.
    Frozen,
    /// Its state is here, and it was told to end.
    Ending,
    /// Its state is here, and it has ended.
    Kept,
}

/// A copy that is given away.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) key: Key,
    pub(crate) attempt: u32,
    pub(crate) stage: Stage,
    /// When the present stage has lasted too long; `None` where it ends by itself.
    pub(crate) until: Option<Time>,
    pub(crate) sending: Option<Sending>,
    state: Option<Bytes>,
    checksum: u64,
    /// Messages that its copy has not handled, oldest first.
    buffer: VecDeque<Queued>,
    /// Nothing is buffered any more.
    closed: bool,
}

impl Source {
    /// A copy that is asked for its state, under this mark.
    pub(crate) fn new(key: Key, attempt: u32, until: Time) -> Self {
        Self {
            key,
            attempt,
            stage: Stage::Freezing,
            until: Some(until),
            sending: None,
            state: None,
            checksum: 0,
            buffer: VecDeque::new(),
            closed: false,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let repeat = self.sending.as_ref().map(|sending| sending.repeat_at);
        [self.until, repeat].into_iter().flatten().min()
    }

    /// Its copy has given its state, and what it had not handled: that comes before what has been buffered since.
    pub(crate) fn took(&mut self, state: Bytes) {
        self.checksum = stable_hash(&state);
        self.state = Some(state);
    }

    /// Takes the state out: it is not held any more.
    pub(crate) fn drop_state(&mut self) -> Option<Bytes> {
        self.state.take()
    }

    /// Bytes of state that are held.
    pub(crate) fn held(&self) -> usize {
        self.state.as_ref().map_or(0, Bytes::len)
    }

    /// Whether its successor was told to serve.
    pub(crate) fn is_committed(&self) -> bool {
        self.sending.as_ref().is_some_and(|sending| sending.committed)
    }

    // ---- messages meanwhile

    /// Whether messages to the copy are kept here.
    pub(crate) fn is_buffering(&self) -> bool {
        !self.closed
    }

    /// Keeps a message. False if too many are kept already.
    pub(crate) fn buffer(&mut self, message: Queued) -> bool {
        if self.buffer.len() >= limits::WAITING_MESSAGES {
            return false;
        }
        self.buffer.push_back(message);
        true
    }

    /// What lay in the mailbox came before what was buffered since.
    pub(crate) fn unread(&mut self, message: Queued) {
        self.buffer.push_front(message);
    }

    /// Takes all that was kept; with `close`, nothing is kept from here on.
    pub(crate) fn take_buffer(&mut self, close: bool) -> VecDeque<Queued> {
        self.closed |= close;
        core::mem::take(&mut self.buffer)
    }

    // ---- the way of the state

    /// What to send now, as far as it was granted: the offer first.
    pub(crate) fn next_parts(&mut self, now: Time) -> alloc::vec::Vec<HandoverStep> {
        let mut parts = alloc::vec::Vec::new();
        let Some(sending) = &mut self.sending else { return parts };
        let Some(state) = &self.state else { return parts };
        if !sending.offered {
            sending.offered = true;
            let len = state.len() as u64;
            parts.push(HandoverStep::Offer { len, checksum: self.checksum, why: sending.why.clone() });
        }
        while sending.sent < sending.granted.min(state.len()) {
            let end = (sending.sent + limits::CHUNK).min(state.len());
            let bytes = state.slice(sending.sent..end);
            parts.push(HandoverStep::Chunk { offset: sending.sent as u64, bytes });
            sending.sent = end;
        }
        if !parts.is_empty() {
            sending.repeat_at = now + REPEAT;
        }
        parts
    }

    /// Nothing was heard for a while: what was sent last is sent again.
    pub(crate) fn repeat(&mut self, now: Time) -> alloc::vec::Vec<HandoverStep> {
        let Some(sending) = &mut self.sending else { return alloc::vec::Vec::new() };
        sending.repeat_at = now + REPEAT;
        if sending.committed {
            return alloc::vec![HandoverStep::Commit];
        }
        (sending.offered, sending.sent) = (sending.acked > 0, sending.acked);
        // A receiver that has all of it and is silent is asked by the offer.
        sending.offered &= self.state.as_ref().is_some_and(|state| sending.acked < state.len());
        self.next_parts(now)
    }

    /// The receiver has all up to `upto`, and room up to `granted`.
    pub(crate) fn acknowledged(&mut self, now: Time, upto: u64, granted: u64) {
        let len = self.held();
        let Some(sending) = &mut self.sending else { return };
        let upto = usize::try_from(upto).unwrap_or(usize::MAX).min(len);
        if upto > sending.acked {
            sending.repeat_at = now + REPEAT;
        }
        sending.acked = sending.acked.max(upto);
        sending.sent = sending.sent.max(sending.acked);
        sending.granted = sending.granted.max(usize::try_from(granted).unwrap_or(usize::MAX).min(len));
    }
}

/// A state on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sending {
    pub(crate) to: Target,
    pub(crate) why: StateUse,
    /// The receiver's lineage and token when it was chosen: whatever goes on from it has a later one.
    pub(crate) token: (u32, u64),
    /// The receiver was told to serve.
    pub(crate) committed: bool,
    /// The receiver has ended, and had not served: its own word, told in order.
    pub(crate) unserved: bool,
    offered: bool,
    acked: usize,
    sent: usize,
    granted: usize,
    pub(crate) repeat_at: Time,
}

impl Sending {
    pub(crate) fn new(to: Target, token: (u32, u64), why: StateUse, now: Time) -> Self {
        let repeat_at = now + REPEAT;
        Self {
            to,
            token,
            why,
            committed: false,
            unserved: false,
            offered: false,
            acked: 0,
            sent: 0,
            granted: 0,
            repeat_at,
        }
    }
}
