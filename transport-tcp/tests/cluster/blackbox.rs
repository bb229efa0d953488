//! Five processes that are stopped, killed and cut off from each other while callers use them, judged by what the callers saw.
//!
//! `BLACKBOX_SECONDS` says for how long (20 s if it is not set), `BLACKBOX_SEED` which faults. The faults are the same for the
//! same seed; what becomes of them is up to the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::cluster::{CHILDREN, call, meet, same_places};
use crate::support::history::{Addition, Chain, chains, one_at_a_time};
use crate::support::network::Network;
use crate::support::process::Node;
use crate::support::{http, until, when};

const NAMES: [&str; 5] = ["alpha", "bravo", "cedar", "delta", "eagle"];
/// Counters that are added to all the time.
const COUNTERS: u64 = 12;
const CALLERS: u64 = 4;
/// How long a caller waits.
const CALL: Duration = Duration::from_secs(2);
/// Times of a quorum that a test can wait for; what one node does while two are gone is what matters here.
const TOLD: [&str; 8] =
    ["--partition", "majority:5", "--set", "lease=1s", "--set", "stop_timeout=500ms", "--set", "pause_bound=500ms"];

/// Five nodes, each behind a door of its own.
struct Cluster {
    network: Network,
    /// The doors' addresses: what the nodes tell each other.
    doors: Vec<String>,
    nodes: Vec<Node>,
    listen: Vec<String>,
}

impl Cluster {
    fn start() -> Cluster {
        let network = Network::default();
        let doors = NAMES.map(|name| network.door(name).unwrap());
        let addrs = doors.iter().map(|door| door.addr.clone()).collect();
        let mut cluster = Cluster { network: network.clone(), doors: addrs, nodes: Vec::new(), listen: Vec::new() };
        for (at, door) in doors.into_iter().enumerate() {
            let node = cluster.node(at, "127.0.0.1:0");
            network.open(door, &node.listen);
            cluster.listen.push(node.listen.clone());
            cluster.nodes.push(node);
        }
        meet(&cluster.all());
        cluster
    }

    fn node(&self, at: usize, listen: &str) -> Node {
        let mut args = [&TOLD[..], &["--listen", listen, "--advertise", &self.doors[at]]].concat();
        for door in self.doors.iter().filter(|door| **door != self.doors[at]) {
            args.extend(["--join", door]);
        }
        Node::start(NAMES[at], &args)
    }

    fn all(&self) -> Vec<&Node> {
        self.nodes.iter().collect()
    }

    fn admins(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.admin.clone()).collect()
    }
}

/// What callers do, and what they saw.
struct Callers {
    seed: u64,
    began: Instant,
    over: AtomicBool,
    admins: Mutex<Vec<String>>,
    additions: Mutex<BTreeMap<u64, Vec<Addition>>>,
    /// Children that were started, and perhaps stopped again: whether each is there, as far as a caller was told.
    started: Mutex<BTreeMap<String, Option<bool>>>,
}

impl Callers {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn some_admin(&self, dice: &mut ChaCha8Rng) -> String {
        let admins = self.admins.lock().unwrap();
        admins[dice.random_range(0..admins.len())].clone()
    }

    /// Adds to counters until it is over: each time another amount, at another node.
    fn add(&self, caller: u64) {
        let mut dice = ChaCha8Rng::seed_from_u64(self.seed ^ (caller + 1) << 32);
        while self.goes_on() {
            let (counter, amount) = (dice.random_range(0..COUNTERS), dice.random_range(1..1_i64 << 44));
            let url = format!("{}{CHILDREN}/c{counter}/call?timeout_ms=1500", self.some_admin(&mut dice));
            let asked = self.began.elapsed();
            let (status, answer) = http::ask_within(CALL, "POST", &url, &json!({ "add": amount }));
            let value = if status == 200 { answer["value"].as_i64() } else { None };
            let addition = Addition { amount, asked, done: self.began.elapsed(), value };
            self.additions.lock().unwrap().entry(counter).or_default().push(addition);
            // A node that is down refuses at once.
            thread::sleep(Duration::from_millis(if status == 200 { 2 } else { 20 }));
        }
    }

    /// Starts children, each once, and stops every other one.
    fn start_and_stop(&self) {
        let mut dice = ChaCha8Rng::seed_from_u64(self.seed ^ 0xdead);
        for number in 0.. {
            if !self.goes_on() {
                return;
            }
            let id = format!("s{number}");
            let body = json!({"children": [{"id": id, "kind": "echo"}], "timeout_ms": 1500});
            let (status, answer) =
                http::ask_within(CALL, "POST", &format!("{}{CHILDREN}", self.some_admin(&mut dice)), &body);
            let mut there = (status == 200 && answer["status"] == "ok").then_some(true);
            if there.is_some() && number % 2 == 0 {
                let url = format!("{}{CHILDREN}", self.some_admin(&mut dice));
                let (status, answer) =
                    http::ask_within(CALL, "DELETE", &url, &json!({"ids": [id], "timeout_ms": 1500}));
                there = (status == 200 && answer["status"] == "ok").then_some(false);
            }
            self.started.lock().unwrap().insert(id, there);
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Tells callers that it is over, however it ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Faults of each sort that have happened.
#[derive(Debug, Default)]
struct Faults {
    paused: usize,
    killed: usize,
    cut_off: usize,
    links_cut: usize,
}

/// One fault after another until `end`, never of more than two nodes: the others are a majority.
fn break_things(cluster: &mut Cluster, callers: &Callers, dice: &mut ChaCha8Rng, end: Instant) -> Faults {
    let mut faults = Faults::default();
    let wait =
        |dice: &mut ChaCha8Rng, millis: Range<u64>| thread::sleep(Duration::from_millis(dice.random_range(millis)));
    for round in 0.. {
        if Instant::now() > end {
            break;
        }
        let one = dice.random_range(0..NAMES.len());
        let other = (one + dice.random_range(1..NAMES.len())) % NAMES.len();
        // Every sort comes up in a short run, too.
        match if round < 4 { round } else { dice.random_range(0..6) } {
            0 => {
                faults.killed += 1;
                cluster.nodes[one].signal(Signal::KILL);
                wait(dice, 0..4_000);
                let listen = cluster.listen[one].clone();
                // The old one is gone before the new one listens.
                let old = cluster.nodes.remove(one);
                old.kill();
                let new = cluster.node(one, &listen);
                cluster.nodes.insert(one, new);
                *callers.admins.lock().unwrap() = cluster.admins();
            }
            1 => {
                faults.cut_off += 1;
                let away = [NAMES[one], NAMES[other]];
                let there: Vec<&str> = NAMES.into_iter().filter(|name| !away.contains(name)).collect();
                cluster.network.cut(&away, &there);
                wait(dice, 500..6_000);
                cluster.network.heal();
            }
            2 => {
                faults.paused += 1;
                cluster.nodes[one].signal(Signal::STOP);
                wait(dice, 200..6_000);
                cluster.nodes[one].signal(Signal::CONT);
            }
            3 => {
                faults.links_cut += 1;
                cluster.network.cut(&[NAMES[one]], &[NAMES[other]]);
                wait(dice, 500..3_000);
                cluster.network.heal();
            }
            4 => {
                (faults.paused, faults.cut_off) = (faults.paused + 1, faults.cut_off + 1);
                let there: Vec<&str> = NAMES.into_iter().filter(|name| *name != NAMES[other]).collect();
                cluster.network.cut(&[NAMES[other]], &there);
                cluster.nodes[one].signal(Signal::STOP);
                wait(dice, 500..4_000);
                cluster.nodes[one].signal(Signal::CONT);
                wait(dice, 0..2_000);
                cluster.network.heal();
            }
            _ => {
                faults.paused += 2;
                for at in [one, other] {
                    cluster.nodes[at].signal(Signal::STOP);
                }
                wait(dice, 100..3_000);
                for at in [one, other] {
                    cluster.nodes[at].signal(Signal::CONT);
                }
            }
        }
        wait(dice, 0..2_500);
    }
    faults
}

/// What a counter's instances answered, and whether its value now is the last one's, give or take what was not answered.
fn judge(counter: u64, additions: &[Addition], now: i64) -> Vec<Chain> {
    let found = chains(additions).unwrap_or_else(|problem| panic!("c{counter}: {problem}"));
    one_at_a_time(&found).unwrap_or_else(|problem| panic!("c{counter}: {problem}"));
    let last = Addition { amount: 0, asked: Duration::MAX, done: Duration::MAX, value: Some(now) };
    if now != 0 && additions.iter().all(|addition| addition.value != Some(now)) {
        let all = [additions, &[last]].concat();
        chains(&all).unwrap_or_else(|problem| panic!("c{counter} has {now} now: {problem}"));
    }
    found
}

#[test]
fn callers_see_each_child_run_once_at_a_time_whatever_befalls_five_processes() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, seconds) = (number("BLACKBOX_SEED", 1), number("BLACKBOX_SECONDS", 20));
    eprintln!("BLACKBOX_SEED={seed} BLACKBOX_SECONDS={seconds}");
    let mut cluster = Cluster::start();
    let children: Vec<Value> = (0..COUNTERS).map(|n| json!({"id": format!("c{n}"), "kind": "counter"})).collect();
    let (status, result) = cluster.nodes[0].post(CHILDREN, &json!({ "children": children }));
    assert_eq!((status, &result["status"]), (200, &json!("ok")), "{result}");

    let callers = Callers {
        seed,
        began: Instant::now(),
        over: AtomicBool::new(false),
        admins: Mutex::new(cluster.admins()),
        additions: Mutex::default(),
        started: Mutex::default(),
    };
    let faults = thread::scope(|scope| {
        for caller in 0..CALLERS {
            let callers = &callers;
            scope.spawn(move || callers.add(caller));
        }
        scope.spawn(|| callers.start_and_stop());
        let _ends = Ends(&callers.over);
        let end = callers.began + Duration::from_secs(seconds);
        break_things(&mut cluster, &callers, &mut ChaCha8Rng::seed_from_u64(seed), end)
    });

    let nodes = cluster.all();
    meet(&nodes);
    let there: BTreeSet<String> = until("all hold the same children", || same_places(&nodes)).into_keys().collect();
    let started = callers.started.into_inner().unwrap();
    for (id, known) in &started {
        if let Some(known) = known {
            assert_eq!(there.contains(id), *known, "{id} is there: {there:?}");
        }
    }
    let of_ours = |id: &String| started.contains_key(id) || id.starts_with('c');
    assert!(there.iter().all(of_ours), "{there:?}");

    let additions = callers.additions.into_inner().unwrap();
    let (mut answered, mut asked, mut instances) = (0, 0, 0);
    for counter in 0..COUNTERS {
        let id = format!("c{counter}");
        let values: BTreeSet<i64> = nodes
            .iter()
            .map(|node| {
                let look = || {
                    let (status, answer) = call(node, &id, &json!({"get": null}));
                    when(status == 200, answer)
                };
                until(&format!("{id} answers {}", node.name), look)["value"].as_i64().unwrap()
            })
            .collect();
        assert_eq!(values.len(), 1, "{id} answers differently from different nodes: {values:?}");
        let additions = additions.get(&counter).map_or(&[][..], Vec::as_slice);
        asked += additions.len();
        answered += additions.iter().filter(|addition| addition.value.is_some()).count();
        instances += judge(counter, additions, *values.first().unwrap()).len();
    }
    let known = started.values().flatten().count();
    println!(
        "{seconds} s: {faults:?}; {answered} of {asked} additions answered, by {instances} instances of {COUNTERS} \
         counters; {known} of {} starts and stops answered",
        started.len()
    );
    assert!(faults.killed > 0 && faults.paused > 0 && faults.cut_off > 0 && faults.links_cut > 0, "{faults:?}");
    assert!(answered > 100 && known > 10 && instances > COUNTERS as usize, "the callers have seen too little");
}

/// The judge itself.
mod judge {
    use crate::support::history::{Addition, chains, one_at_a_time};
    use std::time::Duration;

    fn of(rows: &[(i64, u64, u64, Option<i64>)]) -> Vec<Addition> {
        let addition = |&(amount, asked, done, value)| {
            let [asked, done] = [asked, done].map(Duration::from_millis);
            Addition { amount, asked, done, value }
        };
        rows.iter().map(addition).collect()
    }

    #[test]
    fn instances_are_told_apart_by_what_they_had_counted() {
        let found = chains(&of(&[(3, 0, 1, Some(3)), (10, 2, 3, Some(13)), (100, 4, 5, Some(100))])).unwrap();
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        one_at_a_time(&found).unwrap();
    }

    #[test]
    fn what_was_not_answered_may_have_been_counted() {
        let additions = of(&[(3, 0, 1, Some(3)), (10, 2, 9, None), (50, 2, 9, None), (100, 4, 5, Some(163))]);
        assert_eq!(chains(&additions).unwrap().len(), 1);
    }

    #[test]
    fn what_is_counted_twice_is_found() {
        assert!(chains(&of(&[(3, 0, 1, Some(3)), (10, 2, 3, Some(23))])).is_err());
        assert!(chains(&of(&[(3, 0, 1, Some(3)), (7, 0, 9, None), (10, 2, 3, Some(27))])).is_err());
    }

    #[test]
    fn two_instances_that_go_on_from_one_count_are_found() {
        assert!(chains(&of(&[(3, 0, 1, Some(3)), (10, 2, 3, Some(13)), (20, 4, 5, Some(23))])).is_err());
    }

    #[test]
    fn an_answer_from_before_what_it_counts_is_found() {
        assert!(chains(&of(&[(3, 5, 6, Some(3)), (10, 2, 3, Some(13))])).is_err());
    }

    #[test]
    fn instances_that_take_turns_are_found() {
        let found = chains(&of(&[(3, 0, 1, Some(3)), (50, 2, 3, Some(50)), (10, 4, 5, Some(13))])).unwrap();
        assert!(one_at_a_time(&found).is_err());
        // Asked for while the later one came up: it may have been answered from before.
        let found = chains(&of(&[(3, 0, 1, Some(3)), (50, 2, 6, Some(50)), (10, 4, 5, Some(13))])).unwrap();
        one_at_a_time(&found).unwrap();
    }
}
