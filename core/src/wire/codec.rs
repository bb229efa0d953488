//! Messages to bytes and back. The only module that knows which format is used.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bincode::config::{self, Config};
use bincode::enc::write::Writer;

use crate::config::limits;
use crate::message::Message;

/// The version of the encoding: the first byte of every message.
pub const ENCODING: u8 = 3;

/// A message could not be encoded. The buffer is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It would not fit into a frame.
    #[error("the message has more than {limit} bytes, a frame's limit: split it", limit = limits::FRAME)]
    TooLarge,
    /// A field cannot be expressed.
    #[error("the message cannot be encoded: {0}")]
    Unsupported(String),
}

/// Bytes are no message. Nothing was kept of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are more than a frame may hold.
    #[error("a message of {0} bytes is over the limit of {limit}", limit = limits::FRAME)]
    TooLarge(usize),
    /// They were written by another version of the encoding.
    #[error("the message has encoding {0}, this node speaks {ENCODING}")]
    Version(u8),
    /// They end before the message does.
    #[error("the message is cut short")]
    Truncated,
    /// There are more than the message takes.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
    /// A tag, text or length is impossible or over its limit.
    #[error("the message is malformed: {0}")]
    Malformed(String),
}

/// Appends `message` to `out`, at most [`limits::FRAME`] bytes.
///
/// # Errors
/// When it does not fit into a frame; `out` is then as it was.
pub fn encode(message: &Message, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    out.push(ENCODING);
    let result = encode_body(message, limits::FRAME - 1, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// The message that is the whole of `bytes`.
///
/// # Errors
/// When they are anything else. Room is made only for what has really arrived.
pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    if bytes.len() > limits::FRAME {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    match bytes.split_first() {
        None => Err(DecodeError::Truncated),
        Some((&ENCODING, body)) => decode_body(body),
        Some((&version, _)) => Err(DecodeError::Version(version)),
    }
}

/// The library counts a number's size in memory against its limit, not its size on the wire, where eight bytes may be
/// one: with a limit of one frame, honest frames of small numbers would be refused. What bounds memory is the frame
/// itself, and the fields of [`super::bounded`].
const fn format() -> impl Config {
    config::standard().with_limit::<{ limits::FRAME * 8 }>()
}

/// Appends `value`, at most `room` bytes. On an error, `out` may hold a part of it.
pub(super) fn encode_body<T: serde::Serialize>(value: &T, room: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    struct Bounded<'a> {
        room: usize,
        out: &'a mut Vec<u8>,
    }

    impl Writer for Bounded<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
            self.room = self.room.checked_sub(bytes.len()).ok_or(bincode::error::EncodeError::UnexpectedEnd)?;
            self.out.extend_from_slice(bytes);
            Ok(())
        }
    }

    bincode::serde::encode_into_writer(value, Bounded { room, out }, format()).map_err(|error| match error {
        bincode::error::EncodeError::UnexpectedEnd => EncodeError::TooLarge,
        other => EncodeError::Unsupported(other.to_string()),
    })
}

/// The value that is the whole of `bytes`.
pub(super) fn decode_body<'de, T: serde::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    // Borrowing: text and bytes are looked at in place, so that a claimed length makes no room.
    match bincode::serde::borrow_decode_from_slice(bytes, format()) {
        Ok((value, consumed)) if consumed == bytes.len() => Ok(value),
        Ok((_, consumed)) => Err(DecodeError::Trailing(bytes.len() - consumed)),
        Err(bincode::error::DecodeError::UnexpectedEnd { .. }) => Err(DecodeError::Truncated),
        Err(other) => Err(DecodeError::Malformed(other.to_string())),
    }
}
