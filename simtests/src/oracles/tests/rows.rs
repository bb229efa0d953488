//! What registries say.

use process_hub_core::message::{Batch, HubMessage, RowState, WireDot, WireRow};
use process_hub_core::{Lane, Message};

use super::*;

#[test]
fn s7_what_was_stopped_runs_again() {
    let mut bench = Bench::settled(2);
    bench.show(0, Some(&row(10, &[])), 0);
    bench.show(0, None, 0);
    bench.run(0, 1, 11);
    bench.assert_quiet();
    bench.exit(0, 1, ExitReason::Error("told to fail".into()));
    bench.start(0, 2, 10);
    bench.assert_fired("S7");
}

#[test]
fn s7_what_was_stopped_is_declared_again() {
    let mut bench = Bench::settled(2);
    bench.show(0, Some(&row(10, &[])), 0);
    bench.show(0, None, 0);
    bench.show(1, Some(&row(10, &[])), 0);
    bench.assert_quiet();
    bench.show(0, Some(&row(10, &[])), 0);
    bench.assert_fired("S7");
}

#[test]
fn s9_a_row_that_goes_back() {
    let mut bench = Bench::settled(2);
    bench.run(1, 1, 10);
    bench.exit(1, 1, ExitReason::Error("told to fail".into()));
    bench.run(1, 2, 10);
    bench.show(0, Some(&row(10, &[pid(1, 1)])), 1);
    bench.show(0, Some(&row(10, &[pid(1, 2)])), 1);
    bench.assert_quiet();
    bench.show(0, Some(&row(10, &[pid(1, 1)])), 1);
    bench.assert_fired("S9");
}

#[test]
fn s10_an_instance_that_never_was() {
    let mut bench = Bench::settled(2);
    bench.run(1, 1, 10);
    bench.show(0, Some(&row(10, &[pid(1, 1)])), 1);
    bench.assert_quiet();
    bench.show(0, Some(&row(10, &[pid(1, 7)])), 1);
    bench.assert_fired("S10");
}

#[test]
fn s10_a_node_that_tells_of_what_it_does_not_run() {
    let mut bench = Bench::settled(2);
    bench.run(0, 1, 10);
    let told = |sequence| {
        let (dot, role) = (WireDot { origin: 0, counter: 1 }, Role::Active);
        let row = WireRow { id: child(), dot, sequence, lineage: 0, token: 1, role, state: RowState::Running };
        let batch = Arc::new(Batch { rows: vec![row], ..Batch::default() });
        let body = HubMessage::Batch { epoch: 1, number: 0, batch };
        let message = Message::Hub { hub: hub_id(), body };
        Effect::Send { to: member(1), lane: Lane::Bulk, message }
    };
    bench.effect(0, &told(1));
    bench.assert_quiet();
    bench.effect(0, &told(2));
    bench.assert_fired("S10");
}

#[test]
fn s11_a_row_of_a_member_outside_the_view() {
    let mut bench = Bench::settled(2);
    bench.run(1, 1, 10);
    bench.show(0, Some(&row(10, &[pid(1, 1)])), 1);
    bench.assert_quiet();
    bench.view(0, &[0]);
    bench.show(0, Some(&row(10, &[pid(1, 1)])), 0);
    bench.assert_fired("S11");
}

#[test]
fn s11_knows_that_a_life_can_be_raised() {
    let mut bench = Bench::settled(2);
    bench.run(1, 1, 10);
    let raised = [member(0), lived(1, 9)];
    bench.see(&Seen::View { host: 1, member: &raised[1], view: &raised, hash: 99, phase: Phase::Ready });
    bench.see(&Seen::View { host: 0, member: &raised[0], view: &raised, hash: 99, phase: Phase::Ready });
    bench.show(0, Some(&row(10, &[pid(1, 1)])), 1);
    bench.assert_quiet();
}

#[test]
fn s12_two_rows_on_one_node() {
    let mut bench = Bench::settled(2);
    bench.run(1, 1, 10);
    bench.exit(1, 1, ExitReason::Error("told to fail".into()));
    bench.run(1, 2, 10);
    bench.show(0, Some(&row(10, &[pid(1, 1), pid(1, 2)])), 1);
    bench.assert_fired("S12");
}

#[test]
fn a_change_of_the_registry_that_no_effect_tells() {
    let mut bench = Bench::settled(1);
    bench.run(0, 1, 10);
    bench.show(0, Some(&row(10, &[pid(0, 1)])), 0);
    let told = census(&[(10, pid(0, 1))], 0, &[1]);
    bench.see(&Seen::Census { host: 0, census: &told });
    bench.assert_quiet();
    bench.see(&Seen::Census { host: 0, census: &Census::default() });
    bench.assert_fired("MIR");
}

#[test]
fn a_member_with_other_settings() {
    let mut bench = Bench::settled(2);
    bench.see(&Seen::Died { host: 1 });
    bench.see(&Seen::Booted { host: 1, member: &lived(1, 2), skewed: true });
    bench.view(0, &[0]);
    bench.assert_quiet();
    let both = [member(0), lived(1, 2)];
    bench.see(&Seen::View { host: 0, member: &both[0], view: &both, hash: 99, phase: Phase::Ready });
    bench.assert_fired("CFG");
}
