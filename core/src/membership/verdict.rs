//! Who is believed about whose death.

use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use foca::{State, Timer};

use super::datagram::{self, Datagram, RawUpdate};
use super::identity::Id;
use super::names::Name;
use super::{Due, Fact, LastCall, Membership};
use crate::config::MembershipConfig;
use crate::id::{Boot, Member, NodeId};
use crate::message::Message;
use crate::time::Time;

/// How many are asked, in each round of a last call, to probe a suspect.
const HELPERS: usize = 8;

/// What a look at a datagram found before it was applied.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// The updates that are not to be applied.
    pub(super) dropped: Vec<Range<usize>>,
    /// Those whose deaths were dropped.
    pub(super) contested: Vec<Id>,
    /// The identity to go on with, where others know of a higher generation of this life.
    pub(super) outgrown: Option<Id>,
    /// Whether anybody is said to be suspect or down.
    pub(super) suspicion: bool,
}

/// Whether the link is open, to this life, and something arrived on it lately. That it could be opened is not enough:
/// a process that is stuck may still shake hands.
fn is_alive(name: &Name, boot: Boot, config: &MembershipConfig, now: Time) -> bool {
    let link = name.link.as_ref().filter(|link| link.boot == boot && link.heard > link.since);
    link.is_some_and(|link| now.since(link.heard) < config.keepalive * 2)
}

impl Membership {
    /// Looks at the updates of a datagram.
    pub(super) fn sift(&mut self, datagram: &Datagram<'_>) -> Sifted {
        let mut sifted = Sifted::default();
        for (range, update) in datagram.updates() {
            sifted.suspicion |= update.state != State::Alive;
            if update.id.node == self.me.node.as_str() {
                let own = self.swim.id();
                if update.id.boot == own.boot && update.id.generation > own.generation {
                    sifted.outgrown = update.id.id().ok().and_then(|id| Id { addr: own.addr.clone(), ..id }.next());
                }
                continue;
            }
            let contested = self.names.get_str(update.id.node).is_some_and(|name| {
                update.id.node != datagram.sender.node && is_premature(name, &update, &self.config, self.now)
            });
            if contested {
                sifted.contested.extend(update.id.id());
                sifted.dropped.push(range);
            } else if self.names.get_str(update.id.node).is_none() && !self.hear_of(&update) {
                sifted.dropped.push(range);
            }
        }
        sifted
    }

    /// A name is mentioned for the first time. Says whether there is room for it.
    fn hear_of(&mut self, update: &RawUpdate<'_>) -> bool {
        let Ok(id) = update.id.id() else { return false };
        let room = self.learn(&id);
        if room && !id.has_left() {
            // A guess for one that is down; one that is up is dialled sooner.
            self.dials.at(&id.addr, self.now + self.config.redial_max, &mut self.queue);
        }
        room
    }

    /// Tells a member that others have declared it down, so that it comes back to them: here it is heard and stays.
    pub(super) fn contest(&mut self, id: &Id, facts: &mut Vec<Fact>) {
        let Some(name) = self.names.get_mut(&id.node) else { return };
        if name.contested.is_some_and(|last| self.now.since(last) < self.config.keepalive) {
            return;
        }
        name.contested = Some(self.now);
        let bytes = datagram::make(self.swim.id(), id, foca::Message::TurnUndead, None);
        if self.names.sent(&id.node, id.boot, self.now) {
            facts.push(Fact::Send { to: id.member(), message: Message::Swim(bytes.into()) });
        }
    }

    pub(super) fn protocol_timer(&mut self, timer: Timer<Id>) {
        let probed = matches!(timer, Timer::ProbeRandomMember(_));
        if let Timer::ChangeSuspectToDown { member_id, incarnation, .. } = timer {
            // The library would declare it down now, even if it refuted the suspicion in the meantime.
            return self.call(member_id, incarnation, 2, self.config.probe_period / 2);
        }
        self.swim.timer(timer);
        if probed {
            self.watch_suspects();
        }
    }

    /// Tells a suspect that it is one: it is heard, but its refutation was not.
    fn remind(&mut self, id: &Id, incarnation: u16, facts: &mut Vec<Fact>) {
        let update = foca::Member::new(id.clone(), incarnation, State::Suspect);
        let bytes = datagram::make(self.swim.id(), id, foca::Message::Gossip, Some(update));
        if self.names.sent(&id.node, id.boot, self.now) {
            facts.push(Fact::Send { to: id.member(), message: Message::Swim(bytes.into()) });
        }
    }

    fn is_suspect(&self, id: &Id, incarnation: u16) -> bool {
        self.swim.active(&id.node).is_some_and(|member| {
            member.id() == id && member.incarnation() == incarnation && member.state() == State::Suspect
        })
    }

    /// The link to a member is lost and does not come back: it has half the usual time to show that it lives. Once
    /// for each loss.
    pub(super) fn suspect(&mut self, node: &NodeId) {
        let Some(name) = self.names.get_mut(node).filter(|name| name.up.is_some() && !name.suspected) else { return };
        name.suspected = true;
        let Some(member) = self.swim.active(node) else { return };
        let (id, incarnation) = (member.id().clone(), member.incarnation());
        self.swim.apply(id.clone(), incarnation, State::Suspect);
        self.swim.gossip();
        self.call(id, incarnation, 4, self.config.suspicion / 8);
        self.watch_suspects();
    }

    /// Makes the last call for a suspect, unless one is out.
    fn call(&mut self, id: Id, incarnation: u16, rounds: u32, every: Duration) {
        let Some(name) = self.names.get_mut(&id.node).filter(|name| !name.called) else { return };
        name.called = true;
        self.queue.push(self.now, Due::LastCall(LastCall { id, incarnation, since: self.now, rounds, every }));
    }

    /// One round of a last call, or its end.
    pub(super) fn last_call(&mut self, call: LastCall, facts: &mut Vec<Fact>) {
        let suspect = self.is_suspect(&call.id, call.incarnation);
        let Some(name) = self.names.get_mut(&call.id.node) else { return };
        name.called = false;
        if !suspect {
            return;
        }
        if is_alive(name, call.id.boot, &self.config, self.now) {
            return self.remind(&call.id, call.incarnation, facts);
        }
        if let Some((by, _)) = name.vouched.clone().filter(|(_, at)| *at >= call.since) {
            // It has refuted the suspicion, and that was lost: it is in what the voucher tells.
            return self.greet(&by);
        }
        if call.rounds == 0 {
            self.swim.apply(call.id, call.incarnation, State::Down);
            return self.watch_suspects();
        }
        name.called = true;
        self.ask_about(&call, facts);
        let next = LastCall { rounds: call.rounds - 1, ..call };
        self.queue.push(self.now + next.every, Due::LastCall(next));
    }

    /// Asks some of those with a link to probe a suspect.
    fn ask_about(&mut self, call: &LastCall, facts: &mut Vec<Fact>) {
        let me = self.swim.id().clone();
        let linked: Vec<Id> = self.names.linked().map(|(_, name)| name.id.clone()).collect();
        let first = (call.rounds as usize * HELPERS) % linked.len().max(1);
        for helper in linked[first..].iter().chain(&linked[..first]).take(HELPERS) {
            let message = foca::Message::PingReq { target: call.id.clone(), probe_number: 0 };
            let bytes = datagram::make(&me, helper, message, None);
            if self.names.sent(&helper.node, helper.boot, self.now) {
                facts.push(Fact::Send { to: helper.member(), message: Message::Swim(bytes.into()) });
            }
        }
    }

    /// The host of a member that is not linked refused a dial: nobody listens there any more.
    pub(super) fn was_refused(&mut self, node: &NodeId, facts: &mut Vec<Fact>) {
        let Some(name) = self.names.get_mut(node) else { return };
        let Some(boot) = name.up else { return };
        name.refused = Some(self.now);
        let member = Member { node: node.clone(), boot };
        self.suspect(node);
        for (other, name) in self.names.linked().filter(|(_, name)| name.up.is_some()) {
            let Some(link) = &name.link else { continue };
            let to = Member { node: other.clone(), boot: link.boot };
            facts.push(Fact::Send { to, message: Message::Refused { member: member.clone() } });
        }
        self.settle(facts);
        self.count_refusals(node);
    }

    /// `from` says that the host of `member` refuses it.
    pub(crate) fn refused(&mut self, now: Time, from: &Member, member: &Member, facts: &mut Vec<Fact>) {
        self.it_is(now);
        if self.left || !self.is_up(from) || !self.is_up(member) || *member == self.me {
            return;
        }
        if let Some(name) = self.names.get_mut(&member.node).filter(|name| name.link.is_none()) {
            name.reports.insert(from.node.clone(), self.now);
            self.count_refusals(&member.node);
        }
        self.settle(facts);
        self.report_change(facts);
    }

    /// Declares a member down when everyone who could know finds its process gone.
    fn count_refusals(&mut self, node: &NodeId) {
        let Some(name) = self.names.get(node).filter(|name| name.up.is_some() && name.link.is_none()) else { return };
        let recent = |at: &Time| self.now.since(*at) < self.refusal_holds();
        let gone = |name: &Name| name.link.is_none() && name.refused.as_ref().is_some_and(recent);
        let mut witnesses = 0;
        let unanimous =
            self.names.iter().filter(|(other, name)| *other != node && name.up.is_some()).all(|(other, witness)| {
                witnesses += 1;
                name.reports.get(other).is_some_and(recent) || gone(witness)
            });
        // Alone with it, or where all witnesses are gone too, only what was seen here counts.
        let witnessed = gone(name) || (witnesses > 0 && name.reports.values().any(recent));
        if !unanimous || !witnessed {
            return;
        }
        if let Some(member) = self.swim.active(node) {
            let (id, incarnation) = (member.id().clone(), member.incarnation());
            self.swim.apply(id, incarnation, State::Down);
        }
        self.watch_suspects();
    }

    /// How long a refusal counts. It is said again with each dial that is refused.
    fn refusal_holds(&self) -> Duration {
        self.config.keepalive * 2
    }
}

/// Whether an update declares somebody down who is heard here, by whoever no longer hears it.
fn is_premature(name: &Name, update: &RawUpdate<'_>, config: &MembershipConfig, now: Time) -> bool {
    let current = update.id.boot == name.id.boot && update.id.generation >= name.id.generation;
    let left = update.id.generation == u32::MAX;
    update.state == State::Down && current && !left && is_alive(name, update.id.boot, config, now)
}
