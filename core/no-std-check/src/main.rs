//! Two nodes in a program without std. That this links is the proof that the core needs none: std in any dependency brings a
//! second panic handler, which the compiler refuses. It then runs a cluster: the nodes meet over a wire of memory, share
//! children, one leaves, the other takes over; it ends with status 0 if all came out as it should.
//!
//! What an embedder brings is here: an allocator (`arena`), a panic handler, a clock (a number), links and children.

#![no_std]
#![no_main]

extern crate alloc;

mod arena;

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int};
use core::time::Duration;

use process_hub_core::config::{HubConfig, NodeConfig};
use process_hub_core::id::{Boot, ChildId, HubId, Kind, NodeId, RequestId};
use process_hub_core::request::{Request, StartOptions};
use process_hub_core::spec::ChildSpec;
use process_hub_core::{ChildEvent, Effect, Effects, ExitReason, Input, LinkEvent, Node, Time};

/// Room for everything that the program ever has at one time.
#[global_allocator]
static ALLOCATOR: arena::Arena<{ 8 << 20 }> = arena::Arena::new();

#[link(name = "c")]
unsafe extern "C" {
    safe fn abort() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    abort()
}

/// The precompiled `alloc` names this function and the next even where panics abort and nothing can call them.
// SAFETY: no other definition is linked in, since std is not.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    abort()
}

// SAFETY: the C runtime's entry point, once in the program.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    c_int::from(!story().unwrap_or(false))
}

/// How many children there are.
const CHILDREN: usize = 8;

/// Two nodes, what is to be handed to each next, and which children run there.
struct Cluster {
    now: Time,
    nodes: [Node; 2],
    inputs: VecDeque<(usize, Input)>,
    running: [Vec<(u64, ChildId)>; 2],
}

/// Whether the story comes out as it should; `None` where something that must work did not.
fn story() -> Option<bool> {
    let hub = HubId::new("jobs").ok()?;
    let mut cluster = Cluster::new(&hub)?;
    if !cluster.run(|cluster| cluster.nodes.iter().all(|node| node.hub(&hub).is_some_and(|hub| hub.view().len() == 2)))
    {
        return Some(false);
    }
    let spec = |n: usize| Some(ChildSpec::new(ChildId::new(n.to_string()).ok()?, Kind::new("row").ok()?, []));
    let children = (0..CHILDREN).map(spec).collect::<Option<Vec<_>>>()?;
    let start = Request::Start { hub, children, options: StartOptions::default() };
    cluster.inputs.push_back((1, Input::Request { id: RequestId(1), request: start }));
    let shared = cluster.run(|cluster| {
        let [first, second] = &cluster.running;
        first.len() + second.len() == CHILDREN && !first.is_empty() && !second.is_empty()
    });
    let leave = Request::Leave { deadline: Duration::from_secs(10) };
    cluster.inputs.push_back((0, Input::Request { id: RequestId(2), request: leave }));
    let taken_over = cluster.run(|cluster| cluster.running[0].is_empty() && cluster.running[1].len() == CHILDREN);
    Some(shared && taken_over)
}

impl Cluster {
    fn new(hub: &HubId) -> Option<Cluster> {
        let node = |name: &str, join: Option<&str>| {
            let mut config = NodeConfig::new(NodeId::new(name).ok()?, name);
            config.join.extend(join.map(Into::into));
            Node::new(config, Boot(1), 7).ok()
        };
        let nodes = [node("n1", None)?, node("n2", Some("n1"))?];
        let opened =
            |at| (at, Input::Request { id: RequestId(0), request: Request::OpenHub(HubConfig::new(hub.clone())) });
        Some(Cluster {
            now: Time::ZERO,
            nodes,
            inputs: (0..2).map(opened).collect(),
            running: [Vec::new(), Vec::new()],
        })
    }

    /// Lets time pass until `done`, for a minute of it at most.
    fn run(&mut self, done: impl Fn(&Cluster) -> bool) -> bool {
        let end = self.now + Duration::from_secs(60);
        while !done(self) && self.now < end {
            let due = |at: usize| (self.nodes[at].next_timeout().unwrap_or(end), at);
            let (at, input) = match self.inputs.pop_front() {
                Some(next) => next,
                None => {
                    let (wake, at) = due(0).min(due(1));
                    self.now = self.now.max(wake);
                    (at, Input::Tick)
                }
            };
            let mut effects = Effects::new();
            self.nodes[at].handle(self.now, input, &mut effects);
            effects.into_iter().for_each(|effect| self.carry_out(at, effect));
        }
        done(self)
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        let (me, other) = (self.nodes[at].member().clone(), self.nodes[1 - at].member().clone());
        match effect {
            // The wire is there once somebody wants it.
            Effect::Dial { addr } => {
                for (to, member, dialled) in [(at, other.clone(), Some(addr)), (1 - at, me.clone(), None)] {
                    let addr = member.node.as_str().into();
                    self.inputs.push_back((to, Input::Link(LinkEvent::Up { member, addr, dialled, known: None })));
                }
            }
            Effect::Send { message, .. } => self.inputs.push_back((1 - at, Input::Message { from: me, message })),
            Effect::Start { hub, spec, pid, .. } => {
                self.running[at].push((pid.sequence, spec.id.clone()));
                self.inputs.push_back((at, Input::Child { hub, sequence: pid.sequence, event: ChildEvent::Started }));
            }
            Effect::Stop { hub, sequence, .. } => {
                self.running[at].retain(|(running, _)| *running != sequence);
                let event = ChildEvent::Exited { reason: ExitReason::Shutdown };
                self.inputs.push_back((at, Input::Child { hub, sequence, event }));
            }
            _ => {}
        }
    }
}
