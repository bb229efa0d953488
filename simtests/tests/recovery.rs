//! What is declared comes back from disks.

use std::time::Duration;

use process_hub_core::request::Status;
use process_hub_simtests::scenario::Cluster;

const NODES: [&str; 3] = ["n1", "n2", "n3"];

fn saved() -> Cluster {
    let mut c = Cluster::new(3);
    c.start("n1", &["a", "b", "c", "d", "e", "f"]);
    assert_eq!(c.stop("n2", &["f"]).status, Status::Ok);
    c.settle();
    NODES.iter().for_each(|node| c.save(node));
    c
}

fn all_come_back(c: &mut Cluster) {
    NODES.iter().for_each(|node| c.crash(node));
    NODES.iter().for_each(|node| c.boot(node));
    c.settle();
}

/// All nodes die, and all that was declared is back, each child once.
#[test]
fn a_whole_cluster_comes_back_with_its_children() {
    let mut c = saved();
    all_come_back(&mut c);
    for node in NODES {
        assert_eq!(c.declared(node), 5, "{node}");
        assert!(c.lookup(node, "f").is_none());
    }
    c.assert_converged();
    // What was restored is stopped like anything else, and stays stopped.
    assert_eq!(c.stop("n3", &["a"]).status, Status::Ok);
    c.crash("n1");
    c.boot("n1");
    c.settle();
    assert!(c.lookup("n1", "a").is_none());
    c.assert_converged();
}

/// One disk is enough.
#[test]
fn one_disk_brings_all_of_it_back() {
    let mut c = saved();
    c.wipe("n1");
    c.wipe("n3");
    all_come_back(&mut c);
    assert_eq!(c.declared("n1"), 5);
    c.assert_converged();
}

/// A disk that is older than the cluster brings nothing back that was stopped since.
#[test]
fn an_old_disk_brings_back_nothing_that_was_stopped() {
    let mut c = saved();
    c.crash("n3");
    c.run_for_secs(5);
    assert_eq!(c.stop("n1", &["a", "b"]).status, Status::Ok);
    c.start("n2", &["g"]);
    c.boot("n3");
    c.settle();
    assert_eq!(c.declared("n3"), 4);
    assert!(c.lookup("n3", "a").is_none() && c.lookup("n3", "g").is_some());
    c.assert_converged();
    // Nor does it where only one newer disk remembers.
    c.stop("n1", &["c"]);
    c.save("n2");
    all_come_back(&mut c);
    assert!(NODES.iter().all(|node| c.declared(node) == 3 && c.lookup(node, "c").is_none()));
    c.assert_converged();
}

/// Lives that are compacted, and a clock that was set back, do no harm.
#[test]
fn an_old_disk_of_compacted_lives_does_no_harm() {
    let mut c = Cluster::with(3, |hub| hub.past_lives = 0);
    c.start("n3", &["a", "b"]);
    c.settle();
    c.save("n3");
    for at in 0..4 {
        c.crash("n3");
        c.boot("n3");
        c.run_for_secs(8);
        c.start("n3", &[format!("x{at}")]);
        assert_eq!(c.stop("n1", &[format!("x{at}")]).status, Status::Ok);
    }
    assert_eq!(c.stop("n1", &["a"]).status, Status::Ok);
    c.run_for_secs(16);
    c.crash("n3");
    c.boot_with_older_clock("n3");
    c.settle();
    assert!(NODES.iter().all(|node| c.declared(node) == 1 && c.lookup(node, "a").is_none()));
    c.assert_converged();
}

/// Whoever is back first waits for the others, and does not start alone what runs there or is to.
#[test]
fn a_lone_node_waits_for_the_others() {
    let mut c = saved();
    NODES.iter().for_each(|node| c.crash(node));
    c.boot("n1");
    c.run_for_secs(8);
    assert_eq!((c.declared("n1"), c.placed().len()), (5, 0), "it is within the grace");
    c.run_for_secs(3);
    assert_eq!(c.placed().len(), 5, "nobody came");
    c.boot("n2");
    c.boot("n3");
    c.settle();
    c.assert_converged();
}

/// Where somebody takes part nobody waits.
#[test]
fn a_node_that_is_back_does_not_wait_where_somebody_takes_part() {
    let mut c = saved();
    c.crash("n3");
    c.run_for_secs(3);
    c.boot("n3");
    assert!(c.settle() < Duration::from_secs(3));
    c.assert_converged();
}
