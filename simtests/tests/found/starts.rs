//! Which start of a child is carried out, and by whom.

use process_hub_simtests::decisions::*;

/// 3 nodes -> the link of n1 and n2 breaks -> n3 starts -> the link of n2 and n3 breaks -> start(c17) at n3 -> n1 is cut from n3 -> n2 is cut from n3 -> n2 is cut from n1 -> the link of n2 and n1 breaks -> all faults end, with n1, n2, n3 left -> S5
#[test]
fn an_assignment_that_only_another_knows_is_heard_of_before_anything_starts() {
    let mut script = Script::new(2253, 3);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (500, 0);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("distribution", "load-balancer:push_interval=871ms");
    script.set("partition", "static:2:startup-confirm");
    script.set("stop_timeout", "1998000us");
    script.at(0).boot("n2");
    script.at(599).boot("n1");
    script.at(836545).disconnect("n1", "n2");
    script.at(1123123).boot("n3");
    script.at(1151123).disconnect("n2", "n3");
    script.at(2482883).act(Act::Start {
        host: 2,
        children: vec![Declared { child: 17, version: 133, restart: Restarts::Transient, tagged: true }],
        wait: true,
        timeout: 998398,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(2591883).cut("n3", "n1");
    script.at(2591883).cut("n3", "n2");
    script.at(10345842).cut("n1", "n2");
    script.at(10804936).disconnect("n2", "n1");
    script.at(29638644).heal_without(&["n1", "n2", "n3"], &[], &[]);
    script.assert_holds();
}

/// 4 nodes -> start 1 of c1 fails at n1 -> start 3 of c1 fails at n1 -> start 4 of c1 fails at n1 -> start(c0, c1) at n4 -> start(c1) at n2 -> start(c1) at n3 -> S5
#[test]
fn a_copy_that_failed_to_start_has_used_its_token() {
    let mut script = Script::new(4540, 4);
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
    script.set("distribution", "load-balancer:push_interval=5084ms");
    script.set("partition", "majority:initial_cluster_size=4");
    script.quirk("start_fails", "n1", "c1", 0);
    script.quirk("start_fails", "n1", "c1", 2);
    script.quirk("start_fails", "n1", "c1", 3);
    script.at(0).boot("n4");
    script.at(0).boot("n3");
    script.at(0).boot("n1");
    script.at(0).boot("n2");
    script.at(11000).act(Act::Start {
        host: 3,
        children: vec![
            Declared { child: 0, version: 2, restart: Restarts::Permanent, tagged: true },
            Declared { child: 1, version: 3, restart: Restarts::Transient, tagged: true },
        ],
        wait: true,
        timeout: 110465,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(13000).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 1, version: 4, restart: Restarts::Permanent, tagged: true }],
        wait: false,
        timeout: 52697,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(412478).act(Act::Start {
        host: 2,
        children: vec![Declared { child: 1, version: 8, restart: Restarts::Temporary, tagged: true }],
        wait: true,
        timeout: 1038778,
        check_existing: false,
        rollback: true,
        mapped: 0,
    });
    script.until(413042);
    script.assert_holds();
}

/// 5 nodes -> start(c14) at n3 -> start(c11) at n5 -> start(c8) at n5 -> start(c12) at n5 -> migrate(c12 to n5) at n3 -> n4 starts -> n5 crashes -> stop(c11) at n4 -> stop(c12) at n2 -> n5 starts -> start(c7) at n5 -> start(c12) at n5 -> n1 starts -> start(c8) at n5 -> S19
#[test]
fn a_hold_does_not_outlive_the_start_that_it_held() {
    let mut script = Script::new(4515, 5);
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
    script.set("distribution", "guided");
    script.at(0).boot("n5");
    script.at(0).boot("n2");
    script.at(0).boot("n3");
    script.at(59000).act(Act::Start {
        host: 2,
        children: vec![Declared { child: 14, version: 29, restart: Restarts::Transient, tagged: false }],
        wait: true,
        timeout: 675009,
        check_existing: true,
        rollback: false,
        mapped: 1,
    });
    script.at(59000).act(Act::Start {
        host: 4,
        children: vec![Declared { child: 11, version: 232, restart: Restarts::Temporary, tagged: true }],
        wait: true,
        timeout: 873012,
        check_existing: false,
        rollback: false,
        mapped: 1,
    });
    script.at(59000).act(Act::Start {
        host: 4,
        children: vec![Declared { child: 8, version: 480, restart: Restarts::Permanent, tagged: true }],
        wait: true,
        timeout: 535954,
        check_existing: true,
        rollback: true,
        mapped: 1,
    });
    script.at(59000).act(Act::Start {
        host: 4,
        children: vec![Declared { child: 12, version: 522, restart: Restarts::Permanent, tagged: true }],
        wait: false,
        timeout: 3469570,
        check_existing: true,
        rollback: false,
        mapped: 1,
    });
    script.at(60000).migrate("n3", "c12", "n5", 1919186);
    script.at(60000).boot("n4");
    script.at(1119000).crash("n5");
    script.at(1119000).act(Act::Stop { host: 3, children: vec![11], wait: true, timeout: 4855694 });
    script.at(1119000).act(Act::Stop { host: 1, children: vec![12], wait: false, timeout: 646523 });
    script.at(1119000).boot("n5");
    script.at(3588800).act(Act::Start {
        host: 4,
        children: vec![Declared { child: 7, version: 1439, restart: Restarts::Transient, tagged: false }],
        wait: true,
        timeout: 540356,
        check_existing: false,
        rollback: true,
        mapped: 1,
    });
    script.at(3588800).act(Act::Start {
        host: 4,
        children: vec![Declared { child: 12, version: 1455, restart: Restarts::Permanent, tagged: true }],
        wait: true,
        timeout: 1521034,
        check_existing: true,
        rollback: false,
        mapped: 1,
    });
    script.at(3588800).boot("n1");
    script.at(3588800).act(Act::Start {
        host: 4,
        children: vec![Declared { child: 8, version: 1762, restart: Restarts::Permanent, tagged: true }],
        wait: false,
        timeout: 561626,
        check_existing: false,
        rollback: false,
        mapped: 1,
    });
    script.until(3590878);
    script.assert_holds();
}

/// 5 nodes -> start(c4) at n5 -> start(c4) at n1 -> S15
#[test]
fn a_copy_of_a_declaration_that_has_lost_is_no_successor() {
    let mut script = Script::new(2872, 5);
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
    script.set("migration", "hot:state_query_timeout=154ms:child_migration_timeout=1645ms:retention=111ms");
    script.set("synchronization", "in-line 3 444000");
    script.at(0).boot("n5");
    script.at(0).boot("n1");
    script.at(14161).act(Act::Start {
        host: 4,
        children: vec![Declared { child: 4, version: 553, restart: Restarts::Permanent, tagged: true }],
        wait: false,
        timeout: 50075,
        check_existing: false,
        rollback: true,
        mapped: 0,
    });
    script.at(97812).act(Act::Start {
        host: 0,
        children: vec![Declared { child: 4, version: 557, restart: Restarts::Transient, tagged: false }],
        wait: true,
        timeout: 342666,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.until(101413);
    script.assert_holds();
}

/// 6 nodes -> start(c0) at n2 -> stop(c0) at n2 -> start(c0) at n6 -> migrate(c0 to n4) at n6 -> S5
#[test]
fn of_two_starts_of_one_child_the_one_that_was_given_elsewhere_is_heard_of_first() {
    let mut script = Script::new(12575, 6);
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
    script.set("partition", "majority:initial_cluster_size=6");
    script.at(0).boot("n1");
    script.at(0).boot("n4");
    script.at(0).boot("n2");
    script.at(0).boot("n6");
    script.at(3000).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 0, version: 32, restart: Restarts::Transient, tagged: true }],
        wait: true,
        timeout: 2737974,
        check_existing: true,
        rollback: true,
        mapped: 0,
    });
    script.at(3000).act(Act::Stop { host: 1, children: vec![0], wait: true, timeout: 4234377 });
    script.at(3000).act(Act::Start {
        host: 5,
        children: vec![Declared { child: 0, version: 60, restart: Restarts::Transient, tagged: false }],
        wait: true,
        timeout: 385753,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(3000).migrate("n6", "c0", "n4", 375992);
    script.until(3498);
    script.assert_holds();
}

/// 4 nodes -> start(c4) at n3 -> n1 is cut from n3 -> migrate(c4 to n1) at n4 -> stop(c4) at n3 -> n2 is cut from n1 -> start(c4) at n2 -> S5
#[test]
fn whoever_starts_a_child_anew_waits_until_its_former_node_knows() {
    let mut script = Script::new(11823, 4);
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
    script.set("partition", "majority:initial_cluster_size=4");
    script.at(0).boot("n1");
    script.at(0).boot("n2");
    script.at(0).boot("n3");
    script.at(0).boot("n4");
    script.at(137000).act(Act::Start {
        host: 2,
        children: vec![Declared { child: 4, version: 8, restart: Restarts::Temporary, tagged: false }],
        wait: true,
        timeout: 14114716,
        check_existing: false,
        rollback: true,
        mapped: 0,
    });
    script.at(217000).cut("n3", "n1");
    script.at(255000).migrate("n4", "c4", "n1", 142585);
    script.at(256000).act(Act::Stop { host: 2, children: vec![4], wait: true, timeout: 184313 });
    script.at(479775).cut("n1", "n2");
    script.at(1808523).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 4, version: 15, restart: Restarts::Permanent, tagged: true }],
        wait: true,
        timeout: 5950588,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.until(1808523);
    script.assert_holds();
}

/// 5 nodes -> n5 is cut from n3 -> n3 is cut from n1 -> start(c1) at n1 -> migrate(c1 to n5) at n1 -> start(c1) at n5 -> n5 crashes -> n1 leaves the hub -> all faults end, with n1, n3, n5 left -> L2
#[test]
fn a_start_that_was_given_away_and_is_gone_holds_nothing_up() {
    let mut script = Script::new(42551, 5);
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
    script.at(0).boot("n5");
    script.at(0).boot("n1");
    script.at(0).boot("n3");
    script.at(3000).cut("n3", "n5");
    script.at(3000).cut("n1", "n3");
    script.at(3000).act(Act::Start {
        host: 0,
        children: vec![Declared { child: 1, version: 48, restart: Restarts::Permanent, tagged: false }],
        wait: true,
        timeout: 161659,
        check_existing: true,
        rollback: true,
        mapped: 0,
    });
    script.at(3000).migrate("n1", "c1", "n5", 954243);
    script.at(199000).act(Act::Start {
        host: 4,
        children: vec![Declared { child: 1, version: 74, restart: Restarts::Permanent, tagged: false }],
        wait: false,
        timeout: 16784931,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(200000).crash("n5");
    script.at(2335000).act(Act::Leave { host: 0, deadline: 756306, hub_only: true });
    script.at(2335000).heal_without(&["n1", "n3", "n5"], &[], &[]);
    script.assert_holds();
}

/// 3 nodes -> n3 is cut from n1 -> start(c0) at n3 -> start(c0) at n3 -> S5
#[test]
fn a_start_that_was_given_to_nobody_known_may_have_been_given_to_somebody() {
    let mut script = Script::new(54891, 3);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (500, 0);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("distribution", "load-balancer:push_interval=474ms");
    script.set("partition", "static:2:startup-confirm");
    script.at(47).boot("n2");
    script.at(4903).boot("n1");
    script.at(4903).boot("n3");
    script.at(2104981).cut("n1", "n3");
    script.at(2104981).act(Act::Start {
        host: 2,
        children: vec![Declared { child: 0, version: 3, restart: Restarts::Transient, tagged: true }],
        wait: true,
        timeout: 50377,
        check_existing: true,
        rollback: true,
        mapped: 0,
    });
    script.at(3252445).act(Act::Start {
        host: 2,
        children: vec![Declared { child: 0, version: 10, restart: Restarts::Permanent, tagged: true }],
        wait: true,
        timeout: 208310,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.until(3590723);
    script.assert_holds();
}

/// 5 nodes -> c7 fails at n4 after start 1 -> n4 is cut from n1 -> start(c0, c5, c6, c2, c7, c3, c1, c8) at n2 -> start(c4) at n1 -> stop(c8) at n4 -> stop(c4) at n3 -> stop(c6) at n1 -> start(c4) at n1 -> stop(c1) at n3 -> stop(c4) at n2 -> call(c7) at n3 -> start(c4) at n3 -> S5
#[test]
fn a_start_whose_removal_came_first_is_remembered() {
    let mut script = Script::new(102155, 5);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (103, 431519);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = false;
        setup.clocks[0] = ClockSetup { offset: 573387471097, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 261056125, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 22205, ppm: 0 };
        setup.clocks[3] = ClockSetup { offset: 466, ppm: 0 };
        setup.clocks[4] = ClockSetup { offset: 4159371, ppm: 0 };
    });
    script.set("distribution", "load-balancer:push_interval=211ms");
    script.set("lease", "789000us");
    script.set("partition", "static:3:startup-confirm");
    script.set("synchronization", "pubsub:sync_interval=4950ms");
    script.quirk("ends_in_error", "n4", "c7", 0);
    script.at(1).boot("n4");
    script.at(261).boot("n3");
    script.at(4145).boot("n1");
    script.at(108062).boot("n5");
    script.at(109062).boot("n2");
    script.at(1487276).cut("n1", "n4");
    script.at(1487276).act(Act::Start {
        host: 1,
        children: vec![
            Declared { child: 0, version: 3, restart: Restarts::Temporary, tagged: true },
            Declared { child: 5, version: 4, restart: Restarts::Permanent, tagged: true },
            Declared { child: 6, version: 5, restart: Restarts::Permanent, tagged: false },
            Declared { child: 2, version: 6, restart: Restarts::Permanent, tagged: true },
            Declared { child: 7, version: 7, restart: Restarts::Permanent, tagged: false },
            Declared { child: 3, version: 8, restart: Restarts::Transient, tagged: false },
            Declared { child: 1, version: 9, restart: Restarts::Temporary, tagged: true },
            Declared { child: 8, version: 10, restart: Restarts::Transient, tagged: false },
        ],
        wait: false,
        timeout: 173960,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(1487276).act(Act::Start {
        host: 0,
        children: vec![Declared { child: 4, version: 19, restart: Restarts::Permanent, tagged: false }],
        wait: false,
        timeout: 351827,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(1488276).act(Act::Stop { host: 3, children: vec![8], wait: true, timeout: 14463892 });
    script.at(1488276).act(Act::Stop { host: 2, children: vec![4], wait: true, timeout: 3176400 });
    script.at(1488276).act(Act::Stop { host: 0, children: vec![6], wait: true, timeout: 10383076 });
    script.at(1805900).act(Act::Start {
        host: 0,
        children: vec![Declared { child: 4, version: 55, restart: Restarts::Permanent, tagged: true }],
        wait: true,
        timeout: 6135913,
        check_existing: false,
        rollback: true,
        mapped: 0,
    });
    script.at(1805900).act(Act::Stop { host: 2, children: vec![1], wait: true, timeout: 656477 });
    script.at(1806900).act(Act::Stop { host: 1, children: vec![4], wait: true, timeout: 63116 });
    script.at(1806900).act(Act::Call { host: 2, child: 7, operation: 61, timeout: 2397979 });
    script.at(1983538).act(Act::Start {
        host: 2,
        children: vec![Declared { child: 4, version: 72, restart: Restarts::Permanent, tagged: true }],
        wait: true,
        timeout: 4118801,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.until(1983618);
    script.assert_holds();
}
