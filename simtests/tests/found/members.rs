//! What members know of each other, and when.

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

/// 5 nodes -> start 1 of c6 is slow at n5 -> n5 stands still for 1980 ms -> n5 stands still for 5356 ms -> start(c6) at n4 -> n4 stands still for 3874 ms -> S13
#[test]
fn whoever_was_dropped_promotes_nothing_by_its_old_view() {
    let mut script = Script::new(5152, 5);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (7792, 0);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = false;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[3] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[4] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("barrier_timeout", "915000us");
    script.set("redundancy", "replication:1:active-passive:signal=passive");
    script.set("stop_timeout", "124000us");
    script.set("synchronization", "pubsub:sync_interval=2108ms");
    script.quirk("start_slow", "n5", "c6", 0);
    script.at(0).boot("n3");
    script.at(0).boot("n4");
    script.at(230006).boot("n5");
    script.at(1587966).pause("n5", 1980732);
    script.at(3030816).pause("n5", 5356046);
    script.at(3255039).act(Act::Start {
        host: 3,
        children: vec![Declared { child: 6, version: 3, restart: Restarts::Permanent, tagged: false }],
        wait: true,
        timeout: 107089,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(7074297).pause("n4", 3874087);
    script.until(8417919);
    script.assert_holds();
}

/// 5 nodes -> start(c0) at n2 -> migrate(c0 to n3) at n1 -> n4 is cut from n3 -> n4 stands still for 5925 ms -> stop(c0) at n1 -> start(c0) at n1 -> n1 is cut from n5 -> n5 is cut from n2 -> n5 is cut from n3 -> n2 stands still for 1164 ms -> n2 stands still for 2064 ms -> stop(c0) at n3 -> n5 hears n2 again -> start(c0) at n1 -> all faults end, with n1, n2, n3, n5 left -> S9
#[test]
fn a_listing_that_is_older_than_a_rumor_takes_nothing_back() {
    let mut script = Script::new(1926, 5);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (8443, 782303);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[3] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[4] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("synchronization", "gossip:sync_interval=4595ms");
    script.at(0).boot("n3");
    script.at(0).boot("n2");
    script.at(0).boot("n5");
    script.at(4297).boot("n4");
    script.at(35438).boot("n1");
    script.at(93741).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 0, version: 1, restart: Restarts::Permanent, tagged: false }],
        wait: true,
        timeout: 5870429,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(159848).migrate("n1", "c0", "n3", 16053219);
    script.at(896363).cut("n3", "n4");
    script.at(1104954).pause("n4", 5925003);
    script.at(2342608).act(Act::Stop { host: 0, children: vec![0], wait: true, timeout: 209392 });
    script.at(2803633).act(Act::Start {
        host: 0,
        children: vec![Declared { child: 0, version: 24, restart: Restarts::Transient, tagged: false }],
        wait: true,
        timeout: 3929239,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(4631922).cut("n5", "n1");
    script.at(5981110).cut("n2", "n5");
    script.at(6017110).cut("n3", "n5");
    script.at(6078695).pause("n2", 1164734);
    script.at(6518763).pause("n2", 2064320);
    script.at(6538153).act(Act::Stop { host: 2, children: vec![0], wait: true, timeout: 118064 });
    script.at(6605854).uncut("n2", "n5");
    script.at(7323578).act(Act::Start {
        host: 0,
        children: vec![Declared { child: 0, version: 60, restart: Restarts::Permanent, tagged: false }],
        wait: true,
        timeout: 2471957,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(7961867).heal_without(&["n1", "n2", "n3", "n5"], &[], &["n4"]);
    script.assert_holds();
}

/// 4 nodes -> n3 stands still for 5010 ms -> start(c1) at n2 -> stop(c1) at n4 -> start(c1) at n4 -> all faults end, with n2, n3, n4 left -> S3
#[test]
fn whoever_was_not_listened_to_asks_again() {
    let mut script = Script::new(2392, 4);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (500, 0);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[3] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("barrier_timeout", "505000us");
    script.set("migration", "hot:state_query_timeout=220ms:child_migration_timeout=2200ms:retention=1482ms");
    script.set("stop_timeout", "102000us");
    script.set("synchronization", "in-line 2 330000");
    script.at(0).boot("n2");
    script.at(0).boot("n4");
    script.at(0).boot("n3");
    script.at(2000).pause("n3", 5010143);
    script.at(2000).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 1, version: 176, restart: Restarts::Permanent, tagged: false }],
        wait: true,
        timeout: 2738893,
        check_existing: false,
        rollback: true,
        mapped: 0,
    });
    script.at(742000).act(Act::Stop { host: 3, children: vec![1], wait: false, timeout: 287574 });
    script.at(742000).act(Act::Start {
        host: 3,
        children: vec![Declared { child: 1, version: 305, restart: Restarts::Permanent, tagged: true }],
        wait: false,
        timeout: 117266,
        check_existing: true,
        rollback: true,
        mapped: 0,
    });
    script.at(743000).heal_without(&["n2", "n3", "n4"], &[], &[]);
    script.assert_holds();
}

/// 7 nodes -> c1 fails at n7 after start 1 -> c1 fails at n7 after start 2 -> c1 fails at n7 after start 3 -> c1 fails at n7 after start 4 -> start(c1) at n7 -> S25
#[test]
fn a_restart_that_a_view_held_up_counts_from_when_it_begins() {
    let mut script = Script::new(12257, 7);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (1042, 143461);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = false;
        setup.clocks[0] = ClockSetup { offset: 22624, ppm: -189 };
        setup.clocks[1] = ClockSetup { offset: 11403447127, ppm: 66 };
        setup.clocks[2] = ClockSetup { offset: 5018, ppm: 175 };
        setup.clocks[3] = ClockSetup { offset: 8515860502, ppm: -187 };
        setup.clocks[4] = ClockSetup { offset: 799474, ppm: -150 };
        setup.clocks[5] = ClockSetup { offset: 524318850578, ppm: 178 };
        setup.clocks[6] = ClockSetup { offset: 75671695, ppm: -36 };
    });
    script.set("distribution", "guided");
    script.set("max_restarts", "2");
    script.set("restart_window", "711000us");
    script.set("synchronization", "gossip:sync_interval=597ms:recipients=2");
    script.quirk("ends_in_error", "n7", "c1", 0);
    script.quirk("ends_in_error", "n7", "c1", 1);
    script.quirk("ends_in_error", "n7", "c1", 2);
    script.quirk("ends_in_error", "n7", "c1", 3);
    script.at(0).boot("n1");
    script.at(0).boot("n2");
    script.at(0).boot("n7");
    script.at(0).boot("n6");
    script.at(82287).act(Act::Start {
        host: 6,
        children: vec![Declared { child: 1, version: 7, restart: Restarts::Permanent, tagged: false }],
        wait: true,
        timeout: 18435560,
        check_existing: true,
        rollback: false,
        mapped: 1,
    });
    script.until(851195);
    script.assert_holds();
}

/// 6 nodes -> n2 stands still for 2977 ms -> n5 stands still for 13984 ms -> n4 stands still for 11462 ms -> n5 stands still for 7134 ms -> all faults end, with n2, n5, n6 left -> L1
#[test]
fn what_a_node_plans_as_it_wakes_is_not_put_off_by_its_pause() {
    let mut script = Script::new(47638, 6);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (500, 0);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[3] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[4] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[5] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("barrier_timeout", "506000us");
    script.set("stop_timeout", "115000us");
    script.set("synchronization", "pubsub:sync_interval=719ms");
    script.at(0).boot("n2");
    script.at(0).boot("n4");
    script.at(0).boot("n5");
    script.at(0).boot("n6");
    script.at(1000).pause("n2", 2977616);
    script.at(189000).pause("n5", 13984383);
    script.at(13055896).pause("n4", 11462562);
    script.at(13055896).pause("n5", 7134186);
    script.at(17260687).heal_without(&["n2", "n5", "n6"], &[], &[]);
    script.assert_holds();
}

/// Two of four nodes have forgotten what they granted; there could be five. The word of the operator's reset is slow on its way to
/// them, and lease answers of others bring its number before (L5, seed 42000).
#[test]
fn a_reset_is_news_although_its_number_has_come() {
    let mut script = Script::new(42000, 4);
    script.set("partition", "static:3:startup-confirm");
    let nodes = ["n1", "n2", "n3", "n4"];
    for node in nodes {
        script.at(0).boot(node);
    }
    for node in ["n3", "n4"] {
        script.at(10_000_000).crash(node);
        script.at(10_000_000).boot(node);
    }
    for node in ["n3", "n4"] {
        script.at(20_000_000).slow_link("n1", node, 500);
    }
    script.at(21_000_000).act(Act::ResetSize { host: 0, size: 4 });
    for node in ["n3", "n4"] {
        script.at(25_000_000).slow_link("n1", node, 1);
    }
    script.at(26_000_000).heal_without(&nodes, &[], &[]);
    script.assert_holds();
}

/// 5 nodes -> start(c3) at n2 -> n5 starts -> n2 is cut from n5 -> n5 is cut from n3 -> n2 crashes -> n2 starts -> start(c2) at n2 -> n3 starts -> n2 crashes -> n2 starts -> all faults end, with n2, n3, n5 left -> L2
#[test]
fn what_a_part_that_was_never_met_has_outlives_the_life_that_told_it() {
    let mut script = Script::new(25085, 5);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (500, 0);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[3] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[4] = ClockSetup { offset: 1, ppm: 0 };
    });
    // With "0", which remembers none, it is lost.
    script.set("past_lives", "2");
    script.at(0).boot("n2");
    script.at(0).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 3, version: 7, restart: Restarts::Permanent, tagged: true }],
        wait: false,
        timeout: 315991,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(0).boot("n5");
    script.at(1000).cut("n5", "n2");
    script.at(1000).cut("n3", "n5");
    script.at(1000).crash("n2");
    script.at(1000).boot("n2");
    script.at(1000).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 2, version: 66, restart: Restarts::Permanent, tagged: false }],
        wait: true,
        timeout: 8497573,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(1000).boot("n3");
    script.at(3000).crash("n2");
    script.at(3000).boot("n2");
    script.at(4000).heal_without(&["n2", "n3", "n5"], &[], &[]);
    script.assert_holds();
}

/// S3, seed 2105: two nodes that had lost each other ran a child each. They met again, and did not compare what they had
/// given it to for as long as both waited for a third that kept silent.
#[test]
fn a_silent_member_does_not_hold_up_comparisons_with_others() {
    let mut script = Script::new(2105, 4);
    script.set("barrier_timeout", "504000us");
    script.set("distribution", "load-balancer:max_history_size=29:weight_decay_permille=779:push_interval=2083ms");
    script.set("stop_timeout", "313000us");
    script.set("synchronization", "pubsub:sync_interval=403ms");
    script.at(0).boot("n1");
    script.at(0).boot("n2");
    script.at(2944000).cut("n1", "n4");
    script.at(2944000).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 0, version: 26, restart: Restarts::Temporary, tagged: true }],
        wait: true,
        timeout: 67126,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(2944000).cut("n2", "n1");
    script.at(2944000).boot("n4");
    script.at(3055000).heal_without(&["n1", "n2"], &[], &[]);
    script.assert_holds();
}

/// Seed 454 (`--with cold-handover`), S4: a child ran at `n1`, and was owned by `n3`, which had joined and was yet to be given it.
/// Where `n1` went out of sight, `n3` started it at once, since it had owned it in all views since the last complete one; `n1` went on
/// until its lease was over.
#[test]
fn an_owner_that_was_yet_to_be_given_a_child_waits_for_the_lease_of_whoever_ran_it() {
    let mut script = Script::new(454, 3);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (500, 0);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.brief = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("partition", "static:2:startup-confirm");
    script.at(0).boot("n2");
    script.at(66).boot("n1");
    script.at(171066).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 11, version: 41, restart: Restarts::Permanent, tagged: false }],
        wait: false,
        timeout: 965770,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(171066).cut("n1", "n2");
    script.at(171066).boot("n3");
    script.at(1154734).cut("n1", "n3");
    script.until(2800770);
    script.assert_holds();
}
