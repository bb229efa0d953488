//! A child moves between two nodes, and after any of its steps the link breaks, an instance fails or refuses, or one
//! node's time runs ahead of the other's. As long as they are linked, cold swap has no two copies that serve, and hot swap
//! has one that serves or waits at every moment; a copy is given one state at most, and that of its predecessor. Whatever
//! happens, once they are linked and left in peace the child runs once, where it belongs, and nothing is left of the move.

use std::collections::VecDeque;
use std::time::Duration;

use process_hub_core::config::{HubConfig, Migration, NodeConfig, Synchronization};
use process_hub_core::id::{ChildId, Kind, NodeId};
use process_hub_core::request::{Request, StartOptions};
use process_hub_core::spec::ChildSpec;
use process_hub_core::steering::Steer;
use process_hub_core::{Input, LinkEvent, Message, Time};

use parts::draw::{hub, name};
use parts::host::Host;

#[path = "parts/mod.rs"]
mod parts;

const NAMES: [&str; 2] = ["n1", "n2"];
/// How long the two may take to get to rest.
const REST: Duration = Duration::from_secs(120);
/// The most steps that are chosen.
const MOST: usize = 200;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The oldest message to this node, or what its instances have to answer.
    Step(usize),
    /// The link breaks, and what is on its way is lost; or it is made anew.
    Cut,
    Link,
    /// This node's time runs on alone, so long.
    Late(usize, Duration),
    /// What an instance of this node has to answer fails or is refused.
    Fail(usize),
}

/// One run: the first byte is the strategy, each other one a step.
pub(crate) fn run(bytes: &[u8]) {
    let [strategy, steps @ ..] = bytes else { return };
    let mut pair = Pair::new(*strategy);
    for step in steps.iter().take(MOST) {
        let side = usize::from(step & 1);
        pair.next(match step >> 1 {
            0..90 => Next::Step(side),
            90..96 => Next::Cut,
            96..106 => Next::Link,
            106..112 => Next::Fail(side),
            112..120 => Next::Late(side, Duration::from_millis(100)),
            120..126 => Next::Late(side, Duration::from_secs(6)),
            _ => Next::Late(side, Duration::from_secs(40)),
        });
    }
    pair.rest();
}

/// How many strategies there are.
pub(crate) const STRATEGIES: u8 = 5;

pub(crate) struct Pair {
    migration: Migration,
    child: ChildId,
    hosts: [Host; 2],
    linked: bool,
    /// Whether all that was promised to two that are linked still is: they always were, and nothing failed.
    whole: bool,
    ways: [VecDeque<Message>; 2],
}

impl Pair {
    /// The child runs on one of the nodes, and somebody has just given it to the other.
    pub(crate) fn new(strategy: u8) -> Self {
        let migration = match strategy % STRATEGIES {
            0 => Migration::cold_swap(),
            1 => Migration::cold_swap().with_handover(),
            2 => Migration::hot_swap(),
            3 => Migration::hot_swap().with_handover(),
            _ => Migration::Autonomous,
        };
        let synchronization = Synchronization::PubSub { sync_interval: Duration::from_secs(1) };
        let config = HubConfig { migration: migration.clone(), synchronization, ..HubConfig::new(hub()) };
        let host = |at: usize| {
            let mut node = NodeConfig::new(name(NAMES[at]), NAMES[at]);
            node.join = vec![NAMES[1 - at].into()];
            let mut host = Host::new(node, at as u64);
            host.ask(Request::OpenHub(config.clone()));
            host
        };
        let child = ChildId::new("c").expect("a name");
        let (hosts, ways) = ([host(0), host(1)], [VecDeque::new(), VecDeque::new()]);
        let mut pair = Self { migration, child: child.clone(), hosts, linked: false, whole: false, ways };
        pair.next(Next::Link);
        pair.settle(Duration::from_secs(5));
        let children = vec![ChildSpec::new(child.clone(), Kind::new("k").expect("a name"), vec![])];
        pair.hosts[0].ask(Request::Start { hub: hub(), children, options: StartOptions::default() });
        pair.settle(Duration::from_secs(3));
        let here = pair.hosts.iter().position(|host| host.copies(&child) == (1, 0)).expect("it runs");
        pair.whole = pair.migration != Migration::Autonomous;
        let to: NodeId = name(NAMES[1 - here]);
        let act = Steer::Migrate { id: child, to, timeout: Duration::from_secs(60) };
        pair.hosts[here].ask(Request::Steer { hub: hub(), act });
        pair.collect();
        pair
    }

    /// Whether anything is on its way or waits for an answer.
    pub(crate) fn is_busy(&self) -> bool {
        self.ways.iter().any(|way| !way.is_empty()) || self.hosts.iter().any(|host| !host.due.is_empty())
    }

    pub(crate) fn next(&mut self, next: Next) {
        match next {
            Next::Step(at) => self.step(at, 0),
            Next::Fail(at) => {
                self.whole &= self.hosts[at].due.is_empty();
                self.step(at, 3);
            }
            Next::Cut if self.linked => {
                (self.linked, self.whole) = (false, false);
                self.ways.iter_mut().for_each(VecDeque::clear);
                for at in 0..2 {
                    let member = self.hosts[1 - at].node.member().clone();
                    self.hosts[at].step(Input::Link(LinkEvent::Down { member }));
                }
            }
            Next::Link if !self.linked => {
                self.linked = true;
                // What their hellos say, before either has taken the link up.
                let known = [0, 1].map(|at: usize| self.hosts[1 - at].node.known_boot(&name(NAMES[at])));
                for (at, known) in known.into_iter().enumerate() {
                    let member = self.hosts[1 - at].node.member().clone();
                    let (addr, dialled) = (NAMES[1 - at].into(), None);
                    self.hosts[at].step(Input::Link(LinkEvent::Up { member, addr, dialled, known }));
                }
            }
            Next::Late(at, span) => {
                // Longer than a link may be silent: what is promised to those who are linked is not to them.
                self.whole &= span < Duration::from_secs(1);
                let until = self.hosts[at].now + span;
                self.time(at, until);
            }
            Next::Cut | Next::Link => {}
        }
        self.collect();
    }

    /// The oldest message, else the oldest answer.
    fn step(&mut self, at: usize, how: u8) {
        if how == 0
            && let Some(message) = self.ways[at].pop_front()
        {
            let from = self.hosts[1 - at].node.member().clone();
            return self.hosts[at].step(Input::Message { from, message });
        }
        if let Some(due) = self.hosts[at].due.pop_front() {
            self.hosts[at].answer(due, how);
        }
    }

    fn time(&mut self, at: usize, until: Time) {
        while let Some(next) = self.hosts[at].node.next_timeout().filter(|next| *next <= until) {
            let next = next.max(self.hosts[at].now);
            self.hosts[at].run_to(next);
            self.collect();
        }
        self.hosts[at].run_to(until);
    }

    /// What was sent is on its way, if there is one; and what must hold holds.
    fn collect(&mut self) {
        for at in 0..2 {
            let now = self.hosts[at].now;
            self.hosts[at].run_to(now);
            let (sent, hung_up, _) = self.hosts[at].take_wishes();
            if self.linked {
                self.ways[1 - at].extend(sent.into_iter().map(|(_, message)| message));
            }
            if !hung_up.is_empty() && self.linked {
                return self.next(Next::Cut);
            }
        }
        let states = self.hosts.iter().flat_map(|host| &host.states);
        states.for_each(|state| assert_eq!(state, "state", "the state is what was taken (S16)"));
        if self.whole {
            let copies = self.hosts.iter().map(|host| host.copies(&self.child));
            let (serving, frozen) = copies.fold((0, 0), |all, here| (all.0 + here.0, all.1 + here.1));
            assert!(serving <= 1 || !matches!(self.migration, Migration::ColdSwap { .. }), "two copies (S14)");
            assert!(serving + frozen >= 1 || !matches!(self.migration, Migration::HotSwap { .. }), "no copy (S15)");
        }
    }

    /// All that can happen happens, in turns, for so long.
    fn settle(&mut self, span: Duration) {
        let end = self.hosts[0].now.max(self.hosts[1].now) + span;
        while self.hosts[0].now < end {
            while self.is_busy() {
                self.next(Next::Step(0));
                self.next(Next::Step(1));
            }
            let next = self.hosts.iter().filter_map(|host| host.node.next_timeout()).min().unwrap_or(end);
            let latest = self.hosts[0].now.max(self.hosts[1].now);
            (0..2).for_each(|at| self.time(at, next.max(latest).min(end)));
            self.collect();
            if !self.linked {
                self.next(Next::Link);
            }
        }
    }

    /// They are linked, and left in peace.
    pub(crate) fn rest(&mut self) {
        self.next(Next::Link);
        let mut waited = Duration::ZERO;
        while let Some(problem) = self.problem() {
            assert!(waited < REST, "{:?}: {problem}", self.migration);
            self.settle(Duration::from_secs(2));
            waited += Duration::from_secs(2);
        }
    }

    fn problem(&self) -> Option<String> {
        let id = hub();
        let hubs = [self.hosts[0].node.hub(&id)?, self.hosts[1].node.hub(&id)?];
        if hubs[0].view_hash() != hubs[1].view_hash() || !hubs.iter().all(|hub| hub.is_settled()) {
            let views = hubs.map(|hub| (hub.view(), hub.is_settled(), hub.phase()));
            return Some(format!("they have not settled: {views:?}"));
        }
        if hubs.iter().any(|hub| hub.migrations() > 0 || hub.open_requests() > 0) {
            return Some("the move is not over".to_owned());
        }
        if hubs[0].registry().is_empty() {
            // Its start failed, and whoever has started it was told.
            let left = self.hosts.iter().any(|host| host.copies(&self.child) != (0, 0));
            return left.then(|| "it is not declared and runs".to_owned());
        }
        let owner = hubs[0].owner(&self.child)?.clone();
        let right = |host: &Host| host.copies(&self.child) == (usize::from(host.node.member().node == owner), 0);
        let copies = [0, 1].map(|at| self.hosts[at].copies(&self.child));
        (!self.hosts.iter().all(right)).then(|| format!("serving and frozen {copies:?}, it belongs to {owner}"))
    }
}
