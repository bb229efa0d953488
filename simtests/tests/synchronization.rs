//! Changes that are told as a strategy of one's own says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use process_hub_core::config::{HubConfig, Synchronization};
use process_hub_core::id::NodeId;
use process_hub_core::request::Status;
use process_hub_core::strategy::{Candidate, Synchronize};
use process_hub_simtests::scenario::Cluster;

/// What a strategy of these tests answers.
type Answer = fn(&Candidate, &[Candidate]) -> Vec<NodeId>;

/// A strategy that counts how often it is asked.
struct Own {
    name: &'static str,
    answer: Answer,
    asked: Arc<AtomicUsize>,
}

impl Synchronize for Own {
    fn name(&self) -> &str {
        self.name
    }

    fn sync_interval(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn recipients(&self, teller: &Candidate, _change: u64, open: &[Candidate]) -> Vec<NodeId> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        (self.answer)(teller, open)
    }
}

/// Six nodes that tell each other what `answer` says, and how often it was asked.
fn cluster(name: &'static str, answer: Answer) -> (Cluster, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let own = Own { name, answer, asked: asked.clone() };
    let settings = move |hub: &mut HubConfig| hub.synchronization = Synchronization::Custom(Arc::new(own));
    (Cluster::with(6, settings), asked)
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// Each member tells the one after it.
fn next_in_line(teller: &Candidate, open: &[Candidate]) -> Vec<NodeId> {
    let after = open.iter().find(|other| other.node > teller.node).or(open.first());
    after.map(|other| other.node.clone()).into_iter().collect()
}

/// Nobody is told anything.
fn nobody(_: &Candidate, _: &[Candidate]) -> Vec<NodeId> {
    Vec::new()
}

/// Names of no member, the teller's own, and everybody twice.
fn nonsense(teller: &Candidate, open: &[Candidate]) -> Vec<NodeId> {
    let strangers = ["nobody", "n99"].into_iter().filter_map(|name| NodeId::new(name).ok());
    let twice = open.iter().chain(open).map(|other| other.node.clone());
    strangers.chain([teller.node.clone()]).chain(twice).collect()
}

/// Starts, a crash, a stop and a heal: all agree in the end.
fn lives(mut c: Cluster, asked: &AtomicUsize) {
    let children = names("c", 60);
    assert_eq!(c.start("n3", &children).status, Status::Ok);
    c.settle();
    c.assert_converged();
    c.crash("n2");
    c.run_for_secs(8);
    c.boot("n2");
    c.settle();
    c.assert_converged();
    c.partition(&[&["n1", "n4"], &["n2", "n3", "n5", "n6"]]);
    c.run_for_secs(10);
    c.stop("n1", &children[..20]);
    c.start("n5", &names("late", 10));
    c.heal();
    c.settle();
    c.assert_converged();
    assert_eq!(c.declared("n6"), 50);
    assert!(asked.load(Ordering::Relaxed) > 0, "the strategy was never asked");
}

#[test]
fn changes_go_round_as_a_strategy_of_ones_own_says() {
    let (c, asked) = cluster("next-in-line", next_in_line);
    lives(c, &asked);
}

/// Whoever was not told hears it from the origin, or when it compares.
#[test]
fn what_a_strategy_tells_nobody_is_repaired() {
    let (c, asked) = cluster("nobody", nobody);
    lives(c, &asked);
}

#[test]
fn a_strategy_that_names_strangers_and_everybody_twice_does_no_harm() {
    let (c, asked) = cluster("nonsense", nonsense);
    lives(c, &asked);
}
