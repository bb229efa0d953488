//! What a node is made of and handed, as bytes: enough to do again what it did, bit for bit.
//!
//! A node is a function of its configuration, its boot, its seed, and each `(now, Input)`. A record of these is not a
//! message: it is read by the version that wrote it, on a machine of the same word size, and it is never taken from
//! another node.

use alloc::vec::Vec;

use bincode::config::{self, Config};
use serde::{Deserialize, Serialize};

use super::codec::{DecodeError, EncodeError};
use crate::config::NodeConfig;
use crate::id::Boot;
use crate::input::Input;
use crate::time::Time;

pub use crate::effect::Fingerprint;

/// The version of these encodings: a record names it, and another one is refused.
pub const VERSION: u16 = 3;

/// The beginning of a node: what [`crate::Node::new`] was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// Its configuration.
    pub config: NodeConfig,
    /// The life.
    pub boot: Boot,
    /// The seed of its random decisions.
    pub seed: u64,
}

/// One step of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When.
    pub now: Time,
    /// What it was handed.
    pub input: Input,
    /// The rolling hash over all effects, those of this step included: see [`Fingerprint`].
    pub effects: u64,
}

/// Claims are limited by what is there: text and bytes are copied out of it, and lists grow as elements arrive.
const fn format() -> impl Config {
    config::standard().with_limit::<{ 1 << 30 }>()
}

pub(crate) fn encode(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    struct Into<'a>(&'a mut Vec<u8>);

    impl bincode::enc::write::Writer for Into<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }

    let start = out.len();
    bincode::serde::encode_into_writer(value, Into(out), format()).map(|_| ()).map_err(|error| {
        out.truncate(start);
        EncodeError::Unsupported(alloc::format!("{error}"))
    })
}

pub(crate) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<(T, usize), DecodeError> {
    bincode::serde::borrow_decode_from_slice(bytes, format()).map_err(|error| match error {
        bincode::error::DecodeError::UnexpectedEnd { .. } => DecodeError::Truncated,
        other => DecodeError::Malformed(alloc::format!("{other}")),
    })
}

impl Beginning {
    /// Appends it to `out`.
    ///
    /// # Errors
    /// When a field cannot be expressed; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode(self, out)
    }

    /// The beginning that `bytes` begin with, and how many they are.
    ///
    /// # Errors
    /// When they are anything else.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        decode(bytes)
    }
}

impl Entry {
    /// Appends a step whose effects are not known yet to `out`. [`Entry::close`] completes it.
    ///
    /// # Errors
    /// When a field cannot be expressed; `out` is then as it was.
    pub fn open(now: Time, input: &Input, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode(&(now, input), out)
    }

    /// Completes the step that was opened last.
    pub fn close(effects: u64, out: &mut Vec<u8>) {
        // The fixed size keeps it out of the way of what may fail.
        out.extend_from_slice(&effects.to_le_bytes());
    }

    /// Whether what [`Entry::open`] appended is read back. Not so where a caller has asked for what breaks a limit that
    /// holds for whatever is read.
    #[must_use]
    pub fn reads_back(opened: &[u8]) -> bool {
        decode::<(Time, Input)>(opened).is_ok_and(|(_, used)| used == opened.len())
    }

    /// The step that `bytes` begin with, and how many they are.
    ///
    /// # Errors
    /// When they are anything else.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        let ((now, input), used): ((Time, Input), usize) = decode(bytes)?;
        let effects = bytes[used..].first_chunk().ok_or(DecodeError::Truncated)?;
        Ok((Self { now, input, effects: u64::from_le_bytes(*effects) }, used + effects.len()))
    }
}
