//! Files as a row of blocks: the length of a body, its checksum, and the body. A block is whole or it is refused.

use std::io::{self, Write};

use xxhash_rust::xxh3::xxh3_64;

/// The length and the checksum.
const FRAME: usize = 12;
/// A block is at most this long, so that a damaged length is found out early. One input of a record may be a whole batch of
/// starts.
const MOST: usize = 256 << 20;

/// A block cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadBlock {
    /// The file ends within it.
    Torn,
    /// It is not what was written.
    Damaged(&'static str),
}

/// Writes a block. Returns how many bytes it has.
pub(crate) fn write(to: &mut impl Write, body: &[u8]) -> io::Result<u64> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(FRAME + body.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&xxh3_64(body).to_le_bytes());
    frame.extend_from_slice(body);
    to.write_all(&frame)?;
    Ok(frame.len() as u64)
}

/// The body of the block at `at`, and where the next one begins; none at the end.
pub(crate) fn read(bytes: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, BadBlock> {
    let rest = &bytes[at..];
    if rest.is_empty() {
        return Ok(None);
    }
    let (length, rest) = rest.split_first_chunk().ok_or(BadBlock::Torn)?;
    let (sum, rest) = rest.split_first_chunk().ok_or(BadBlock::Torn)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MOST {
        return Err(BadBlock::Damaged("its length is impossible"));
    }
    let body = rest.get(..length).ok_or(BadBlock::Torn)?;
    if xxh3_64(body) != u64::from_le_bytes(*sum) {
        return Err(BadBlock::Damaged("its checksum does not match"));
    }
    Ok(Some((body, at + FRAME + length)))
}
