//! A bounded sweep in every test run. `PROCESS_HUB_SEEDS=0..10000` sweeps more, or others.

use std::collections::BTreeSet;

use process_hub_simtests::{Options, run, sweep};

fn range() -> std::ops::Range<u64> {
    let text = std::env::var("PROCESS_HUB_SEEDS").unwrap_or_else(|_| "0..200".to_owned());
    let ends = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    ends.unwrap_or_else(|| panic!("PROCESS_HUB_SEEDS={text} is no range such as 0..200"))
}

/// Nothing is violated; each oracle had something real to check and each fault really happened.
#[test]
fn no_seed_fails() {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let summary = sweep(range(), &Options::default(), jobs, |_| {});
    for report in &summary.failed {
        println!("{}\n  {}", report.repeat, report.about);
        report.violations.iter().for_each(|violation| println!("  {violation}"));
    }
    assert!(summary.never.is_empty(), "never checked, or never happened: {:?}", summary.never);
    assert_eq!(summary.violations, 0);
}

#[test]
fn a_seed_is_the_same_each_time_and_seeds_differ() {
    let hash = |seed| run(&Options { seed, seconds: Some(5), ..Options::default() }, false).trace_hash;
    let hashes: BTreeSet<_> = (0..10).map(hash).collect();
    assert_eq!(hashes.len(), 10);
    assert_eq!(hashes, (0..10).map(hash).collect());
}
