//! Large states from one process to another, and what that takes in memory at each end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use bytes::Bytes;
use process_hub::core::request::Target;
use process_hub::core::spec::ChildSpec;
use process_hub::{Child, ChildError, Context, Hub, ListScope, NodeHandle, SpecExt, State};
use process_hub_tcp::Node;
use serde::{Deserialize, Serialize};

use crate::{LIMIT, config, id, row, until};

const MIB: u64 = 1 << 20;
/// What an end may take beside two states.
const BESIDE: u64 = 16 * MIB;

/// Holds many bytes, which can be known again.
struct Blob {
    seed: u64,
    words: u64,
    bytes: Bytes,
}

#[derive(Serialize, Deserialize)]
enum Ask {
    Fill,
    Check,
}

/// What a seed makes.
fn content(seed: u64, words: u64) -> impl Iterator<Item = [u8; 8]> {
    (0..words).map(move |at| (seed ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
}

impl Child for Blob {
    const KIND: &'static str = "blob";
    /// Its seed, and how many words of eight bytes it is to hold.
    type Args = (u64, u64);
    type Message = Ask;
    /// Whether it holds what its seed makes.
    type Reply = bool;

    async fn start((seed, words): (u64, u64), _: &mut Context<Self>) -> Result<Self, ChildError> {
        Ok(Blob { seed, words, bytes: Bytes::new() })
    }

    async fn handle(&mut self, message: Ask, _: &mut Context<Self>) -> bool {
        if let Ask::Fill = message {
            let mut bytes = Vec::with_capacity(usize::try_from(self.words * 8).unwrap_or(0));
            content(self.seed, self.words).for_each(|word| bytes.extend_from_slice(&word));
            self.bytes = bytes.into();
        }
        self.bytes.chunks(8).eq(content(self.seed, self.words))
    }

    async fn prepare_handover(&mut self, _: &mut Context<Self>) -> Result<Option<State>, ChildError> {
        State::from_bytes(self.bytes.clone()).map(Some)
    }

    async fn accept_handover(&mut self, state: State, _: &mut Context<Self>) -> Result<(), ChildError> {
        self.bytes = state.into_bytes();
        Ok(())
    }
}

/// Has two processes do it, and holds what they say against the bound.
pub(crate) fn run(count: usize, mib: usize) {
    let size = mib as u64 * MIB;
    let mut source = End::start("source", count, mib, &[]);
    let addr = source.told("listens");
    let began = Instant::now();
    let mut destination = End::start("destination", count, mib, &["--join".to_owned(), addr]);
    destination.told("ready");
    source.tell("go");
    let given = bytes(&source.told("took"));
    let taken = bytes(&destination.told("took"));
    println!("| {count} states of {mib} MiB from one process to another | |\n|---|---|");
    row("until all are there, and known to be whole", format!("{:.1?}", began.elapsed()));
    // What it holds itself is one of the two.
    let bound = size + BESIDE;
    row("the old end took beside what it held, at most", format!("{:.1} MiB of {} MiB", mebi(given), bound / MIB));
    assert!(given <= bound);
    // All that it holds at the end, but for the last, it has held before.
    let bound = (count as u64 + 1) * size + BESIDE;
    row("the new end took in all, at most", format!("{:.1} MiB of {} MiB", mebi(taken), bound / MIB));
    assert!(taken <= bound);
    for end in [source, destination] {
        end.finish();
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mebi(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

fn bytes(text: &str) -> u64 {
    text.parse().unwrap()
}

/// A process that is one end.
struct End {
    process: Process,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl End {
    fn start(role: &str, count: usize, mib: usize, more: &[String]) -> End {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([role, "--count", &count.to_string(), "--mib", &mib.to_string()]).args(more);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        End { process, to, from }
    }

    /// The next line, which must begin like this.
    fn told(&mut self, what: &str) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let told = line.trim().strip_prefix(what);
        told.unwrap_or_else(|| panic!("`{what}` was to come, and not `{line}`")).trim().to_owned()
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.to, "{what}").unwrap();
    }

    /// It ends when nobody can tell it anything any more.
    fn finish(self) {
        let Self { mut process, to, .. } = self;
        drop(to);
        assert!(process.wait().unwrap().success());
    }
}

async fn open(name: &str, join: Option<String>) -> (NodeHandle, Hub) {
    let node = Node::builder(name).join(join).start().await.unwrap();
    let hub = node.hub(config()).child::<Blob>().start().await.unwrap();
    (node, hub)
}

fn block_on(end: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(end);
}

/// The process that has the states at first.
pub(crate) fn source(count: usize, mib: usize) {
    block_on(async {
        let (node, hub) = open("n1", None).await;
        let words = mib as u64 * MIB / 8;
        let specs: Vec<_> = (0..count).map(|n| ChildSpec::of::<Blob>(id(n), (n as u64, words)).unwrap()).collect();
        assert_eq!(hub.start_children(specs).timeout(LIMIT).await.unwrap().errors(), []);
        all_are(&hub, count, || Ask::Fill).await;
        let before = memory("VmRSS:");
        forget_peak();
        println!("listens {}", node.listens_at());
        // Some have gone to the other when it came; the rest follows.
        heard().await;
        // The other may have yet to take part, as this one sees it.
        until("it can take all", || hub.steering().nodes.len() == 2).await;
        assert_eq!(hub.drain(LIMIT).await.unwrap(), 0);
        println!("took {}", memory("VmHWM:").saturating_sub(before));
        heard().await;
    });
}

/// The process that has them in the end.
pub(crate) fn destination(count: usize, _: usize) {
    block_on(async {
        let join = std::env::args().skip_while(|argument| argument != "--join").nth(1);
        let before = memory("VmRSS:");
        let (_node, hub) = open("n2", join).await;
        until("both agree", || hub.nodes(true).len() == 2 && hub.child_count() == count).await;
        println!("ready");
        until("all are here", || hub.process_list(ListScope::Local).len() == count).await;
        let peak = memory("VmHWM:");
        all_are(&hub, count, || Ask::Check).await;
        println!("took {}", peak.saturating_sub(before));
        heard().await;
    });
}

async fn all_are(hub: &Hub, count: usize, ask: impl Fn() -> Ask) {
    for n in 0..count {
        let whole = hub.call_within::<Blob>(Target::Child(id(n)), ask(), LIMIT).await.unwrap();
        assert!(whole, "{} is not what it was", id(n));
    }
}

/// Waits for a line, or the end of them.
async fn heard() {
    let wait = tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new()));
    tokio::time::timeout(LIMIT, wait).await.unwrap().unwrap().unwrap();
}

/// What the system says of this process, in bytes.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// From here on, the peak of memory is measured anew.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}
