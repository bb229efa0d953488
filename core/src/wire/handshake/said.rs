//! What is said in a handshake, as bytes: a fixed head that every version understands, then the body.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::error::HandshakeError;
use super::secret::HASH;
use crate::config::limits;
use crate::hashing::stable_hash;
use crate::id::{Addr, Boot, Member};
use crate::wire::{bounded, codec};

/// The most bytes that anything said before a link is authenticated may have.
pub const HANDSHAKE_LIMIT: usize = 4 << 10;

const MAGIC: [u8; 4] = *b"PHUB";
/// The size of the head, in bytes.
pub(super) const HEAD: usize = MAGIC.len() + 5;

/// What sort of thing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Sort {
    Hello = 1,
    Proof = 2,
    Refusal = 255,
}

/// What a node says of itself before anything is proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) cluster: SmolStr,
    pub(super) member: Member,
    pub(super) addr: Addr,
    pub(super) limits: u64,
    pub(super) nonce: [u8; HASH],
    /// The highest boot the speaker knows of the listener's name, once it knows that name.
    pub(super) known: Option<Boot>,
}

/// That a node holds a cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Proof {
    /// As in [`Hello`].
    pub(super) known: Option<Boot>,
    /// One for each cookie of the initiator's; the responder's one is for the cookie that matched.
    #[serde(with = "bounded::list")]
    pub(super) macs: Vec<[u8; HASH]>,
}

/// The digest of the limits that two nodes must share.
pub(super) fn limits_digest() -> u64 {
    let shared = [limits::FRAME, limits::SPEC, limits::METADATA, limits::PAYLOAD, limits::BATCH];
    let bytes: Vec<u8> = shared.iter().flat_map(|limit| (*limit as u64).to_be_bytes()).collect();
    stable_hash(&bytes)
}

/// The bytes of a thing said.
pub(super) fn write<T: Serialize>(
    versions: &RangeInclusive<u16>,
    sort: Sort,
    body: &T,
) -> Result<Vec<u8>, HandshakeError> {
    let mut bytes = head(versions, sort);
    let room = HANDSHAKE_LIMIT - HEAD;
    codec::encode_body(body, room, &mut bytes).map_err(|_| HandshakeError::Malformed("it would be too large"))?;
    Ok(bytes)
}

/// The bytes of a refusal: the same for every reason.
pub(super) fn head(versions: &RangeInclusive<u16>, sort: Sort) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + 192);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&versions.start().to_be_bytes());
    bytes.extend_from_slice(&versions.end().to_be_bytes());
    bytes.push(sort as u8);
    bytes
}

/// The version to speak, the sort, and the body's bytes.
pub(super) fn read_head<'a>(
    ours: &RangeInclusive<u16>,
    bytes: &'a [u8],
) -> Result<(u16, Sort, &'a [u8]), HandshakeError> {
    if bytes.len() > HANDSHAKE_LIMIT {
        return Err(HandshakeError::Malformed("it says too much"));
    }
    let Some((magic, rest)) = bytes.split_first_chunk() else { return Err(HandshakeError::Stranger) };
    if *magic != MAGIC {
        return Err(HandshakeError::Stranger);
    }
    let Some((&[a, b, c, d, sort], body)) = rest.split_first_chunk() else {
        return Err(HandshakeError::Malformed("its head is cut short"));
    };
    let theirs = u16::from_be_bytes([a, b])..=u16::from_be_bytes([c, d]);
    let version = *ours.end().min(theirs.end());
    if theirs.is_empty() || version < *ours.start().max(theirs.start()) {
        return Err(HandshakeError::Version { ours: ours.clone(), theirs });
    }
    let sort = match sort {
        1 => Sort::Hello,
        2 => Sort::Proof,
        255 => Sort::Refusal,
        _ => return Err(HandshakeError::Malformed("it is of an unknown sort")),
    };
    Ok((version, sort, body))
}

/// The body that is the whole of `bytes`.
pub(super) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, HandshakeError> {
    codec::decode_body(bytes).map_err(|_| HandshakeError::Malformed("its body makes no sense"))
}
