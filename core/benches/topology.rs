//! What a change of the view costs one node: 100 nodes, 10k to 1M children, a member that goes and one that comes.
//!
//! Prints, for each size, the core's processor time in all and its longest single step. `cargo bench -p process-hub-core --bench
//! topology`; no argument is taken. Criterion is no help here: a change of the view cannot be repeated on one state.

#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cpu_time::ThreadTime;
use process_hub_core::config::HubConfig;
use process_hub_core::id::{Boot, ChildId, HubId, Kind, Member, NodeId};
use process_hub_core::message::{
    Attributes, Batch, Hello, HubMessage, Mark, Phase, RowState, Snapshot, WireDot, WireEntry, WireMemory, WireRow,
};
use process_hub_core::spec::{ChildSpec, Role};
use process_hub_core::{ChildEvent, Effect, Effects, Hub, HubInput, Time};

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const NODES: usize = 100;

struct Bench {
    hub: Hub,
    now: Time,
    numbers: BTreeMap<NodeId, (u32, u64)>,
    spent: Duration,
    longest: Duration,
    steps: usize,
    starts: usize,
}

fn mark(view: u64) -> Mark {
    Mark { view, number: 1, ballot: 0 }
}

fn member(at: usize) -> Member {
    Member { node: NodeId::new(format!("node-{at:03}")).unwrap(), boot: Boot(1) }
}

impl Bench {
    fn new() -> Bench {
        let config = HubConfig::new(HubId::new("bench").unwrap());
        let hub = Hub::new(config, member(0), true, Time(1)).unwrap();
        Bench {
            hub,
            now: Time(1),
            numbers: BTreeMap::new(),
            spent: Duration::ZERO,
            longest: Duration::ZERO,
            steps: 0,
            starts: 0,
        }
    }

    /// One input, and the ticks that are due at once after it. Instances come up at once.
    fn input(&mut self, input: HubInput) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Effects::new();
            let begin = ThreadTime::now();
            self.hub.handle(self.now, black_box(input), &mut effects);
            let took = begin.elapsed();
            self.spent += took;
            self.longest = self.longest.max(took);
            self.steps += 1;
            for effect in effects.drain() {
                match effect {
                    Effect::Start { pid, .. } => {
                        self.starts += 1;
                        inputs.push(HubInput::Child { sequence: pid.sequence, event: ChildEvent::Started });
                    }
                    Effect::Send {
                        to,
                        message: process_hub_core::Message::Hub { body: HubMessage::Batch { epoch, number, .. }, .. },
                        ..
                    } => {
                        inputs.insert(
                            0,
                            HubInput::Message { from: to, body: HubMessage::BatchAck { epoch, number, told: (0, 0) } },
                        );
                    }
                    _ => {}
                }
            }
            if inputs.is_empty() && self.hub.next_timeout() == Some(Time::ZERO) {
                inputs.push(HubInput::Tick);
            }
        }
    }

    fn meet(&mut self, at: usize) {
        let peer = member(at);
        self.input(HubInput::MemberUp(peer.clone()));
        let hello = Hello {
            config: self.hub.config().digest(),
            fields: Vec::new(),
            phase: Phase::Ready,
            minted: peer.boot,
            position: None,
            told: (0, 0),
            answer: false,
            attributes: Attributes::default(),
            memory: WireMemory::default(),
            known: None,
        };
        self.numbers.insert(peer.node.clone(), (1, 0));
        self.input(HubInput::Message { from: peer, body: HubMessage::Hello(hello) });
    }

    fn say(&mut self, from: &Member, batch: Batch) {
        let (epoch, number) = self.numbers[&from.node];
        self.numbers.insert(from.node.clone(), (epoch, number + 1));
        self.input(HubInput::Message {
            from: from.clone(),
            body: HubMessage::Batch { epoch, number, batch: Arc::new(batch) },
        });
    }

    fn install(&mut self, members: impl Iterator<Item = usize>, snapshot: Snapshot) {
        let installed = Some(mark(self.hub.view_hash()));
        for at in members {
            self.say(&member(at), Batch { snapshot, installed, ..Batch::default() });
        }
    }

    fn take(&mut self) -> (Duration, Duration, usize, usize) {
        let taken = (self.spent, self.longest, self.steps, self.starts);
        (self.spent, self.longest, self.steps, self.starts) = (Duration::ZERO, Duration::ZERO, 0, 0);
        taken
    }
}

fn report(what: &str, children: usize, (spent, longest, steps, starts): (Duration, Duration, usize, usize)) {
    println!(
        "{what:<12} {children:>9} children: {:>8.2} ms in all, longest step {:>6.2} ms, {steps:>5} steps, {starts:>6} starts here",
        spent.as_secs_f64() * 1e3,
        longest.as_secs_f64() * 1e3,
    );
}

fn run(children: usize) {
    let mut bench = Bench::new();
    for at in 1..NODES {
        bench.meet(at);
    }
    bench.install(1..NODES, Snapshot::Last);
    let kind = Kind::new("counter").unwrap();
    let ids: Vec<ChildId> = (0..children).map(|at| ChildId::new(format!("child-{at:07}")).unwrap()).collect();
    let before = ALLOCATED.load(Ordering::Relaxed);
    let user = member(1);
    let mut counter = 0;
    for chunk in ids.chunks(4_096) {
        let mut starts = Vec::new();
        let mut rows: BTreeMap<usize, Vec<WireRow>> = BTreeMap::new();
        for id in chunk {
            counter += 1;
            let dot = WireDot { origin: 0, counter };
            starts.push(WireEntry { dot, spec: Arc::new(ChildSpec::new(id.clone(), kind.clone(), vec![0u8; 8])) });
            let owner: usize = bench.hub.owner(id).unwrap().as_str()[5..].parse().unwrap();
            if owner != 0 {
                let row = WireRow {
                    id: id.clone(),
                    dot,
                    sequence: counter,
                    lineage: 0,
                    token: counter,
                    role: Role::Active,
                    state: RowState::Running,
                };
                rows.entry(owner).or_default().push(row);
            }
        }
        bench.say(&user, Batch { origins: vec![user.clone()], starts, ..Batch::default() });
        for (owner, rows) in rows {
            bench.say(&member(owner), Batch { origins: vec![user.clone()], rows, ..Batch::default() });
        }
    }
    let bytes = ALLOCATED.load(Ordering::Relaxed) - before;
    let content = children * (13 + 8);
    println!(
        "registry     {children:>9} children: {:>8.1} bytes a child beyond id and arguments",
        (bytes - content) as f64 / children as f64
    );
    report("fill", children, bench.take());

    bench.input(HubInput::MemberDown(member(50)));
    bench.install((1..NODES).filter(|at| *at != 50), Snapshot::Not);
    report("node down", children, bench.take());

    bench.meet(50);
    let installed = Some(mark(bench.hub.view_hash()));
    bench.numbers.insert(member(50).node, (2, 0));
    bench.say(&member(50), Batch { snapshot: Snapshot::Last, installed, ..Batch::default() });
    bench.install((1..NODES).filter(|at| *at != 50), Snapshot::Not);
    report("node up", children, bench.take());
}

fn main() {
    for children in [10_000, 100_000, 1_000_000] {
        run(children);
    }
}
