//! The format of one file of a record.
//!
//! A mark and a version, then blocks: the length of what follows, its checksum, and a body that begins with its sort.
//! The first block is the head; the others hold steps, or say that some are missing. A block is whole or it is refused.

use std::io::{self, Write};

use process_hub_core::id::Boot;
use process_hub_core::wire::record::{self, Beginning, Entry};
use process_hub_core::wire::{DecodeError, EncodeError};

use crate::blocks::{self, BadBlock};

const MARK: &[u8; 8] = b"PHRECORD";
const VERSION: u16 = 1;
/// The mark, the version of this format, and that of what is in it.
const PREAMBLE: usize = 12;

const HEAD: u8 = 0;
const STEPS: u8 = 1;
const GAP: u8 = 2;

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The program that wrote it: the version of this crate.
    pub program: String,
    /// How-manieth file of the record it is, from 0.
    pub segment: u32,
    /// The number of its first step.
    pub first: u64,
    /// What the node began with.
    pub beginning: Beginning,
}

/// What a file holds after its head.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A step, with its number.
    Step(u64, Entry),
    /// Steps are missing.
    Gap {
        /// The number of the first one.
        first: u64,
        /// How many.
        count: u64,
    },
}

/// A file is not, or not in whole, a record that this version can read. What was read before that is good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is another sort of file.
    #[error("this is no flight record: it does not begin with PHRECORD")]
    Mark,
    /// It was written by another version.
    #[error("the record has format {file}.{entries}, this program reads {known}: replay it with the version that wrote it",
        known = Known)]
    Version {
        /// The version of the file's format.
        file: u16,
        /// The version of the encoding of its steps.
        entries: u16,
    },
    /// It ends within a block: its writer was killed, or the disk was full.
    #[error("the record ends in the middle of a block at byte {at}; what stands before that is whole")]
    Torn {
        /// Where the block begins.
        at: usize,
    },
    /// A block is not what was written.
    #[error("the record is damaged at byte {at}: {what}; what stands before that is whole")]
    Damaged {
        /// Where the block begins.
        at: usize,
        /// In which way.
        what: &'static str,
    },
    /// A block is whole, and something in it cannot be read.
    #[error("the block at byte {at} cannot be read: {source}")]
    Unreadable {
        /// Where the block begins.
        at: usize,
        /// Why.
        source: DecodeError,
    },
}

struct Known;

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{VERSION}.{}", record::VERSION)
    }
}

impl Head {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let program = &self.program.as_bytes()[..self.program.len().min(255)];
        out.push(u8::try_from(program.len()).unwrap_or(0));
        out.extend_from_slice(program);
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        self.beginning.encode(out)
    }

    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = body;
        let [length] = take(&mut rest)?;
        let (program, mut rest) = rest.split_at_checked(length.into()).ok_or(DecodeError::Truncated)?;
        let program = String::from_utf8_lossy(program).into_owned();
        let (segment, first) = (u32::from_le_bytes(take(&mut rest)?), u64::from_le_bytes(take(&mut rest)?));
        let (beginning, used) = Beginning::decode(rest)?;
        if used != rest.len() {
            return Err(DecodeError::Trailing(rest.len() - used));
        }
        Ok(Self { program, segment, first, beginning })
    }

    /// The life that it is a record of.
    #[must_use]
    pub fn boot(&self) -> Boot {
        self.beginning.boot
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let (taken, after) = rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
    *rest = after;
    Ok(*taken)
}

/// Writes one file.
#[derive(Debug)]
pub struct SegmentWriter<W> {
    to: W,
    written: u64,
}

impl<W: Write> SegmentWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written; it may hold a part then.
    pub fn begin(mut to: W, head: &Head) -> io::Result<Self> {
        to.write_all(MARK)?;
        to.write_all(&VERSION.to_le_bytes())?;
        to.write_all(&record::VERSION.to_le_bytes())?;
        let mut this = Self { to, written: PREAMBLE as u64 };
        let mut body = vec![HEAD];
        head.encode(&mut body).map_err(io::Error::other)?;
        this.block(&body)?;
        Ok(this)
    }

    /// Writes steps: their encodings, one after the other.
    ///
    /// # Errors
    /// When they cannot be written; a part of them may be then, which a reader refuses.
    pub fn steps(&mut self, first: u64, count: u32, steps: &[u8]) -> io::Result<()> {
        let mut body = Vec::with_capacity(steps.len() + 13);
        body.push(STEPS);
        body.extend_from_slice(&first.to_le_bytes());
        body.extend_from_slice(&count.to_le_bytes());
        body.extend_from_slice(steps);
        self.block(&body)
    }

    /// Writes that steps are missing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn gap(&mut self, first: u64, count: u64) -> io::Result<()> {
        let mut body = vec![GAP];
        body.extend_from_slice(&first.to_le_bytes());
        body.extend_from_slice(&count.to_le_bytes());
        self.block(&body)
    }

    fn block(&mut self, body: &[u8]) -> io::Result<()> {
        self.written += blocks::write(&mut self.to, body)?;
        Ok(())
    }

    /// How many bytes it has.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// What it was written to.
    pub fn into_inner(self) -> W {
        self.to
    }
}

/// Reads one file: its items in order, up to the first error.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    bytes: &'a [u8],
    at: usize,
    head: Head,
    /// What is left of the block that is being read: where it began, the number of the next step, how many, their bytes.
    block: Option<(usize, u64, u32, &'a [u8])>,
    over: bool,
}

impl<'a> Segment<'a> {
    /// Opens the file with this content.
    ///
    /// # Errors
    /// When it is no record of this version, or its head is damaged.
    pub fn open(bytes: &'a [u8]) -> Result<Self, RecordError> {
        // A writer that was killed as it began the file left a part of what every file begins with.
        if !bytes.starts_with(&MARK[..MARK.len().min(bytes.len())]) {
            return Err(RecordError::Mark);
        }
        let preamble = bytes.get(..PREAMBLE).ok_or(RecordError::Torn { at: 0 })?;
        let number = |at: usize| u16::from_le_bytes([preamble[at], preamble[at + 1]]);
        let (file, entries) = (number(8), number(10));
        if (file, entries) != (VERSION, record::VERSION) {
            return Err(RecordError::Version { file, entries });
        }
        let (body, at) = block(bytes, PREAMBLE)?.ok_or(RecordError::Torn { at: PREAMBLE })?;
        let Some((&HEAD, body)) = body.split_first() else {
            return Err(RecordError::Damaged { at: PREAMBLE, what: "the head is missing" });
        };
        let head = Head::decode(body).map_err(|source| RecordError::Unreadable { at: PREAMBLE, source })?;
        Ok(Self { bytes, at, head, block: None, over: false })
    }

    /// What it says of itself.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    fn read(&mut self) -> Result<Option<Item>, RecordError> {
        loop {
            if let Some((at, number, left, bytes)) = self.block.take() {
                if left > 0 {
                    let (entry, used) =
                        Entry::decode(bytes).map_err(|source| RecordError::Unreadable { at, source })?;
                    self.block = Some((at, number.wrapping_add(1), left - 1, &bytes[used..]));
                    return Ok(Some(Item::Step(number, entry)));
                }
                if !bytes.is_empty() {
                    let source = DecodeError::Trailing(bytes.len());
                    return Err(RecordError::Unreadable { at, source });
                }
            }
            let at = self.at;
            let Some((body, next)) = block(self.bytes, at)? else { return Ok(None) };
            self.at = next;
            let unreadable = |source| RecordError::Unreadable { at, source };
            let (mut rest, sort) = body.split_first().map_or((body, u8::MAX), |(sort, rest)| (rest, *sort));
            let first = u64::from_le_bytes(take(&mut rest).map_err(unreadable)?);
            match sort {
                STEPS => {
                    let count = u32::from_le_bytes(take(&mut rest).map_err(unreadable)?);
                    self.block = Some((at, first, count, rest));
                }
                GAP => {
                    let count = u64::from_le_bytes(take(&mut rest).map_err(unreadable)?);
                    return Ok(Some(Item::Gap { first, count }));
                }
                _ => return Err(RecordError::Damaged { at, what: "the block is of no known sort" }),
            }
        }
    }
}

impl Iterator for Segment<'_> {
    type Item = Result<Item, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let item = self.read().transpose();
        self.over = !matches!(item, Some(Ok(_)));
        item
    }
}

/// The body of the block at `at`, and where the next one begins; none at the end.
fn block(bytes: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, RecordError> {
    blocks::read(bytes, at).map_err(|bad| match bad {
        BadBlock::Torn => RecordError::Torn { at },
        BadBlock::Damaged(what) => RecordError::Damaged { at, what },
    })
}
