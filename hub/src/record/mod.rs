//! The flight recorder: what a node is handed, written down so that what it did can be done again, bit for bit.
//!
//! A node's core is a function of its beginning and of each `(now, Input)`. The driver encodes these on a tape, in blocks,
//! and gives them to a [`RecordSink`], which must take them at once or not at all: a driver never waits for a disk. Beside
//! each step stands a rolling hash of the effects so far, which a replay compares.
//!
//! # What can be replayed
//! A record can be replayed from its beginning up to the first gap, and no further: there are no snapshots of a node's
//! state to go on from. A gap is where the sink had no room, or where an older part was deleted to make room. What lies
//! behind one can still be read: it says what the node was handed, and when.
//!
//! A hub with a strategy of somebody's own cannot be replayed, since what the strategy does is not in the record: where
//! it is opened, there is a gap. And a record is read by the version that wrote it, on a machine of the same word size.

mod replay;
mod segment;
mod tape;

pub use replay::{Replay, ReplayError, Replayed, Watch};
pub use segment::{Head, Item, RecordError, Segment, SegmentWriter};
pub(crate) use tape::Tape;
pub use tape::{Piece, RecordSink, Sink};
