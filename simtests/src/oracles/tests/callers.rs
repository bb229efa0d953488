//! What callers are told.

use bytes::Bytes;
use process_hub_core::request::{StartError, StopOutcome, StopResult, Target};

use super::*;

#[test]
fn s21_two_answers() {
    let mut bench = Bench::settled(1);
    bench.ask_start(0, 1, 10, true);
    bench.run(0, 1, 10);
    bench.started(0, 1, &[pid(0, 1)]);
    bench.assert_quiet();
    bench.started(0, 1, &[pid(0, 1)]);
    bench.assert_fired("S21");
}

#[test]
fn s21_no_answer() {
    let mut bench = Bench::settled(1);
    bench.ask_start(0, 1, 10, true);
    bench.wait(10 * SECOND);
    bench.assert_quiet();
    bench.wait(2 * SECOND);
    bench.assert_fired("S21");
}

#[test]
fn s21_a_pause_is_no_missed_deadline() {
    let mut bench = Bench::settled(1);
    bench.ask_start(0, 1, 10, true);
    bench.see(&Seen::Stalled { host: 0, on: true });
    bench.wait(20 * SECOND);
    bench.see(&Seen::Stalled { host: 0, on: false });
    bench.wait(SECOND);
    bench.assert_quiet();
}

#[test]
fn s22_reported_and_never_up() {
    let mut bench = Bench::settled(1);
    bench.ask_start(0, 1, 10, true);
    bench.start(0, 1, 10);
    bench.started(0, 1, &[pid(0, 1)]);
    bench.assert_fired("S22");
}

#[test]
fn s22_refused_and_run_all_the_same() {
    let mut bench = Bench::settled(1);
    bench.ask_start(0, 1, 10, true);
    bench.reply(0, 1, Reply::Start(Err(StartError::Leaving)));
    bench.assert_quiet();
    bench.start(0, 1, 10);
    bench.assert_fired("S22");
}

#[test]
fn s22_confirmed_as_stopped_and_running() {
    let mut bench = Bench::settled(2);
    bench.run(1, 1, 10);
    bench.show(0, Some(&row(10, &[pid(1, 1)])), 1);
    bench.wait(1_000);
    bench.ask_stop(0, 1);
    let stopped = vec![(child(), vec![name(1)])];
    let result = StopResult { status: Status::Ok, stopped, errors: Vec::new() };
    bench.reply(0, 1, Reply::Stop(Ok(StopOutcome::Done(result))));
    bench.assert_fired("S22");
}

#[test]
fn s22_rolled_back_and_running() {
    let mut bench = Bench::settled(1);
    bench.ask_start(0, 1, 10, true);
    bench.run(0, 1, 10);
    let rolled_back = StartResult { rollback: true, ..result(&[pid(0, 1)]) };
    bench.reply(0, 1, Reply::Start(Ok(StartOutcome::Done(rolled_back))));
    bench.assert_quiet();
    bench.converged(&[census(&[(10, pid(0, 1))], 0, &[1])]);
    bench.assert_fired("S22");
}

#[test]
fn an_operation_that_is_applied_twice() {
    let mut bench = Bench::settled(1);
    bench.run(0, 1, 10);
    bench.see(&Seen::Applied { host: 0, sequence: 1, operation: 5 });
    bench.assert_quiet();
    bench.see(&Seen::Applied { host: 0, sequence: 1, operation: 5 });
    bench.assert_fired("AMO");
}

#[test]
fn a_call_that_is_answered_and_was_never_applied() {
    let mut bench = Bench::settled(1);
    let (to, payload) = (Target::Child(child()), Bytes::copy_from_slice(&5u64.to_le_bytes()));
    let request = Request::Call { hub: hub_id(), to, payload, timeout: Duration::from_secs(1) };
    bench.input(0, &Input::Request { id: RequestId(1), request });
    bench.reply(0, 1, Reply::Call(Ok(Bytes::new())));
    bench.assert_fired("AMO");
}
