//! Counters under steady calls while nodes come, are emptied and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use process_hub::core::request::Target;
use process_hub::core::spec::ChildSpec;
use process_hub::{Child, ChildError, Context, Hub, ListScope, NodeHandle, SpecExt, State};
use process_hub_tcp::Node;
use serde::{Deserialize, Serialize};

use crate::{LIMIT, config, id, row, until};

/// How many calls are under way at any time.
const CALLERS: u64 = 16;

/// Counts, and remembers by which increments.
struct Counter(Vec<u64>);

#[derive(Serialize, Deserialize)]
enum Ask {
    /// Count one more; the number is this increment's own.
    Increment(u64),
    Applied,
}

impl Child for Counter {
    const KIND: &'static str = "counter";
    type Args = ();
    type Message = Ask;
    type Reply = Vec<u64>;

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, ChildError> {
        Ok(Counter(Vec::new()))
    }

    async fn handle(&mut self, message: Ask, _: &mut Context<Self>) -> Vec<u64> {
        match message {
            Ask::Increment(number) => {
                self.0.push(number);
                Vec::new()
            }
            Ask::Applied => self.0.clone(),
        }
    }

    async fn prepare_handover(&mut self, _: &mut Context<Self>) -> Result<Option<State>, ChildError> {
        State::of(&self.0).map(Some)
    }

    async fn accept_handover(&mut self, state: State, _: &mut Context<Self>) -> Result<(), ChildError> {
        self.0 = state.read()?;
        Ok(())
    }
}

/// What was sent to one child, and what came back.
#[derive(Default)]
struct Sent {
    attempted: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    longest: Duration,
}

#[derive(Default)]
struct Book {
    children: Vec<Sent>,
    /// By what went on meanwhile, and why.
    errors: BTreeMap<(&'static str, String), usize>,
    phase: &'static str,
    over: bool,
}

pub(crate) fn run(children: usize, rounds: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(cluster(children, rounds));
}

async fn start(name: &str, join: Option<&NodeHandle>) -> (NodeHandle, Hub) {
    let node = Node::builder(name).join(join.map(|node| node.listens_at().to_string())).start().await.unwrap();
    let hub = node.hub(config()).child::<Counter>().start().await.unwrap();
    (node, hub)
}

async fn cluster(children: usize, rounds: usize) {
    let (first, hub) = start("n1", None).await;
    let (second, drained) = start("n2", Some(&first)).await;
    let (third, leaver) = start("n3", Some(&first)).await;
    until("three agree", || hub.nodes(true).len() == 3).await;
    let specs: Vec<_> = (0..children).map(|n| ChildSpec::of::<Counter>(id(n), ()).unwrap()).collect();
    let started = hub.start_children(specs).timeout(LIMIT).await.unwrap();
    assert_eq!(started.errors(), []);
    let book = Book { children: (0..children).map(|_| Sent::default()).collect(), ..Book::default() };
    let book = Arc::new(Mutex::new(book));
    let callers: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(call(hub.clone(), n, book.clone()))).collect();

    println!(
        "| {children} counters under {CALLERS} steady callers, {rounds} rounds, hot swap with handover | |\n|---|---|"
    );
    let mut nodes = vec![(second, drained), (third, leaver)];
    let mut took = [const { Vec::new() }; 4];
    for round in 0..rounds {
        let (began, name) = (Instant::now(), format!("n{}", round + 4));
        book.lock().unwrap().phase = "join";
        nodes.push(start(&name, Some(&first)).await);
        settled(&hub, &nodes, children).await;
        took[0].push(began.elapsed());
        let (node, drained) = nodes.remove(0);
        book.lock().unwrap().phase = "drain";
        took[1].push(timed(async { assert_eq!(drained.drain(LIMIT).await.unwrap(), 0) }).await);
        assert_eq!(drained.process_list(ListScope::Local).len(), 0);
        book.lock().unwrap().phase = "taking back";
        let back = async {
            drained.undrain().await.unwrap();
            until("it has its share", || !drained.process_list(ListScope::Local).is_empty()).await;
        };
        took[2].push(timed(back).await);
        book.lock().unwrap().phase = "leave";
        took[3].push(timed(async { assert_eq!(node.leave(LIMIT).await.unwrap(), 0) }).await);
        settled(&hub, &nodes, children).await;
    }
    let what = ["a node joins, until it has its share", "a node is drained", "it is taken back", "it leaves"];
    for (what, took) in what.iter().zip(&took) {
        row(
            &format!("{what}: shortest / longest"),
            format!("{:.1?} / {:.1?}", took.iter().min().unwrap(), took.iter().max().unwrap()),
        );
    }

    book.lock().unwrap().over = true;
    for caller in callers {
        caller.await.unwrap();
    }
    check(&hub, &book).await;
    for (node, _) in nodes {
        node.shutdown().await;
    }
    first.shutdown().await;
}

/// Increments child after child until the book is closed.
async fn call(hub: Hub, caller: u64, book: Arc<Mutex<Book>>) {
    for number in (caller..).step_by(usize::try_from(CALLERS).unwrap()) {
        let child = {
            let mut book = book.lock().unwrap();
            if book.over {
                return;
            }
            let child = usize::try_from(number).unwrap() % book.children.len();
            book.children[child].attempted.insert(number);
            child
        };
        let began = Instant::now();
        let target = Target::Child(id(child));
        let done = hub.call_within::<Counter>(target, Ask::Increment(number), Duration::from_secs(30)).await;
        let took = began.elapsed();
        let mut book = book.lock().unwrap();
        match done {
            Ok(_) => {
                let sent = &mut book.children[child];
                sent.acknowledged.insert(number);
                sent.longest = sent.longest.max(took);
            }
            Err(error) => {
                let key = (book.phase, error.to_string().replace(id(child).as_str(), "…"));
                *book.errors.entry(key).or_default() += 1;
            }
        }
    }
}

/// Until each child runs once, on the first node and these, and on each of them.
async fn settled(hub: &Hub, nodes: &[(NodeHandle, Hub)], children: usize) {
    until("all is placed", || {
        let copies = hub.copies_by_node();
        copies.len() == nodes.len() + 1
            && nodes.iter().all(|(node, _)| copies.contains_key(&node.member().node))
            && copies.values().sum::<usize>() == children
    })
    .await;
}

async fn timed(act: impl Future<Output = ()>) -> Duration {
    let began = Instant::now();
    act.await;
    began.elapsed()
}

async fn check(hub: &Hub, book: &Mutex<Book>) {
    let book = std::mem::take(&mut *book.lock().unwrap());
    let (mut attempted, mut acknowledged, mut applied) = (0, 0, 0);
    for (n, sent) in book.children.iter().enumerate() {
        let told = hub.call_within::<Counter>(Target::Child(id(n)), Ask::Applied, LIMIT).await.unwrap();
        let once: BTreeSet<u64> = told.iter().copied().collect();
        assert_eq!(once.len(), told.len(), "{}: an increment was applied twice", id(n));
        let lost: Vec<_> = sent.acknowledged.difference(&once).collect();
        assert!(lost.is_empty(), "{}: acknowledged and lost: {lost:?}", id(n));
        assert!(once.is_subset(&sent.attempted), "{}: nobody sent that", id(n));
        attempted += sent.attempted.len();
        acknowledged += sent.acknowledged.len();
        applied += once.len();
    }
    assert!(acknowledged <= applied && applied <= attempted, "{acknowledged} <= {applied} <= {attempted}");
    row("acknowledged ≤ applied ≤ attempted", format!("{acknowledged} ≤ {applied} ≤ {attempted}"));
    for ((phase, error), count) in &book.errors {
        row(&format!("not acknowledged, {phase}: {error}"), count);
    }
    let mut pauses: Vec<Duration> = book.children.iter().map(|sent| sent.longest).collect();
    pauses.sort();
    let at = |permille: usize| pauses[(pauses.len() * permille / 1_000).min(pauses.len() - 1)];
    row(
        "longest wait of a call, by child: p50 / p99 / all",
        format!("{:.1?} / {:.1?} / {:.1?}", at(500), at(990), at(1_000)),
    );
}
