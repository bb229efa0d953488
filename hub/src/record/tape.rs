//! The driver's end: steps are encoded as they happen, and given away in blocks.

use std::fmt;
use std::sync::Arc;

use process_hub_core::wire::record::{Beginning, Entry, Fingerprint};
use process_hub_core::{Effect, Effects, Input, Time};

/// A block is given away at the latest when it has so many bytes.
const BLOCK: usize = 256 << 10;

/// What a driver gives away to be written, in this order: the beginning once, then steps and gaps.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// What the node began with.
    Beginning(Box<Beginning>),
    /// Steps: their encodings, one after the other.
    Steps {
        /// The number of the first one.
        first: u64,
        /// How many.
        count: u32,
        /// The encodings.
        bytes: Vec<u8>,
    },
    /// Steps that were lost.
    Gap {
        /// The number of the first one.
        first: u64,
        /// How many.
        count: u64,
    },
}

/// Where a record goes.
pub trait RecordSink: Send + Sync + 'static {
    /// Takes a piece, or hands it back when there is no room: the steps in it are lost then, and a gap follows. Called by
    /// the driver between two steps, so it must return at once, whatever the disk does.
    ///
    /// # Errors
    /// Hands the piece back.
    fn put(&self, piece: Piece) -> Result<(), Piece>;
}

/// A [`RecordSink`] without its type.
#[derive(Clone)]
pub struct Sink(Arc<dyn RecordSink>);

impl Sink {
    /// To be given to [`crate::NodeOptions::record`].
    pub fn new(sink: impl RecordSink) -> Self {
        Self(Arc::new(sink))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// The record of one node, as far as it was not given away.
#[derive(Debug)]
pub(crate) struct Tape {
    sink: Sink,
    fingerprint: Fingerprint,
    /// The number of the step that is next.
    next: u64,
    first: u64,
    count: u32,
    bytes: Vec<u8>,
    /// Where the step under way begins; none if it is left out.
    open: Option<usize>,
    /// Steps that were lost and not told of: the first, and how many.
    lost: Option<(u64, u64)>,
}

impl Tape {
    /// A record, unless the sink refuses its beginning: without that, nothing is worth anything.
    pub(crate) fn begin(sink: Sink, beginning: Beginning) -> Option<Self> {
        if sink.0.put(Piece::Beginning(Box::new(beginning))).is_err() {
            tracing::warn!("nothing is recorded: there is no room for the beginning");
            return None;
        }
        let fingerprint = Fingerprint::default();
        Some(Self { sink, fingerprint, next: 0, first: 0, count: 0, bytes: Vec::new(), open: None, lost: None })
    }

    /// The node is about to be handed an input.
    pub(crate) fn input(&mut self, now: Time, input: &Input) {
        let start = self.bytes.len();
        self.open = (Entry::open(now, input, &mut self.bytes).is_ok()).then_some(start);
        // What a caller asked may break the limits that hold for whatever is read. A refused request changes nothing, and
        // is left out; should it not be refused, it is missing.
        if let (Input::Request { .. }, Some(start)) = (input, self.open)
            && !Entry::reads_back(&self.bytes[start..])
        {
            self.bytes.truncate(start);
            self.open = None;
        }
    }

    /// These are its effects.
    pub(crate) fn effects(&mut self, effects: &Effects) {
        if self.open.take().is_none() {
            let refused = effects.len() == 1 && effects.iter().all(|effect| matches!(effect, Effect::Reply { .. }));
            if !refused {
                tracing::warn!(
                    step = self.next,
                    "a request cannot be recorded, such as a hub with a strategy of one's own: what follows cannot be replayed"
                );
                self.fingerprint.add(effects);
                self.lose(1);
            }
            return;
        }
        self.fingerprint.add(effects);
        Entry::close(self.fingerprint.value(), &mut self.bytes);
        self.next += 1;
        self.count += 1;
        if self.bytes.len() >= BLOCK {
            self.flush();
        }
    }

    /// Steps from the next one on are missing.
    fn lose(&mut self, count: u64) {
        self.flush();
        let lost = self.lost.get_or_insert((self.next, 0));
        lost.1 += count;
        self.next += count;
        self.first = self.next;
    }

    /// Gives away what there is.
    pub(crate) fn flush(&mut self) {
        if let Some((first, count)) = self.lost
            && self.sink.0.put(Piece::Gap { first, count }).is_ok()
        {
            self.lost = None;
        }
        if self.count == 0 {
            return;
        }
        let room = self.bytes.len();
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(room.min(BLOCK)));
        let (first, count) = (self.first, self.count);
        (self.first, self.count) = (self.next, 0);
        let kept = self.lost.is_none() && self.sink.0.put(Piece::Steps { first, count, bytes }).is_ok();
        if !kept {
            let lost = self.lost.get_or_insert((first, 0));
            lost.1 += u64::from(count);
        }
    }
}
