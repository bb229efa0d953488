//! How many copies run, and in which order they start.

use process_hub_core::config::limits;
use process_hub_core::spec::Restart;
use process_hub_core::{Effect, ExitReason};

use super::*;
use crate::oracles::seen::StepSize;

#[test]
fn s1_two_on_one_node() {
    let mut bench = Bench::settled(2);
    bench.run(0, 1, 10);
    bench.stop(0, 1);
    bench.exit(0, 1, ExitReason::Shutdown);
    bench.run(0, 2, 10);
    bench.assert_quiet();
    bench.start(0, 3, 10);
    bench.assert_fired("S1");
}

#[test]
fn s2_a_second_one_in_a_long_settled_component() {
    let mut bench = Bench::settled(2);
    bench.run(0, 1, 10);
    bench.wait(SECOND);
    bench.assert_quiet();
    bench.run(1, 1, 10);
    bench.assert_fired("S2");
}

#[test]
fn s2_is_silent_while_a_fault_is_fresh() {
    let mut bench = Bench::settled(2);
    bench.run(0, 1, 10);
    bench.see(&Seen::Disturbed { host: 1 });
    bench.run(1, 1, 10);
    assert!(!bench.fired().contains(&"S2"));
}

#[test]
fn s3_an_overlap_that_lasts() {
    let mut bench = Bench::settled(2);
    bench.see(&Seen::Cut { from: 0, to: 1, on: true });
    bench.view(0, &[0]);
    bench.view(1, &[1]);
    bench.run(0, 1, 10);
    bench.run(1, 1, 10);
    bench.wait(5 * SECOND);
    bench.assert_quiet();
    bench.see(&Seen::Cut { from: 0, to: 1, on: false });
    bench.view(0, &[0, 1]);
    bench.view(1, &[0, 1]);
    bench.wait(SECOND / 2);
    bench.assert_quiet();
    bench.wait(SECOND);
    bench.assert_fired("S3");
}

#[test]
fn s12_instances_that_do_not_end() {
    let mut bench = Bench::settled(2);
    bench.view(0, &[0]);
    bench.start(0, 1, 10);
    bench.start(1, 1, 10);
    bench.view(0, &[0, 1]);
    bench.wait(SECOND);
    assert!(!bench.fired().contains(&"S12"));
    bench.wait(2 * SECOND);
    bench.assert_fired("S12");
}

#[test]
fn s14_a_start_before_the_former_copy_has_ended() {
    let mut bench = Bench::settled(2);
    bench.run(0, 1, 10);
    bench.stop(0, 1);
    bench.start(1, 1, 10);
    bench.assert_fired("S14");
    let mut bench = Bench::settled(2);
    bench.run(0, 1, 10);
    bench.stop(0, 1);
    bench.exit(0, 1, ExitReason::Shutdown);
    bench.start(1, 1, 10);
    bench.assert_quiet();
}

#[test]
fn s20_an_owner_that_depends_on_more_than_the_members() {
    let mut bench = Bench::settled(3);
    bench.run(2, 1, 10);
    let row = row(10, &[pid(2, 1)]);
    bench.show(0, Some(&row), 2);
    bench.show(1, Some(&row), 2);
    bench.assert_quiet();
    bench.show(2, Some(&row), 0);
    bench.assert_fired("S20");
}

#[test]
fn s20_owners_of_what_is_not_declared_where_they_are_a_matter_of_the_recipe() {
    let mut bench = Bench::settled(3);
    bench.watch.truth.bounds.by_recipe = true;
    let declared = row(10, &[pid(2, 1)]);
    bench.run(2, 1, 10);
    bench.show(0, Some(&declared), 2);
    let ending = Lookup { spec: None, ..declared };
    bench.see(&Seen::Row { host: 0, id: &child(), lookup: Some(&ending), owners: &[] });
    bench.assert_quiet();
    bench.show(1, Some(&ending), 2);
    bench.assert_fired("S20");
}

#[test]
fn s25_a_temporary_child_is_started_again() {
    let mut bench = Bench::settled(2);
    bench.start_with(0, 1, 10, Restart::Temporary);
    bench.see(&Seen::Serving { host: 0, sequence: 1 });
    bench.exit(0, 1, ExitReason::Error("told to fail".into()));
    bench.assert_quiet();
    bench.start_with(0, 2, 10, Restart::Temporary);
    bench.assert_fired("S25");
}

#[test]
fn s25_more_restarts_than_allowed() {
    let mut bench = Bench::settled(2);
    bench.watch.truth.bounds.restart_backoff = 500;
    for sequence in 1..=4 {
        bench.run(0, sequence, 10);
        bench.exit(0, sequence, ExitReason::Error("told to fail".into()));
        bench.wait(1_000);
    }
    bench.assert_quiet();
    bench.run(0, 5, 10);
    bench.assert_fired("S25");
}

#[test]
fn s25_a_restart_that_does_not_wait() {
    for (waits, fires) in [(SECOND / 10, false), (SECOND / 20, true)] {
        let mut bench = Bench::settled(2);
        for (sequence, waits) in [(1, 0), (2, waits)] {
            bench.run(0, sequence, 10);
            bench.exit(0, sequence, ExitReason::Error("told to fail".into()));
            bench.wait(waits);
        }
        bench.assert_quiet();
        bench.run(0, 3, 10);
        assert_eq!(bench.fired().contains(&"S25"), fires, "after {waits} us");
    }
}

#[test]
fn s26_too_much_waits() {
    let size = StepSize { waiting: (2 * limits::WINDOW, limits::WAITING_MESSAGES), ..StepSize::default() };
    for waiting in [(size.waiting.0 + 1, 0), (0, size.waiting.1 + 1)] {
        let mut bench = Bench::settled(2);
        bench.see(&Seen::Step { host: 0, size });
        bench.assert_quiet();
        bench.see(&Seen::Step { host: 0, size: StepSize { waiting, ..size } });
        bench.assert_fired("S26");
    }
}

#[test]
fn s26_too_many_effects_in_one_step() {
    let mut bench = Bench::settled(2);
    let size = StepSize { input: 1, effects: limits::SLICE, ..StepSize::default() };
    bench.see(&Seen::Step { host: 0, size });
    bench.assert_quiet();
    bench.see(&Seen::Step { host: 0, size: StepSize { effects: 10 * limits::SLICE, ..size } });
    bench.assert_fired("S26");
}

#[test]
fn s27_a_node_that_spins() {
    let mut bench = Bench::settled(2);
    for spins in 0..=20_000 {
        bench.see(&Seen::Step { host: 0, size: StepSize { spins, ..StepSize::default() } });
    }
    bench.assert_fired("S27");
}

#[test]
fn a_pid_that_is_used_twice() {
    let mut bench = Bench::settled(2);
    bench.run(0, 1, 10);
    bench.stop(0, 1);
    bench.exit(0, 1, ExitReason::Shutdown);
    bench.assert_quiet();
    let spec = Arc::new(spec(10));
    bench.announce(0);
    let (pid, token) = (pid(0, 1), token(&pid(0, 9)));
    bench.effect(0, &Effect::Start { hub: hub_id(), spec, pid, token, role: Role::Active, standby: false });
    bench.assert_fired("PID");
}
