//! The network: which directions are cut, how long a frame takes, and the links with what is in flight on them.

use std::collections::{BTreeMap, VecDeque};

use process_hub_core::id::{Addr, Boot, Member};
use process_hub_core::{Lane, Message};

use super::event::HostId;
use super::newcomer::widened;

/// What a link carries.
#[derive(Debug)]
pub(crate) enum Frame {
    /// The responder's last word of the opening; always the first frame to the dialler.
    Accept(u32),
    Message(Letter),
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// Its number in the history of the run, where one is kept.
    pub(crate) number: u64,
    pub(crate) message: Message,
}

/// One end of a link.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) host: HostId,
    pub(crate) life: u32,
    /// Who it said it was when the link was opened.
    pub(crate) member: Member,
    /// The highest boot that the *other* end knew of this end's name.
    pub(crate) known: Option<Boot>,
    pub(crate) open: bool,
}

/// One direction of a link.
#[derive(Debug, Default)]
pub(crate) struct Direction {
    pub(crate) lanes: [VecDeque<Frame>; 2],
    /// When the last frame of each lane arrives: the next one not before it.
    pub(crate) last: [u64; 2],
    /// Frames that were due while the direction was cut.
    pub(crate) stalled: [u32; 2],
    pub(crate) fin: bool,
    pub(crate) fin_stalled: bool,
    /// The queue is full: bulk frames are dropped.
    pub(crate) congested: bool,
}

/// A connection between two hosts. End 0 dialled; direction 0 goes from end 0 to end 1.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) ends: [End; 2],
    pub(crate) dirs: [Direction; 2],
}

impl Link {
    /// Whether the smaller name dialled.
    pub(crate) fn is_preferred(&self) -> bool {
        self.ends[0].member.node < self.ends[1].member.node
    }
}

/// An attempt to open a connection.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) from: HostId,
    pub(crate) life: u32,
    pub(crate) to: Option<HostId>,
    /// What was dialled: it may be another name for where `to` says that it listens.
    pub(crate) addr: Addr,
    pub(crate) member: Member,
    pub(crate) done: bool,
}

/// The network between all hosts.
#[derive(Debug)]
pub(crate) struct Net {
    hosts: usize,
    /// How many faults cut each direction at present.
    cuts: Vec<u32>,
    /// One-way delay of each direction, in microseconds.
    delay: Vec<u64>,
    /// How many times slower each direction is at present.
    slow: Vec<u64>,
    /// How many ways were taken in each direction so far.
    ways: Vec<u64>,
    pub(crate) links: BTreeMap<u32, Link>,
    next_link: u32,
    /// For each host and peer: the link that the host's driver holds open.
    slots: Vec<Option<u32>>,
    pub(crate) dials: Vec<Dial>,
}

pub(crate) fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Probe => 0,
        Lane::Bulk => 1,
    }
}

impl Net {
    pub(crate) fn new(hosts: usize, delay: u64) -> Self {
        let pairs = hosts * hosts;
        Self {
            hosts,
            cuts: vec![0; pairs],
            delay: vec![delay; pairs],
            slow: vec![1; pairs],
            ways: vec![0; pairs],
            links: BTreeMap::new(),
            next_link: 0,
            slots: vec![None; pairs],
            dials: Vec::new(),
        }
    }

    fn at(&self, from: HostId, to: HostId) -> usize {
        from * self.hosts + to
    }

    /// One more host. Nothing is between it and the others.
    pub(crate) fn add_host(&mut self, delay: u64) {
        let hosts = self.hosts;
        self.cuts = widened(&self.cuts, hosts, &0);
        self.delay = widened(&self.delay, hosts, &delay);
        self.slow = widened(&self.slow, hosts, &1);
        self.ways = widened(&self.ways, hosts, &0);
        self.slots = widened(&self.slots, hosts, &None);
        self.hosts += 1;
    }

    pub(crate) fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.cuts[self.at(from, to)] > 0
    }

    /// One fault more cuts the direction. True if it was open.
    pub(crate) fn cut(&mut self, from: HostId, to: HostId) -> bool {
        let at = self.at(from, to);
        self.cuts[at] += 1;
        self.cuts[at] == 1
    }

    /// One fault less cuts the direction. True if it is open now and was not.
    pub(crate) fn uncut(&mut self, from: HostId, to: HostId) -> bool {
        let at = self.at(from, to);
        let was = self.cuts[at];
        self.cuts[at] = was.saturating_sub(1);
        was == 1
    }

    /// No fault cuts the direction. True if one did.
    pub(crate) fn open(&mut self, from: HostId, to: HostId) -> bool {
        let at = self.at(from, to);
        std::mem::take(&mut self.cuts[at]) > 0
    }

    pub(crate) fn set_delay(&mut self, from: HostId, to: HostId, delay: u64) {
        let at = self.at(from, to);
        self.delay[at] = delay;
    }

    pub(crate) fn set_slow(&mut self, from: HostId, to: HostId, factor: u64) {
        let at = self.at(from, to);
        self.slow[at] = factor.max(1);
    }

    /// What a frame takes at present, before jitter, in microseconds.
    pub(crate) fn delay(&self, from: HostId, to: HostId) -> u64 {
        let at = self.at(from, to);
        self.delay[at].saturating_mul(self.slow[at])
    }

    /// One way more in a direction; gives how many there were before.
    pub(crate) fn count_way(&mut self, from: HostId, to: HostId) -> u64 {
        let at = self.at(from, to);
        self.ways[at] += 1;
        self.ways[at] - 1
    }

    pub(crate) fn slot(&self, host: HostId, peer: HostId) -> Option<u32> {
        self.slots[self.at(host, peer)]
    }

    pub(crate) fn set_slot(&mut self, host: HostId, peer: HostId, link: Option<u32>) {
        let at = self.at(host, peer);
        self.slots[at] = link;
    }

    pub(crate) fn add_link(&mut self, ends: [End; 2]) -> u32 {
        self.next_link += 1;
        self.links.insert(self.next_link, Link { ends, dirs: Default::default() });
        self.next_link
    }

    /// The host at the sending end of a direction, and that at the receiving end.
    pub(crate) fn direction(&self, link: u32, dir: usize) -> Option<(HostId, HostId)> {
        let link = self.links.get(&link)?;
        Some((link.ends[dir].host, link.ends[1 - dir].host))
    }

    /// The links of a host that its driver holds open, with the peer.
    pub(crate) fn open_links(&self, host: HostId) -> Vec<(HostId, u32)> {
        (0..self.hosts).filter_map(|peer| self.slot(host, peer).map(|link| (peer, link))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_directed_and_add_up() {
        let mut net = Net::new(3, 100);
        assert!(net.cut(0, 1));
        assert!(!net.cut(0, 1));
        assert!(net.is_cut(0, 1) && !net.is_cut(1, 0));
        assert!(!net.uncut(0, 1), "another fault still cuts it");
        assert!(net.uncut(0, 1));
        assert!(!net.is_cut(0, 1));
        assert!(!net.uncut(0, 1), "healing what is whole does nothing");
    }

    #[test]
    fn a_slow_direction_multiplies_its_delay() {
        let mut net = Net::new(2, 100);
        net.set_slow(0, 1, 7);
        assert_eq!((net.delay(0, 1), net.delay(1, 0)), (700, 100));
    }
}
