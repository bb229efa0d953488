//! One member of a cluster says anything: forged and contradictory messages under its own name, what others have told it
//! once more and to somebody else, datagrams and relayed messages in others' names, lies in its hello. The honest nodes
//! keep all that [`parts::host`] asks of a node. Once it is gone for good they come to agree: on each other, on what is
//! declared, and what is declared runs as often as it should and nothing else does.
//!
//! Under a quorum the last is not promised: who inflates the size of the cluster locks it, which an operator has to undo.
//! Nor is it where a life is claimed that has the highest boot there is: its name cannot be raised above that, so such
//! claims are left to `core_sequence`, which asks for less.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use process_hub_core::config::{HubConfig, NodeConfig, Partition};
use process_hub_core::id::{ChildId, Member, NodeId};
use process_hub_core::request::Request;
use process_hub_core::{DialFailure, Hub, Input, LinkEvent, Message, Time};

use parts::draw::{Draw, hub, name};
use parts::host::Host;

#[path = "parts/mod.rs"]
mod parts;

const HONEST: [&str; 3] = ["n1", "n2", "n3"];
/// The place of the one that is not.
const HOSTILE: usize = 3;
/// The most acts of one run.
const MOST: usize = 60;
/// More messages than a moment may lead to.
const STORM: usize = 20_000;
/// How long the honest may take to agree: a redial, a barrier, comparisons, and moves that were given up.
const AGREE: Duration = Duration::from_secs(90);

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let mut draw = Draw::with_room_for_boots(bytes);
    let mut net = Net::new(&mut draw);
    for _ in 0..MOST {
        if draw.is_empty() {
            break;
        }
        net.act(&mut draw);
    }
    net.expel();
    let end = net.now + AGREE;
    while net.disagreement().is_some() && net.now < end {
        net.flow(net.now + Duration::from_secs(1));
    }
    if net.config.partition == Partition::Divergence {
        assert_eq!(net.disagreement(), None, "{AGREE:?} after the hostile one was gone");
    }
}

/// What each end of a link takes the other for.
#[derive(Clone)]
struct Link {
    number: u64,
    ends: BTreeMap<usize, Member>,
}

struct Net {
    now: Time,
    config: HubConfig,
    hosts: Vec<Host>,
    /// Links between two nodes, the lower place first.
    links: BTreeMap<(usize, usize), Link>,
    opened: u64,
    queue: VecDeque<(usize, usize, u64, Message)>,
    /// What the hostile one was told.
    heard: Vec<Message>,
    expelled: bool,
}

fn key(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

fn place(node: &str) -> usize {
    HONEST.iter().position(|name| *name == node).unwrap_or(HOSTILE)
}

impl Net {
    fn new(draw: &mut Draw<'_>) -> Self {
        let mut config = draw.config();
        if draw.byte() < 192 {
            config.partition = Partition::Divergence;
        }
        let honest = 2 + draw.below(2);
        let host = |at: usize| {
            let mut node = NodeConfig::new(name(HONEST[at]), HONEST[at]);
            node.join = (0..honest).filter(|other| *other != at).map(|other| HONEST[other].into()).collect();
            let mut host = Host::new(node, at as u64);
            host.ask(Request::OpenHub(HubConfig { first_start: true, ..config.clone() }));
            host
        };
        let hosts: Vec<Host> = (0..honest).map(host).collect();
        let (links, queue, heard) = (BTreeMap::new(), VecDeque::new(), Vec::new());
        let now = hosts[0].now;
        let mut net = Self { now, config, hosts, links, opened: 0, queue, heard, expelled: false };
        net.flow(net.now + Duration::from_secs(5));
        net
    }

    fn act(&mut self, draw: &mut Draw<'_>) {
        let to = draw.below(self.hosts.len());
        let me = self.hosts[to].node.member().clone();
        if let Some(hub) = self.hosts[to].node.hub(&hub()) {
            draw.show(hub.view_hash());
            draw.show(hub.registry().declared_digest());
        }
        match draw.below(12) {
            0..5 => {
                let message = draw.message(&self.config, &me);
                self.say(draw, to, message);
            }
            5 | 6 if !self.heard.is_empty() => {
                let message = draw.one(&self.heard);
                self.say(draw, to, message);
            }
            7 => {
                self.link_hostile(draw, to);
                let bytes = draw.frame(&self.config, &me).into();
                let from = self.links[&key(to, HOSTILE)].ends[&to].clone();
                self.hosts[to].step(Input::Frame { from, bytes });
            }
            8 => self.unlink(to, HOSTILE),
            9 => {
                let request = draw.start(&mut self.hosts[to]);
                self.hosts[to].ask(request);
            }
            10 => {
                let request = draw.stop();
                self.hosts[to].ask(request);
            }
            _ => {}
        }
        let spans = [0, 0, 1, 20, 100, 300, 2_000].map(Duration::from_millis);
        self.flow(self.now + draw.one(&spans));
    }

    /// The hostile one says something, over a link that it opens if need be.
    fn say(&mut self, draw: &mut Draw<'_>, to: usize, message: Message) {
        self.link_hostile(draw, to);
        let number = self.links[&key(to, HOSTILE)].number;
        self.queue.push_back((HOSTILE, to, number, message));
    }

    fn link_hostile(&mut self, draw: &mut Draw<'_>, to: usize) {
        if !self.links.contains_key(&key(to, HOSTILE)) {
            let member = Member { node: name("n4"), boot: draw.boot() };
            let known = draw.coin().then(|| draw.boot());
            self.link(to, HOSTILE, Some((member, known)));
        }
    }

    /// Both ends learn of a link, and of what the other knows of them; the hostile one may lie.
    fn link(&mut self, one: usize, other: usize, lie: Option<(Member, Option<process_hub_core::id::Boot>)>) {
        self.opened += 1;
        let member = |at: usize| match &lie {
            Some((member, _)) if at == HOSTILE => member.clone(),
            _ => self.hosts[at].node.member().clone(),
        };
        let ends = BTreeMap::from([(one, member(other)), (other, member(one))]);
        self.links.insert(key(one, other), Link { number: self.opened, ends: ends.clone() });
        let known = |at: usize, of: &Member| match &lie {
            Some((_, known)) if at == HOSTILE => *known,
            _ => self.hosts[at].node.known_boot(&of.node),
        };
        let known = [known(other, &ends[&other]), known(one, &ends[&one])];
        for (at, known) in [one, other].into_iter().zip(known).filter(|(at, _)| *at != HOSTILE) {
            let member = ends[&at].clone();
            let addr = member.node.as_str().into();
            self.hosts[at].step(Input::Link(LinkEvent::Up { member, addr, dialled: None, known }));
        }
    }

    fn unlink(&mut self, one: usize, other: usize) {
        let Some(link) = self.links.remove(&key(one, other)) else { return };
        for (at, member) in link.ends.into_iter().filter(|(at, _)| *at != HOSTILE) {
            self.hosts[at].step(Input::Link(LinkEvent::Down { member }));
        }
    }

    fn expel(&mut self) {
        (0..self.hosts.len()).for_each(|at| self.unlink(at, HOSTILE));
        self.expelled = true;
    }

    /// Time passes up to then, and whatever is sent arrives at once.
    fn flow(&mut self, until: Time) {
        loop {
            let mut delivered = 0;
            while self.settle() {
                delivered += 1;
                assert!(delivered < STORM, "at {} there is no end of it", self.now);
            }
            let next = self.hosts.iter().filter_map(|host| host.node.next_timeout()).min().unwrap_or(until);
            if next > until || self.now >= until {
                break;
            }
            self.now = next.max(self.now);
            self.hosts.iter_mut().for_each(|host| host.run_to(self.now));
        }
        self.now = self.now.max(until);
        self.hosts.iter_mut().for_each(|host| host.run_to(self.now));
    }

    /// Does what nodes want done. Says whether there was anything.
    fn settle(&mut self) -> bool {
        let mut busy = false;
        for at in 0..self.hosts.len() {
            self.hosts[at].run_to(self.now);
            while let Some(due) = self.hosts[at].due.pop_front() {
                self.hosts[at].answer(due, 0);
            }
            let (sent, hung_up, dialled) = self.hosts[at].take_wishes();
            busy |= !(sent.is_empty() && hung_up.is_empty() && dialled.is_empty());
            for (to, message) in sent {
                let other = place(to.node.as_str());
                let link = self.links.get(&key(at, other)).filter(|link| link.ends[&at] == to);
                match link {
                    Some(_) if other == HOSTILE => self.heard.push(message),
                    Some(link) => self.queue.push_back((at, other, link.number, message)),
                    None => {}
                }
            }
            for member in hung_up {
                let other = place(member.node.as_str());
                if self.links.get(&key(at, other)).is_some_and(|link| link.ends[&at] == member) {
                    self.unlink(at, other);
                }
            }
            dialled.iter().for_each(|addr| self.dial(at, addr));
        }
        if let Some((from, to, number, message)) = self.queue.pop_front() {
            busy = true;
            if let Some(link) = self.links.get(&key(from, to)).filter(|link| link.number == number) {
                let from = link.ends[&to].clone();
                self.hosts[to].step(Input::Message { from, message });
            }
        }
        busy
    }

    fn dial(&mut self, at: usize, addr: &str) {
        let other = place(addr);
        let reason = if other == at {
            DialFailure::Myself
        } else if other >= self.hosts.len() {
            DialFailure::Refused
        } else if self.links.contains_key(&key(at, other)) {
            DialFailure::Duplicate
        } else {
            return self.link(at, other, None);
        };
        let node = (reason == DialFailure::Duplicate).then(|| name(HONEST[other]));
        self.hosts[at].step(Input::Link(LinkEvent::Failed { addr: addr.into(), reason, node }));
    }

    /// What the honest do not agree on yet.
    fn disagreement(&self) -> Option<String> {
        let members: Vec<Member> = self.hosts.iter().map(|host| host.node.member().clone()).collect();
        let id = hub();
        let hubs: Vec<&Hub> = self.hosts.iter().filter_map(|host| host.node.hub(&id)).collect();
        let first = hubs.first()?;
        for hub in &hubs {
            if hub.view() != members {
                return Some(format!("a view of {:?}, and there are {members:?}", hub.view()));
            }
            if hub.registry().declared_digest() != first.registry().declared_digest() {
                return Some("they differ in what is declared".to_owned());
            }
            if !hub.is_settled() || hub.open_requests() > 0 {
                return Some(format!("{} requests are open, {} moves", hub.open_requests(), hub.migrations()));
            }
        }
        let mut running: BTreeMap<ChildId, BTreeSet<NodeId>> = BTreeMap::new();
        for host in &self.hosts {
            for child in host.running() {
                running.entry(child.clone()).or_default().insert(host.node.member().node.clone());
            }
        }
        for (child, lookup) in first.registry().iter() {
            let owners: BTreeSet<NodeId> = first.owners(&child.clone()).into_iter().cloned().collect();
            let wanted = if lookup.spec.is_some() { owners } else { BTreeSet::new() };
            let found = running.remove(child).unwrap_or_default();
            let paused = first.steering().paused && found.len() == wanted.len();
            if found != wanted && !paused {
                return Some(format!("{child} runs on {found:?} and belongs to {wanted:?}"));
            }
        }
        running.pop_first().map(|(child, nodes)| format!("{child} is not declared and runs on {nodes:?}"))
    }
}
