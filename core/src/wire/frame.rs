//! Frames on a stream of bytes: four bytes of length, the most significant first, then the payload.

use alloc::vec::Vec;

use bytes::{Buf, Bytes, BytesMut};

use crate::config::limits;

/// Bytes in front of each payload.
pub const PREFIX: usize = 4;

/// A stream is no stream of frames: close it. There is no way to find the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame has no payload.
    #[error("an empty frame")]
    Empty,
    /// A frame has, or claims, more bytes than allowed.
    #[error("a frame of {len} bytes, the limit here is {limit}")]
    TooLarge {
        /// Its size in bytes.
        len: usize,
        /// What was allowed.
        limit: usize,
    },
}

/// Finds frames in a stream, however it is cut into pieces. Holds what has arrived and no more: the claimed length of a
/// frame makes no room.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    limit: usize,
    failed: Option<FrameError>,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameReader {
    /// A reader that takes frames of up to [`limits::FRAME`] bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(limits::FRAME)
    }

    /// A reader that takes frames of up to `limit` bytes, and at most [`limits::FRAME`].
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit: limit.min(limits::FRAME), failed: None }
    }

    /// Changes the limit, for frames that were not yet taken out: a stranger may send less than a member.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(limits::FRAME);
    }

    /// Takes the next piece of the stream, of any size. Take out the frames with [`FrameReader::next`] before the next
    /// piece: what is held then is less than one frame.
    pub fn push(&mut self, piece: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(piece);
        }
    }

    /// The payload of the next frame, if it has arrived as a whole.
    ///
    /// # Errors
    /// When the stream is none of frames; then always, and what arrives later is dropped.
    #[expect(clippy::should_implement_trait, reason = "a stream that may go on is no iterator")]
    pub fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let frame = match self.failed {
            Some(error) => Err(error),
            None => self.take(),
        };
        if let Err(error) = frame {
            self.failed = Some(error);
            self.buffer = BytesMut::new();
        }
        frame
    }

    /// Bytes that have arrived and belong to no frame that was taken out.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    fn take(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let len = u32::from_be_bytes(*prefix) as usize;
        check(len, self.limit)?;
        if self.buffer.len() < PREFIX + len {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(len).freeze()))
    }
}

/// Appends a frame with this payload.
///
/// # Errors
/// When the payload is empty or larger than [`limits::FRAME`]; `out` is then as it was.
pub fn write_frame(payload: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    out.extend_from_slice(&prefix(payload.len())?);
    out.extend_from_slice(payload);
    Ok(())
}

/// The bytes that go in front of a payload of `len` bytes, for a writer that has it elsewhere.
///
/// # Errors
/// When `len` is 0 or more than [`limits::FRAME`].
pub fn prefix(len: usize) -> Result<[u8; PREFIX], FrameError> {
    check(len, limits::FRAME)?;
    let len = u32::try_from(len).map_err(|_| FrameError::TooLarge { len, limit: limits::FRAME })?;
    Ok(len.to_be_bytes())
}

fn check(len: usize, limit: usize) -> Result<(), FrameError> {
    match len {
        0 => Err(FrameError::Empty),
        len if len > limit => Err(FrameError::TooLarge { len, limit }),
        _ => Ok(()),
    }
}
