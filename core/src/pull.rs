//! Anti-entropy of the declared set: which peers to compare with, and how far the present comparison is. One at a time.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::id::NodeId;
use crate::registry::Context;
use crate::time::Time;

/// A comparison that hears nothing for this long is given up (and tried again in its turn).
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// The comparison under way.
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
    pub(crate) deadline: Time,
}

/// The peers to compare with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pulls {
    queue: VecDeque<NodeId>,
    round: Option<Round>,
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
        if let Some(round) = self.round.as_mut().filter(|round| round.peer == *peer) {
            round.outdated = true;
        }
        self.want(peer);
    }

    /// What was said to a peer, or by it, may be lost: a comparison with it begins again, before all others.
    pub(crate) fn again(&mut self, peer: &NodeId) {
        if self.round.take_if(|round| round.peer == *peer).is_some() {
            self.queue.retain(|queued| queued != peer);
            self.queue.push_front(peer.clone());
        }
    }

    /// Forgets a peer; a comparison with it ends.
    pub(crate) fn forget(&mut self, peer: &NodeId) {
        self.queue.retain(|queued| queued != peer);
        if self.round.as_ref().is_some_and(|round| round.peer == *peer) {
            self.round = None;
        }
    }

    /// Begins the next comparison, if none is under way and one is wanted.
    pub(crate) fn begin(&mut self, now: Time) -> Option<&Round> {
        if self.round.is_some() {
            return None;
        }
        let peer = self.queue.pop_front()?;
        self.number = self.number.wrapping_add(1);
        let deadline = now + PATIENCE;
        let (number, ranges) = (self.number, VecDeque::new());
        Some(self.round.insert(Round { peer, number, context: None, ranges, outdated: false, begun: now, deadline }))
    }

    /// The comparison with this peer under this number, if it is the one under way.
    pub(crate) fn round(&mut self, peer: &NodeId, number: u32) -> Option<&mut Round> {
        self.round.as_mut().filter(|round| round.peer == *peer && round.number == number)
    }

    /// Ends the comparison under way.
    pub(crate) fn finish(&mut self) -> Option<Round> {
        self.round.take()
    }

    /// Goes on with a comparison that was taken out.
    pub(crate) fn go_on(&mut self, round: Round, deadline: Time) {
        self.round = Some(Round { deadline, ..round });
    }

    /// Gives up a comparison that hears nothing; it is wanted again.
    pub(crate) fn expire(&mut self, now: Time) {
        if let Some(round) = self.round.take_if(|round| round.deadline <= now) {
            self.want(&round.peer);
        }
    }

    /// Whether no comparison is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.round.is_none()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.round.as_ref().map(|round| round.deadline)
    }
}
