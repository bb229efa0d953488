//! What simulations have found, each as what was left of it when nothing more could be left out.

#![allow(clippy::too_many_lines, reason = "they are as long as what went wrong")]

use process_hub_simtests::decisions::*;

/// 7 nodes -> start(c7, c22, c20, c23, c12, c1, c16) at n5 -> n4 is switched off -> n4 starts -> S11
#[test]
fn a_listing_that_is_older_than_a_rumor_does_not_take_a_phase_back() {
    let mut script = Script::new(1898, 7);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (8397, 482586);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = false;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[3] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[4] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[5] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[6] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("distribution", "load-balancer:push_interval=1311ms");
    script.set("migration", "autonomous");
    script.set("synchronization", "gossip:sync_interval=495ms");
    script.at(0).boot("n1");
    script.at(0).boot("n2");
    script.at(0).boot("n5");
    script.at(0).boot("n7");
    script.at(9080).boot("n3");
    script.at(1074211).boot("n4");
    script.at(1101617).act(Act::Start {
        host: 4,
        children: vec![
            Declared { child: 7, version: 3, restart: Restarts::Permanent, tagged: false },
            Declared { child: 22, version: 4, restart: Restarts::Permanent, tagged: true },
            Declared { child: 20, version: 5, restart: Restarts::Permanent, tagged: true },
            Declared { child: 23, version: 6, restart: Restarts::Permanent, tagged: true },
            Declared { child: 12, version: 7, restart: Restarts::Permanent, tagged: true },
            Declared { child: 1, version: 8, restart: Restarts::Temporary, tagged: true },
            Declared { child: 16, version: 9, restart: Restarts::Temporary, tagged: false },
        ],
        wait: true,
        timeout: 3370032,
        check_existing: false,
        rollback: true,
        mapped: 0,
    });
    script.at(1474808).switch_off("n4");
    script.at(1474808).boot("n4");
    script.until(1521544);
    script.assert_holds();
}
