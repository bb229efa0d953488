//! Anti-entropy of the declared set: which peers to compare with, and how far the present comparisons are. One at a time, but
//! a peer that keeps silent does not hold up the others.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::NodeId;
use crate::registry::Context;
use crate::time::Time;

/// A comparison that hears nothing for this long is given up (and tried again in its turn).
const PATIENCE: Duration = Duration::from_secs(2);

/// After this long without any word of a peer the next comparison begins beside the one with it.
const SILENCE: Duration = Duration::from_millis(200);

/// The same for a peer that has answered, and has a part of its listing on the way: what is being told is not asked of others, too.
const PAUSE: Duration = Duration::from_secs(1);

/// A comparison under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Round {
    pub(crate) peer: NodeId,
    pub(crate) number: u32,
    /// What the peer had seen when it gave its digests: joined into one's own once every range was compared.
    pub(crate) context: Option<Context>,
    /// The ranges that differ and were not compared yet.
    pub(crate) ranges: VecDeque<(u64, u64)>,
    /// The peer has begun a new stream since: this may miss what it knew by then.
    pub(crate) outdated: bool,
    pub(crate) begun: Time,
    /// When the peer was asked last.
    asked: Time,
}

impl Round {
    /// From when on it holds up no others.
    fn is_silent_at(&self) -> Time {
        self.asked + if self.context.is_some() { PAUSE } else { SILENCE }
    }
}

/// The peers to compare with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pulls {
    queue: VecDeque<NodeId>,
    /// At most one with each peer.
    rounds: Vec<Round>,
    number: u32,
}

impl Pulls {
    pub(crate) fn want(&mut self, peer: &NodeId) {
        if !self.queue.contains(peer) {
            self.queue.push_back(peer.clone());
        }
    }

    /// A peer begins a new stream: what it has learned by then is compared, whatever is under way.
    pub(crate) fn want_anew(&mut self, peer: &NodeId) {
        if let Some(round) = self.rounds.iter_mut().find(|round| round.peer == *peer) {
            round.outdated = true;
        }
        self.want(peer);
    }

    /// What was said to a peer, or by it, may be lost: a comparison with it begins again, before all others.
    pub(crate) fn again(&mut self, peer: &NodeId) {
        if self.take(peer).is_some() {
            self.queue.retain(|queued| queued != peer);
            self.queue.push_front(peer.clone());
        }
    }

    /// Forgets a peer; a comparison with it ends.
    pub(crate) fn forget(&mut self, peer: &NodeId) {
        self.queue.retain(|queued| queued != peer);
        self.take(peer);
    }

    /// Begins the next comparison, if one is wanted and no peer is expected to answer any moment.
    pub(crate) fn begin(&mut self, now: Time) -> Option<&Round> {
        if self.rounds.iter().any(|round| round.is_silent_at() > now) {
            return None;
        }
        let peer = self.queue.remove(self.next()?)?;
        self.number = self.number.wrapping_add(1);
        let (number, ranges) = (self.number, VecDeque::new());
        self.rounds.push(Round { peer, number, context: None, ranges, outdated: false, begun: now, asked: now });
        self.rounds.last()
    }

    /// The first that is wanted and not under way.
    fn next(&self) -> Option<usize> {
        self.queue.iter().position(|peer| self.rounds.iter().all(|round| round.peer != *peer))
    }

    /// The comparison with this peer under this number, if it is under way.
    pub(crate) fn round(&mut self, peer: &NodeId, number: u32) -> Option<&mut Round> {
        self.rounds.iter_mut().find(|round| round.peer == *peer && round.number == number)
    }

    /// Ends the comparison with a peer.
    pub(crate) fn take(&mut self, peer: &NodeId) -> Option<Round> {
        let at = self.rounds.iter().position(|round| round.peer == *peer)?;
        Some(self.rounds.remove(at))
    }

    /// Goes on with a comparison that was taken out: its peer is asked once more.
    pub(crate) fn go_on(&mut self, round: Round, now: Time) {
        self.rounds.push(Round { asked: now, ..round });
    }

    /// Gives up comparisons that hear nothing; they are wanted again.
    pub(crate) fn expire(&mut self, now: Time) {
        let (over, rounds) =
            core::mem::take(&mut self.rounds).into_iter().partition(|round| round.asked + PATIENCE <= now);
        self.rounds = rounds;
        let over: Vec<Round> = over;
        for round in over {
            self.want(&round.peer);
        }
    }

    /// Whether what a peer had seen is kept for the end of a comparison.
    pub(crate) fn keeps_context(&self) -> bool {
        self.rounds.iter().any(|round| round.context.is_some())
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let over = self.rounds.iter().map(|round| round.asked + PATIENCE).min();
        let silent = self.rounds.iter().map(Round::is_silent_at).max();
        over.into_iter().chain(silent.filter(|_| self.next().is_some())).min()
    }
}
