//! The command line of `process-hub-sim`: what it prints last, and how it exits.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::Command;

/// Status, output and errors.
fn sim(args: &str) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_process-hub-sim")).args(args.split_whitespace()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn last(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// The JSON before the last line.
fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text.strip_suffix(&format!("{}\n", last(text))).unwrap()).unwrap()
}

#[test]
fn a_run_ends_with_its_violations() {
    let (status, said, errors) = sim("run --seed 7 --nodes 3 --children 4 --seconds 3");
    assert_eq!((status, last(&said), errors.as_str()), (0, "violations: 0", ""), "{said}");
    assert!(said.starts_with("seed 7: ") && said.contains("nodes 3 children 4 faults 3 s"), "{said}");
    let hash = said.lines().find_map(|line| line.strip_prefix("trace hash ")).unwrap();
    let (status, told, _) = sim("run --seed 7 --nodes 3 --children 4 --seconds 3 --json");
    assert_eq!((status, last(&told)), (0, "violations: 0"));
    assert_eq!(json(&told)["trace_hash"], hash, "the same run");
}

#[test]
fn the_end_of_a_range_is_not_part_of_it() {
    let (status, said, _) = sim("sweep --seeds 3..6 --seconds 2 --jobs 2");
    assert_eq!((status, last(&said)), (0, "violations: 0"), "{said}");
    assert!(said.starts_with("3 seeds, 0 failed, "), "{said}");
    let (status, told, _) = sim("sweep --seeds 3..6 --seconds 2 --json");
    assert_eq!((status, json(&told)["seeds"].as_u64()), (0, Some(3)));
    for (range, words) in [("6..6", "is empty"), ("7..6", "is empty"), ("5", "write A..B"), ("a..b", "write A..B")] {
        let (status, said, errors) = sim(&format!("sweep --seeds {range}"));
        assert!(status == 2 && said.is_empty() && errors.contains(words), "{range}: {errors}");
    }
}

/// Clusters of one node have no links and no partitions: what never happened is a failure, and is named.
#[test]
fn a_sweep_fails_when_something_never_happened() {
    let (status, said, _) = sim("sweep --seeds 0..200 --nodes 1 --seconds 1");
    let violations: u64 = last(&said).strip_prefix("violations: ").unwrap().parse().unwrap();
    let never = said.lines().find(|line| line.starts_with("VIOLATION never checked, or never happened: ")).unwrap();
    assert!(status == 1 && violations > 5 && never.contains("relayed_frame"), "{never}");
}

#[test]
fn what_makes_no_sense_is_refused_with_words() {
    for (args, words) in [
        ("run", "--seed"),
        ("run --seed 1 --nodes 65", "65"),
        ("run --seed 1 --profile mild", "there is no profile `mild`"),
        ("run --seed 1 --with teleport", "teleport"),
        ("replay /nowhere/at/all", "cannot be read"),
        ("sweep --seeds 0..9 --jobs many", "many"),
    ] {
        let (status, said, errors) = sim(args);
        assert!(status == 2 && said.is_empty() && errors.contains(words), "{args}: {status} {said} {errors}");
    }
}

#[test]
fn a_file_that_is_not_what_the_simulation_shows_is_told() {
    let (status, said, _) = sim("partition-table --check Cargo.toml");
    assert!(status == 1 && said.contains("is not what the simulation shows: write it anew"), "{said}");
}

/// A failing seed prints the one line that repeats it, and that line does.
#[cfg(feature = "sabotage")]
#[test]
fn the_line_that_repeats_a_failure_repeats_it() {
    let (status, said, _) = sim("sweep --seeds 0..30 --seconds 5 --sabotage IgnoreClaims");
    assert!(status == 1 && last(&said) != "violations: 0", "{said}");
    let failed = said.lines().find(|line| line.contains(": VIOLATION ")).unwrap();
    let line = said.lines().find_map(|line| line.trim().strip_prefix("repeat: process-hub-sim ")).unwrap();
    let (status, again, _) = sim(line);
    assert_eq!(status, 1);
    let violation = failed.split_once("VIOLATION ").unwrap().1;
    assert!(again.contains(&format!("VIOLATION {violation}")), "{failed}\n{again}");
    assert!(again.contains(&format!("repeat: process-hub-sim {line}")), "{again}");
}
