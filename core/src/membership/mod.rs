//! Who is up, suspect, down or gone, and how to reach whom: SWIM over one link a pair of members.
//!
//! A state module: every call appends the facts that follow from it, in order, and does nothing else.

mod datagram;
mod dials;
mod identity;
mod links;
mod names;
mod queue;
mod relay;
mod swim;
#[cfg(test)]
mod tests;
mod verdict;

use alloc::vec::Vec;
use core::time::Duration;

use foca::{State, Timer};
use smol_str::SmolStr;

use self::datagram::Datagram;
use self::dials::Dials;
use self::identity::Id;
use self::names::Names;
use self::queue::Queue;
use self::swim::{Event, Swim};
use crate::config::{MembershipConfig, NodeConfig};
use crate::hashing::stable_hash;
use crate::id::{Addr, Boot, Member, NodeId};
use crate::message::Message;
use crate::node::{MemberInfo, MemberState};
use crate::time::Time;

/// What a member that is up, but has no link yet, is given to dial us before we dial it.
const GRACE: Duration = Duration::from_millis(300);
/// The least time between two announcements to everyone.
const ANNOUNCE: Duration = Duration::from_millis(50);

/// Something that membership found out or wants done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    /// A member is up. For each life, `Up` and `Down` or `Left` alternate.
    Up(Member),
    /// A member that was up is taken to be dead, or a later life of its name is about to be up.
    Down(Member),
    /// A member that was up said goodbye.
    Left(Member),
    /// Send on the open link to `to`, in the lane of probes.
    Send { to: Member, message: Message },
    /// Try once to open a link.
    Dial { addr: Addr },
    /// Close the link to `member`.
    Hangup { member: Member, reason: SmolStr },
    /// This node's own boot is now this one: a later life of its name was known already.
    Raised(Boot),
    /// A link to a member is open; it may be one that is not up (yet).
    LinkUp(Member),
    /// The link to a member is closed; what was sent on it last may be lost.
    LinkDown(Member),
    /// What is sent on the link to a member is dropped for now.
    Congested(Member),
    /// It is not dropped any more.
    Drained(Member),
    /// What [`Membership::members`] answers has changed.
    Changed,
}

/// How a message reaches a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// On the link to it.
    Direct,
    /// Through this member, which may have a link to it.
    Via(Member),
    /// Not at present.
    Nowhere,
}

/// What is due at a time.
#[derive(Debug)]
enum Due {
    /// A timer of the protocol.
    Swim(Timer<Id>),
    /// An address is to be dialled, or its dial was not answered.
    Dial(Addr),
    /// The links are to be looked after.
    Beat,
    /// Everyone with a link is to be told of our identity.
    Announce,
    /// Whether our boot was used before must be decided.
    Doubt,
    /// A suspect has until now to show that it lives, or somebody to vouch for it.
    LastCall(LastCall),
}

/// The time a suspect is given before it is declared down: others are asked to probe it, so many times.
#[derive(Debug)]
struct LastCall {
    id: Id,
    incarnation: u16,
    since: Time,
    rounds: u32,
    every: Duration,
}

/// Lives rise above others by fewer than so many.
const STRIDES: u64 = 1 << 20;

/// Membership, as one node knows it.
#[derive(Debug)]
pub(crate) struct Membership {
    config: MembershipConfig,
    addr: Addr,
    me: Member,
    /// How far above another this life rises: its own.
    stride: u64,
    now: Time,
    swim: Swim,
    names: Names,
    dials: Dials,
    queue: Queue<Due>,
    /// Sorted.
    suspects: Vec<NodeId>,
    /// Whether the clock has been read yet.
    started: bool,
    /// Whether a beat is due.
    beating: bool,
    /// Whether this life ever had a link to somebody who knew of none with its boot: from then on others may know.
    introduced: bool,
    /// Whether its boot may have been used before.
    doubtful: bool,
    /// Whether an announcement to everyone is due.
    announcing: bool,
    announced: Time,
    left: bool,
    changed: bool,
    /// Datagrams that were refused.
    refused: u64,
}

impl Membership {
    /// Knows of itself alone.
    pub(crate) fn new(config: &NodeConfig, boot: Boot, seed: u64) -> Self {
        let me = Member { node: config.name.clone(), boot };
        let mut queue = Queue::new();
        let mut dials = Dials::new(&config.membership, seed ^ 1);
        for addr in config.join.iter().filter(|addr| **addr != config.advertise) {
            dials.add_seed(addr, &mut queue);
        }
        Self {
            config: config.membership.clone(),
            addr: config.advertise.clone(),
            swim: Swim::new(Id::new(&me, &config.advertise), &config.membership, seed),
            names: Names::new(),
            dials,
            queue,
            me,
            stride: stable_hash(&(seed ^ boot.0.rotate_left(32)).to_le_bytes()) % STRIDES,
            now: Time::ZERO,
            suspects: Vec::new(),
            started: false,
            beating: false,
            introduced: false,
            doubtful: false,
            announcing: false,
            announced: Time::ZERO,
            left: false,
            changed: false,
            refused: 0,
        }
    }

    /// Itself, in its present life.
    pub(crate) fn me(&self) -> &Member {
        &self.me
    }

    /// How many datagrams were refused as malformed, or as not from whom they claim.
    pub(crate) fn refused_datagrams(&self) -> u64 {
        self.refused
    }

    /// Whether a member is up. A suspect is up.
    pub(crate) fn is_up(&self, member: &Member) -> bool {
        match self.names.get(&member.node) {
            Some(name) => name.up == Some(member.boot),
            None => *member == self.me && !self.left,
        }
    }

    /// The boot that a new life of this name must be above, less one.
    pub(crate) fn known_boot(&self, node: &NodeId) -> Option<Boot> {
        if *node == self.me.node {
            return Some(self.me.boot);
        }
        let id = &self.names.get(node)?.id;
        // A life that said goodbye cannot be taken up again: the next is the least that will do.
        Some(if id.has_left() { Boot(id.boot.0.saturating_add(1)) } else { id.boot })
    }

    /// Every member it knows of, itself included, sorted by name.
    pub(crate) fn members(&self) -> Vec<MemberInfo> {
        let state = if self.left { MemberState::Left } else { MemberState::Up };
        let me = MemberInfo { member: self.me.clone(), addr: self.addr.clone(), state };
        let mut members: Vec<_> = self
            .names
            .iter()
            .map(|(node, name)| MemberInfo {
                member: name.id.member(),
                addr: name.id.addr.clone(),
                state: match name.up {
                    Some(_) if self.suspects.binary_search(node).is_ok() => MemberState::Suspect,
                    Some(_) => MemberState::Up,
                    None if name.id.has_left() => MemberState::Left,
                    None => MemberState::Down,
                },
            })
            .collect();
        let at = members.partition_point(|other| other.member.node < me.member.node);
        members.insert(at, me);
        members
    }

    /// When [`Membership::tick`] is wanted next.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.queue.next()
    }

    /// A datagram arrived on the link to `from`.
    pub(crate) fn swim(&mut self, now: Time, from: &Member, bytes: &[u8], facts: &mut Vec<Fact>) {
        self.it_is(now);
        if self.left || !self.names.has_link(from) {
            return;
        }
        if self.names.get(&from.node).is_some_and(|name| name.id.boot > from.boot) {
            // A later life of its name was heard of since. Its generations cannot win against that, and it would try them all:
            // over a new link it is told of that life, and goes on above it.
            return self.hang_up(from, links::OUTLIVED, facts);
        }
        // Nobody passes another's datagrams on.
        let datagram = Datagram::parse(bytes).ok().filter(|datagram| datagram.sender.node == from.node.as_str());
        let Some(datagram) = datagram.filter(|datagram| datagram.sender.boot >= from.boot) else {
            self.refused += 1;
            return;
        };
        if datagram.sender.boot > from.boot {
            // It was raised while this link was being made.
            return self.hang_up(from, links::RAISED, facts);
        }
        if let Some(id) = &datagram.vouched {
            self.names.vouch(id.node, id.boot, &from.node, self.now);
        }
        let sifted = self.sift(&datagram);
        if sifted.dropped.is_empty() {
            self.swim.receive(bytes);
        } else {
            self.swim.receive(&datagram.without(&sifted.dropped));
        }
        if let Some(next) = sifted.outgrown {
            self.swim.become_id(next);
            self.announce_soon();
        }
        self.settle(facts);
        for id in sifted.contested {
            self.contest(&id, facts);
        }
        if sifted.suspicion || !self.suspects.is_empty() {
            self.watch_suspects();
        }
        self.report_change(facts);
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Time, facts: &mut Vec<Fact>) {
        self.it_is(now);
        self.started = true;
        while let Some(due) = self.queue.pop(self.now) {
            match due {
                Due::Swim(timer) => self.protocol_timer(timer),
                Due::Dial(addr) => self.dial(&addr, facts),
                Due::Beat => self.beat(facts),
                Due::Doubt => self.resolve_doubt(facts),
                Due::Announce => self.announce_all(),
                Due::LastCall(call) => self.last_call(call, facts),
            }
            self.settle(facts);
        }
        self.report_change(facts);
    }

    /// Says goodbye on every link, and takes no part from here on. The links stay open.
    pub(crate) fn leave(&mut self, now: Time, facts: &mut Vec<Fact>) {
        self.it_is(now);
        if self.left {
            return;
        }
        let gone = self.swim.id().departed();
        for (_, name) in self.names.linked() {
            let farewell = foca::Member::new(gone.clone(), 0, State::Down);
            let bytes = datagram::make(&gone, &name.id, foca::Message::Gossip, Some(farewell));
            facts.push(Fact::Send { to: name.id.member(), message: Message::Swim(bytes.into()) });
        }
        self.left = true;
        self.queue.clear();
        facts.push(Fact::Changed);
    }

    /// The time of what happens now. A clock that jumped, or a process that stood still, must not make everybody else look
    /// silent: the time in which nothing was looked at does not count. This comes before anything is planned for later, which
    /// would be put off by the pause once more.
    fn it_is(&mut self, now: Time) {
        self.now = self.now.max(now);
        let late = self.queue.next().map_or(Duration::ZERO, |due| self.now.since(due));
        if self.started && late > self.config.keepalive {
            let Self { queue, dials, .. } = self;
            queue.shift(late, |due, ticket| {
                if let Due::Dial(addr) = due {
                    dials.moved(addr, ticket);
                }
            });
            self.names.shift(late);
        }
    }

    /// Turns what the protocol wants into deadlines and facts. Afterwards its outbox is empty.
    fn settle(&mut self, facts: &mut Vec<Fact>) {
        if self.swim.outbox.is_empty() {
            return;
        }
        let mut outbox = core::mem::take(&mut self.swim.outbox);
        for (after, timer) in outbox.timers.drain(..) {
            self.queue.push(self.now + after, Due::Swim(timer));
        }
        for at in 0..outbox.events.len() {
            let next = outbox.events.get(at + 1);
            self.event(&outbox.events[at], next, facts);
        }
        outbox.events.clear();
        for (to, bytes) in outbox.sends.drain(..) {
            if self.names.sent(&to.node, to.boot, self.now) {
                facts.push(Fact::Send { to: to.member(), message: Message::Swim(bytes) });
            }
        }
        self.swim.outbox = outbox;
    }

    /// `next` is the event after this one.
    fn event(&mut self, event: &Event, next: Option<&Event>, facts: &mut Vec<Fact>) {
        match event {
            Event::Renamed(old, new) => {
                let Some(name) = self.names.rename(new) else { return };
                self.changed = true;
                if name.up.is_none_or(|boot| boot == new.boot) {
                    return;
                }
                name.fell(self.now);
                facts.push(Fact::Down(old.member()));
                // One that is down already gets no `Up`, and so no second `Down`.
                if !matches!(next, Some(Event::Down(id)) if id == new) {
                    self.came_up(new, facts);
                }
            }
            Event::Up(id) => self.came_up(id, facts),
            Event::Down(id) => self.went_down(id, facts),
            Event::Rejoined => self.announce_soon(),
        }
    }

    fn came_up(&mut self, id: &Id, facts: &mut Vec<Fact>) {
        let Some(name) = self.names.rename(id) else { return };
        self.changed = true;
        if id.has_left() {
            // A goodbye speaks before it takes effect.
            return;
        }
        if name.up != Some(id.boot) {
            name.rose(id.boot, self.now);
            facts.push(Fact::Up(id.member()));
        }
        if name.link.is_none() {
            // The smaller name dials; the other one only if that comes to nothing.
            let wait = if self.me.node < id.node { Duration::ZERO } else { GRACE };
            self.dials.at(&id.addr, self.now + wait, &mut self.queue);
        }
    }

    fn went_down(&mut self, id: &Id, facts: &mut Vec<Fact>) {
        let Some(name) = self.names.rename(id) else { return };
        self.changed = true;
        if let Some(boot) = name.up {
            name.fell(self.now);
            let member = Member { node: id.node.clone(), boot };
            facts.push(if id.has_left() { Fact::Left(member) } else { Fact::Down(member) });
        }
        if name.link.is_none() && !id.has_left() {
            self.dials.later(&id.addr, self.now, &mut self.queue);
        }
    }

    fn announce_soon(&mut self) {
        // The one that is due tells of whatever identity it is by then: one for each change would be sent for a long time
        // after a moment of many.
        if !core::mem::replace(&mut self.announcing, true) {
            self.queue.push(self.now.max(self.announced + ANNOUNCE), Due::Announce);
        }
    }

    fn announce_all(&mut self) {
        (self.announcing, self.announced) = (false, self.now);
        for (_, name) in self.names.linked() {
            self.swim.announce(name.id.clone());
        }
    }

    fn watch_suspects(&mut self) {
        let mut suspects: Vec<NodeId> = self.swim.suspects().cloned().collect();
        suspects.sort_unstable();
        if suspects != self.suspects {
            self.suspects = suspects;
            self.changed = true;
        }
    }

    fn report_change(&mut self, facts: &mut Vec<Fact>) {
        if core::mem::take(&mut self.changed) {
            facts.push(Fact::Changed);
        }
    }
}
