//! How children move.

use process_hub_simtests::decisions::*;

/// 7 nodes -> relayed frame 1 by n7 comes twice at n2 -> relayed frame 2 by n1 comes twice at n3 -> relayed frame 10 by n1 comes twice at n3 -> relayed frame 22 by n1 comes twice at n3 -> n5 is cut from n3 -> start(c23, c17, c19, c10, c22, c2, c3) at n4 -> n4 crashes -> n2 is cut from n1 -> n3 is cut from n4 -> n4 starts -> S15
#[test]
fn a_copy_that_stands_by_does_not_serve_beside_a_third_one() {
    let mut script = Script::new(100903, 7);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (474, 454761);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = true;
        setup.prompt = false;
        setup.clocks[0] = ClockSetup { offset: 140, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 136062363, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 211931, ppm: 0 };
        setup.clocks[3] = ClockSetup { offset: 12571520, ppm: 0 };
        setup.clocks[4] = ClockSetup { offset: 1011302, ppm: 0 };
        setup.clocks[5] = ClockSetup { offset: 32212030, ppm: 0 };
        setup.clocks[6] = ClockSetup { offset: 33407817, ppm: 0 };
    });
    script.set("barrier_timeout", "504000us");
    script.set("migration", "hot:handover:state_query_timeout=161ms:child_migration_timeout=2338ms:retention=157ms");
    script.set("synchronization", "in-line 0 1118000");
    script.quirk("relayed_twice", "n2", "n7", 0);
    script.quirk("relayed_twice", "n3", "n1", 1);
    script.quirk("relayed_twice", "n3", "n1", 9);
    script.quirk("relayed_twice", "n3", "n1", 21);
    script.at(1).boot("n5");
    script.at(13).boot("n7");
    script.at(25).boot("n4");
    script.at(6752).boot("n6");
    script.at(17253).boot("n3");
    script.at(18896).boot("n1");
    script.at(40610).boot("n2");
    script.at(1458743).cut("n3", "n5");
    script.at(1705167).act(Act::Start {
        host: 3,
        children: vec![
            Declared { child: 23, version: 1, restart: Restarts::Permanent, tagged: false },
            Declared { child: 17, version: 2, restart: Restarts::Permanent, tagged: false },
            Declared { child: 19, version: 5, restart: Restarts::Transient, tagged: true },
            Declared { child: 10, version: 6, restart: Restarts::Permanent, tagged: false },
            Declared { child: 22, version: 7, restart: Restarts::Permanent, tagged: false },
            Declared { child: 2, version: 8, restart: Restarts::Transient, tagged: false },
            Declared { child: 3, version: 10, restart: Restarts::Temporary, tagged: true },
        ],
        wait: false,
        timeout: 264582,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(1755212).crash("n4");
    script.at(1911746).cut("n1", "n2");
    script.at(1911746).cut("n4", "n3");
    script.at(2177741).boot("n4");
    script.until(3803715);
    script.assert_holds();
}

/// Seed 201090 (S17): two parts of a cluster had each started the same name. A copy was told to serve in place of one of the other
/// start, was ended by whoever knew both, and a copy of that other start was taken for the one that served.
#[test]
fn a_state_goes_to_no_copy_of_another_start() {
    let mut script = Script::new(201090, 3);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (500, 672036);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("migration", "hot:handover:state_query_timeout=230ms:child_migration_timeout=2861ms:retention=376ms");
    script.set("synchronization", "in-line 2 4539000");
    script.quirk("corrupted", "n2", "n3", 5);
    script.at(0).boot("n1");
    script.at(1000).boot("n2");
    script.at(2000).boot("n3");
    script.at(3000).cut("n1", "n2");
    script.at(1775959).cut("n2", "n3");
    script.at(5187215).cut("n3", "n1");
    script.at(6614215).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 0, version: 15, restart: Restarts::Transient, tagged: true }],
        wait: false,
        timeout: 6715307,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(6614215).act(Act::Start {
        host: 2,
        children: vec![
            Declared { child: 14, version: 20, restart: Restarts::Permanent, tagged: false },
            Declared { child: 2, version: 24, restart: Restarts::Permanent, tagged: true },
            Declared { child: 0, version: 28, restart: Restarts::Permanent, tagged: false },
        ],
        wait: true,
        timeout: 1786893,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(8844092).heal_without(&["n1", "n2", "n3"], &[], &[]);
    script.assert_holds();
}

/// L9, seed 2089: minutes after an operator had moved a child a node joined. It was told of the hold, repeated it, and the
/// others, who had forgotten it by then, took it for a new one: nobody repeated it to them, and a second copy, which was
/// wanted since the node had joined, waited for that.
#[test]
fn a_hold_that_is_over_holds_up_nothing_when_a_node_joins() {
    let mut script = Script::new(2089, 3);
    script.set("concurrent_moves", "2");
    script.set("redundancy", "every-second 1");
    script.at(0).boot("n1");
    script.at(0).boot("n3");
    script.at(0).act(Act::Start {
        host: 0,
        children: vec![Declared { child: 4, version: 7, restart: Restarts::Permanent, tagged: false }],
        wait: false,
        timeout: 1321097,
        check_existing: true,
        rollback: true,
        mapped: 0,
    });
    script.at(3000).migrate("n3", "c4", "n1", 65131);
    script.at(3000).heal_without(&["n1", "n2", "n3"], &[], &[]);
    script.assert_holds();
}

/// S17, seed 13087: a state was given, and the copy that was to serve with it ended first, since the view had changed. Its source
/// took a copy that had come up in another part of the cluster for one that went on from there, and ended, too.
#[test]
fn a_receiver_that_ended_without_having_served_is_no_successor() {
    let mut script = Script::new(13087, 4);
    script.setup(|setup| setup.delay = 1186);
    script.set("distribution", "rendezvous");
    script.set("migration", "hot:handover:state_query_timeout=215ms:child_migration_timeout=2197ms:retention=122ms");
    script.set("partition", "dynamic:53:threshold_time=504ms");
    script.at(0).boot("n4");
    script.at(0).boot("n1");
    script.at(0).boot("n2");
    script.at(5764265).cut("n2", "n4");
    script.at(6535200).cut("n1", "n2");
    script.at(7649861).uncut("n2", "n4");
    script.at(8810388).cut("n2", "n4");
    script.at(10679331).uncut("n1", "n2");
    script.at(10937591).cut("n2", "n1");
    script.at(12581580).cut("n2", "n4");
    script.at(12610580).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 37, version: 40, restart: Restarts::Permanent, tagged: true }],
        wait: false,
        timeout: 2882737,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(12981580).cut("n2", "n1");
    script.at(12981580).cut("n3", "n1");
    script.at(13047871).uncut("n2", "n1");
    script.at(13047871).uncut("n2", "n4");
    script.at(13874491).uncut("n2", "n1");
    script.at(13874491).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 47, version: 52, restart: Restarts::Permanent, tagged: true }],
        wait: true,
        timeout: 320010,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(13874491).cut("n1", "n2");
    script.at(14250134).cut("n1", "n2");
    script.at(14691540).uncut("n2", "n4");
    script.at(14691540).cut("n1", "n2");
    script.at(14855455).cut("n4", "n2");
    script.at(14855455).cut("n2", "n4");
    script.at(14918824).uncut("n1", "n2");
    script.at(15192824).cut("n2", "n4");
    script.at(15813025).uncut("n4", "n2");
    script.at(15813025).uncut("n2", "n4");
    script.at(15813025).cut("n4", "n1");
    script.at(15915241).uncut("n1", "n2");
    script.at(15915241).switch_off("n4");
    script.at(15915241).boot("n4");
    script.at(17273434).cut("n2", "n4");
    script.at(18207483).cut("n2", "n4");
    script.at(18213483).cut("n3", "n4");
    script.at(18251495).boot("n3");
    script.at(18502021).cut("n3", "n4");
    script.at(18659995).cut("n3", "n4");
    script.at(18767995).uncut("n3", "n4");
    script.at(18989726).uncut("n2", "n4");
    script.at(19009726).uncut("n3", "n4");
    script.at(19051726).uncut("n2", "n4");
    script.at(19945893).cut("n1", "n2");
    script.at(19964893).uncut("n2", "n4");
    script.at(20014537).cut("n2", "n4");
    script.at(20014537).cut("n3", "n2");
    script.at(20014537).cut("n1", "n2");
    script.at(20086320).uncut("n4", "n1");
    script.at(20140595).cut("n4", "n2");
    script.at(20444035).uncut("n3", "n4");
    script.at(20572531).uncut("n2", "n4");
    script.at(20574531).uncut("n1", "n2");
    script.at(21211874).uncut("n1", "n2");
    script.at(21284152).cut("n1", "n4");
    script.at(23356247).uncut("n1", "n2");
    script.at(23496536).cut("n3", "n4");
    script.at(24024485).uncut("n4", "n2");
    script.at(24205860).heal_without(&["n1", "n2", "n3", "n4"], &[], &[]);
    script.assert_holds();
}

/// Seed 13237 (S3). A copy that had told its successor to serve lost it when two parts of the cluster met, and served again
/// under a later token. The copy of the other part, which went before it until then, took no note of that and served
/// on: two copies for good, since the owner starts none beside two.
#[test]
fn a_copy_that_serves_again_under_a_later_token_ends_the_other_one() {
    let mut script = Script::new(13237, 5);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (1511, 106254);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.disks = true;
        setup.brief = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[3] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[4] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("migration", "hot:handover:state_query_timeout=113ms:child_migration_timeout=2912ms:retention=142ms");
    script.set("synchronization", "in-line 3 1708000");
    script.at(0).boot("n4");
    script.at(0).boot("n1");
    script.at(0).act(Act::Start {
        host: 0,
        children: vec![Declared { child: 6, version: 1341, restart: Restarts::Permanent, tagged: false }],
        wait: true,
        timeout: 52740,
        check_existing: true,
        rollback: false,
        mapped: 0,
    });
    script.at(0).boot("n5");
    script.at(2450464).leave("n1", 1241480);
    script.at(2450464).act(Act::Stop { host: 3, children: vec![6], wait: true, timeout: 211991 });
    script.at(2450464).switch_off("n4");
    script.at(2450464).boot("n3");
    script.at(2459464).act(Act::Stop { host: 2, children: vec![6], wait: false, timeout: 8017042 });
    script.at(2459464).act(Act::Leave { host: 2, deadline: 376864, hub_only: true });
    script.at(2460464).act(Act::Start {
        host: 4,
        children: vec![
            Declared { child: 5, version: 1619, restart: Restarts::Permanent, tagged: false },
            Declared { child: 6, version: 1621, restart: Restarts::Permanent, tagged: false },
            Declared { child: 7, version: 1622, restart: Restarts::Permanent, tagged: true },
        ],
        wait: true,
        timeout: 1514567,
        check_existing: false,
        rollback: true,
        mapped: 0,
    });
    script.at(2460464).leave("n5", 737832);
    script.at(2569464).heal_without(&["n1", "n2", "n3", "n4", "n5"], &[], &[]);
    script.assert_holds();
}
