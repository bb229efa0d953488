//! What is remembered of lives of nodes that are gone, and of children that were: as little as is safe.

use process_hub_core::hook::HookEvent;
use process_hub_core::request::Status;
use process_hub_core::steering::SteerError;
use process_hub_simtests::scenario::Cluster;

/// Intervals after which all have compared with all a few times over.
const ROUNDS: u64 = 16;

/// So many nodes that remember no life of a name which all have seen the end of.
fn none_remembered(nodes: usize) -> Cluster {
    Cluster::with(nodes, |hub| hub.past_lives = 0)
}

/// A node starts a child and stops it in one more life: its registry has to be known by what it has minted.
fn another_life(c: &mut Cluster, node: &str, at: usize) {
    c.crash(node);
    c.boot(node);
    // Not all there are need be within reach.
    c.run_for_secs(8);
    let child = format!("{node}-{at}");
    assert_eq!(c.start(node, &[&child]).status, Status::Ok);
    assert_eq!(c.stop("n1", &[&child]).status, Status::Ok);
}

/// R4: what was seen of lives that are gone takes one number a name once all have seen the same, and what came of them
/// stays as it was.
#[test]
fn restarts_leave_one_number_a_name() {
    let mut c = none_remembered(3);
    c.start("n3", &["kept"]);
    for at in 0..12 {
        another_life(&mut c, "n3", at);
        another_life(&mut c, "n2", at);
    }
    c.run_for_secs(ROUNDS);
    for node in c.up() {
        // Those that go on, and the one that `kept` was declared in.
        assert!(c.lives(&node) <= 4, "{node}: {} lives", c.lives(&node));
        assert_eq!(c.declared(&node), 1);
    }
    c.settle();
    c.assert_converged();
    // Whoever comes now learns of all of it by as many numbers.
    c.crash("n1");
    c.boot("n1");
    c.settle();
    c.run_for_secs(ROUNDS);
    assert!(c.lives("n1") <= 5, "{} lives", c.lives("n1"));
    assert!(c.lookup("n1", "kept").is_some() && c.lookup("n1", "n3-3").is_none());
    c.stop("n1", &["kept"]);
    c.run_for_secs(ROUNDS);
    assert!(c.up().iter().all(|node| c.lives(node) <= 3), "nothing is carried any more");
    c.settle();
    c.assert_converged();
}

/// Of each name some lives are remembered start by start, for those that nobody has met.
#[test]
fn the_last_lives_of_a_name_are_remembered() {
    let mut c = Cluster::with(3, |hub| hub.past_lives = 3);
    for at in 0..8 {
        another_life(&mut c, "n3", at);
    }
    c.run_for_secs(ROUNDS);
    for node in c.up() {
        // The three of n3, its present one, and what others may have declared.
        assert!((4..=5).contains(&c.lives(&node)), "{node}: {} lives", c.lives(&node));
    }
    c.assert_converged();
}

/// A node that is down may have seen what nobody else has: as long as it may come back, nothing is compacted.
#[test]
fn nothing_is_compacted_before_all_have_acknowledged_it() {
    let mut c = none_remembered(4);
    c.partition(&[&["n1", "n2", "n3"], &["n4"]]);
    c.run_for_secs(20);
    for at in 0..6 {
        another_life(&mut c, "n2", at);
    }
    c.run_for_secs(ROUNDS);
    assert!(c.lives("n1") >= 6, "{} lives", c.lives("n1"));
    c.heal();
    c.settle();
    c.run_for_secs(ROUNDS);
    assert!(c.up().iter().all(|node| c.lives(node) <= 4));
    c.assert_converged();
}

/// An operator's word takes the place of a node's that will not come back.
#[test]
fn a_forgotten_node_keeps_nothing_from_being_compacted() {
    let mut c = none_remembered(3);
    assert_eq!(c.forget("n1", "n3"), Err(SteerError::StillHere("n3".parse().unwrap())));
    c.switch_off("n3");
    c.run_for_secs(30);
    c.settle();
    for at in 0..6 {
        another_life(&mut c, "n2", at);
    }
    c.run_for_secs(ROUNDS);
    assert!(c.lives("n1") >= 6, "{} lives", c.lives("n1"));
    assert_eq!(c.forget("n1", "n9"), Err(SteerError::UnknownName("n9".parse().unwrap())));
    assert_eq!(c.forget("n1", "n3"), Ok(()));
    c.run_for_secs(ROUNDS);
    assert!(c.up().iter().all(|node| c.lives(node) <= 3), "{} and {}", c.lives("n1"), c.lives("n2"));
    // It comes back empty, like any new node.
    c.boot("n3");
    c.settle();
    c.assert_converged();
}

/// One that was only out of reach is not listened to until it is started anew, and is told so.
#[test]
fn a_forgotten_node_that_still_lives_is_turned_away() {
    let mut c = Cluster::new(3);
    c.start("n1", &["a", "b", "c"]);
    c.partition(&[&["n1", "n2"], &["n3"]]);
    c.run_for_secs(20);
    c.stop("n1", &["a"]);
    c.declare("n3", &["there"]);
    assert_eq!(c.forget("n1", "n3"), Ok(()));
    // The others have to hear of it before it is back.
    c.run_for_secs(ROUNDS);
    c.heal();
    c.run_for_secs(30);
    assert_eq!(c.view("n1"), ["n1", "n2"]);
    assert!(c.lookup("n1", "there").is_none());
    let told = c.hooks("n3").filter(|event| matches!(event, HookEvent::NameForgotten { .. })).count();
    assert_eq!(told, 1);
    c.crash("n3");
    c.boot("n3");
    c.settle();
    assert_eq!(c.view("n1"), ["n1", "n2", "n3"]);
    assert!(c.lookup("n3", "a").is_none() && c.lookup("n3", "b").is_some());
    c.assert_converged();
}

/// A life whose clock was set back, among many that are compacted, keeps what it declares before it meets the others. (One whose
/// boot is below a closed one is in the core's own tests.)
#[test]
fn a_life_with_an_older_clock_loses_nothing() {
    let mut c = none_remembered(3);
    for at in 0..4 {
        another_life(&mut c, "n3", at);
    }
    c.run_for_secs(ROUNDS);
    c.crash("n3");
    c.partition(&[&["n1", "n2"], &["n3"]]);
    c.boot_with_older_clock("n3");
    c.run_for_secs(10);
    let started = c.start("n3", &["a", "b", "c", "d"]);
    assert_eq!(started.status, Status::Ok);
    c.heal();
    c.settle();
    c.run_for_secs(ROUNDS);
    for node in c.up() {
        assert_eq!(c.declared(&node), 4, "{node}");
    }
    assert_eq!(c.stop("n1", &["a"]).status, Status::Ok);
    assert_eq!(c.start("n3", &["e"]).status, Status::Ok);
    c.settle();
    c.run_for_secs(ROUNDS);
    assert!(c.up().iter().all(|node| c.declared(node) == 4));
    c.assert_converged();
}

/// L10: 100,000 children that came and went leave a state within 1.2 times of what it was.
#[test]
fn churn_leaves_nothing_behind() {
    let mut c = Cluster::new(3);
    let names = |round: usize| (0..100).map(move |at| format!("c{:05}", round * 100 + at)).collect::<Vec<_>>();
    c.start("n1", &names(0));
    c.settle();
    c.run_for_secs(4);
    let before: Vec<usize> = c.up().iter().map(|node| c.state_size(node)).collect();
    for round in 1..1_000 {
        let (from, to) = (["n1", "n2", "n3"][round % 3], ["n1", "n2", "n3"][(round / 3) % 3]);
        assert_eq!(c.start(from, &names(round)).status, Status::Ok);
        assert_eq!(c.stop(to, &names(round - 1)).status, Status::Ok);
    }
    c.settle();
    c.run_for_secs(4);
    for (node, before) in c.up().iter().zip(before) {
        assert_eq!(c.declared(node), 100);
        let now = c.state_size(node);
        println!("{node}: {before} bytes, then {now}");
        assert!(now * 10 <= before * 12, "{node}: {before} bytes, then {now}");
    }
    c.assert_converged();
}
