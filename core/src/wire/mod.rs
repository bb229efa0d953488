//! Bytes on a link: codec, framing and the opening handshake, all sans-IO.

pub(crate) mod bounded;
