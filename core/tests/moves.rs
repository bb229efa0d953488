//! The move of a child that is broken off after each of its steps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use migration_fsm::{Next, Pair, STRATEGIES};

#[path = "../../fuzz/bodies/migration_fsm.rs"]
mod migration_fsm;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(150) })]

    #[test]
    fn a_move_ends_whatever_comes_between(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        migration_fsm::run(&bytes);
    }
}

/// So many steps of a move are done, the two nodes in turns; where nothing is to be done, a moment passes. Says whether
/// there were as many.
fn go(pair: &mut Pair, steps: usize) -> bool {
    const MOMENT: Duration = Duration::from_millis(2);
    let mut idle = 0;
    for step in 0..steps {
        while !pair.is_busy() {
            idle += 1;
            if idle > 10 {
                return false;
            }
            (0..2).for_each(|side| pair.next(Next::Late(side, MOMENT)));
        }
        pair.next(Next::Step(step % 2));
    }
    true
}

/// After each step of each strategy: the link breaks, or an instance fails; and then one of the two waits for longer than
/// anything lasts before the other does, or not.
#[test]
fn a_move_can_be_broken_off_after_each_step() {
    let late = Duration::from_secs(40);
    let orders: [&[Next]; 3] = [&[], &[Next::Late(0, late)], &[Next::Late(1, late)]];
    let mut broken_off = [0; STRATEGIES as usize];
    for strategy in 0..STRATEGIES {
        for event in [Next::Cut, Next::Fail(0), Next::Fail(1)] {
            for order in orders.iter().filter(|order| event == Next::Cut || order.is_empty()) {
                for steps in 0.. {
                    let mut pair = Pair::new(strategy);
                    if !go(&mut pair, steps) {
                        break;
                    }
                    broken_off[usize::from(strategy)] += 1;
                    pair.next(event);
                    order.iter().for_each(|next| pair.next(*next));
                    pair.rest();
                }
            }
        }
    }
    assert!(broken_off.iter().all(|steps| *steps > 60), "a move has more steps than that: {broken_off:?}");
}
