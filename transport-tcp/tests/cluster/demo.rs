//! The demonstration, as a newcomer runs it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::process::{PROGRAM, run};
use crate::support::until;

/// Runs the demonstration; every check of it must hold.
fn holds(args: &[&str]) {
    let output = run(&[&["demo"], args].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("checks held"), "{text}");
    assert!(!text.contains("FAILED"), "{text}");
}

#[test]
fn every_check_of_the_demonstration_holds() {
    holds(&[]);
}

#[test]
fn the_story_of_copies_that_stand_by_holds() {
    holds(&["--scenario", "replication"]);
}

#[test]
fn the_story_of_a_partition_under_a_quorum_holds() {
    holds(&["--scenario", "partition"]);
}

#[test]
fn the_story_of_a_node_that_is_drained_holds() {
    holds(&["--scenario", "drain"]);
}

#[test]
fn the_story_of_children_whose_nodes_are_named_holds() {
    holds(&["--scenario", "guided"]);
}

#[test]
fn the_story_of_children_that_move_with_their_state_holds() {
    holds(&["--scenario", "handover"]);
}

#[test]
fn a_demonstration_that_is_broken_off_leaves_nothing_behind() {
    let mut demo = Command::new(PROGRAM).args(["demo"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.find(|line| line.contains("PROCESS")).unwrap();
    let pids: Vec<Pid> = lines
        .by_ref()
        .take_while(|line| line.contains("127.0.0.1"))
        .map(|line| Pid::from_raw(line.split_whitespace().nth(1).unwrap().parse().unwrap()).unwrap())
        .collect();
    assert_eq!(pids.len(), 3);
    kill_process(Pid::from_child(&demo), Signal::TERM).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    for pid in pids {
        until("the node is gone", || test_kill_process(pid).map_or(Ok(()), |()| Err(pid)));
    }
}
