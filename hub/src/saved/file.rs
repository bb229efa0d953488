//! The format of one file: what one hub of one node has declared.
//!
//! A mark and versions, then blocks: the head, and one a part, up to the last part.

use std::io::{self, Write};

use process_hub_core::saved::SavedPart;
use process_hub_core::wire::{DecodeError, ENCODING};

use crate::blocks::{self, BadBlock};

const MARK: &[u8; 8] = b"PHSAVED\0";
const VERSION: u8 = 1;
/// The mark, the version of this format, and that of what is in it.
const PREAMBLE: usize = 10;

/// What a file of a hub says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFile {
    /// The cluster that the hub is of.
    pub cluster: String,
    /// All parts, in their order; at least one.
    pub parts: Vec<SavedPart>,
}

/// A file is not what one of these was when it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SavedFileError {
    /// It is another sort of file.
    #[error("it holds nothing that was saved of a hub: it does not begin with PHSAVED")]
    Mark,
    /// It was written by another version.
    #[error("it has format {file}.{encoding}, and this program reads {VERSION}.{ENCODING}")]
    Version {
        /// The version of the file's format.
        file: u8,
        /// The version of the encoding of its parts.
        encoding: u8,
    },
    /// It ends within a block, or before the last part.
    #[error("it ends at byte {at}, before all of it is there")]
    Torn {
        /// Where what is missing begins.
        at: usize,
    },
    /// A block is not what was written.
    #[error("it is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the block begins.
        at: usize,
        /// In which way.
        what: &'static str,
    },
    /// A block is whole, and is none.
    #[error("the part at byte {at} cannot be read: {source}")]
    Unreadable {
        /// Where the block begins.
        at: usize,
        /// Why.
        source: DecodeError,
    },
}

impl SavedFile {
    /// Reads a file with this content.
    ///
    /// # Errors
    /// When it is not, from its first to its last byte, one that was written by this version.
    pub fn read(bytes: &[u8]) -> Result<Self, SavedFileError> {
        let Some((&[ref mark @ .., file, encoding], _)) = bytes.split_first_chunk::<PREAMBLE>() else {
            return Err(SavedFileError::Mark);
        };
        if mark != MARK {
            return Err(SavedFileError::Mark);
        }
        if (file, encoding) != (VERSION, ENCODING) {
            return Err(SavedFileError::Version { file, encoding });
        }
        let (head, mut at) = block(bytes, PREAMBLE)?;
        let cluster = String::from_utf8_lossy(head).into_owned();
        let mut parts: Vec<SavedPart> = Vec::new();
        loop {
            let (body, next) = block(bytes, at)?;
            let part = SavedPart::decode(body).map_err(|source| SavedFileError::Unreadable { at, source })?;
            if !parts.last().map_or(part.is_first(), |before| part.follows(before)) {
                return Err(SavedFileError::Damaged { at, what: "the part does not follow the one before it" });
            }
            let last = part.is_last();
            parts.push(part);
            at = next;
            if last {
                break;
            }
        }
        match at == bytes.len() {
            true => Ok(Self { cluster, parts }),
            false => Err(SavedFileError::Damaged { at, what: "something comes after the last part" }),
        }
    }
}

fn block(bytes: &[u8], at: usize) -> Result<(&[u8], usize), SavedFileError> {
    match blocks::read(bytes, at) {
        Ok(Some(block)) => Ok(block),
        Ok(None) | Err(BadBlock::Torn) => Err(SavedFileError::Torn { at }),
        Err(BadBlock::Damaged(what)) => Err(SavedFileError::Damaged { at, what }),
    }
}

/// Writes one file.
#[derive(Debug)]
pub struct SavedWriter<W> {
    to: W,
}

impl<W: Write> SavedWriter<W> {
    /// Begins a file, of a hub of this cluster.
    ///
    /// # Errors
    /// When it cannot be written; it may hold a part then.
    pub fn begin(mut to: W, cluster: &str) -> io::Result<Self> {
        to.write_all(MARK)?;
        to.write_all(&[VERSION, ENCODING])?;
        blocks::write(&mut to, cluster.as_bytes())?;
        Ok(Self { to })
    }

    /// Writes the next part. After the last one, the file is whole.
    ///
    /// # Errors
    /// When it cannot be written; some of it may be then, which a reader refuses.
    pub fn part(&mut self, part: &SavedPart) -> io::Result<()> {
        let mut body = Vec::new();
        part.encode(&mut body).map_err(io::Error::other)?;
        blocks::write(&mut self.to, &body).map(drop)
    }

    /// What it was written to.
    pub fn into_inner(self) -> W {
        self.to
    }
}

#[cfg(test)]
mod tests {
    use process_hub_core::config::HubConfig;
    use process_hub_core::id::{Boot, ChildId, HubId, Kind, Member, NodeId, RequestId};
    use process_hub_core::request::{Request, StartOptions};
    use process_hub_core::spec::ChildSpec;
    use process_hub_core::{Effects, Hub, HubInput, Time};

    use super::*;

    /// A file with eight children in it, of several parts if `large`.
    fn file(large: bool) -> (Vec<SavedPart>, Vec<u8>) {
        let id = HubId::new("demo").unwrap();
        let me = Member { node: NodeId::new("n1").unwrap(), boot: Boot(7) };
        let mut hub = Hub::new(HubConfig::new(id.clone()), me, true, Time::ZERO).unwrap();
        let args = if large { 60 << 10 } else { 3 };
        let child = |name| ChildSpec::new(ChildId::new(name).unwrap(), Kind::new("k").unwrap(), vec![1; args]);
        let children = ["a", "b", "c", "d", "e", "f", "g", "h"].map(child).to_vec();
        let request =
            Request::Start { hub: id, children, options: StartOptions { wait: false, ..StartOptions::default() } };
        hub.handle(Time::from_millis(1), HubInput::Request { id: RequestId(1), request }, &mut Effects::new());
        let mut saving = hub.begin_saving();
        let parts: Vec<SavedPart> = std::iter::from_fn(|| hub.save_part(&mut saving)).collect();
        (parts.clone(), write(&parts))
    }

    fn write(parts: &[SavedPart]) -> Vec<u8> {
        let mut writer = SavedWriter::begin(Vec::new(), "a cluster").unwrap();
        parts.iter().for_each(|part| writer.part(part).unwrap());
        writer.into_inner()
    }

    #[test]
    fn what_was_written_is_read() {
        for large in [false, true] {
            let (parts, bytes) = file(large);
            assert_eq!(parts.len() > 1, large);
            assert_eq!(SavedFile::read(&bytes), Ok(SavedFile { cluster: "a cluster".to_owned(), parts }));
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_found_out() {
        let (_, bytes) = file(false);
        for cut in 0..bytes.len() {
            let error = SavedFile::read(&bytes[..cut]).unwrap_err();
            let expected = matches!(error, SavedFileError::Mark | SavedFileError::Torn { .. });
            assert!(expected, "cut at {cut}: {error}");
        }
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert!(SavedFile::read(&damaged).is_err(), "bit {at}");
        }
        assert!(SavedFile::read(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn parts_that_are_missing_or_of_another_saving_are_found_out() {
        let (parts, _) = file(true);
        let (others, _) = file(false);
        let misplaced =
            |parts: &[SavedPart]| matches!(SavedFile::read(&write(parts)), Err(SavedFileError::Damaged { .. }));
        assert!(misplaced(&parts[1..]), "the first is missing");
        assert!(misplaced(&[parts[1].clone(), parts[0].clone()]));
        assert!(misplaced(&[parts.clone(), others].concat()), "another comes after the last");
        assert!(
            matches!(SavedFile::read(&write(&parts[..1])), Err(SavedFileError::Torn { .. })),
            "the last is missing"
        );
        let error = SavedFile::read(b"PHSAVED\0\x01\xff").unwrap_err();
        assert!(error.to_string().starts_with("it has format 1.255, and this program reads 1."), "{error}");
    }
}
