//! Moves of children, with and without their states.

use bytes::Bytes;
use process_hub_core::message::{HandoverStep, HubMessage, StateUse};
use process_hub_core::{Lane, Message};

use super::*;
use crate::oracles::truth::Key;
use crate::sim::moving::SimState;

fn bench(set: impl FnOnce(&mut Bounds)) -> Bench {
    let mut bench = Bench::settled(2);
    set(&mut bench.watch.truth.bounds);
    bench
}

fn hot(bounds: &mut Bounds) {
    (bounds.cold, bounds.hot, bounds.hands_over) = (false, true, true);
}

fn cold(bounds: &mut Bounds) {
    (bounds.hands_over, bounds.keeps) = (true, 5 * SECOND);
}

impl Bench {
    fn wait_by(&mut self, host: HostId, sequence: u64, version: u64) {
        self.announce(host);
        let (pid, spec) = (pid(host, sequence), Arc::new(spec(version)));
        let token = Token { counter: 100 + sequence, ..token(&pid) };
        self.effect(host, &Effect::Start { hub: hub_id(), spec, pid, token, role: Role::Active, standby: true });
    }

    fn freeze(&mut self, host: HostId, sequence: u64) {
        self.see(&Seen::Frozen { host, sequence });
    }

    fn took(&mut self, host: HostId, sequence: u64, of: Key, value: u64, merge: bool) {
        self.see(&Seen::Took { host, sequence, state: SimState { value, of }, merge });
    }

    fn serve(&mut self, host: HostId, sequence: u64) {
        self.see(&Seen::Serving { host, sequence });
    }

    fn end(&mut self, host: HostId, sequence: u64, why: StopReason) {
        let deadline = Duration::from_secs(1);
        self.effect(host, &Effect::Stop { hub: hub_id(), id: child(), sequence, why, deadline });
    }

    fn apply(&mut self, host: HostId, sequence: u64, operation: u64) {
        self.see(&Seen::Applied { host, sequence, operation });
    }
}

/// A copy at host 0 that has done two things and is frozen, and one at host 1 that has taken its state.
fn half_way() -> Bench {
    let mut bench = bench(hot);
    bench.run(0, 1, 10);
    bench.apply(0, 1, 1);
    bench.apply(0, 1, 2);
    bench.wait_by(1, 1, 10);
    bench.freeze(0, 1);
    bench.took(1, 1, (0, 1, 1), 2, false);
    bench
}

#[test]
fn nothing_is_wrong_with_a_hot_move() {
    let mut bench = half_way();
    bench.serve(1, 1);
    bench.end(0, 1, StopReason::Moved);
    bench.exit(0, 1, ExitReason::Shutdown);
    bench.apply(1, 1, 3);
    bench.wait(10 * SECOND);
    bench.assert_quiet();
}

#[test]
fn s15_a_copy_that_is_ended_before_another_serves() {
    for known in [false, true] {
        let mut bench = bench(hot);
        bench.run(0, 1, 10);
        if known {
            bench.input(0, &Input::Child { hub: hub_id(), sequence: 1, event: ChildEvent::Started });
        }
        bench.wait_by(1, 1, 10);
        bench.end(0, 1, StopReason::Moved);
        assert_eq!(bench.fired().contains(&"S15"), known);
    }
}

/// The other one has ended: whoever has heard of that goes on.
#[test]
fn s15_a_copy_that_is_ended_for_one_that_is_known_to_have_ended() {
    for heard in [false, true] {
        let mut bench = bench(hot);
        bench.run(1, 1, 10);
        bench.wait(SECOND);
        bench.run(0, 1, 10);
        bench.input(0, &Input::Child { hub: hub_id(), sequence: 1, event: ChildEvent::Started });
        bench.show(0, Some(&row(10, &[pid(0, 1), pid(1, 1)])), 0);
        bench.exit(1, 1, ExitReason::Error("told to fail".into()));
        if heard {
            bench.show(0, Some(&row(10, &[pid(0, 1)])), 0);
        }
        bench.end(0, 1, StopReason::Moved);
        assert_eq!(bench.fired().contains(&"S15"), heard);
    }
}

#[test]
fn s15_a_copy_that_is_committed_while_the_other_serves() {
    let mut bench = half_way();
    bench.serve(0, 1);
    bench.serve(1, 1);
    bench.assert_fired("S15");
}

#[test]
fn s16_what_was_done_after_the_snapshot_is_lost() {
    let mut bench = half_way();
    bench.serve(0, 1);
    bench.apply(0, 1, 3);
    bench.freeze(0, 1);
    bench.serve(1, 1);
    bench.assert_fired("S16");
}

#[test]
fn s16_a_state_that_is_taken_twice() {
    let mut bench = half_way();
    bench.took(1, 1, (0, 1, 1), 2, false);
    bench.assert_fired("S16");
}

#[test]
fn s16_a_state_that_is_merged_twice() {
    let mut bench = bench(hot);
    bench.run(1, 1, 10);
    bench.took(1, 1, (0, 1, 1), 2, true);
    bench.assert_quiet();
    bench.took(1, 1, (0, 1, 1), 2, true);
    bench.assert_fired("S16");
}

/// Whoever took it may not have said so before it was lost: then its giver goes on from it, too.
#[test]
fn s16_a_state_that_goes_on_at_two_nodes_that_see_each_other() {
    for apart in [false, true] {
        let mut bench = bench(hot);
        bench.run(0, 1, 10);
        bench.took(0, 1, (1, 1, 7), 2, true);
        if apart {
            bench.view(1, &[1]);
        }
        bench.wait_by(1, 8, 10);
        bench.took(1, 8, (1, 1, 7), 2, false);
        assert_eq!(bench.fired().contains(&"S16"), !apart);
    }
}

#[test]
fn s16_a_frozen_copy_that_handles_a_message() {
    let mut bench = half_way();
    bench.apply(0, 1, 3);
    bench.assert_fired("S16");
}

#[test]
fn s16_a_state_that_nobody_asks_for() {
    for stopped in [false, true] {
        let mut bench = bench(cold);
        bench.run(0, 1, 10);
        bench.show(0, Some(&row(10, &[pid(0, 1)])), 0);
        bench.freeze(0, 1);
        bench.end(0, 1, StopReason::Moved);
        bench.exit(0, 1, ExitReason::Shutdown);
        bench.wait_by(1, 1, 10);
        if stopped {
            // It hears that the child is stopped, and throws its state away; the other has yet to hear of it.
            bench.show(0, None, 0);
        }
        bench.assert_quiet();
        bench.serve(1, 1);
        assert_eq!(bench.fired().contains(&"S16"), !stopped, "{:?}", bench.watch.violations);
    }
}

#[test]
fn a_copy_of_before_the_two_nodes_met_is_no_successor() {
    let mut bench = bench(cold);
    bench.run(0, 1, 10);
    bench.start(1, 1, 10);
    bench.now += 1;
    bench.freeze(0, 1);
    bench.end(0, 1, StopReason::Moved);
    bench.exit(0, 1, ExitReason::Shutdown);
    bench.see(&Seen::Serving { host: 1, sequence: 1 });
    assert!(!bench.fired().contains(&"S16"), "{:?}", bench.watch.violations);
}

#[test]
fn s17_a_frozen_copy_that_is_ended_on_an_unknown_outcome() {
    let mut bench = half_way();
    bench.end(0, 1, StopReason::Moved);
    bench.assert_fired("S17");
}

#[test]
fn s17_a_copy_that_stays_frozen() {
    let mut bench = bench(hot);
    bench.run(0, 1, 10);
    bench.freeze(0, 1);
    bench.wait(10 * SECOND);
    bench.assert_fired("S17");
}

#[test]
fn s18_a_copy_that_comes_back_in_the_same_view() {
    let mut bench = bench(|bounds| (bounds.cold, bounds.autonomous) = (false, true));
    bench.run(0, 1, 10);
    bench.end(0, 1, StopReason::Moved);
    bench.exit(0, 1, ExitReason::Shutdown);
    bench.assert_quiet();
    bench.start(0, 2, 10);
    bench.assert_fired("S18");
}

#[test]
fn s18_a_word_about_a_move() {
    let mut bench = bench(|bounds| (bounds.cold, bounds.autonomous) = (false, true));
    let body = HubMessage::Handover { id: child(), source: 1, to: 1, attempt: 1, step: HandoverStep::Commit };
    let message = Message::Hub { hub: hub_id(), body };
    bench.effect(0, &Effect::Send { to: member(1), lane: Lane::Bulk, message });
    bench.assert_fired("S18");
}

#[test]
fn l6_a_move_that_does_not_end() {
    let mut bench = bench(hot);
    let moving = Census { moves: 1, ..census(&[], 0, &[]) };
    bench.converged(&[moving, census(&[], 0, &[])]);
    bench.assert_fired("L6");
}

/// A copy that has ended and left its state, and has offered it to one that waits for it.
fn offered(ready: bool) -> Bench {
    let mut bench = bench(cold);
    bench.run(0, 1, 10);
    bench.freeze(0, 1);
    bench.end(0, 1, StopReason::Moved);
    bench.exit(0, 1, ExitReason::Shutdown);
    bench.wait_by(1, 1, 10);
    if ready {
        bench.input(1, &Input::Child { hub: hub_id(), sequence: 1, event: ChildEvent::Started });
    }
    bench.say(0, &offer());
    bench
}

fn offer() -> Message {
    let step = HandoverStep::Offer { len: 8, checksum: 1, why: StateUse::Handover };
    let body = HubMessage::Handover { id: child(), source: 1, to: 1, attempt: 1, step };
    Message::Hub { hub: hub_id(), body }
}

impl Bench {
    /// Says something to the other one of two.
    fn say(&mut self, host: HostId, message: &Message) {
        self.effect(host, &Effect::Send { to: member(1 - host), lane: Lane::Bulk, message: message.clone() });
    }

    fn give_up(&mut self) {
        let event = HookEvent::MigrationFailed { id: child(), node: name(1), reason: "in time".into() };
        self.effect(0, &Effect::Hook { hub: hub_id(), event });
    }
}

#[test]
fn drop_a_state_that_is_not_offered_again() {
    for (ready, lost, slow) in [(true, false, false), (false, false, false), (true, true, false), (true, false, true)] {
        let mut bench = offered(ready);
        bench.wait(SECOND);
        if lost {
            bench.say(0, &offer());
            bench.wait(SECOND / 2);
        }
        if slow {
            let (hub, id, why) = (hub_id(), child(), StateUse::Handover);
            let (state, deadline) = (Bytes::new(), Duration::from_secs(1));
            bench.effect(1, &Effect::GiveState { hub, id, sequence: 1, state, why, deadline });
        }
        bench.give_up();
        assert_eq!(bench.fired().contains(&"DROP"), ready && !lost && !slow);
    }
}

/// What was said again has arrived, and still it is given up.
#[test]
fn drop_a_state_that_has_arrived() {
    let mut bench = offered(true);
    bench.wait(SECOND / 2);
    bench.say(0, &offer());
    bench.input(1, &Input::Message { from: member(0), message: offer() });
    bench.wait(SECOND / 2);
    bench.give_up();
    bench.assert_fired("DROP");
}
