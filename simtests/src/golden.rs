//! Runs whose traces are written down, so that whoever changes what nodes do sees it, and a machine, a compiler or a level
//! of optimisation on which they do something else is found out.

use std::fmt::Write as _;

use crate::plan::Options;
use crate::profile::Profile;
use crate::run::run;

/// Seeds of each profile.
const SEEDS: u64 = 4;

/// How long the faults of each last, in simulated seconds.
const SECONDS: u64 = 8;

/// The trace hashes of some seeds of each profile, a line each: the command that repeats it, the inputs that nodes
/// handled, and the hash over every step, input, effect and state.
#[must_use]
pub fn golden_traces() -> String {
    let mut lines = String::new();
    for profile in Profile::ALL {
        for seed in 0..SEEDS {
            let report = run(&Options { seed, profile, seconds: Some(SECONDS), ..Options::default() }, false);
            // A string takes everything.
            let _ = writeln!(lines, "{}  # {} inputs: {}", report.repeat, report.inputs, report.trace_hash);
        }
    }
    lines
}
