//! The same seed, the same trace: in debug and in release builds, on every machine.

use process_hub_simtests::golden_traces;

/// Whoever changes what nodes do writes the hashes anew: `process-hub-sim golden > simtests/golden-traces.txt`.
#[test]
fn seeds_give_the_traces_that_are_written_down() {
    let (traces, golden) = (golden_traces(), include_str!("../golden-traces.txt"));
    let other: Vec<_> = traces.lines().zip(golden.lines()).filter(|(trace, golden)| trace != golden).collect();
    assert!(
        traces == golden,
        "what nodes do has changed. If that is meant: process-hub-sim golden > simtests/golden-traces.txt\n{other:#?}"
    );
}
