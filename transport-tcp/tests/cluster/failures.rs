//! Nodes that die, come back, and leave.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::cluster::{CHILDREN, add, agreed, boot_of, call, cluster, meet, sees, start_counters, with_state};
use crate::support::http::refused;
use crate::support::process::Node;
use crate::support::{until, when};

#[test]
fn the_children_of_a_killed_node_run_on_the_others() {
    let [n1, n2, n3] = cluster(["n1", "n2", "n3"]);
    start_counters(&n1, "c", 90);
    let before = agreed(&[&n1, &n2, &n3], 90);
    for id in before.keys() {
        add(&n1, id, 10);
    }
    n2.kill();
    meet(&[&n1, &n3]);
    let after = agreed(&[&n1, &n3], 90);
    for (id, place) in &before {
        if place.0 == "n2" {
            assert_eq!(add(&n3, id, 1), 1, "{id} begins anew");
        } else {
            assert_eq!(after[id], *place, "{id} had no reason to move");
            assert_eq!(add(&n3, id, 1), 11, "{id} keeps its count");
        }
    }
    assert_eq!(with_state(&n1, "down"), ["n2"]);
}

/// 2,000 counters: ten seconds after SIGKILL both survivors agree and each answers through either; a fourth node takes its
/// share, and nothing else moves.
#[test]
fn two_thousand_counters_are_back_within_ten_seconds_of_a_kill() {
    let [n1, n2, n3] = cluster(["n1", "n2", "n3"]);
    start_counters(&n2, "c", 2_000);
    agreed(&[&n1, &n2, &n3], 2_000);
    let killed = Instant::now();
    n3.kill();
    let after = agreed(&[&n1, &n2], 2_000);
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    for (id, (node, _)) in &after {
        let (own, other) = if node == "n1" { (&n1, &n2) } else { (&n2, &n1) };
        assert_eq!((add(own, id, 1), add(other, id, 1)), (1, 2), "{id} on {node}");
    }
    let n4 = Node::start("n4", &["--join", &n1.listen]);
    meet(&[&n1, &n2, &n4]);
    let joined = agreed(&[&n1, &n2, &n4], 2_000);
    let moved: Vec<_> = joined.iter().filter(|(id, place)| after[*id] != **place).collect();
    assert!(moved.iter().all(|(_, (node, _))| node == "n4"), "something moved elsewhere than to n4");
    assert!((500..=850).contains(&moved.len()), "n4 has {} of 2,000", moved.len());
}

#[test]
fn a_call_of_a_child_whose_node_stands_still_is_answered_at_its_deadline() {
    let [n1, n2] = cluster(["n1", "n2"]);
    start_counters(&n1, "c", 10);
    let places = agreed(&[&n1, &n2], 10);
    let (id, _) = places.iter().find(|(_, (node, _))| node == "n2").unwrap();
    n2.signal(Signal::STOP);
    let answer = n1.post(&format!("{CHILDREN}/{id}/call?timeout_ms=300"), &json!({"add": 1}));
    n2.signal(Signal::CONT);
    refused(&answer, 504, "timeout");
    // The message was on its way, and is handled once.
    until("it counts", || {
        let (status, answer) = call(&n1, id, &json!({"get": null}));
        when(status == 200 && answer["value"] == 1, (status, answer))
    });
}

#[test]
fn a_node_comes_back_under_its_name_as_a_new_life() {
    let [n1, n2, n3] = cluster(["n1", "n2", "n3"]);
    start_counters(&n1, "c", 60);
    agreed(&[&n1, &n2, &n3], 60);
    let (addr, old) = (n3.listen.clone(), boot_of(&n1, "n3"));
    n3.kill();
    // At once: the others may not even have noticed.
    let n3 = Node::start("n3", &["--listen", &addr, "--join", &n1.listen]);
    until("the new life is known", || when(boot_of(&n1, "n3") > old, boot_of(&n1, "n3")));
    meet(&[&n1, &n2, &n3]);
    let after = agreed(&[&n1, &n2, &n3], 60);
    assert!(boot_of(&n1, "n3") > old && boot_of(&n2, "n3") > old);
    let own = after.values().filter(|(node, _)| node == "n3").count();
    assert!(own >= 5, "n3 has {own} of 60 again");
    let life = format!("n3/{}/", boot_of(&n1, "n3"));
    for (id, (node, pid)) in &after {
        assert!(node != "n3" || pid.starts_with(&life), "{id} runs as {pid}");
        add(&n2, id, 1);
    }
}

#[test]
fn the_first_node_can_die_and_come_back_by_asking_another() {
    let [n1, n2, n3] = cluster(["n1", "n2", "n3"]);
    start_counters(&n2, "c", 30);
    n1.kill();
    meet(&[&n2, &n3]);
    agreed(&[&n2, &n3], 30);
    let n1 = Node::start("n1", &["--join", &n3.listen]);
    meet(&[&n1, &n2, &n3]);
    agreed(&[&n1, &n2, &n3], 30);
}

#[test]
fn sigterm_is_a_graceful_leave() {
    let [n1, n2, n3] = cluster(["n1", "n2", "n3"]);
    start_counters(&n1, "c", 60);
    let before = agreed(&[&n1, &n2, &n3], 60);
    n3.signal(Signal::TERM);
    let (status, log) = n3.ended();
    assert!(status.success(), "{status}: {log:#?}");
    sees(&n1, &["n1", "n2"]);
    sees(&n2, &["n1", "n2"]);
    let after = agreed(&[&n1, &n2], 60);
    for (id, place) in before.iter().filter(|(_, place)| place.0 != "n3") {
        assert_eq!(after[id], *place, "{id} had no reason to move");
    }
    assert_eq!(with_state(&n1, "left"), ["n3"]);
    assert_eq!(with_state(&n1, "down"), Vec::<String>::new());
}

#[test]
fn the_last_node_can_leave_too() {
    let n1 = Node::start("n1", &[]);
    start_counters(&n1, "c", 5);
    n1.signal(Signal::INT);
    let (status, log) = n1.ended();
    assert!(status.success(), "{status}: {log:#?}");
}

#[test]
fn a_fourth_node_takes_its_share_and_nothing_else_moves() {
    let [n1, n2, n3] = cluster(["n1", "n2", "n3"]);
    start_counters(&n1, "c", 200);
    let before = agreed(&[&n1, &n2, &n3], 200);
    let n4 = Node::start("n4", &["--join", &n2.listen]);
    meet(&[&n1, &n2, &n3, &n4]);
    let after = until("n4 has its share", || {
        let places = agreed(&[&n1, &n2, &n3, &n4], 200);
        let own = places.values().filter(|(node, _)| node == "n4").count();
        if own >= 25 { Ok(places) } else { Err(own) }
    });
    for (id, place) in &before {
        assert!(after[id] == *place || after[id].0 == "n4", "{id} went from {place:?} to {:?}", after[id]);
    }
}

#[test]
fn a_node_with_another_cookie_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ours = file("ours", "our cookie, which is long enough for anybody\n");
    let theirs = file("theirs", "their cookie, which is long enough as well\n");
    let both =
        file("both", "the next cookie, which is long enough too\nour cookie, which is long enough for anybody\n");
    let n1 = Node::start("n1", &["--cookie-file", &ours]);
    let stranger = Node::start("stranger", &["--cookie-file", &theirs, "--join", &n1.listen]);
    until("the refusal is logged", || {
        let lines: Vec<String> = n1.log().into_iter().chain(stranger.log()).collect();
        let said = lines.iter().any(|line| line.contains("cookie") && !line.contains("chmod"));
        if said { Ok(()) } else { Err(lines) }
    });
    let n2 = Node::start("n2", &["--cookie-file", &ours, "--join", &n1.listen]);
    meet(&[&n1, &n2]);
    sees(&stranger, &["stranger"]);
    start_counters(&n1, "c", 10);
    agreed(&[&n1, &n2], 10);
    drop(n2);
    // A cookie that is being changed: the new one and the old one are both taken.
    let n3 = Node::start("n3", &["--cookie-file", &both, "--join", &n1.listen]);
    until("the node in between two cookies is let in", || {
        let up = with_state(&n3, "up");
        when(up == ["n1", "n3"], up)
    });
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    let n1 = Node::start("n1", &["--cluster", "blue"]);
    let other = Node::start("n2", &["--cluster", "green", "--join", &n1.listen]);
    until("the refusal is logged", || {
        let lines: Vec<String> = n1.log().into_iter().chain(other.log()).collect();
        if lines.iter().any(|line| line.contains("cluster") && line.contains("green")) { Ok(()) } else { Err(lines) }
    });
    sees(&n1, &["n1"]);
    sees(&other, &["n2"]);
}
