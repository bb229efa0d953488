//! Several copies of a child, and which of them is active.

use process_hub_core::Effect;
use process_hub_core::request::{StopOutcome, StopResult};

use super::*;

/// Hosts of a hub that runs two copies of a child, one of them active.
fn two_copies(hosts: usize) -> Bench {
    let mut bench = Bench::settled(hosts);
    bench.watch.truth.bounds.copies = 2;
    bench.watch.truth.bounds.one_active = true;
    bench
}

impl Bench {
    fn stand_by(&mut self, host: HostId, sequence: u64) {
        self.stand_by_as(host, sequence, 10);
    }

    fn stand_by_as(&mut self, host: HostId, sequence: u64, version: u64) {
        let (pid, spec) = (pid(host, sequence), Arc::new(spec(version)));
        let token = token(&pid);
        self.announce(host);
        self.effect(host, &Effect::Start { hub: hub_id(), spec, pid, token, role: Role::Passive, standby: false });
        self.see(&Seen::Serving { host, sequence });
    }

    fn role(&mut self, host: HostId, sequence: u64, role: Role, counter: u64) {
        let token = Token { counter, ..token(&pid(host, sequence)) };
        self.effect(host, &Effect::SetRole { hub: hub_id(), id: child(), sequence, role, token });
    }
}

#[test]
fn as_many_copies_as_there_may_be_and_no_more() {
    let mut bench = two_copies(3);
    bench.stand_by(0, 1);
    bench.stand_by(1, 1);
    bench.wait(5 * SECOND);
    bench.assert_quiet();
    bench.stand_by(2, 1);
    bench.assert_fired("S2");
    bench.assert_fired("S14");
    bench.wait(5 * SECOND);
    bench.assert_fired("S3");
    bench.assert_fired("S12");
}

#[test]
fn s13_a_second_one_is_promoted() {
    let mut bench = two_copies(2);
    bench.stand_by(0, 1);
    bench.stand_by(1, 1);
    bench.role(0, 1, Role::Active, 5);
    bench.wait(SECOND);
    bench.assert_quiet();
    bench.role(1, 1, Role::Active, 6);
    bench.assert_fired("S13");
}

/// Host 0 is asked to stop the child that was declared as 10; 11 is its next declaration.
fn stop_of_the_former(bench: &mut Bench, acked: bool) {
    bench.ask_start(0, 1, 10, false);
    bench.ask_start(0, 2, 11, false);
    bench.show(0, Some(&row(10, &[pid(0, 1)])), 0);
    bench.ask_stop(0, 3);
    if acked {
        let result = StopResult { status: Status::Ok, stopped: vec![(child(), vec![name(0)])], errors: Vec::new() };
        bench.reply(0, 3, Reply::Stop(Ok(StopOutcome::Done(result))));
    }
}

/// What a stop has yet to reach may be beside what was started after it, until whoever stops it is told that it has ended.
#[test]
fn a_child_declared_anew_while_it_is_being_stopped() {
    for acked in [false, true] {
        let mut bench = two_copies(2);
        bench.stand_by(0, 1);
        bench.role(0, 1, Role::Active, 5);
        stop_of_the_former(&mut bench, acked);
        bench.stand_by_as(1, 1, 11);
        bench.role(1, 1, Role::Active, 6);
        assert_eq!(bench.fired().contains(&"S13"), acked, "{:?}", bench.watch.violations);

        let mut bench = Bench::settled(2);
        bench.run(0, 1, 10);
        stop_of_the_former(&mut bench, acked);
        bench.run(1, 1, 11);
        for oracle in ["S2", "S14"] {
            assert_eq!(bench.fired().contains(&oracle), acked, "{:?}", bench.watch.violations);
        }
    }
}

#[test]
fn s13_two_stay_active_after_a_heal() {
    let mut bench = two_copies(2);
    bench.see(&Seen::Cut { from: 0, to: 1, on: true });
    bench.view(0, &[0]);
    bench.view(1, &[1]);
    for host in 0..2 {
        bench.stand_by(host, 1);
        bench.role(host, 1, Role::Active, 5 + host as u64);
    }
    bench.see(&Seen::Cut { from: 0, to: 1, on: false });
    bench.view(0, &[0, 1]);
    bench.view(1, &[0, 1]);
    bench.wait(SECOND);
    bench.assert_quiet();
    bench.wait(2 * SECOND);
    bench.assert_fired("S13");
}

#[test]
fn l4_nobody_is_active_in_the_end() {
    let mut bench = two_copies(1);
    bench.stand_by(0, 1);
    let mut census = census(&[(10, pid(0, 1))], 0, &[1]);
    census.rows[0].1.placements[0].role = Role::Passive;
    bench.converged(&[census.clone()]);
    bench.assert_fired("L4");
    assert!(!bench.fired().contains(&"L2"), "it runs where it belongs");
}

#[test]
fn l1_a_registry_that_is_wrong_about_a_role() {
    let mut bench = two_copies(1);
    bench.stand_by(0, 1);
    bench.converged(&[census(&[(10, pid(0, 1))], 0, &[1])]);
    bench.assert_fired("L1");
}
