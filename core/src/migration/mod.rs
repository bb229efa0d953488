//! Moves under way at this node: copies that are given away (`source`), and copies that take over (`taker`). The argument
//! is in `docs/ALGORITHM.md`, section 9.

mod source;
mod taker;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::Member;
use crate::registry::Key;
use crate::time::Time;

pub(crate) use source::{Sending, Source, Stage};
pub(crate) use taker::{Offer, Taker, Transfer, TransferStage};

/// How long a child waits after a move that failed before the next is tried.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// How long without progress until what was sent last is sent again.
pub(crate) const REPEAT: Duration = Duration::from_millis(500);

/// Bytes of a state that a receiver grants beyond those it has.
pub(crate) const WINDOW: usize = 1 << 20;

/// Bytes of states beyond which no further one is taken, or granted room for.
const ROOM: usize = 4 << 20;

/// States that are asked for at once before anybody knows how large they are.
const BLIND: usize = 4;

/// States of other copies that one copy has taken and that are remembered.
const TAKEN: usize = 64;

/// States of other copies that wait until one copy has merged that of another.
const OFFERS: usize = 64;

/// An instance elsewhere.
pub(crate) type Target = (Member, u64);

/// What a child that is to move waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Room {
    /// That one more copy may be asked for its state.
    Take,
    /// That one more copy may stand by.
    StandBy,
    /// That fewer copies are starting.
    Start,
    /// That one more copy may be ended before another starts.
    Leave,
}

impl Room {
    pub(crate) const ALL: [Room; 4] = [Room::Take, Room::StandBy, Room::Start, Room::Leave];
}

/// Moves under way at this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Migrations {
    attempt: u32,
    sources: BTreeMap<u64, Source>,
    takers: BTreeMap<u64, Taker>,
    /// Children that wait until fewer are on their way. None waits for room of another sort than it needs.
    waiting: [BTreeSet<Key>; Room::ALL.len()],
    /// Children that were ended here so as to run elsewhere, and until when each counts as on its way.
    left: BTreeMap<Key, Time>,
    /// About how large the states were that were taken of late.
    usual: Option<usize>,
    /// Instances elsewhere that were told to commit, and whose fate made a copy here serve again: never told again.
    burned: BTreeMap<u64, BTreeSet<Target>>,
    /// Whose states a copy here has taken over or merged.
    taken: BTreeMap<u64, Vec<Target>>,
    /// States that were offered to a copy here while it merged that of another, the first first.
    offers: BTreeMap<u64, Vec<Offer>>,
}

impl Migrations {
    /// A mark that was not used before.
    pub(crate) fn next_attempt(&mut self) -> u32 {
        self.attempt = self.attempt.wrapping_add(1);
        self.attempt
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.takers.is_empty() && self.waiting_len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.sources.len() + self.takers.len() + self.waiting_len()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let sources = self.sources.values().filter_map(Source::deadline);
        let left = self.left.values().copied().filter(|_| self.has_waiting_for(Room::Leave));
        sources.chain(self.takers.values().filter_map(Taker::deadline)).chain(left).min()
    }

    /// The copies and kept states, and those that take over, whose time has come.
    pub(crate) fn due(&self, now: Time) -> (Vec<u64>, Vec<u64>) {
        let due = |deadline: Option<Time>| deadline.is_some_and(|at| at <= now);
        let sources = self.sources.iter().filter(|(_, source)| due(source.deadline()));
        let takers = self.takers.iter().filter(|(_, taker)| due(taker.deadline()));
        (sources.map(|(sequence, _)| *sequence).collect(), takers.map(|(sequence, _)| *sequence).collect())
    }

    pub(crate) fn source(&self, sequence: u64) -> Option<&Source> {
        if self.sources.is_empty() { None } else { self.sources.get(&sequence) }
    }

    pub(crate) fn source_mut(&mut self, sequence: u64) -> Option<&mut Source> {
        if self.sources.is_empty() { None } else { self.sources.get_mut(&sequence) }
    }

    pub(crate) fn add_source(&mut self, sequence: u64, source: Source) {
        self.sources.insert(sequence, source);
    }

    pub(crate) fn end_source(&mut self, sequence: u64) -> Option<Source> {
        if self.sources.is_empty() { None } else { self.sources.remove(&sequence) }
    }

    pub(crate) fn taker(&self, sequence: u64) -> Option<&Taker> {
        if self.takers.is_empty() { None } else { self.takers.get(&sequence) }
    }

    pub(crate) fn taker_mut(&mut self, sequence: u64) -> Option<&mut Taker> {
        if self.takers.is_empty() { None } else { self.takers.get_mut(&sequence) }
    }

    pub(crate) fn add_taker(&mut self, sequence: u64, taker: Taker) {
        self.takers.insert(sequence, taker);
    }

    pub(crate) fn end_taker(&mut self, sequence: u64) -> Option<Taker> {
        if self.takers.is_empty() { None } else { self.takers.remove(&sequence) }
    }

    /// Whether a copy of this node stands by.
    pub(crate) fn stands_by(&self, sequence: u64) -> bool {
        self.taker(sequence).is_some_and(|taker| taker.stands_by)
    }

    /// An instance has ended: what was remembered for its sake goes. What it gave away is kept by its source.
    pub(crate) fn forget(&mut self, sequence: u64) {
        self.end_taker(sequence);
        self.burned.remove(&sequence);
        self.taken.remove(&sequence);
        self.offers.remove(&sequence);
    }

    /// An instance elsewhere is never told anything by this copy's node again.
    pub(crate) fn burn(&mut self, sequence: u64, target: Target) {
        self.burned.entry(sequence).or_default().insert(target);
    }

    pub(crate) fn is_burned(&self, sequence: u64, target: &Target) -> bool {
        self.burned.get(&sequence).is_some_and(|burned| burned.contains(target))
    }

    /// A copy of this node has taken the state of another.
    pub(crate) fn took(&mut self, sequence: u64, of: Target) {
        let taken = self.taken.entry(sequence).or_default();
        if taken.len() >= TAKEN {
            taken.remove(0);
        }
        taken.push(of);
    }

    pub(crate) fn has_taken(&self, sequence: u64, of: &Target) -> bool {
        self.taken.get(&sequence).is_some_and(|taken| taken.contains(of))
    }

    /// A state is to be merged once the copy has merged that of another. Of what one copy offers the last counts; of too many
    /// the first, and the others are offered again.
    pub(crate) fn defer(&mut self, sequence: u64, offer: Offer) {
        let offers = self.offers.entry(sequence).or_default();
        match offers.iter().position(|other| other.from == offer.from) {
            Some(at) => offers[at] = offer,
            None if offers.len() < OFFERS => offers.push(offer),
            None => {}
        }
    }

    /// What a copy may merge next.
    pub(crate) fn next_offer(&mut self, sequence: u64) -> Option<Offer> {
        let offers = self.offers.get_mut(&sequence)?;
        let next = (!offers.is_empty()).then(|| offers.remove(0));
        if offers.is_empty() {
            self.offers.remove(&sequence);
        }
        next
    }

    // ---- the budget

    /// A child waits until there is room for its move.
    pub(crate) fn wait(&mut self, room: Room, key: &Key) {
        self.waiting[room as usize].insert(key.clone());
    }

    /// Takes up to `most` of the children that wait for such room.
    pub(crate) fn take_waiting(&mut self, room: Room, most: usize) -> Vec<Key> {
        let waiting = &mut self.waiting[room as usize];
        let some: Vec<Key> = waiting.iter().take(most).cloned().collect();
        for key in &some {
            waiting.remove(key);
        }
        some
    }

    pub(crate) fn waits(&self, key: &Key) -> bool {
        self.waiting.iter().any(|waiting| waiting.contains(key))
    }

    pub(crate) fn has_waiting_for(&self, room: Room) -> bool {
        !self.waiting[room as usize].is_empty()
    }

    fn waiting_len(&self) -> usize {
        self.waiting.iter().map(BTreeSet::len).sum()
    }

    /// Whether one more copy may be asked for its state. Few are at a time: states are taken late and dropped early.
    pub(crate) fn may_take_one(&self, most: usize) -> bool {
        if self.sources.is_empty() {
            return true;
        }
        let asked = self.sources.values().filter(|source| source.stage == Stage::Freezing).count();
        let held: usize = self.sources.values().map(Source::held).sum();
        let blind = match self.usual {
            Some(usual) => (ROOM / usual.max(1)).max(1),
            None => BLIND,
        };
        asked < blind && held < ROOM && self.sources.len() < most
    }

    /// Whether one more copy may be ended so that another can start elsewhere.
    pub(crate) fn may_leave(&self, most: usize) -> bool {
        self.left.len() < most
    }

    /// A copy is ended so that another can start elsewhere: until that serves, and at most until then, it is on its way.
    pub(crate) fn leaves(&mut self, key: &Key, until: Time) {
        self.left.insert(key.clone(), until);
    }

    /// A child that was on its way serves somewhere, or is not to run any more.
    pub(crate) fn arrived(&mut self, key: &Key) {
        if !self.left.is_empty() {
            self.left.remove(key);
        }
    }

    /// Whatever has become of those that have been on their way for so long, they do not hold up others.
    pub(crate) fn give_up_waiting(&mut self, now: Time) {
        self.left.retain(|_, until| *until > now);
    }

    /// A copy has given a state of this size.
    pub(crate) fn note_size(&mut self, len: usize) {
        self.usual = Some(len.max(self.usual.map_or(0, |usual| usual - usual / 8)));
    }

    /// Whether one more copy may be started beside one that serves elsewhere.
    pub(crate) fn may_stand_by(&self, most: usize) -> bool {
        self.takers.len() < most
    }

    /// Whether there is room to receive a state of this size.
    pub(crate) fn may_receive(&self, len: usize) -> bool {
        let coming: usize = self.takers.values().map(Taker::coming).sum();
        coming == 0 || coming.saturating_add(len) <= ROOM
    }
}
