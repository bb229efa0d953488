//! Connections: opened by dialling, carrying frames in order, and ending with the loss of whatever was last.

use process_hub_core::id::{Addr, Member};
use process_hub_core::{DialFailure, Input, Lane, LinkEvent, Message};

use super::dice::{Occasion, Oddity, Roll};
use super::event::{Event, HostId};
use super::host::Arrival;
use super::net::{Dial, End, Frame, Letter, Link, lane_index};
use super::random::{Purpose, Random};
use super::world::{World, address, alias, node_name};

/// How long a refused opening waits before it is tried again beneath the driver, in microseconds.
const RETRANSMIT: u64 = 200_000;

/// How often a link that is closed loses some of what was sent last, in millionths.
const TAILS_LOST: u32 = 800_000;

impl World {
    /// What a frame that is sent now takes.
    fn way(&mut self, from: HostId, to: HostId) -> u64 {
        let delay = self.net.delay(from, to);
        let jitter = delay.saturating_mul(self.net_faults.jitter) / 1_000_000;
        let nth = self.net.count_way(from, to);
        let key = [from as u64, to as u64, nth];
        delay + Random::keyed(self.config.seed, Purpose::Network, key).between(0, jitter)
    }

    pub(crate) fn enqueue(&mut self, link: u32, dir: usize, lane: Lane, frame: Frame) {
        let Some((from, to)) = self.net.direction(link, dir) else { return };
        let at = self.now + self.way(from, to);
        let Some(this) = self.net.links.get_mut(&link) else { return };
        let direction = &mut this.dirs[dir];
        if direction.fin {
            return self.lose_frames([frame], "its link was closed");
        }
        if direction.congested && lane == Lane::Bulk {
            self.lose_frames([frame], "the queue of its link was full");
            return self.count("frame_dropped_by_congestion");
        }
        let index = lane_index(lane);
        let at = at.max(direction.last[index]);
        direction.last[index] = at;
        if matches!(frame, Frame::Accept(_)) {
            direction.last = [at; 2];
        }
        direction.lanes[index].push_back(frame);
        self.queue.push(at, Event::Frame { link, dir, lane });
    }

    pub(crate) fn frame_due(&mut self, link: u32, dir: usize, lane: Lane) {
        let Some((from, to)) = self.net.direction(link, dir) else { return };
        let cut = self.net.is_cut(from, to);
        let index = lane_index(lane);
        let slot = self.net.slot(to, from);
        let Some(this) = self.net.links.get_mut(&link) else { return };
        if cut {
            this.dirs[dir].stalled[index] += 1;
            return;
        }
        let end = &this.ends[1 - dir];
        let gone = self.hosts[to].life.as_ref().is_none_or(|life| life.number != end.life);
        if gone {
            // A machine that runs answers that nobody holds this connection; a silent one answers nothing.
            let silent = !self.hosts[to].powered;
            return self.close_end(link, to, silent);
        }
        let pending = dir == 1 && slot != Some(link);
        let first = this.dirs[dir].lanes[1].front();
        if lane == Lane::Probe && pending && matches!(first, Some(Frame::Accept(_))) {
            return self.queue.push(self.now + 1_000, Event::Frame { link, dir, lane });
        }
        let Some(frame) = this.dirs[dir].lanes[index].pop_front() else { return };
        match frame {
            Frame::Accept(dial) => self.arrive(to, Arrival::Accept { link, dial }),
            Frame::Message(letter) => {
                if let Message::Relayed { .. } = &letter.message
                    && self.goes_astray(from, to, &letter)
                {
                    return;
                }
                if self.is_corrupted(from, to, &letter) {
                    return self.break_off(to, from, link);
                }
                self.arrive(to, Arrival::Frame { link, dir, letter });
            }
        }
    }

    /// Whether a frame comes with bits flipped. What then fails to decode has to fail in good order; the rest is caught by
    /// the checksums beneath.
    fn is_corrupted(&mut self, from: HostId, to: HostId, letter: &Letter) -> bool {
        let rate = if self.healed { 0 } else { self.net_faults.corrupted };
        let of = node_name(from);
        let Some(mut roll) = self.dice.roll_for(Oddity::Corrupted, rate, Occasion::Frame, to, of.as_str()) else {
            return false;
        };
        self.count("frame_corrupted");
        self.lose(letter.number, "it was corrupted");
        let flip = |byte: &mut u8, roll: &mut Roll| *byte ^= 1 << roll.some(8);
        match super::codec::changed(&letter.message, |bytes| {
            let at = roll.some(bytes.len());
            flip(&mut bytes[at], &mut roll);
            if roll.coin() {
                bytes.truncate(at + 1);
            }
        }) {
            Ok(_) => self.count("corruption_that_decodes"),
            Err(error) if error.is_empty() => self.watch.fail("S27", self.now, "an error without words".to_owned()),
            Err(_) => {}
        }
        true
    }

    /// A driver cannot read on: it closes its end.
    fn break_off(&mut self, host: HostId, peer: HostId, link: u32) {
        if self.net.slot(host, peer) != Some(link) {
            return self.close_end(link, host, false);
        }
        let Some(this) = self.net.links.get(&link) else { return };
        let member = this.ends[usize::from(this.ends[0].host != peer)].member.clone();
        self.close_end(link, host, false);
        self.net.set_slot(host, peer, None);
        self.arrive(host, Arrival::Hungup { member });
    }

    /// Frames that will not arrive: told to whoever keeps the history.
    fn lose_frames(&mut self, frames: impl IntoIterator<Item = Frame>, why: &str) {
        if self.history.is_none() {
            return;
        }
        for frame in frames {
            if let Frame::Message(letter) = frame {
                self.lose(letter.number, why);
            }
        }
    }

    /// What is still on its way on a link that is no more.
    fn lose_link(&mut self, link: Link) {
        let frames = link.dirs.into_iter().flat_map(|direction| direction.lanes).flatten();
        self.lose_frames(frames, "its link broke");
    }

    /// Relayed frames may come twice, or late; true if this one will not come now.
    fn goes_astray(&mut self, from: HostId, to: HostId, letter: &Letter) -> bool {
        self.count("relayed_frame");
        let mut roll = self.dice.roll(Occasion::Relay, to, node_name(from).as_str());
        let late = self.dice.is_odd(&roll, Oddity::RelayedLate, self.net_faults.relayed_late);
        if !late && !self.dice.is_odd(&roll, Oddity::RelayedTwice, self.net_faults.relayed_twice) {
            return false;
        }
        self.count(if late { "relayed_frame_late" } else { "relayed_frame_twice" });
        let wait = roll.span(1_000, 20_000_000);
        let index = self.late.len();
        self.late.push(Some((to, from, letter.clone())));
        self.queue.push(self.now + wait, Event::Late { index });
        late
    }

    pub(crate) fn late_due(&mut self, index: usize) {
        let Some((to, from, letter)) = self.late[index].take() else { return };
        self.arrive(to, Arrival::Late { from, letter });
    }

    pub(crate) fn dial(&mut self, host: HostId, life: u32, addr: &str) {
        let Some(node) = self.hosts[host].life.as_ref() else { return };
        let member = node.node.member().clone();
        let to = (0..self.hosts.len()).find(|other| address(*other) == addr || alias(&address(*other)) == addr);
        let dial = u32::try_from(self.net.dials.len()).unwrap_or(u32::MAX);
        self.net.dials.push(Dial { from: host, life, to, addr: addr.into(), member, done: false });
        match to {
            Some(to) if to == host => self.defer(host, Arrival::DialFailed { dial, reason: DialFailure::Myself }),
            Some(to) => {
                // Three ways: hello, hello back, proof.
                let at = self.now + self.way(host, to) + self.way(to, host) + self.way(host, to);
                self.queue.push(at, Event::Syn { dial });
            }
            None => {}
        }
        self.queue.push(self.now + self.config.dial_timeout, Event::DialTimeout { dial });
    }

    pub(crate) fn syn_due(&mut self, dial: u32) {
        let Dial { from, to: Some(to), done: false, .. } = self.net.dials[dial as usize] else { return };
        if self.net.is_cut(from, to) || self.net.is_cut(to, from) || !self.hosts[to].powered {
            return self.queue.push(self.now + RETRANSMIT, Event::Syn { dial });
        }
        if !self.is_up(to) {
            self.count("dial_refused");
            let at = self.now + self.way(to, from);
            return self.queue.push(at, Event::Refuse { dial });
        }
        self.arrive(to, Arrival::Syn { dial });
    }

    pub(crate) fn refuse_due(&mut self, dial: u32) {
        let from = self.net.dials[dial as usize].from;
        self.arrive(from, Arrival::DialFailed { dial, reason: DialFailure::Refused });
    }

    pub(crate) fn dial_timeout(&mut self, dial: u32) {
        let Dial { from, done, .. } = self.net.dials[dial as usize];
        if !done {
            self.count("dial_timeout");
            self.arrive(from, Arrival::DialFailed { dial, reason: DialFailure::Unreachable });
        }
    }

    pub(crate) fn dial_failed(&mut self, host: HostId, dial: u32, reason: DialFailure) {
        let this = &mut self.net.dials[dial as usize];
        let current = self.hosts[host].life.as_ref().is_some_and(|life| life.number == this.life);
        if std::mem::replace(&mut this.done, true) || !current {
            return;
        }
        // Who keeps an older link has told who it is.
        let answered = this.to.filter(|_| reason == DialFailure::Duplicate);
        let (addr, node) = (this.addr.clone(), answered.map(node_name));
        self.step(host, Input::Link(LinkEvent::Failed { addr, reason, node }));
    }

    pub(crate) fn abandon_dials(&mut self, host: HostId) {
        self.net.dials.iter_mut().filter(|dial| dial.from == host).for_each(|dial| dial.done = true);
    }

    /// The host that was dialled takes the connection, or keeps the one it has.
    pub(crate) fn answer(&mut self, host: HostId, dial: u32) {
        let Dial { from, life, done, ref member, .. } = self.net.dials[dial as usize];
        let member = member.clone();
        let current = self.hosts[from].life.as_ref().is_some_and(|there| there.number == life);
        if done || !current {
            return;
        }
        let Some(own) = self.member(host) else { return };
        let preferred = member.node < own.node;
        let again = self.dialled_by(host, from);
        if self.keeps_older(from, host, &own, preferred) || (!again && self.keeps_older(host, from, &member, preferred))
        {
            self.count("dial_duplicate");
            return self.arrive(from, Arrival::DialFailed { dial, reason: DialFailure::Duplicate });
        }
        let (Some(here), Some(there)) = (self.node(host), self.node(from)) else { return };
        let known_here = there.known_boot(&own.node);
        let known_there = here.known_boot(&member.node);
        let number = self.hosts[host].lives;
        let dialler = End { host: from, life, member: member.clone(), known: known_there, open: false };
        let responder = End { host, life: number, member: own, known: known_here, open: true };
        let link = self.net.add_link([dialler, responder]);
        self.enqueue(link, 1, Lane::Bulk, Frame::Accept(dial));
        self.install(host, from, link, member, known_here, None);
    }

    /// Whether the driver of `host` keeps the link that it holds to `peer` rather than a new one to `member`.
    fn keeps_older(&self, host: HostId, peer: HostId, member: &Member, preferred: bool) -> bool {
        let Some(link) = self.net.slot(host, peer).and_then(|link| self.net.links.get(&link)) else { return false };
        let end = usize::from(link.ends[0].host != peer);
        link.ends[end].member == *member && (link.is_preferred() || !preferred)
    }

    /// Whether the link that `host` holds to `peer` was dialled by `peer`: who dials again has lost it.
    fn dialled_by(&self, host: HostId, peer: HostId) -> bool {
        let link = self.net.slot(host, peer).and_then(|link| self.net.links.get(&link));
        link.is_some_and(|link| link.ends[0].host == peer)
    }

    /// The dialler learns that the connection is open.
    pub(crate) fn accept(&mut self, host: HostId, link: u32, dial: u32) {
        let Some(this) = self.net.links.get(&link) else { return };
        let (peer, member) = (this.ends[1].host, this.ends[1].member.clone());
        let (known, preferred) = (this.ends[0].known, this.is_preferred());
        let state = &mut self.net.dials[dial as usize];
        let current = self.hosts[host].life.as_ref().is_some_and(|life| life.number == state.life);
        let addr = state.addr.clone();
        if std::mem::replace(&mut state.done, true) || !current {
            return self.close_end(link, host, false);
        }
        if self.keeps_older(host, peer, &member, preferred) {
            self.close_end(link, host, false);
            self.count("dial_duplicate");
            let failed = LinkEvent::Failed { addr, reason: DialFailure::Duplicate, node: Some(member.node) };
            return self.step(host, Input::Link(failed));
        }
        if let Some(this) = self.net.links.get_mut(&link) {
            this.ends[0].open = true;
        }
        self.install(host, peer, link, member, known, Some(addr));
    }

    /// A driver holds a new link, in place of any older one to the same name.
    fn install(
        &mut self,
        host: HostId,
        peer: HostId,
        link: u32,
        member: Member,
        known: Option<process_hub_core::id::Boot>,
        dialled: Option<Addr>,
    ) {
        if let Some(old) = self.net.slot(host, peer) {
            self.count("link_replaced");
            self.close_end(old, host, false);
        }
        self.net.set_slot(host, peer, Some(link));
        let addr = self.hosts[peer].config.advertise.clone();
        self.step(host, Input::Link(LinkEvent::Up { member, addr, dialled, known }));
    }

    pub(crate) fn hangup(&mut self, host: HostId, member: &Member) {
        let Some(peer) = self.host_named(&member.node) else { return };
        let Some(link) = self.net.slot(host, peer) else { return };
        let Some(this) = self.net.links.get(&link) else { return };
        let end = usize::from(this.ends[0].host != peer);
        if this.ends[end].member != *member {
            return;
        }
        self.count("hangup");
        self.close_end(link, host, false);
        self.net.set_slot(host, peer, None);
        self.defer(host, Arrival::Hungup { member: member.clone() });
    }

    /// A driver lets go of its end: the tail of what it sent last is lost, and the other end learns of it, unless the
    /// machine fell silent.
    pub(crate) fn close_end(&mut self, link: u32, host: HostId, silent: bool) {
        self.close(link, host, silent, true);
    }

    fn close(&mut self, link: u32, host: HostId, silent: bool, lossy: bool) {
        let Some(this) = self.net.links.get_mut(&link) else { return };
        let dir = usize::from(this.ends[0].host != host);
        this.ends[dir].open = false;
        let (from, to) = (host, this.ends[1 - dir].host);
        let mut lost: Vec<Frame> = std::mem::take(&mut this.dirs[1 - dir].lanes).into_iter().flatten().collect();
        if this.dirs[dir].fin {
            self.net.links.remove(&link);
            return self.lose_frames(lost, "its link was closed");
        }
        let unread = lost.len();
        if lossy && this.dirs[dir].lanes.iter().any(|lane| !lane.is_empty()) {
            let mut roll = self.dice.roll(Occasion::Close, from, node_name(to).as_str());
            let loses = self.dice.is_odd(&roll, Oddity::TailLost, TAILS_LOST);
            for lane in this.dirs[dir].lanes.iter_mut().filter(|lane| loses && !lane.is_empty()) {
                lost.extend(lane.split_off(roll.some(lane.len())));
            }
        }
        this.dirs[dir].fin = true;
        let last = this.dirs[dir].last[0].max(this.dirs[dir].last[1]);
        if lost.len() > unread {
            self.count("tail_lost");
        }
        if !silent {
            let at = (self.now + self.way(from, to)).max(last);
            self.queue.push(at, Event::Fin { link, dir });
        }
        self.lose_frames(lost, "its link was closed");
    }

    pub(crate) fn fin_due(&mut self, link: u32, dir: usize) {
        let Some((from, to)) = self.net.direction(link, dir) else { return };
        let cut = self.net.is_cut(from, to);
        let Some(this) = self.net.links.get_mut(&link) else { return };
        if cut {
            this.dirs[dir].fin_stalled = true;
            return;
        }
        if this.dirs[dir].lanes.iter().any(|lane| !lane.is_empty()) {
            let at = this.dirs[dir].last[0].max(this.dirs[dir].last[1]).max(self.now + 100);
            return self.queue.push(at, Event::Fin { link, dir });
        }
        if self.is_up(to) {
            self.arrive(to, Arrival::Fin { link, dir });
        } else if let Some(gone) = self.net.links.remove(&link) {
            self.lose_link(gone);
        }
    }

    /// A driver finds that the other end is closed.
    pub(crate) fn end_of_link(&mut self, host: HostId, link: u32, dir: usize) {
        let Some(this) = self.net.links.remove(&link) else { return };
        let peer = this.ends[dir].host;
        if self.net.slot(host, peer) == Some(link) {
            self.net.set_slot(host, peer, None);
            let member = this.ends[dir].member.clone();
            self.lose_link(this);
            self.step(host, Input::Link(LinkEvent::Down { member }));
        }
    }

    /// A process ends by itself: its sockets close in good order.
    pub(crate) fn exit(&mut self, host: HostId) {
        for (peer, link) in self.net.open_links(host) {
            self.close(link, host, false, false);
            self.net.set_slot(host, peer, None);
        }
        self.count("left");
        self.crash(host, false);
    }

    /// The connection between two hosts breaks at both ends at once.
    pub(crate) fn disconnect(&mut self, one: HostId, other: HostId) -> bool {
        let Some(link) = self.net.slot(one, other) else { return false };
        if self.net.slot(other, one) != Some(link) {
            return false;
        }
        let mut members = Vec::new();
        for (host, peer) in [(one, other), (other, one)] {
            if let Some(this) = self.net.links.get(&link) {
                let end = usize::from(this.ends[0].host != peer);
                members.push((host, this.ends[end].member.clone()));
            }
            self.net.set_slot(host, peer, None);
        }
        // What had arrived by then was handed over; all that was still on its way is lost.
        if let Some(gone) = self.net.links.remove(&link) {
            self.lose_link(gone);
        }
        for (host, member) in members {
            self.arrive(host, Arrival::Hungup { member });
        }
        true
    }

    /// One direction between two hosts holds its frames from now on.
    pub(crate) fn cut(&mut self, from: HostId, to: HostId) {
        if self.net.cut(from, to) {
            self.tell(&crate::oracles::seen::Seen::Cut { from, to, on: true });
            self.trace.mark(self.now, from, "cut", to as u64);
        }
    }

    /// One fault less holds the frames of a direction; the last one lets them flow.
    pub(crate) fn uncut(&mut self, from: HostId, to: HostId) {
        if self.net.uncut(from, to) {
            self.flow(from, to);
        }
    }

    /// No fault holds the frames of a direction any more.
    pub(crate) fn mend(&mut self, from: HostId, to: HostId) {
        if self.net.open(from, to) {
            self.flow(from, to);
        }
    }

    fn flow(&mut self, from: HostId, to: HostId) {
        self.tell(&crate::oracles::seen::Seen::Cut { from, to, on: false });
        self.trace.mark(self.now, from, "heal", to as u64);
        let way = self.way(from, to);
        for (number, link) in &mut self.net.links {
            let Some(dir) = (0..2).find(|dir| link.ends[*dir].host == from && link.ends[1 - dir].host == to) else {
                continue;
            };
            let direction = &mut link.dirs[dir];
            for lane in [Lane::Probe, Lane::Bulk] {
                let index = lane_index(lane);
                let at = (self.now + way).max(direction.last[index]);
                direction.last[index] = at;
                for _ in 0..std::mem::take(&mut direction.stalled[index]) {
                    self.queue.push(at, Event::Frame { link: *number, dir, lane });
                }
            }
            if std::mem::take(&mut direction.fin_stalled) {
                let at = direction.last[0].max(direction.last[1]);
                self.queue.push(at, Event::Fin { link: *number, dir });
            }
        }
    }

    /// The queue of a direction is full until `until`.
    pub(crate) fn congest(&mut self, from: HostId, to: HostId, until: u64) {
        let Some(link) = self.net.slot(from, to) else { return };
        let Some(this) = self.net.links.get_mut(&link) else { return };
        let dir = usize::from(this.ends[0].host != from);
        if std::mem::replace(&mut this.dirs[dir].congested, true) {
            return;
        }
        self.tell(&crate::oracles::seen::Seen::Disturbed { host: from });
        self.arrive(from, Arrival::Congested { link, dir });
        self.queue.push(until, Event::Drain { link, dir });
    }

    pub(crate) fn drain(&mut self, link: u32, dir: usize) {
        let Some(this) = self.net.links.get_mut(&link) else { return };
        if !std::mem::replace(&mut this.dirs[dir].congested, false) {
            return;
        }
        let host = this.ends[dir].host;
        self.tell(&crate::oracles::seen::Seen::Disturbed { host });
        self.arrive(host, Arrival::Drained { link, dir });
    }
}
