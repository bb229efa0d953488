//! The core on a loop of one's own: std, one UDP socket and one thread a node, no runtime.
//!
//! Each node is [`Driver::turn`], over and over: wait for a datagram until the core wants to be woken, hand in what came,
//! carry out what comes of it. A "child" is a row in a table here. The rest is a story that shows that it works: three
//! nodes share six children, one falls silent, the others take over what it ran.
//!
//! ```sh
//! cargo run -p process-hub-core --example embed
//! ```
//!
//! UDP over loopback keeps the order and datagrams up to 64 KiB, which is enough for a small hub. It has no secrets: a
//! cluster that strangers can reach needs `wire::handshake` in front of `LinkEvent::Up`, and a stream instead of datagrams.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use process_hub_core::config::{HubConfig, NodeConfig};
use process_hub_core::id::{Boot, ChildId, HubId, Kind, Member, NodeId, RequestId};
use process_hub_core::request::{Request, StartOptions};
use process_hub_core::spec::ChildSpec;
use process_hub_core::{ChildEvent, Effect, Effects, ExitReason, Input, LinkEvent, Node, Time, wire};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The first byte of a datagram: what it is. The two that open a link are followed by the sender's name.
const HELLO: u8 = 0;
const WELCOME: u8 = 1;
const FRAME: u8 = 2;

/// How long one turn waits at most.
const MOST: Duration = Duration::from_millis(50);

/// One node and everything that it is driven by.
struct Driver {
    node: Node,
    hub: HubId,
    socket: UdpSocket,
    began: Instant,
    /// Who answers at which address.
    links: BTreeMap<SocketAddr, Member>,
    /// The "instances" that run here, by their sequence.
    running: BTreeMap<u64, ChildId>,
    /// What is to be handed in next, because of effects.
    inputs: Vec<Input>,
    effects: Effects,
}

impl Driver {
    /// A node that listens, knows whom to look for, and takes part in one hub.
    fn new(name: &str, socket: UdpSocket, join: &[SocketAddr]) -> Outcome<Driver> {
        let mut config = NodeConfig::new(NodeId::new(name)?, socket.local_addr()?.to_string());
        config.join = join.iter().map(|addr| addr.to_string().as_str().into()).collect();
        let hub = HubId::new("jobs")?;
        let opened = Request::OpenHub(HubConfig::new(hub.clone()));
        Ok(Driver {
            // A restart must come with a higher boot; this program begins each name once.
            node: Node::new(config, Boot(1), u64::from(socket.local_addr()?.port()))?,
            hub,
            socket,
            began: Instant::now(),
            links: BTreeMap::new(),
            running: BTreeMap::new(),
            inputs: vec![Input::Request { id: RequestId(0), request: opened }],
            effects: Effects::new(),
        })
    }

    /// One turn of the loop.
    fn turn(&mut self) -> Outcome<()> {
        let now = Time(u64::try_from(self.began.elapsed().as_micros())?);
        let input = match self.inputs.pop() {
            Some(input) => input,
            None => {
                // Not for ever: somebody may tell it to fall silent.
                let wait = self.node.next_timeout().map_or(MOST, |due| due.since(now)).min(MOST);
                if wait.is_zero() { Input::Tick } else { self.wait(wait)? }
            }
        };
        let now = Time(u64::try_from(self.began.elapsed().as_micros())?);
        let mut effects = std::mem::take(&mut self.effects);
        self.node.handle(now, input, &mut effects);
        for effect in effects.drain() {
            self.carry_out(effect)?;
        }
        self.effects = effects;
        Ok(())
    }

    /// What comes first: a datagram, or the end of the wait.
    fn wait(&mut self, wait: Duration) -> Outcome<Input> {
        let mut buffer = [0; 65_536];
        self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        let Ok((len, from)) = self.socket.recv_from(&mut buffer) else { return Ok(Input::Tick) };
        let Some((kind, body)) = buffer[..len].split_first() else { return Ok(Input::Tick) };
        if *kind == FRAME {
            let from = self.links.get(&from).cloned();
            return Ok(from.map_or(Input::Tick, |from| Input::Frame { from, bytes: body.to_vec().into() }));
        }
        let member = Member { node: NodeId::new(std::str::from_utf8(body)?)?, boot: Boot(1) };
        if *kind == HELLO {
            self.say(WELCOME, from)?;
        }
        if self.links.insert(from, member.clone()).is_some() {
            return Ok(Input::Tick);
        }
        let addr = from.to_string().as_str().into();
        let dialled = (*kind == WELCOME).then(|| from.to_string().as_str().into());
        Ok(Input::Link(LinkEvent::Up { known: self.node.known_boot(&member.node), member, addr, dialled }))
    }

    fn say(&self, kind: u8, to: SocketAddr) -> Outcome<()> {
        let name = self.node.member().node.as_str();
        self.socket.send_to(&[&[kind], name.as_bytes()].concat(), to)?;
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Outcome<()> {
        match effect {
            Effect::Dial { addr } => self.say(HELLO, addr.as_str().parse()?)?,
            Effect::Send { to, message, .. } => {
                if let Some((addr, _)) = self.links.iter().find(|(_, member)| **member == to) {
                    let mut datagram = vec![FRAME];
                    wire::encode(&message, &mut datagram)?;
                    self.socket.send_to(&datagram, addr)?;
                }
            }
            Effect::Hangup { member, .. } => {
                self.links.retain(|_, linked| *linked != member);
                self.inputs.push(Input::Link(LinkEvent::Down { member }));
            }
            Effect::Start { hub, spec, pid, .. } => {
                self.running.insert(pid.sequence, spec.id.clone());
                self.inputs.push(Input::Child { hub, sequence: pid.sequence, event: ChildEvent::Started });
            }
            Effect::Stop { hub, sequence, .. } => {
                self.running.remove(&sequence);
                let event = ChildEvent::Exited { reason: ExitReason::Shutdown };
                self.inputs.push(Input::Child { hub, sequence, event });
            }
            Effect::Reply { reply, .. } => println!("{}: {reply:?}", self.node.member().node),
            // Nobody calls a child here, asks about hooks or keeps a mirror of the registry.
            _ => {}
        }
        Ok(())
    }

    /// Takes turns until it is told to fall silent, and says whenever something has changed that the story is about.
    fn serve(mut self, silence: &AtomicBool, told: &Sender<(NodeId, Status)>) -> Outcome<()> {
        let mut last = Status::default();
        while !silence.load(Ordering::Relaxed) {
            self.turn()?;
            let members = self.node.hub(&self.hub).map_or(0, |hub| hub.view().len());
            let status = Status { members, running: self.running.values().cloned().collect() };
            if status != last {
                told.send((self.node.member().node.clone(), status.clone()))?;
                last = status;
            }
        }
        Ok(())
    }

    /// Has it ask, in its first turn, that children be started.
    fn start(&mut self, count: u32) -> Outcome<()> {
        let spec = |n| Ok(ChildSpec::new(ChildId::new(format!("c{n}"))?, Kind::new("row")?, []));
        let children = (1..=count).map(spec).collect::<Outcome<Vec<_>>>()?;
        let request = Request::Start { hub: self.hub.clone(), children, options: StartOptions::default() };
        self.inputs.insert(0, Input::Request { id: RequestId(1), request });
        Ok(())
    }
}

/// How a node sees itself.
#[derive(Clone, Debug, Default, PartialEq)]
struct Status {
    members: usize,
    running: Vec<ChildId>,
}

type Statuses = BTreeMap<NodeId, Status>;

/// Waits until what the nodes say comes to `done`.
fn until(
    what: &str,
    told: &Receiver<(NodeId, Status)>,
    all: &mut Statuses,
    done: impl Fn(&Statuses) -> bool,
) -> Outcome<()> {
    while !done(all) {
        let (node, status) = told.recv_timeout(Duration::from_secs(30)).map_err(|_| format!("not in time: {what}"))?;
        all.insert(node, status);
    }
    println!("{what}:");
    all.iter()
        .for_each(|(node, status)| println!("  {node} sees {} members and runs {:?}", status.members, status.running));
    Ok(())
}

/// Three nodes, each a loop in a thread of its own that shares nothing with the others but the network.
pub(crate) fn story() -> Outcome<()> {
    let (tell, told) = mpsc::channel();
    let silence = [(); 3].map(|()| AtomicBool::new(false));
    thread::scope(|scope| {
        let mut join = Vec::new();
        let mut nodes = Vec::new();
        for (name, silence) in ["n1", "n2", "n3"].into_iter().zip(&silence) {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            let addr = socket.local_addr()?;
            let mut driver = Driver::new(name, socket, &join)?;
            if join.is_empty() {
                driver.start(6)?;
                join.push(addr);
            }
            let tell = tell.clone();
            nodes.push(scope.spawn(move || driver.serve(silence, &tell)));
        }
        let story = watch(&told, || silence[2].store(true, Ordering::Relaxed));
        silence.iter().for_each(|silence| silence.store(true, Ordering::Relaxed));
        for node in nodes {
            node.join().map_err(|_| "a node has panicked")??;
        }
        story
    })
}

fn watch(told: &Receiver<(NodeId, Status)>, silence_n3: impl FnOnce()) -> Outcome<()> {
    let all_run = |all: &Statuses, nodes| {
        let running: usize = all.values().map(|status| status.running.len()).sum();
        running == 6 && all.len() == nodes && all.values().all(|status| status.members == nodes)
    };
    let mut all = Statuses::new();
    until("all have met and share the children", told, &mut all, |all| all_run(all, 3))?;
    silence_n3();
    all.remove(&NodeId::new("n3")?);
    let survivors = |all: &Statuses| {
        let mut all = all.clone();
        all.retain(|node, _| node.as_str() != "n3");
        all_run(&all, 2)
    };
    until("n3 fell silent, the others took over", told, &mut all, survivors)
}

#[allow(dead_code, reason = "the test calls the story")]
fn main() -> Outcome<()> {
    story()
}
