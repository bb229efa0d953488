//! What is left when all is over.

use process_hub_core::request::{StopOutcome, StopResult};
use process_hub_core::{Lane, Message};

use super::*;

/// One child that was asked for at host 0, acknowledged, runs there and is shown by both hosts.
fn one_child() -> Bench {
    let mut bench = Bench::settled(2);
    bench.ask_start(0, 1, 10, true);
    bench.run(0, 1, 10);
    bench.started(0, 1, &[pid(0, 1)]);
    for host in 0..2 {
        bench.show(host, Some(&row(10, &[pid(0, 1)])), 0);
    }
    bench
}

fn good() -> [Census; 2] {
    let rows = [(10, pid(0, 1))];
    [census(&rows, 0, &[1]), census(&rows, 0, &[])]
}

/// The child is gone from everywhere, as if it had never been.
fn vanish(bench: &mut Bench) -> [Census; 2] {
    bench.stop(0, 1);
    bench.exit(0, 1, ExitReason::Shutdown);
    bench.show(0, None, 0);
    bench.show(1, None, 0);
    [census(&[], 0, &[]), census(&[], 0, &[])]
}

#[test]
fn nothing_is_wrong_with_what_is_right() {
    let mut bench = one_child();
    bench.converged(&good());
    bench.wait(20 * SECOND);
    bench.see(&Seen::Finished);
    bench.assert_quiet();
}

#[test]
fn l1_registries_that_differ() {
    let mut bench = one_child();
    let [first, _] = good();
    bench.show(1, None, 0);
    bench.converged(&[first, census(&[], 0, &[])]);
    bench.assert_fired("L1");
}

#[test]
fn l1_registries_that_agree_on_what_is_not_true() {
    let mut bench = one_child();
    bench.exit(0, 1, ExitReason::Error("told to fail".into()));
    bench.converged(&good());
    bench.assert_fired("L1");
}

#[test]
fn l2_and_r6_a_start_that_is_lost() {
    let mut bench = one_child();
    let empty = vanish(&mut bench);
    bench.converged(&empty);
    bench.assert_fired("L2");
    bench.assert_fired("R6");
}

#[test]
fn r6_survives_one_loss_and_not_two() {
    let mut bench = one_child();
    let empty = vanish(&mut bench);
    bench.see(&Seen::Died { host: 0 });
    bench.see(&Seen::Booted { host: 0, member: &lived(0, 2), skewed: false });
    bench.see(&Seen::Died { host: 1 });
    bench.see(&Seen::Booted { host: 1, member: &lived(1, 2), skewed: false });
    bench.converged(&empty);
    assert!(!bench.fired().contains(&"R6") && !bench.fired().contains(&"L2"));
}

/// Whoever answered had not noticed yet that the other one, who has it too, was gone: that is the one loss.
#[test]
fn r6_a_loss_that_the_answer_did_not_know_of_counts() {
    for both in [false, true] {
        let mut bench = Bench::settled(2);
        bench.ask_start(0, 1, 10, true);
        bench.run(0, 1, 10);
        bench.see(&Seen::Died { host: 1 });
        bench.started(0, 1, &[pid(0, 1)]);
        for host in 0..2 {
            bench.show(host, Some(&row(10, &[pid(0, 1)])), 0);
        }
        bench.see(&Seen::Booted { host: 1, member: &lived(1, 2), skewed: false });
        let empty = vanish(&mut bench);
        if both {
            bench.see(&Seen::Died { host: 0 });
            bench.see(&Seen::Booted { host: 0, member: &lived(0, 2), skewed: false });
        }
        bench.converged(&empty);
        assert_eq!(bench.fired().contains(&"R6"), !both);
    }
}

#[test]
fn s8_a_stop_that_removes_what_it_did_not_observe() {
    let mut bench = one_child();
    bench.ask_stop(0, 2);
    let stopped = vec![(child(), vec![name(0)])];
    let result = StopResult { status: Status::Ok, stopped, errors: Vec::new() };
    bench.exit(0, 1, ExitReason::Shutdown);
    bench.reply(0, 2, Reply::Stop(Ok(StopOutcome::Done(result))));
    bench.ask_start(1, 3, 11, true);
    bench.run(1, 1, 11);
    bench.started(1, 3, &[pid(1, 1)]);
    bench.show(1, Some(&row(11, &[pid(1, 1)])), 0);
    bench.stop(1, 1);
    bench.exit(1, 1, ExitReason::Shutdown);
    bench.show(0, None, 0);
    bench.show(1, None, 0);
    bench.assert_quiet();
    bench.converged(&[census(&[], 0, &[]), census(&[], 0, &[])]);
    bench.assert_fired("S8");
}

#[test]
fn l3_what_was_stopped_runs() {
    let mut bench = one_child();
    bench.ask_stop(1, 2);
    bench.reply(1, 2, Reply::Stop(Ok(StopOutcome::Initiated)));
    bench.converged(&good());
    bench.assert_fired("L3");
}

#[test]
fn l3_what_nobody_declares_runs() {
    let mut bench = one_child();
    bench.converged(&[census(&[], 0, &[1]), census(&[], 0, &[])]);
    bench.assert_fired("L3");
}

#[test]
fn l6_a_request_that_is_open() {
    let mut bench = one_child();
    let [first, second] = good();
    bench.converged(&[Census { open: 1, ..first }, second]);
    bench.assert_fired("L6");
}

#[test]
fn l6_an_instance_that_is_half_way() {
    let mut bench = one_child();
    bench.stop(0, 1);
    bench.converged(&good());
    bench.assert_fired("L6");
}

#[test]
fn l7_a_start_after_convergence() {
    let mut bench = one_child();
    bench.converged(&good());
    bench.assert_quiet();
    bench.stop(0, 1);
    bench.assert_fired("L7");
}

#[test]
fn l8_chatter_after_convergence() {
    let mut bench = one_child();
    bench.converged(&good());
    for _ in 0..500 {
        bench.effect(0, &Effect::Send { to: member(1), lane: Lane::Bulk, message: Message::Keepalive });
    }
    bench.wait(SECOND);
    bench.see(&Seen::Finished);
    bench.assert_fired("L8");
}

#[test]
fn l10_state_that_grows_without_end() {
    let mut bench = one_child();
    let [first, second] = good();
    bench.converged(&[Census { size: Some(10_000_000), ..first }, second]);
    bench.assert_fired("L10");
}

#[test]
fn l9_a_new_node_or_a_new_child_is_not_taken_in() {
    let mut bench = Bench::settled(3);
    bench.see(&Seen::Joined { host: 2, lacks: None });
    bench.assert_quiet();
    bench.see(&Seen::Joined { host: 2, lacks: Some("not all agree with a new node") });
    bench.assert_fired("L9");
}
