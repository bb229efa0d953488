//! Bytes on a link: codec, framing and the opening handshake, all sans-IO.
//!
//! A link begins with a [`Handshake`], of which each step is one frame of at most [`HANDSHAKE_LIMIT`] bytes. After it,
//! each frame is one [`Message`](crate::Message).

pub(crate) mod bounded;
mod codec;
mod frame;
mod handshake;
pub mod record;

pub use codec::{DecodeError, ENCODING, EncodeError, decode, encode};
pub use frame::{FrameError, FrameReader, PREFIX, prefix, write_frame};
pub use handshake::{
    Cookie, CookieError, HANDSHAKE_LIMIT, Handshake, HandshakeConfig, HandshakeError, Nonce, Peer, Step, VERSIONS,
};
