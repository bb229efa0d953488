//! Bytes on a link: codec, framing and the opening handshake, all sans-IO.

pub(crate) mod bounded;
mod codec;
mod frame;

pub use codec::{DecodeError, ENCODING, EncodeError, decode, encode};
pub use frame::{FrameError, FrameReader, PREFIX, prefix, write_frame};
