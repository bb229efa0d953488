//! One side serves.

use super::*;

impl Bench {
    /// Three settled hosts under a quorum of two.
    fn quorate() -> Self {
        let mut bench = Self::settled(3);
        (bench.watch.truth.bounds.quorum, bench.watch.truth.bounds.mutex) = (2, true);
        bench
    }

    fn run_with(&mut self, host: HostId, sequence: u64, lineage: u32, counter: u64) {
        let (pid, spec) = (pid(host, sequence), Arc::new(spec(10)));
        let token = Token { lineage, counter, node: pid.node.clone(), boot: pid.boot };
        self.announce(host);
        self.effect(host, &Effect::Start { hub: hub_id(), spec, pid, token, role: Role::Active, standby: false });
        self.see(&Seen::Serving { host, sequence });
    }
}

#[test]
fn s4_both_sides_serve() {
    let mut bench = Bench::quorate();
    bench.run_with(0, 1, 0, 1);
    bench.view(1, &[1, 2]);
    bench.assert_quiet();
    bench.run_with(1, 1, 0, 2);
    bench.assert_fired("S4");
}

#[test]
fn s4_two_that_serve_stop_seeing_each_other() {
    let mut bench = Bench::quorate();
    bench.run_with(0, 1, 0, 1);
    bench.run_with(1, 1, 0, 2);
    assert!(!bench.fired().contains(&"S4"));
    bench.view(0, &[0, 2]);
    bench.assert_fired("S4");
}

#[test]
fn s4_is_silent_once_the_other_side_has_ended() {
    let mut bench = Bench::quorate();
    bench.run_with(0, 1, 0, 1);
    bench.view(1, &[1, 2]);
    bench.stop(0, 1);
    bench.exit(0, 1, ExitReason::Shutdown);
    bench.run_with(1, 1, 0, 2);
    bench.assert_quiet();
}

#[test]
fn s5_a_token_that_does_not_grow() {
    for (lineage, counter) in [(1, 5), (0, 9), (1, 4)] {
        let mut bench = Bench::quorate();
        bench.run_with(0, 1, 1, 5);
        bench.stop(0, 1);
        bench.exit(0, 1, ExitReason::Shutdown);
        bench.assert_quiet();
        bench.run_with(1, 1, lineage, counter);
        bench.assert_fired("S5");
    }
}

/// Who remembers keeps tokens in order; where nobody does, they begin anew, unless disks do.
#[test]
fn s5_begins_anew_once_all_have_forgotten() {
    for (dead, disks, fires) in [(2, false, true), (3, false, false), (3, true, true)] {
        let mut bench = Bench::quorate();
        bench.watch.truth.disks = disks;
        bench.run_with(0, 1, 0, 9);
        (0..dead).for_each(|host| bench.see(&Seen::Died { host }));
        (0..dead).for_each(|host| bench.see(&Seen::Booted { host, member: &lived(host, 2), skewed: false }));
        bench.run_with(0, 1, 0, 5);
        assert_eq!(bench.fired().contains(&"S5"), fires, "{dead} dead, disks {disks}");
    }
}

#[test]
fn s5_a_resource_is_shown_an_older_token() {
    let mut bench = Bench::quorate();
    bench.run_with(0, 1, 0, 1);
    bench.run_with(1, 1, 0, 2);
    bench.see(&Seen::Applied { host: 1, sequence: 1, operation: 7 });
    assert!(!bench.fired().contains(&"S5"));
    bench.see(&Seen::Applied { host: 0, sequence: 1, operation: 8 });
    bench.assert_fired("S5");
}

#[test]
fn s6_a_start_without_a_quorum() {
    let mut bench = Bench::quorate();
    bench.view(0, &[0, 1]);
    bench.start(0, 1, 10);
    bench.assert_quiet();
    let mut bench = Bench::quorate();
    bench.view(0, &[0]);
    bench.start(0, 1, 10);
    bench.assert_fired("S6");
}

#[test]
fn l5_a_lock_that_stays() {
    let open = || census(&[], 0, &[]);
    let locked = || Census { locked: true, ..open() };
    let mut bench = Bench::quorate();
    bench.converged(&[open(), open(), open()]);
    bench.assert_quiet();
    let mut bench = Bench::quorate();
    bench.converged(&[open(), locked(), open()]);
    bench.assert_fired("L5");
    let mut bench = Bench::quorate();
    bench.converged(&[open()]);
    bench.assert_fired("L5");
}
