//! What the user of a node is told.

use process_hub_core::hook::{HookEvent, StartedChild, TopologyChange};

use super::*;

fn tell(bench: &mut Bench, event: HookEvent) {
    bench.effect(0, &Effect::Hook { hub: hub_id(), event });
}

fn announce(bench: &mut Bench) {
    tell(bench, HookEvent::PreChildrenStart { children: vec![child()] });
}

fn posted(bench: &mut Bench) {
    let started = StartedChild { id: child(), spec: None, outcome: Ok(pid(0, 1)) };
    tell(bench, HookEvent::PostChildrenStart { children: vec![started] });
}

fn registered(bench: &mut Bench, pid: Pid) {
    tell(bench, HookEvent::ChildRegistered { id: child(), pid });
}

fn give_out(bench: &mut Bench) {
    bench.bare_start(0, 1, 10);
}

fn ask(bench: &mut Bench) {
    bench.effect(0, &Effect::Alter { hub: hub_id(), pid: pid(0, 1), spec: Arc::new(spec(10)) });
}

#[test]
fn s23_a_start_is_told_in_order() {
    let mut bench = Bench::settled(2);
    for step in [announce, ask, give_out, posted] {
        step(&mut bench);
    }
    registered(&mut bench, pid(0, 1));
    registered(&mut bench, pid(1, 1));
    bench.assert_quiet();
}

#[test]
fn s23_a_start_that_was_not_announced() {
    let mut bench = Bench::settled(1);
    give_out(&mut bench);
    bench.assert_fired("S23");
}

#[test]
fn s23_altered_before_it_is_announced() {
    let mut bench = Bench::settled(1);
    ask(&mut bench);
    bench.assert_fired("S23");
}

#[test]
fn s23_registered_before_its_start_has_ended() {
    let mut bench = Bench::settled(1);
    announce(&mut bench);
    give_out(&mut bench);
    registered(&mut bench, pid(0, 1));
    bench.assert_fired("S23");
}

#[test]
fn s23_a_start_that_ended_before_it_began() {
    let mut bench = Bench::settled(1);
    announce(&mut bench);
    posted(&mut bench);
    bench.assert_fired("S23");
}

fn redistribution(stages: &[usize]) -> Bench {
    let mut bench = Bench::settled(2);
    let (node, event, nodes) = (lived(1, 2), TopologyChange::NodeUp, vec![name(1)]);
    let all = [
        HookEvent::PreNodeJoin { node: node.clone() },
        HookEvent::PreRedistribution { event, nodes: nodes.clone() },
        HookEvent::PostRedistribution { event, nodes },
        HookEvent::PostNodeJoin { node },
    ];
    for stage in stages {
        tell(&mut bench, all[*stage].clone());
    }
    bench
}

#[test]
fn s23_a_change_of_the_view_is_told_in_order() {
    redistribution(&[0, 1, 2, 3]).assert_quiet();
    for wrong in [&[1][..], &[0, 2], &[0, 1, 3], &[0, 1, 2, 2]] {
        redistribution(wrong).assert_fired("S23");
    }
}

#[test]
fn s24_told_twice() {
    redistribution(&[0, 0]).assert_fired("S24");
    let mut bench = Bench::settled(2);
    registered(&mut bench, pid(1, 1));
    bench.assert_quiet();
    registered(&mut bench, pid(1, 1));
    bench.assert_fired("S24");
}

#[test]
fn s24_a_start_that_ended_twice() {
    let mut bench = Bench::settled(1);
    announce(&mut bench);
    give_out(&mut bench);
    posted(&mut bench);
    bench.assert_quiet();
    posted(&mut bench);
    bench.assert_fired("S24");
}

#[test]
fn s24_what_was_told_is_what_is_listed() {
    for told in [true, false] {
        let mut bench = Bench::settled(1);
        announce(&mut bench);
        give_out(&mut bench);
        bench.see(&Seen::Serving { host: 0, sequence: 1 });
        posted(&mut bench);
        registered(&mut bench, pid(0, 1));
        if !told {
            tell(&mut bench, HookEvent::ChildUnregistered { id: child(), pid: pid(0, 1) });
        }
        bench.see(&Seen::Census { host: 0, census: &census(&[(10, pid(0, 1))], 0, &[1]) });
        assert_eq!(bench.fired().contains(&"S24"), !told);
    }
}

#[test]
fn s23_a_change_of_the_view_that_is_never_over() {
    let end = |stages: &[usize], settled: bool| {
        let mut bench = redistribution(stages);
        bench.see(&Seen::Census { host: 0, census: &Census { settled, ..census(&[], 0, &[]) } });
        bench
    };
    end(&[0, 1, 2, 3], true).assert_quiet();
    for open in [&[0][..], &[0, 1], &[0, 1, 2]] {
        end(open, false).assert_quiet();
        end(open, true).assert_fired("S23");
    }
}

#[test]
fn s23_an_announced_start_that_never_comes() {
    let mut bench = Bench::settled(1);
    announce(&mut bench);
    bench.assert_quiet();
    bench.see(&Seen::Census { host: 0, census: &census(&[], 0, &[]) });
    bench.assert_fired("S23");
}

#[test]
fn s23_a_start_whose_end_is_never_told() {
    let ended = |told: bool| {
        let mut bench = Bench::settled(1);
        announce(&mut bench);
        give_out(&mut bench);
        if told {
            posted(&mut bench);
        }
        bench.see(&Seen::Census { host: 0, census: &census(&[], 0, &[]) });
        bench
    };
    ended(true).assert_quiet();
    ended(false).assert_fired("S23");
}
