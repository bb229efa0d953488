//! The lease on which a node serves, and the grants by which it lets others serve.
//!
//! A node asks all members, in numbered rounds; a round that a quorum grants lets it serve until one lease after it was
//! *asked*. A member that grants remembers when, and confirms the removal of whoever it granted anything only when all
//! that came of it must be over.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::id::{Member, NodeId};
use crate::message::Standing;
use crate::time::Time;

/// The spans of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spans {
    /// How long a node may serve after it has asked.
    pub(crate) lease: Duration,
    /// How often it asks.
    pub(crate) every: Duration,
    /// How long after a grant all that came of it is over.
    pub(crate) fence: Duration,
}

impl Spans {
    /// Of a lease of this length, where an instance takes up to `stop` to end, a node stands still for up to `pause`,
    /// and no clock is off by more than `drift` millionths.
    pub(crate) fn new(lease: Duration, stop: Duration, pause: Duration, drift: u32) -> Self {
        let span = (lease + stop + pause).as_micros();
        let (drift, million) = (u128::from(drift.min(500_000)), 1_000_000);
        let fence = span * (million + drift) / (million - drift) + 1;
        Self { lease, every: lease / 3, fence: Duration::from_micros(u64::try_from(fence).unwrap_or(u64::MAX)) }
    }
}

/// What a round asks the members to confirm besides: that they are all at this very installation of this node's view,
/// and have recorded its ballot. A round that began before all their marks were there confirms nothing: there need be
/// no moment at which all of them were at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Confirm {
    /// Which installation of a view at this node.
    pub(crate) number: u64,
    /// The sum of the numbers in the members' marks, so that a new mark makes a new round.
    pub(crate) marks: u64,
    /// The ballot that the marks come to.
    pub(crate) ballot: u64,
    /// The lineage that the ballot is of.
    pub(crate) lineage: u32,
}

/// What a member has answered in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Answer {
    /// It lets this node serve.
    pub(crate) granted: bool,
    /// The installation of a view that it is at and has marked; zero while it has not.
    pub(crate) mark: u64,
    /// What it counts for.
    pub(crate) standing: Standing,
}

/// The lease of this node, and its grants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    spans: Spans,
    /// When each member was last granted anything.
    given: BTreeMap<Member, (Time, u64)>,
    round: u64,
    asked: Option<Time>,
    confirm: Option<Confirm>,
    answers: BTreeMap<NodeId, Answer>,
    until: Option<Time>,
    /// This node has said that it serves nothing any more; it asks no more.
    released: bool,
}

impl Lease {
    pub(crate) fn new(spans: Spans) -> Self {
        let (given, answers) = (BTreeMap::new(), BTreeMap::new());
        Self { spans, given, round: 0, asked: None, confirm: None, answers, until: None, released: false }
    }

    pub(crate) fn spans(&self) -> Spans {
        self.spans
    }

    /// Begins a round, whose number is returned; answers to former ones count no more.
    pub(crate) fn ask(&mut self, now: Time, confirm: Option<Confirm>) -> u64 {
        self.round += 1;
        self.asked = Some(now);
        self.confirm = confirm;
        self.answers.clear();
        self.round
    }

    /// What the round under way asks to be confirmed.
    pub(crate) fn confirm(&self) -> Option<Confirm> {
        self.confirm
    }

    /// Whether a round is to begin now.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.asked.is_none_or(|asked| now >= asked + self.spans.every)
    }

    /// An answer; false if it is to no present round.
    pub(crate) fn answered(&mut self, node: &NodeId, round: u64, answer: Answer) -> bool {
        let present = round == self.round && self.asked.is_some();
        if present {
            self.answers.insert(node.clone(), answer);
        }
        present
    }

    /// What members have answered in the present round.
    pub(crate) fn answers(&self) -> &BTreeMap<NodeId, Answer> {
        &self.answers
    }

    /// Takes the lease anew if the present round has as many grants as are needed, this node's own included.
    pub(crate) fn renew(&mut self, needed: u32) {
        let granted = 1 + self.answers.values().filter(|answer| answer.granted).count();
        if let Some(asked) = self.asked
            && granted >= needed as usize
        {
            self.until = self.until.max(Some(asked + self.spans.lease));
        }
    }

    /// Whether this node may serve.
    pub(crate) fn is_held(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Forgets a lease that is over.
    pub(crate) fn expire(&mut self, now: Time) {
        if !self.is_held(now) {
            self.until = None;
        }
    }

    /// Gives the lease up, and the round under way.
    pub(crate) fn drop_it(&mut self) {
        self.until = None;
        self.asked = None;
        self.confirm = None;
        self.answers.clear();
    }

    /// This node serves nothing any more, for good. Returns its last round.
    pub(crate) fn release(&mut self) -> u64 {
        self.drop_it();
        self.released = true;
        self.round
    }

    /// Whether this node has said that it serves nothing any more.
    pub(crate) fn is_released(&self) -> bool {
        self.released
    }

    /// Lets a member serve, from its asking in this round on.
    pub(crate) fn give(&mut self, to: &Member, round: u64, now: Time) {
        let round = self.given.get(to).map_or(round, |(_, before)| round.max(*before));
        self.given.insert(to.clone(), (now, round));
    }

    /// A member serves nothing any more that a round up to this one let it serve.
    pub(crate) fn released(&mut self, by: &Member, round: u64) {
        if self.given.get(by).is_some_and(|(_, last)| *last <= round) {
            self.given.remove(by);
        }
    }

    /// From when on all that came of the grants to others than these is over; `None` when it is already.
    pub(crate) fn fenced_at(&mut self, now: Time, members: impl Fn(&Member) -> bool) -> Option<Time> {
        let fence = self.spans.fence;
        self.given.retain(|member, (given, _)| members(member) || *given + fence > now);
        self.given.iter().filter(|(member, _)| !members(member)).map(|(_, (given, _))| *given + fence).max()
    }

    /// When something is to be done: the next round, if this node asks at all, or the end of the lease.
    pub(crate) fn deadline(&self, asks: bool) -> Option<Time> {
        let round = asks.then(|| self.asked.map_or(Time::ZERO, |asked| asked + self.spans.every));
        [round, self.until].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Boot;

    fn lease() -> Lease {
        let (lease, stop, pause) = (Duration::from_secs(3), Duration::from_secs(5), Duration::from_secs(1));
        Lease::new(Spans::new(lease, stop, pause, 200))
    }

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn member(name: &str) -> Member {
        Member { node: node(name), boot: Boot(1) }
    }

    fn yes() -> Answer {
        Answer { granted: true, mark: 0, standing: Standing::Counted }
    }

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_lease_counts_from_the_asking() {
        let mut lease = lease();
        assert!(lease.is_due(at(0)));
        let round = lease.ask(at(0), None);
        lease.renew(2);
        assert!(!lease.is_held(at(1)));
        assert!(lease.answered(&node("b"), round, yes()));
        lease.renew(2);
        assert!(lease.is_held(at(2_999)) && !lease.is_held(at(3_000)));
        assert!(!lease.is_due(at(999)) && lease.is_due(at(1_000)));
    }

    #[test]
    fn answers_to_former_rounds_and_refusals_count_nothing() {
        let mut lease = lease();
        let first = lease.ask(at(0), None);
        let second = lease.ask(at(1_000), None);
        assert!(!lease.answered(&node("b"), first, yes()));
        assert!(lease.answered(&node("b"), second, Answer { granted: false, ..yes() }));
        lease.renew(2);
        assert!(!lease.is_held(at(1_000)));
        lease.answered(&node("c"), second, yes());
        lease.answered(&node("c"), second, yes());
        lease.renew(3);
        assert!(!lease.is_held(at(1_000)), "one member's answers count once");
        lease.renew(2);
        assert!(lease.is_held(at(3_999)));
        lease.drop_it();
        assert!(!lease.is_held(at(1_000)) && !lease.answered(&node("d"), second, yes()));
    }

    #[test]
    fn a_grant_is_over_when_lease_stop_and_pause_are() {
        let mut lease = lease();
        let fence = lease.spans().fence;
        assert!(fence > Duration::from_secs(9) && fence < Duration::from_millis(9_010));
        lease.give(&member("b"), 1, at(0));
        lease.give(&member("c"), 1, at(500));
        let nobody = |_: &Member| false;
        assert_eq!(lease.fenced_at(at(1_000), nobody), Some(at(500) + fence));
        let only_c = |member: &Member| member.node == node("c");
        assert_eq!(lease.fenced_at(at(1_000), only_c), Some(at(0) + fence));
        assert_eq!(lease.fenced_at(at(0) + fence, only_c), None);
        assert_eq!(lease.fenced_at(at(0) + fence, nobody), Some(at(500) + fence));
    }

    #[test]
    fn a_late_release_takes_no_later_grant_back() {
        let mut lease = lease();
        lease.give(&member("b"), 7, at(0));
        lease.released(&member("b"), 6);
        assert!(lease.fenced_at(at(1), |_| false).is_some());
        lease.released(&member("b"), 7);
        assert!(lease.fenced_at(at(1), |_| false).is_none());
    }
}
