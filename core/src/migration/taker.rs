//! A copy of this node that takes over the state of another.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use smol_str::SmolStr;

use super::{Target, WINDOW};
use crate::hashing::stable_hash;
use crate::message::StateUse;
use crate::registry::Key;
use crate::time::Time;

/// How long a receiver waits for a part: it is sent again four times meanwhile.
const IDLE: Duration = Duration::from_secs(2);

/// How far a transfer is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TransferStage {
    /// Parts are missing.
    Receiving,
    /// The copy was given the state and has until then to take it.
    Giving(Time),
    /// The copy has taken it, or has not.
    Taken(Result<(), SmolStr>),
}

/// What was said of a state that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Offer {
    /// Whose it is.
    pub(crate) from: Target,
    pub(crate) attempt: u32,
    pub(crate) len: u64,
    pub(crate) checksum: u64,
    pub(crate) why: StateUse,
}

/// A state on its way to a copy of this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Transfer {
    /// Whose it was.
    pub(crate) from: Target,
    pub(crate) attempt: u32,
    pub(crate) why: StateUse,
    pub(crate) stage: TransferStage,
    /// When nothing has come for so long that nothing will.
    idle_at: Time,
    len: usize,
    checksum: u64,
    got: Vec<u8>,
}

impl Transfer {
    pub(crate) fn new(from: Target, attempt: u32, why: StateUse, len: usize, checksum: u64, now: Time) -> Self {
        let stage = TransferStage::Receiving;
        Self { from, attempt, why, stage, idle_at: now + IDLE, len, checksum, got: Vec::new() }
    }

    /// How much has come, and up to where there is room.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let got = if self.stage == TransferStage::Receiving { self.got.len() } else { self.len };
        (got as u64, got.saturating_add(WINDOW).min(self.len) as u64)
    }

    /// Takes the next part; one that came before, or ahead of others, is dropped.
    pub(crate) fn part(&mut self, offset: u64, bytes: &Bytes, now: Time) {
        self.idle_at = now + IDLE;
        let fits = bytes.len() <= self.len - self.got.len().min(self.len);
        if self.stage != TransferStage::Receiving || offset != self.got.len() as u64 || !fits {
            return;
        }
        if self.got.capacity() - self.got.len() < bytes.len() {
            // Room grows with what has come, and never beyond what was announced.
            let more = self.got.len().max(WINDOW).min(self.len - self.got.len());
            self.got.reserve_exact(more.max(bytes.len()));
        }
        self.got.extend_from_slice(bytes);
    }

    /// The state, once, when all of it has come; or why it cannot be used.
    pub(crate) fn complete(&mut self, until: Time) -> Option<Result<Bytes, SmolStr>> {
        if self.stage != TransferStage::Receiving || self.got.len() < self.len {
            return None;
        }
        let state = Bytes::from(core::mem::take(&mut self.got));
        if stable_hash(&state) != self.checksum {
            let reason = SmolStr::new_static("its checksum is not that of the state which was sent");
            self.stage = TransferStage::Taken(Err(reason.clone()));
            return Some(Err(reason));
        }
        self.stage = TransferStage::Giving(until);
        Some(Ok(state))
    }
}

/// A copy that takes over: it stands by for its predecessor, or serves and merges what a loser has left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Taker {
    pub(crate) key: Key,
    pub(crate) stands_by: bool,
    /// The installation of a view in which its token was issued.
    pub(crate) view: u64,
    pub(crate) transfer: Option<Transfer>,
}

impl Taker {
    pub(crate) fn new(key: Key, stands_by: bool, view: u64) -> Self {
        Self { key, stands_by, view, transfer: None }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let transfer = self.transfer.as_ref()?;
        match transfer.stage {
            TransferStage::Giving(until) => Some(until),
            // A copy that stands by has its predecessor's row to go by.
            TransferStage::Receiving => (!self.stands_by).then_some(transfer.idle_at),
            TransferStage::Taken(_) => None,
        }
    }

    /// Bytes that are here, on their way, or with the copy that is about to take them.
    pub(crate) fn coming(&self) -> usize {
        let under_way = |transfer: &&Transfer| !matches!(transfer.stage, TransferStage::Taken(_));
        self.transfer.as_ref().filter(under_way).map_or(0, |transfer| transfer.len)
    }

    /// The transfer of this copy's state, under this mark.
    pub(crate) fn transfer_of(&mut self, from: &Target, attempt: u32) -> Option<&mut Transfer> {
        self.transfer.as_mut().filter(|transfer| transfer.from == *from && transfer.attempt == attempt)
    }
}
