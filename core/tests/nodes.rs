//! Whole nodes, membership included, on links that lose nothing: members of one cluster that do not all run the hub.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use process_hub_core::config::{Factor, HubConfig, Model, NodeConfig, Redundancy, Signal};
use process_hub_core::id::{Addr, Boot, ChildId, HubId, Kind, NodeId, RequestId};
use process_hub_core::request::{Reply, Request, StartOptions, StartOutcome};
use process_hub_core::spec::ChildSpec;
use process_hub_core::{ChildEvent, DialFailure, Effect, Effects, ExitReason, Input, LinkEvent, Node, Time};

fn name(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

fn addr(text: &str) -> Addr {
    Addr::new(format!("{text}:1"))
}

fn hub_id() -> HubId {
    HubId::new("h").unwrap()
}

struct Net {
    now: Time,
    nodes: BTreeMap<NodeId, Node>,
    linked: BTreeSet<(NodeId, NodeId)>,
    events: VecDeque<(NodeId, Input)>,
    replies: BTreeMap<RequestId, Reply>,
    next: u64,
    /// Every live instance.
    live: BTreeSet<(ChildId, NodeId)>,
}

impl Net {
    /// Nodes that look for each other and run no hub.
    fn new(names: &[&str]) -> Net {
        let mut net = Net {
            now: Time::from_millis(1),
            nodes: BTreeMap::new(),
            linked: BTreeSet::new(),
            events: VecDeque::new(),
            replies: BTreeMap::new(),
            next: 0,
            live: BTreeSet::new(),
        };
        for (seed, node) in (1..).zip(names) {
            let mut config = NodeConfig::new(name(node), addr(node));
            config.join = names.iter().filter(|other| *other != node).map(|other| addr(other)).collect();
            net.nodes.insert(name(node), Node::new(config, Boot(seed), seed).unwrap());
        }
        net.run_for(Duration::from_secs(5));
        net
    }

    fn step(&mut self, at: &NodeId, input: Input) {
        let mut effects = Effects::new();
        let node = self.nodes.get_mut(at).unwrap();
        node.handle(self.now, input, &mut effects);
        let me = node.member().clone();
        for effect in effects {
            match effect {
                Effect::Send { to, message, .. } if self.linked.contains(&(at.clone(), to.node.clone())) => {
                    self.events.push_back((to.node, Input::Message { from: me.clone(), message }));
                }
                Effect::Dial { addr } => self.dial(at, addr),
                Effect::Hangup { member, .. } => {
                    self.linked.remove(&(at.clone(), member.node.clone()));
                    self.linked.remove(&(member.node.clone(), at.clone()));
                    let down = |member| Input::Link(LinkEvent::Down { member });
                    self.events.push_back((member.node.clone(), down(me.clone())));
                    self.events.push_back((at.clone(), down(member)));
                }
                Effect::Start { hub, spec, pid, .. } => {
                    assert!(self.live.insert((spec.id.clone(), at.clone())), "{} twice on {at}", spec.id);
                    let (sequence, event) = (pid.sequence, ChildEvent::Started);
                    self.events.push_back((at.clone(), Input::Child { hub, sequence, event }));
                }
                Effect::Stop { hub, id, sequence, .. } => {
                    assert!(self.live.remove(&(id, at.clone())));
                    let event = ChildEvent::Exited { reason: ExitReason::Shutdown };
                    self.events.push_back((at.clone(), Input::Child { hub, sequence, event }));
                }
                Effect::Reply { id, reply } => drop(self.replies.insert(id, reply)),
                _ => {}
            }
        }
    }

    fn dial(&mut self, from: &NodeId, to: Addr) {
        let there = self.nodes.keys().find(|node| addr(node.as_str()) == to).unwrap().clone();
        if self.linked.contains(&(from.clone(), there.clone())) {
            let (reason, node) = (DialFailure::Duplicate, Some(there));
            return self.events.push_back((from.clone(), Input::Link(LinkEvent::Failed { addr: to, reason, node })));
        }
        for (one, other, dialled) in [(from, &there, Some(to)), (&there, from, None)] {
            self.linked.insert((one.clone(), other.clone()));
            let (member, addr) = (self.nodes[other].member().clone(), addr(other.as_str()));
            let up = LinkEvent::Up { member, addr, dialled, known: None };
            self.events.push_back((one.clone(), Input::Link(up)));
        }
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now += Duration::from_millis(10);
            let due = |node: &Node| node.next_timeout().is_some_and(|at| at <= self.now);
            let due: Vec<NodeId> = self.nodes.iter().filter(|(_, node)| due(node)).map(|(at, _)| at.clone()).collect();
            due.into_iter().for_each(|node| self.step(&node, Input::Tick));
            while let Some((at, input)) = self.events.pop_front() {
                self.step(&at, input);
            }
        }
    }

    fn ask(&mut self, at: &str, request: Request) -> Reply {
        self.next += 1;
        let id = RequestId(self.next);
        self.step(&name(at), Input::Request { id, request });
        for _ in 0..100 {
            if let Some(reply) = self.replies.remove(&id) {
                return reply;
            }
            self.run_for(Duration::from_millis(200));
        }
        panic!("{at} does not answer");
    }

    fn open(&mut self, at: &str) {
        let mut config = HubConfig::new(hub_id());
        let (factor, model, signal) = (Factor::ClusterSize, Model::ActiveActive, Signal::None);
        config.redundancy = Redundancy::Replication { factor, model, signal };
        self.ask(at, Request::OpenHub(config));
        self.run_for(Duration::from_secs(10));
    }

    /// On which nodes a child runs.
    fn hosts(&self, child: &str) -> Vec<&str> {
        self.live.iter().filter(|(id, _)| id.as_str() == child).map(|(_, at)| at.as_str()).collect()
    }
}

/// Defect 22: a copy on each member means each member of the hub, not each node of the cluster.
#[test]
fn d22_a_node_without_the_hub_does_not_count_for_a_copy_on_each_member() {
    let mut net = Net::new(&["n1", "n2", "n3"]);
    net.open("n1");
    net.open("n2");
    for at in ["n1", "n2", "n3"] {
        assert_eq!(net.nodes[&name(at)].members().len(), 3, "{at} knows all of them");
    }
    let children: Vec<String> = (0..10).map(|at| format!("c{at}")).collect();
    let spec = |child: &String| ChildSpec::new(ChildId::new(child).unwrap(), Kind::new("k").unwrap(), Vec::new());
    let start = Request::Start {
        hub: hub_id(),
        children: children.iter().map(spec).collect(),
        options: StartOptions::default(),
    };
    let began = net.now;
    match net.ask("n1", start) {
        Reply::Start(Ok(StartOutcome::Done(result))) => {
            assert_eq!(result.errors, [], "nobody waits for a third copy");
            assert!(result.started.iter().all(|(_, pids)| pids.len() == 2), "{result:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(net.now.since(began) < Duration::from_secs(1));
    assert!(children.iter().all(|child| net.hosts(child) == ["n1", "n2"]));
    let owners = |net: &Net| {
        let hub = net.nodes[&name("n2")].hub(&hub_id()).unwrap();
        hub.owners(&ChildId::new("c0").unwrap()).len()
    };
    assert_eq!(owners(&net), 2);

    net.open("n3");
    assert!(children.iter().all(|child| net.hosts(child) == ["n1", "n2", "n3"]), "it has the hub now");
    assert_eq!(owners(&net), 3);

    // It leaves the hub and stays in the cluster.
    let leave = Request::LeaveHub { hub: hub_id(), deadline: Duration::from_secs(5) };
    assert!(matches!(net.ask("n3", leave), Reply::HubLeft(Ok(_))));
    net.run_for(Duration::from_secs(5));
    assert!(children.iter().all(|child| net.hosts(child) == ["n1", "n2"]));
    assert_eq!(owners(&net), 2);
    assert_eq!(net.nodes[&name("n1")].members().len(), 3, "n3 is there still");
}
