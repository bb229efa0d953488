//! A run and the decisions that made it are the same thing.

use process_hub_simtests::decisions::Decisions;
use process_hub_simtests::{Options, Profile, record, replay};

#[test]
fn a_run_is_repeated_exactly_from_its_decisions() {
    for profile in Profile::ALL {
        for seed in 100..103 {
            let (report, decisions) = record(&Options { seed, profile, seconds: Some(4), ..Options::default() });
            let read = Decisions::from_json(&decisions.to_json()).expect("it was just written");
            assert_eq!(read, decisions);
            let again = replay(&read, false).expect("it was just run");
            assert_eq!(again.trace_hash, report.trace_hash, "{profile} seed {seed}");
            assert_eq!(again.inputs, report.inputs);
        }
    }
}

/// The core has no text for strategies of one's own; a trace has.
#[test]
fn a_run_with_strategies_of_ones_own_is_repeated_exactly() {
    let own = ["own-distribution", "own-redundancy", "own-migration", "own-sync", "own-rule"];
    for seed in 200..204 {
        let options = Options { seed, seconds: Some(4), ..Options::default() };
        let options = own.into_iter().try_fold(options, Options::with).expect("they go together");
        let (report, decisions) = record(&options);
        assert!(own.iter().all(|name| report.strategies.contains(name)), "{:?}", report.strategies);
        let read = Decisions::from_json(&decisions.to_json()).expect("it was just written");
        let again = replay(&read, false).expect("it was just run");
        assert_eq!((again.trace_hash, again.inputs), (report.trace_hash, report.inputs), "seed {seed}");
    }
}

#[test]
fn what_is_no_trace_is_refused_and_it_is_said_why() {
    let (_, decisions) = record(&Options { seed: 3, seconds: Some(5), ..Options::default() });
    let json = decisions.to_json();
    let refused = |text: &str| Decisions::from_json(text).expect_err("it is broken");
    assert!(refused("{").contains("no trace of decisions"));
    assert!(refused(&json.replacen("\"format\": 1", "\"format\": 9", 1)).contains("format 9"));
    assert!(refused(&json.replace("\"host\": \"n2\"", "\"host\": \"n63\"")).contains("n63"));
    assert!(refused(&json.replace("\"host\": \"n2\"", "\"host\": \"x2\"")).contains("no host"));
    assert!(refused(&json.replacen("\"stop_timeout\": \"", "\"stop_timeout\": \"x", 1)).contains("stop_timeout"));
}
