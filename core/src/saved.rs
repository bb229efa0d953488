//! What a hub has declared, in parts that a driver can keep on a disk and hand back to a later life of the node.
//!
//! To the hub, what was saved is one more member that is compared with: a member that stood still when it was saved. So it may be
//! old, and it may be handed back at any time and to any node of the hub: what was stopped since, as anybody remembers, stays stopped.
//! See `docs/ALGORITHM.md`, section 3.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{HubId, Member};
use crate::message::{WireAssign, WireContext, WireEntry};
use crate::spec::ChildSpec;
use crate::wire::{DecodeError, EncodeError, bounded, record};

/// A part of what a hub had declared. Its bytes ([`SavedPart::encode`]) are read by versions with the same
/// [`crate::wire::ENCODING`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPart {
    /// Of which hub.
    pub(crate) hub: HubId,
    /// Who saved it, as the starts that it minted name it.
    pub(crate) by: Member,
    /// The highest counter of a token that it knew of.
    pub(crate) token: u64,
    /// The lineage of tokens that it knew of.
    pub(crate) lineage: u32,
    /// The hashes that it is complete for, both ends included. Parts are handed back in this order.
    pub(crate) range: (u64, u64),
    /// What had been seen when the first part was made.
    pub(crate) context: WireContext,
    /// The members that `entries` and `assigns` refer to.
    #[serde(with = "bounded::list")]
    pub(crate) origins: Vec<Member>,
    /// The starts.
    #[serde(with = "bounded::list")]
    pub(crate) entries: Vec<WireEntry>,
    /// What of them was given to nodes.
    #[serde(with = "bounded::list")]
    pub(crate) assigns: Vec<WireAssign>,
}

impl SavedPart {
    /// Of which hub.
    #[must_use]
    pub fn hub(&self) -> &HubId {
        &self.hub
    }

    /// Who saved it, in the life that minted its starts.
    #[must_use]
    pub fn by(&self) -> &Member {
        &self.by
    }

    /// The recipes of its starts.
    pub fn children(&self) -> impl Iterator<Item = &ChildSpec> {
        self.entries.iter().map(|entry| &*entry.spec)
    }

    /// How many starts it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none: it says what was seen all the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it is the first of those that were saved at a time.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.range.0 == 0
    }

    /// Whether it is the next one after `before`, of the same saving.
    #[must_use]
    pub fn follows(&self, before: &SavedPart) -> bool {
        let begins = before.range.1.checked_add(1);
        begins == Some(self.range.0)
            && (&self.hub, &self.by, &self.context) == (&before.hub, &before.by, &before.context)
    }

    /// Whether none comes after it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.range.1 == u64::MAX
    }

    /// Appends its bytes to `out`.
    ///
    /// # Errors
    /// When a field cannot be expressed; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        record::encode(self, out)
    }

    /// Reads a part, all of `bytes`.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match record::decode(bytes)? {
            (part, used) if used == bytes.len() => Ok(part),
            (_, used) => Err(DecodeError::Malformed(alloc::format!("{} bytes too many", bytes.len() - used))),
        }
    }
}

/// How far the saving of a hub has come: from [`crate::Hub::begin_saving`], for [`crate::Hub::save_part`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saving {
    /// Who saves. It may come to mint in a later life before the last part; what it mints then is in no part, or new.
    pub(crate) by: Member,
    /// What had been seen at the beginning. To claim less than has been seen by the time of a later part is safe: what came since
    /// counts as unseen, and is in the part or is new.
    pub(crate) context: WireContext,
    /// Where the next part begins.
    pub(crate) next: Option<u64>,
}

/// A part of what was saved was not taken; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The node does not take part in that hub.
    #[error("this node does not take part in hub `{0}`: open it first")]
    UnknownHub(HubId),
    /// It is of another hub.
    #[error("this was saved of hub `{of}` and not of `{hub}`: restore it there")]
    OtherHub {
        /// The hub that was asked.
        hub: HubId,
        /// The hub that it is of.
        of: HubId,
    },
    /// A part is missing before it.
    #[error(
        "parts are missing: this one begins at {begins:x}, and {expected:x} is next; restore all parts in their order"
    )]
    OutOfOrder {
        /// Where it begins.
        begins: u64,
        /// Where the next one has to begin.
        expected: u64,
    },
}
