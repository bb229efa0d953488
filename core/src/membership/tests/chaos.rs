use core::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cluster::{Cluster, Power};
use super::std;
use crate::membership::Route;

/// One random fault after another, then none: all that run agree soon, stay agreed, and are linked to each other.
fn chaos(seed: u64) -> Duration {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = rng.random_range(2..8);
    let mut cluster = Cluster::new(count, seed);
    if rng.random_bool(0.5) {
        cluster.loss = rng.random_range(0..300);
        cluster.lose_all = rng.random_bool(0.3);
    }
    let mut boot = 2_000;
    for _ in 0..rng.random_range(1..25) {
        cluster.run(Duration::from_millis(rng.random_range(0..4_000)));
        let one = rng.random_range(0..count);
        let other = (one + rng.random_range(1..count)) % count;
        match rng.random_range(0..10) {
            0 => cluster.kill(one),
            1 => cluster.silence(one),
            2 | 3 => {
                boot += 1;
                cluster.restart(one, if rng.random_bool(0.8) { boot } else { rng.random_range(1..boot) });
            }
            4 => cluster.cut(one, other),
            5 => cluster.cut_one_way(one, other),
            6 => cluster.split(one),
            7 => cluster.pause(one, Duration::from_millis(rng.random_range(0..6_000))),
            8 => cluster.heal(),
            _ => cluster.flap(one, other),
        }
    }
    cluster.heal();
    cluster.loss = 0;
    // One that was let run on somewhere else under the same name must not be.
    if cluster.running().count() == 0 {
        cluster.restart(0, boot + 1);
    }
    let seed_is_there = cluster.machines[0].power == Power::Running;
    if !seed_is_there {
        cluster.restart(0, boot + 2);
    }
    cluster.run(Duration::from_secs(6));
    let took = cluster.run_until(Duration::from_secs(20), "agreement", |cluster| cluster.agree());
    cluster.run(Duration::from_secs(2));
    cluster.forget_history();
    cluster.run(Duration::from_secs(30));
    assert!(cluster.agree(), "{}", cluster.report());
    for at in cluster.running() {
        assert_eq!(cluster.machines[at].history, []);
        for other in cluster.running().filter(|other| *other != at) {
            assert_eq!(cluster.machines[at].membership.route(&cluster.member(other)), Route::Direct);
        }
    }
    took
}

/// `MEMBERSHIP_SEEDS` makes it more than 100.
#[test]
fn after_any_faults_all_agree_and_stay_agreed() {
    let seeds = std::env::var("MEMBERSHIP_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(100);
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| chaos(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
