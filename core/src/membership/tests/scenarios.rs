use alloc::vec::Vec;
use core::time::Duration;

use super::cluster::{Cluster, Power, name};
use super::std;
use crate::id::{Boot, Member};
use crate::membership::{Fact, Route};
use crate::node::MemberState;

const SEEDS: u64 = 20;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The longest of the times that `run` takes over many seeds.
fn worst(run: impl Fn(u64) -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..SEEDS).map(run).collect();
    times.sort_unstable();
    std::println!("of {SEEDS}: median {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1]);
    times[times.len() - 1]
}

#[test]
fn a_killed_process_is_known_everywhere_in_half_a_second() {
    let worst = worst(|seed| {
        let mut cluster = Cluster::formed(10, seed);
        cluster.kill(seed as usize % 10);
        cluster.run_until(secs(5), "the death to be known", |cluster| cluster.agree())
    });
    assert!(worst <= millis(500), "{worst:?}");
}

#[test]
fn two_processes_killed_at_once_are_known_in_half_a_second() {
    let worst = worst(|seed| {
        let mut cluster = Cluster::formed(10, seed);
        cluster.kill(3);
        cluster.kill(7);
        cluster.run_until(secs(5), "the deaths to be known", |cluster| cluster.agree())
    });
    assert!(worst <= millis(500), "{worst:?}");
}

#[test]
fn of_two_nodes_the_survivor_knows_at_once() {
    let mut cluster = Cluster::formed(2, 1);
    cluster.kill(1);
    let took = cluster.run_until(secs(5), "the death to be known", |cluster| cluster.agree());
    assert!(took <= millis(500), "{took:?}");
}

#[test]
fn a_silent_machine_is_known_everywhere_in_three_seconds() {
    let worst = worst(|seed| {
        let mut cluster = Cluster::formed(10, seed);
        cluster.silence(seed as usize % 10);
        cluster.run_until(secs(10), "the silence to be known", |cluster| cluster.agree())
    });
    // Silent for three and a half keep-alive periods, then suspect for half the usual time.
    assert!(worst <= millis(2_800), "{worst:?}");
}

#[test]
fn a_partition_is_seen_by_both_sides_and_heals_in_five_seconds() {
    for lost in [secs(5), secs(60), secs(600)] {
        let worst = worst(|seed| {
            let mut cluster = Cluster::formed(10, seed);
            cluster.split(5);
            cluster.run(lost);
            for at in 0..10 {
                let side: Vec<usize> = if at < 5 { (0..5).collect() } else { (5..10).collect() };
                assert!(cluster.sees_exactly(at, &side), "{at}");
            }
            let before = cluster.deaths();
            cluster.heal();
            let took = cluster.run_until(secs(20), "the heal", |cluster| cluster.agree());
            cluster.run(secs(10));
            assert_eq!(cluster.deaths(), before, "a heal kills nobody");
            took
        });
        assert!(worst <= secs(5), "after {lost:?}: {worst:?}");
    }
}

#[test]
fn two_nodes_alone_find_each_other_again() {
    for lost in [secs(1), secs(10), secs(3_600)] {
        let worst = worst(|seed| {
            let mut cluster = Cluster::formed(2, seed);
            cluster.split(1);
            cluster.run(lost);
            cluster.heal();
            cluster.run_until(secs(20), "the heal", |cluster| cluster.agree())
        });
        assert!(worst <= secs(5), "after {lost:?}: {worst:?}");
    }
}

#[test]
fn a_partition_shorter_than_suspicion_kills_nobody() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::formed(10, seed);
        cluster.split(4);
        cluster.run(millis(1_000));
        cluster.heal();
        cluster.run(secs(20));
        assert_eq!(cluster.deaths(), 0, "seed {seed}");
        assert!(cluster.agree(), "{}", cluster.report());
    }
}

#[test]
fn a_restart_supersedes_the_old_life_at_once() {
    for (boot, raised) in [(5_000, 0), (1_003, 1), (7, 1)] {
        for wait in [millis(0), millis(20), secs(10)] {
            let mut cluster = Cluster::formed(10, boot);
            let old = cluster.member(3);
            cluster.kill(3);
            cluster.run(wait);
            cluster.restart(3, boot);
            let took = cluster.run_until(secs(10), "the new life to be known", |cluster| cluster.agree());
            assert!(took <= secs(3), "{boot} after {wait:?}: {took:?}");
            cluster.run(secs(10));
            assert!(cluster.agree(), "{}", cluster.report());
            assert_eq!(cluster.machines[3].raised, raised, "{boot} after {wait:?}");
            let new = cluster.member(3);
            assert!(new.boot > old.boot);
            for at in cluster.running().filter(|at| *at != 3) {
                let about: Vec<Fact> = cluster.machines[at]
                    .history
                    .iter()
                    .map(|(_, fact)| fact.clone())
                    .filter(|fact| !matches!(fact, Fact::Up(member) | Fact::Down(member) if member.node != old.node))
                    .collect();
                assert_eq!(about.first(), Some(&Fact::Down(old.clone())), "{about:?}");
                assert_eq!(about.last(), Some(&Fact::Up(new.clone())), "{about:?}");
            }
        }
    }
}

#[test]
fn a_cut_link_kills_nobody_and_is_relayed_around() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::formed(5, seed);
        cluster.cut(1, 3);
        cluster.run(secs(60));
        assert_eq!(cluster.deaths(), 0, "seed {seed}");
        let route = |cluster: &Cluster, from: usize, to: usize| {
            let to = cluster.member(to);
            cluster.machines[from].membership.route(&to)
        };
        assert_eq!(route(&cluster, 1, 2), Route::Direct);
        let Route::Via(first) = route(&cluster, 1, 3) else { panic!("no relay") };
        let now = cluster.now;
        let to = cluster.member(3);
        cluster.machines[1].membership.relay_failed(now, &first, &to);
        let Route::Via(second) = route(&cluster, 1, 3) else { panic!("no second relay") };
        assert_ne!(first, second);
        cluster.run(secs(2));
        assert_eq!(route(&cluster, 1, 3), Route::Via(second.clone()), "what is given to a dead end is lost");
        cluster.machines[1].membership.relay_failed(cluster.now, &second, &to);
        cluster.run(secs(2));
        assert!(matches!(route(&cluster, 1, 3), Route::Via(third) if third != second), "others are tried in turn");
        cluster.heal();
        cluster.run_until(secs(5), "the link", |cluster| route(cluster, 1, 3) == Route::Direct);
        assert_eq!(cluster.deaths(), 0, "seed {seed}");
    }
}

#[test]
fn a_one_way_cut_becomes_a_cut_and_kills_nobody() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::formed(5, seed);
        cluster.cut_one_way(1, 3);
        cluster.run(secs(5));
        let (one, three) = (cluster.member(1), cluster.member(3));
        assert!(matches!(cluster.machines[1].membership.route(&three), Route::Via(_)));
        assert!(matches!(cluster.machines[3].membership.route(&one), Route::Via(_)));
        cluster.run(secs(60));
        assert_eq!(cluster.deaths(), 0, "seed {seed}");
    }
}

#[test]
fn refusals_by_some_kill_nobody_whom_others_reach() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::formed(5, seed);
        cluster.refuse(1, 3);
        cluster.run(secs(20));
        cluster.refuse(2, 3);
        cluster.refuse(4, 3);
        cluster.run(secs(60));
        assert_eq!(cluster.deaths(), 0, "seed {seed}");
        cluster.kill(3);
        cluster.run_until(secs(3), "the death to be known", |cluster| cluster.agree());
    }
}

#[test]
fn a_suspicion_that_was_refuted_kills_nobody() {
    // With so few links, all that most know of each other comes by indirect probes, of which many are lost.
    for seed in 0..3 {
        let mut cluster = Cluster::formed(8, seed);
        for one in 2..8 {
            (one + 1..8).for_each(|other| cluster.cut(one, other));
        }
        cluster.loss = 50;
        cluster.run(secs(300));
        assert_eq!(cluster.deaths(), 0, "seed {seed}");
    }
}

#[test]
fn a_bridge_is_one_component() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::formed(5, seed);
        for one in 0..2 {
            for other in 3..5 {
                cluster.cut(one, other);
            }
        }
        cluster.run(secs(60));
        assert_eq!(cluster.deaths(), 0, "seed {seed}");
    }
}

#[test]
fn who_cannot_be_heard_is_declared_down_and_comes_back() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::formed(6, seed);
        for other in 0..5 {
            cluster.cut_one_way(5, other);
        }
        cluster.run_until(secs(5), "its death to be known", |cluster| (0..5).all(|at| !cluster.sees(at, 5)));
        cluster.run(secs(30));
        cluster.heal();
        let took = cluster.run_until(secs(20), "the heal", |cluster| cluster.agree());
        assert!(took <= secs(5), "{took:?}");
    }
}

#[test]
fn a_goodbye_is_known_at_once_and_is_no_death() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::formed(10, seed);
        // One of them hears of it only from the others.
        cluster.cut(4, 6);
        cluster.run(secs(5));
        cluster.leave(4);
        let gone = |cluster: &Cluster| (0..10).filter(|at| *at != 4).all(|at| !cluster.sees(at, 4));
        let took = cluster.run_until(secs(5), "the goodbye to be known", gone);
        assert!(took <= secs(1), "{took:?}");
        cluster.kill(4);
        cluster.run(secs(30));
        assert_eq!(cluster.deaths(), 0);
        let left = Fact::Left(Member { node: name(4), boot: Boot(1_004) });
        for at in cluster.running() {
            assert_eq!(cluster.machines[at].history.last().map(|(_, fact)| fact), Some(&left));
            let members = cluster.machines[at].membership.members();
            assert_eq!(members[4].state, MemberState::Left);
        }
        // Even with the boot it left with.
        cluster.restart(4, 1_004);
        cluster.run_until(secs(5), "the return", |cluster| cluster.agree());
    }
}

#[test]
fn fifty_that_join_at_once_all_know_each_other() {
    let mut cluster = Cluster::new(50, 1);
    let took = cluster.run_until(secs(20), "fifty to know each other", |cluster| cluster.agree());
    assert!(took <= secs(5), "{took:?}");
    cluster.run(secs(20));
    assert_eq!(cluster.deaths(), 0);
    let unlinked = (0..50).flat_map(|at| (0..50).map(move |other| (at, other))).filter(|(at, other)| {
        at != other && cluster.machines[*at].membership.route(&cluster.member(*other)) != Route::Direct
    });
    assert_eq!(unlinked.count(), 0);
}

#[test]
fn a_node_that_stood_still_blames_nobody() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::formed(5, seed);
        cluster.pause(2, secs(10));
        cluster.run(secs(10));
        assert!((0..5).filter(|at| *at != 2).all(|at| !cluster.sees(at, 2)));
        let took = cluster.run_until(secs(20), "its return", |cluster| cluster.agree());
        assert!(took <= secs(5), "{took:?}");
        let downs = cluster.machines[2].history.iter().filter(|(_, fact)| matches!(fact, Fact::Down(_)));
        assert_eq!(downs.count(), 0, "seed {seed}: {:?}", cluster.machines[2].history);
    }
}

#[test]
fn a_seed_that_comes_late_is_found() {
    let mut cluster = Cluster::new(3, 5);
    cluster.machines[0].power = Power::Killed;
    cluster.run(secs(100));
    cluster.restart(0, 4_000);
    let took = cluster.run_until(secs(20), "the seed", |cluster| cluster.agree());
    assert!(took <= secs(5), "{took:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let mut cluster = Cluster::new(7, seed);
        cluster.trace = Some(0);
        cluster.loss = 100;
        cluster.run(secs(10));
        cluster.split(3);
        cluster.run(secs(10));
        cluster.heal();
        cluster.kill(2);
        cluster.run(secs(5));
        cluster.restart(2, 9_000);
        cluster.run(secs(10));
        (cluster.trace, cluster.frames, cluster.inputs)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn lost_datagrams_kill_nobody() {
    for seed in 0..5 {
        let mut cluster = Cluster::formed(10, seed);
        cluster.loss = 50;
        cluster.run(secs(600));
        assert_eq!(cluster.deaths(), 0, "seed {seed}");
    }
}

/// With `MEMBERSHIP_HOURS=24`: a day of ten nodes at 5 % loss, once of datagrams, once of everything.
#[test]
fn hours_of_loss_kill_hardly_anybody() {
    let hours = std::env::var("MEMBERSHIP_HOURS").ok().and_then(|hours| hours.parse().ok()).unwrap_or(0);
    for lose_all in [false, true] {
        let mut cluster = Cluster::formed(10, 24);
        cluster.loss = 50;
        cluster.lose_all = lose_all;
        let mut deaths = 0;
        for _ in 0..hours * 60 {
            cluster.run(secs(60));
            deaths += cluster.deaths();
            cluster.forget_history();
        }
        std::println!("{hours} h, all lost: {lose_all}: {deaths} false deaths, {} inputs", cluster.inputs);
        assert!(deaths <= 9, "one false death is nine facts: {deaths}");
    }
}
