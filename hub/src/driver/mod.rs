//! The loop that drives one core node: inputs in, effects carried out in order, one sleep.

mod children;
mod effects;
mod inbox;
mod links;
mod news;
mod saving;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use process_hub_core::config::NodeConfig;
use process_hub_core::hook::HookKind;
use process_hub_core::id::{Addr, Boot, HubId, RequestId};
use process_hub_core::request::{Reply, Request};
use process_hub_core::saved::SavedPart;
use process_hub_core::wire::record::Beginning;
use process_hub_core::{Effects, Input, Node, Time};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument;

use crate::driver::children::Children;
use crate::driver::inbox::{Inbox, Woken};
use crate::driver::links::Links;
use crate::driver::saving::Saver;
use crate::error::{OpenHubError, StartNodeError};
use crate::handle::{Command, Hub, NodeHandle, NodeShared};
use crate::instance::yield_now;
use crate::options::NodeOptions;
use crate::record::Tape;
use crate::runtime::{AnyRuntime, Runtime};
use crate::session::{self, Credentials, News, Stop};
use crate::stats::Stats;
use crate::transport::{Listener, Transport};

pub(crate) use crate::driver::inbox::{ChildReport, ChildReports};

/// Requests that may wait for the driver; callers beyond wait in line.
const COMMANDS: usize = 1_024;
/// Pieces of news from the links that may wait for the driver; readers beyond wait, and their peers with them.
const NEWS: usize = 256;
/// How long what is queued on the links may take to be written when the node ends.
const LAST_WRITES: Duration = Duration::from_secs(1);
/// How long inputs are handled without a look at the clock and the links: probes and keep-alives must not wait for a
/// burst of other work to be over, or the others take this node for dead.
const TURN: Duration = Duration::from_millis(5);

/// Starts a node: listens, begins to look for the cluster, and returns. It runs as tasks of `runtime` until it leaves
/// or is shut down, or the runtime ends.
///
/// # Errors
/// When the configuration is out of range or the address cannot be listened at; nothing is left running.
pub async fn start<R: Runtime, T: Transport>(
    options: NodeOptions,
    runtime: R,
    transport: T,
) -> Result<NodeHandle, StartNodeError> {
    options.check()?;
    let listener = transport
        .listen(&options.listen)
        .await
        .map_err(|source| StartNodeError::Listen { addr: options.listen.clone(), source })?;
    let listens_at = listener.local_addr();
    let advertises = options.advertise.clone().unwrap_or_else(|| listens_at.clone());
    let mut config = NodeConfig::new(options.name.clone(), &advertises);
    config.join.clone_from(&options.join);
    config.membership = options.membership.clone();
    (config.weight, config.labels) = (options.weight, options.labels.clone());
    let boot = options.boot.unwrap_or_else(|| boot(&runtime));
    let seed = runtime.random_u64();
    let beginning = options.record.is_some().then(|| Beginning { config: config.clone(), boot, seed });
    let node = Node::new(config, boot, seed)?;

    let credentials = Credentials::new(&options, node.member(), &advertises)?;
    let (commands, from_handles) = mpsc::channel(COMMANDS);
    let (reports, from_children) = mpsc::unbounded_channel();
    let shared = Arc::new(NodeShared {
        member: node.member().clone(),
        boot: AtomicU64::new(node.member().boot.0),
        cluster: options.cluster.clone(),
        listens_at,
        advertises,
        map_seed: runtime.random_u64(),
        mailbox_capacity: options.mailbox_capacity,
        runtime: AnyRuntime::new(runtime.clone()),
        commands,
        reports,
        members: watch::Sender::new(node.members().into()),
        hubs: Default::default(),
        stats: Stats::default(),
    });
    let (news, from_links) = mpsc::channel(NEWS);
    let (stop, stopped) = oneshot::channel();
    let links = session::Links::new(runtime.clone(), transport, shared.clone(), options.limits, credentials, news);
    let links = Arc::new(links);
    let span = tracing::info_span!("node", node = %shared.member.node, boot = shared.member.boot.0);
    let dialler = Dialler { links: links.clone(), span: span.clone() };
    let mut driver = Driver::new(node, shared.clone(), Box::new(dialler), stop);
    driver.saver = options.store.map(Saver::new);
    driver.tape = options.record.zip(beginning).and_then(|(sink, beginning)| Tape::begin(sink, beginning));
    let inbox = Inbox::new(from_handles, from_children, from_links);
    runtime.spawn(session::accept(links, listener, stopped).instrument(span.clone()));
    runtime.spawn(driver.run(inbox).instrument(span));
    Ok(NodeHandle::from_shared(shared))
}

/// Opens links, without their types.
trait Dial: Send {
    fn dial(&self, addr: Addr);
}

struct Dialler<R, T> {
    links: Arc<session::Links<R, T>>,
    span: tracing::Span,
}

impl<R: Runtime, T: Transport> Dial for Dialler<R, T> {
    fn dial(&self, addr: Addr) {
        self.links.runtime.spawn(session::dial(self.links.clone(), addr).instrument(self.span.clone()));
    }
}

/// A boot that is higher than any earlier one of this name as far as a clock can tell: milliseconds, then 20 random
/// bits for two starts within one of them.
fn boot(runtime: &impl Runtime) -> Boot {
    Boot(runtime.wall_clock_ms() << 20 | runtime.random_u64() >> 44)
}

/// Everything the loop owns.
struct Driver {
    node: Node,
    shared: Arc<NodeShared>,
    children: Children,
    links: Links,
    dialler: Box<dyn Dial>,
    // Dropped to stop listening.
    listening: Option<Stop>,
    callers: HashMap<RequestId, Caller>,
    next_request: u64,
    effects: Effects,
    // What carrying out an effect has brought about, for the core to hear after the present step.
    later: Vec<Input>,
    // When the timers and the links were last looked after.
    looked_after: Time,
    stopping: bool,
    /// What is recorded of the node, if anything is.
    tape: Option<Tape>,
    /// What saves its hubs, if they are to be saved.
    saver: Option<Saver>,
}

/// Who waits for a reply of the core.
enum Caller {
    Handle(oneshot::Sender<Reply>),
    Open(Hub, oneshot::Sender<Result<(), OpenHubError>>),
    /// Nobody: what was saved of this hub is restored.
    Restore(HubId),
}

impl Driver {
    fn new(node: Node, shared: Arc<NodeShared>, dialler: Box<dyn Dial>, stop: Stop) -> Self {
        Self {
            node,
            children: Children::default(),
            links: Links::new(shared.member.node.clone()),
            dialler,
            listening: Some(stop),
            shared,
            callers: HashMap::new(),
            next_request: 0,
            effects: Effects::new(),
            later: Vec::new(),
            looked_after: Time::ZERO,
            stopping: false,
            tape: None,
            saver: None,
        }
    }

    async fn run(mut self, mut inbox: Inbox) {
        tracing::info!(addr = %self.shared.advertises, "node started");
        while !self.stopping {
            let saves = self.saver.as_ref().and_then(Saver::next_due);
            let wake = [self.node.next_timeout(), self.children.next_deadline(), saves].into_iter().flatten().min();
            match inbox.wait(&self.shared.runtime, wake).await {
                Woken::Inputs => self.take(&mut inbox),
                Woken::Time => {}
                Woken::Busy => yield_now().await,
            }
            self.look_after();
        }
        self.close(inbox).await;
    }

    /// Does what is due, and has what was said written.
    fn look_after(&mut self) {
        self.tick();
        self.links.flush();
        if let Some(tape) = &mut self.tape {
            tape.flush();
        }
        if let Some(saver) = &mut self.saver {
            saver.go_on(&self.node, &self.shared.runtime);
        }
        self.looked_after = self.now();
    }

    /// The present time; in a long burst of inputs, what is due is done first.
    fn breathe(&mut self) -> Time {
        let now = self.now();
        if now.since(self.looked_after) >= TURN {
            self.look_after();
        }
        now
    }

    /// Handles everything that has arrived.
    fn take(&mut self, inbox: &mut Inbox) {
        self.looked_after = self.now();
        for news in inbox.news.drain(..) {
            let now = self.breathe();
            self.news(now, news);
        }
        for ChildReport { hub, sequence, mut event } in inbox.reports.drain(..) {
            if self.children.report(&hub, sequence, &mut event) {
                let now = self.breathe();
                self.handle(now, Input::Child { hub, sequence, event });
            }
        }
        for command in inbox.commands.drain(..) {
            let now = self.breathe();
            self.command(now, command);
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        while let Some((hub, sequence, event)) = self.children.overdue(now) {
            self.handle(now, Input::Child { hub, sequence, event });
        }
        if self.node.next_timeout().is_some_and(|at| at <= now) {
            self.handle(now, Input::Tick);
        }
    }

    fn command(&mut self, now: Time, command: Command) {
        match command {
            Command::Request { request, answer } => self.request(now, request, Caller::Handle(answer)),
            Command::Open { hub, answer } => self.open(now, hub, answer),
            Command::Hooks { hub, change, answer } => drop(answer.send(self.change_hooks(now, hub, change))),
            Command::Shutdown => self.stopping = true,
        }
    }

    fn request(&mut self, now: Time, request: Request, caller: Caller) {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.callers.insert(id, caller);
        self.handle(now, Input::Request { id, request });
    }

    fn open(&mut self, now: Time, hub: Hub, answer: oneshot::Sender<Result<(), OpenHubError>>) {
        if self.hubs_mut().get(hub.id()).is_some() {
            let _ = answer.send(Err(OpenHubError::AlreadyOpen(hub.id().clone())));
            return;
        }
        // Known before the core is told: its first effects may name the hub.
        self.hubs_mut().insert(hub.clone());
        self.children.open(hub.clone());
        let request = Request::OpenHub(hub.config().clone());
        self.request(now, request, Caller::Open(hub.clone(), answer));
        if hub.shared().hooks.wants(HookKind::ChildDataAlter) {
            self.handle(now, Input::Altering { hub: hub.id().clone(), wanted: true });
        }
        self.restore(hub.id());
    }

    /// Hands a hub that has been opened what an earlier life has saved of it, and saves it from then on.
    fn restore(&mut self, hub: &HubId) {
        let Some(saver) = self.saver.as_mut().filter(|_| self.node.hub(hub).is_some()) else { return };
        let parts = saver.load(hub);
        let children: usize = parts.iter().map(SavedPart::len).sum();
        for part in parts {
            let now = self.breathe();
            self.request(
                now,
                Request::Restore { hub: hub.clone(), part: Box::new(part) },
                Caller::Restore(hub.clone()),
            );
        }
        if self.saver.as_mut().is_some_and(|saver| saver.open(hub.clone())) && children > 0 {
            tracing::info!(%hub, children, "restored what was saved");
        }
    }

    /// One step of the core, and what follows from it.
    fn handle(&mut self, now: Time, input: Input) {
        self.shared.stats.inputs.one();
        let mut effects = std::mem::take(&mut self.effects);
        if let Some(tape) = &mut self.tape {
            tape.input(now, &input);
        }
        self.node.handle(now, input, &mut effects);
        if let Some(tape) = &mut self.tape {
            tape.effects(&effects);
        }
        // Links that the effects open are to be opened in the life that the node goes by now.
        self.shared.boot.store(self.node.member().boot.0, Ordering::Release);
        self.shared.stats.effects.add(effects.len() as u64);
        for effect in effects.drain() {
            self.carry_out(now, effect);
        }
        self.effects = effects;
        self.settle(now);
    }

    /// Tells the core what carrying out its effects has brought about.
    fn settle(&mut self, now: Time) {
        // Such inputs are answers to effects and rarely lead to more of their sort, so this ends.
        for input in std::mem::take(&mut self.later) {
            self.handle(now, input);
        }
    }

    /// Ends children, links and listening, and waits a little for what is queued on the links to be written.
    async fn close(mut self, mut inbox: Inbox) {
        self.announce_end();
        if let Some(mut tape) = self.tape.take() {
            tape.flush();
        }
        self.children.kill_all();
        self.hubs_mut().clear();
        self.links.close_all();
        self.listening = None;
        let mut listening = true;
        let until = self.now() + LAST_WRITES;
        if let Some(saver) = self.saver.take() {
            saver.finish(&self.node, &self.shared.runtime, until).await;
        }
        while (listening || !self.links.all_ended()) && self.now() < until {
            inbox.wait(&self.shared.runtime, Some(until)).await;
            for news in inbox.news.drain(..) {
                match news {
                    News::Lost { link, member, .. } => drop(self.links.lost(link, &member)),
                    News::NotListening => listening = false,
                    _ => {}
                }
            }
            // Whoever still asks for something learns from the dropped answer that the node has ended.
            inbox.commands.clear();
            inbox.reports.clear();
        }
        tracing::info!("node ended");
        // Only now: whoever waits for the end of the node sees a node that has ended.
        drop(inbox);
    }

    fn now(&self) -> Time {
        self.shared.runtime.now()
    }
}
