//! Lives that come back with what is on their disks.

use process_hub_simtests::decisions::*;

/// Seed 202409 (S5): all members had died, and began a lineage of tokens below the one that their children had been started in.
#[test]
fn tokens_go_on_from_the_lineage_on_the_disk() {
    let mut script = Script::new(202409, 3);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (500, 0);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.disks = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("lease", "629000us");
    script.set("partition", "majority:initial_cluster_size=3");
    script.set("recovery_grace", "1600000us");
    script.set("stop_timeout", "753000us");
    script.at(0).boot("n3");
    script.at(0).boot("n1");
    script.at(0).switch_off("n3");
    script.at(0).boot("n3");
    script.at(0).switch_off("n1");
    script.at(0).boot("n1");
    script.at(0).boot("n2");
    script.at(3715443).act(Act::Start {
        host: 1,
        children: vec![Declared { child: 9, version: 404, restart: Restarts::Permanent, tagged: true }],
        wait: true,
        timeout: 245318,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(3715443).switch_off("n3");
    script.at(3715443).switch_off("n2");
    script.at(3715443).switch_off("n1");
    script.at(3715443).boot("n1");
    script.at(3716443).boot("n2");
    script.at(3716443).boot("n3");
    script.until(6100348);
    script.assert_holds();
}

/// Seed 206230 (S11): a node had raised itself above the boot that it minted with. Its next life, with a clock that was set back, rose
/// above that boot only, and came to the very one that the former life went by.
#[test]
fn a_life_is_above_every_boot_that_the_former_one_went_by() {
    let mut script = Script::new(206230, 4);
    script.setup(|setup| {
        (setup.delay, setup.jitter) = (500, 0);
        setup.dial_timeout = 1000000;
        setup.codec = false;
        setup.altering = false;
        setup.prompt = true;
        setup.disks = true;
        setup.clocks[0] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[1] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[2] = ClockSetup { offset: 1, ppm: 0 };
        setup.clocks[3] = ClockSetup { offset: 1, ppm: 0 };
    });
    script.set("redundancy", "replication:4:signal=passive");
    script.at(0).boot("n4");
    script.at(0).boot("n3");
    script.at(0).act(Act::Start {
        host: 3,
        children: vec![Declared { child: 0, version: 1, restart: Restarts::Permanent, tagged: false }],
        wait: true,
        timeout: 136988,
        check_existing: false,
        rollback: false,
        mapped: 0,
    });
    script.at(130000).crash("n4");
    script.at(130000).boot_lower("n4");
    script.until(130265);
    script.assert_holds();
}

/// Seed 107 (S11): a life was raised and died before anything of it was on the disk. The next one, with a clock that was set back too, rose
/// above the same boot and took its place.
#[test]
fn two_lives_that_rise_above_the_same_boot_are_not_one() {
    let mut script = Script::new(107, 2);
    script.setup(|setup| (setup.disks, setup.disks_lag) = (true, true));
    script.at(0).boot("n2");
    script.start("n2", &["c18"]).save("n2").switch_off("n2");
    script.boot_lower("n2").boot("n1");
    script.at(12_000).switch_off("n2").boot_lower("n2");
    script.until(1_751_574);
    script.assert_holds();
}
