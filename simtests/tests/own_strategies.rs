//! Distributions, redundancies and partition rules of one's own: what they say is done, and what makes no sense does no
//! harm. (A strategy that panics counts as one without an answer: nobody, one copy, not held.)

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use process_hub_core::config::{Distribution, HubConfig, Model, Partition, Redundancy, Signal};
use process_hub_core::hashing::stable_hash;
use process_hub_core::hook::HookEvent;
use process_hub_core::id::{Member, NodeId};
use process_hub_core::request::{CallError, StartError, StartOptions, StartOutcome, Status};
use process_hub_core::spec::{ChildSpec, Role};
use process_hub_core::strategy::{Candidate, Distribute, Replicate, Tolerate};
use process_hub_simtests::scenario::Cluster;

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// What a distribution of these tests answers.
type Answer = fn(&ChildSpec, &[Candidate], usize) -> Vec<NodeId>;

/// A distribution that counts how often it is asked.
struct Own {
    name: &'static str,
    answer: Answer,
    asked: Arc<AtomicUsize>,
}

impl Distribute for Own {
    fn name(&self) -> &str {
        self.name
    }

    fn owners(&self, child: &ChildSpec, members: &[Candidate], copies: usize) -> Vec<NodeId> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        (self.answer)(child, members, copies)
    }
}

/// Five nodes whose children belong to whom `answer` says, and how often it was asked.
fn placed_by(name: &'static str, answer: Answer, redundancy: Redundancy) -> (Cluster, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let own = Own { name, answer, asked: asked.clone() };
    let settings = move |hub: &mut HubConfig| {
        hub.distribution = Distribution::Custom(Arc::new(own));
        hub.redundancy = redundancy;
    };
    (Cluster::with(5, settings), asked)
}

/// The members, beginning where the child's name says.
fn turned(child: &ChildSpec, members: &[Candidate]) -> Vec<NodeId> {
    let nodes: Vec<NodeId> = members.iter().map(|member| member.node.clone()).collect();
    let at = stable_hash(child.id.as_str().as_bytes()) as usize % nodes.len().max(1);
    [&nodes[at..], &nodes[..at]].concat()
}

/// As many as are to run.
fn in_turn(child: &ChildSpec, members: &[Candidate], copies: usize) -> Vec<NodeId> {
    turned(child, members).into_iter().take(copies).collect()
}

/// Names of no member, and each member twice.
fn nonsense(child: &ChildSpec, members: &[Candidate], _: usize) -> Vec<NodeId> {
    let strangers = ["nobody", "n99"].into_iter().filter_map(|name| NodeId::new(name).ok());
    let twice = turned(child, members).into_iter().flat_map(|node| [node.clone(), node]);
    strangers.chain(twice).collect()
}

/// Nobody, for children whose names begin with `x`.
fn nobody_has_x(child: &ChildSpec, members: &[Candidate], copies: usize) -> Vec<NodeId> {
    if child.id.as_str().starts_with('x') { Vec::new() } else { in_turn(child, members, copies) }
}

/// Starts, a crash, a stop on one side of a partition and a heal: all agree in the end, each child on its owners.
fn lives(c: &mut Cluster) {
    let (children, before) = (names("c", 40), c.declared("n3"));
    assert_eq!(c.start("n3", &children).status, Status::Ok);
    c.settle();
    c.assert_converged();
    c.crash("n2");
    c.settle();
    c.assert_converged();
    c.boot("n2");
    c.settle();
    c.assert_converged();
    c.partition(&[&["n1", "n4"], &["n2", "n3", "n5"]]);
    c.run_for_secs(12);
    c.stop("n1", &children[..10]);
    c.start("n5", &names("late", 10));
    c.heal();
    c.settle();
    c.assert_converged();
    assert_eq!(c.declared("n2"), before + 40);
}

#[test]
fn children_go_where_a_strategy_of_ones_own_says() {
    for copies in [Redundancy::Singularity, Redundancy::replication(2)] {
        let (mut c, asked) = placed_by("in-turn", in_turn, copies);
        lives(&mut c);
        assert!(asked.load(Ordering::Relaxed) > 0, "the strategy was never asked");
        let shares: BTreeSet<_> = c.placed().into_values().flatten().map(|pid| pid.node).collect();
        assert_eq!(shares.len(), 5, "all of them have some");
    }
}

/// The first members that are named count, each once.
#[test]
fn a_strategy_that_names_strangers_and_everybody_twice_places_each_child_on_members_once() {
    for copies in [Redundancy::Singularity, Redundancy::replication(3)] {
        let (mut c, _) = placed_by("nonsense", nonsense, copies.clone());
        lives(&mut c);
        for (child, pids) in c.placed() {
            let nodes: BTreeSet<_> = pids.iter().map(|pid| &pid.node).collect();
            assert_eq!((pids.len(), nodes.len()), (copies.copies(5), copies.copies(5)), "{child}");
        }
    }
}

/// A child that belongs to nobody is declared and runs nowhere; its caller is told so in time, and a stop ends it.
#[test]
fn a_child_that_belongs_to_nobody_waits_and_harms_nobody() {
    let (mut c, _) = placed_by("nobody-has-x", nobody_has_x, Redundancy::Singularity);
    let children: Vec<_> = ["x1", "a1", "x2", "a2"].into_iter().map(|child| c.spec(child)).collect();
    let options = StartOptions { timeout: Duration::from_secs(2), ..StartOptions::default() };
    let Ok(StartOutcome::Done(started)) = c.start_specs("n1", children, options) else { panic!("it is awaited") };
    assert_eq!((started.status, started.started.len(), started.errors.len()), (Status::Error, 2, 2), "{started:?}");
    assert!(started.errors.iter().all(|failure| failure.id.as_str().starts_with('x')));
    c.declare("n2", &["x3", "x4"]);
    c.settle();
    c.assert_converged();
    lives(&mut c);
    let waiting: Vec<_> = names("x", 5).into_iter().filter(|child| c.lookup("n4", child).is_some()).collect();
    assert!(waiting.contains(&"x3".to_owned()) && waiting.contains(&"x4".to_owned()), "{waiting:?}");
    for child in &waiting {
        assert_eq!((c.owners("n4", child), c.placed().get(child)), (vec![], None));
        assert!(c.call("n5", child).is_err());
    }
    c.stop("n4", &waiting);
    c.settle();
    assert!(waiting.iter().all(|child| c.lookup("n1", child).is_none()));
    c.assert_converged();
}

/// So many copies, whatever sense that makes.
struct Copies {
    name: &'static str,
    copies: fn(usize) -> usize,
    model: Model,
}

impl Replicate for Copies {
    fn name(&self) -> &str {
        self.name
    }

    fn copies(&self, members: usize) -> usize {
        (self.copies)(members)
    }

    fn model(&self) -> Model {
        self.model
    }

    fn signal(&self) -> Signal {
        Signal::All
    }
}

fn copied(name: &'static str, copies: fn(usize) -> usize, model: Model) -> Cluster {
    let own = Copies { name, copies, model };
    Cluster::with(5, |hub: &mut HubConfig| hub.redundancy = Redundancy::Custom(Arc::new(own)))
}

fn active(c: &Cluster, child: &str) -> usize {
    c.roles(child).into_values().filter(|role| *role == Role::Active).count()
}

/// A majority of the members has a copy, more of them as the cluster grows and fewer as it shrinks; one serves.
#[test]
fn as_many_copies_run_as_a_strategy_of_ones_own_says() {
    let mut c = copied("majority", |members| members / 2 + 1, Model::ActivePassive);
    lives(&mut c);
    for (child, pids) in c.placed() {
        assert_eq!((pids.len(), active(&c, &child)), (3, 1), "{child}");
    }
    for node in ["n1", "n2"] {
        c.leave(node);
    }
    c.settle();
    for (child, pids) in c.placed() {
        assert_eq!((pids.len(), active(&c, &child)), (2, 1), "{child}");
    }
    c.assert_converged();
}

/// None counts as one, and more than there are members as one each.
#[test]
fn no_copy_counts_as_one_and_too_many_as_one_a_member() {
    for (name, copies, wanted) in [("none", (|_| 0) as fn(usize) -> usize, 1), ("all", |_| usize::MAX, 5)] {
        let mut c = copied(name, copies, Model::ActiveActive);
        lives(&mut c);
        assert!(c.placed().values().all(|pids| pids.len() == wanted), "{name}");
    }
}

/// A rule that says the same whatever it is told.
struct Always(bool);

impl Tolerate for Always {
    fn name(&self) -> &str {
        if self.0 { "always" } else { "never" }
    }

    fn holds(&self, _: &[Member], _: &[Member]) -> bool {
        self.0
    }
}

fn ruled(holds: bool) -> Cluster {
    Cluster::with(5, move |hub: &mut HubConfig| hub.partition = Partition::Custom(Arc::new(Always(holds))))
}

/// Where nothing may be served nothing runs, callers are told, and each node was told once that it has no quorum.
#[test]
fn a_rule_that_never_holds_locks_all_and_says_so() {
    let mut c = ruled(false);
    let spec = c.spec("a");
    assert!(matches!(c.start_specs("n1", vec![spec], StartOptions::default()), Err(StartError::Locked(_))));
    c.crash("n2");
    c.run_for_secs(10);
    c.boot("n2");
    c.settle();
    for node in c.up() {
        assert!(c.is_locked(&node) && matches!(c.call(&node, "a"), Err(CallError::Locked(_))), "{node}");
        let lost = c.hooks(&node).filter(|event| matches!(event, HookEvent::QuorumLost { .. })).count();
        let regained = c.hooks(&node).filter(|event| matches!(event, HookEvent::QuorumRegained { .. })).count();
        // n2 in each of its lives.
        assert_eq!((lost, regained), (if node == "n2" { 2 } else { 1 }, 0), "{node}");
    }
    assert_eq!(c.started(), 0);
}

#[test]
fn a_rule_that_always_holds_is_as_none() {
    let mut c = ruled(true);
    lives(&mut c);
    assert!(c.up().iter().all(|node| !c.is_locked(node)));
    let locked = |node: &String| c.hooks(node).any(|event| matches!(event, HookEvent::QuorumLost { .. }));
    assert!(!c.up().iter().any(locked));
}
