//! Many seeds, on many threads, and what they add up to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::chaos::{EXPECTED, EXPECTED_AT_LENGTH, EXPECTED_OF_STRATEGIES};
use crate::oracles::Watch;
use crate::plan::Options;
use crate::run::{Report, run};
use crate::strategies;

/// A sweep over so many seeds must have seen every fault, and every oracle must have had something to check.
const MUST_SEE_ALL: u64 = 200;

/// The rarest pair of strategies comes up in one seed in about eighty: so many must have seen each.
const MUST_SEE_PAIRS: u64 = 500;

/// The rarest faults come up in one seed in some hundred, several in one: so many must have seen each.
const MUST_SEE_RARE: u64 = 5_000;

/// One seed in so many is run twice, and the two traces are compared.
const TWICE: u64 = 64;

/// What came of many seeds.
#[derive(Debug, Default, serde::Serialize)]
pub struct Summary {
    /// How many seeds ran.
    pub seeds: u64,
    /// Inputs that nodes handled in all.
    pub inputs: u64,
    /// Simulated time in all, in microseconds.
    pub simulated: u64,
    /// How often each oracle had something real to check.
    pub checked: BTreeMap<&'static str, u64>,
    /// How often each fault really happened.
    pub faults: BTreeMap<&'static str, u64>,
    /// How often each pair of strategies was drawn.
    pub pairs: BTreeMap<String, u64>,
    /// The worst time to convergence, in hundredths of its bound, and its seed.
    pub worst_convergence: (u64, u64),
    /// Oracles, faults and pairs of strategies that never came up, in a sweep large enough.
    pub never: Vec<String>,
    /// The reports of the seeds that failed.
    pub failed: Vec<Report>,
    /// How many violations there are in all: those of the seeds, and one for each entry of `never`.
    pub violations: u64,
}

/// The ids of all oracles, sorted.
#[must_use]
pub fn oracles() -> Vec<&'static str> {
    let mut oracles = Watch::ids();
    oracles.push("S28");
    oracles.sort_unstable();
    oracles
}

/// Runs `seeds` with what `options` fixes, on `jobs` threads. `done` is told of each report, in no certain order.
pub fn sweep(seeds: Range<u64>, options: &Options, jobs: usize, done: impl Fn(&Report) + Sync) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = one(&Options { seed, ..*options });
                    done(&report);
                    let mut summary = summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    summary.add(report);
                }
            });
        }
    });
    let mut summary = summary.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    summary.finish(options);
    summary
}

fn one(options: &Options) -> Report {
    let mut report = run(options, false);
    if options.seed.is_multiple_of(TWICE) {
        let again = run(options, false);
        *report.checked.entry("S28").or_default() += 1;
        if again.trace_hash != report.trace_hash {
            let text = format!("trace hash {} at first, then {}", report.trace_hash, again.trace_hash);
            let time = report.simulated;
            report.violations.push(crate::oracles::seen::Violation {
                oracle: "S28",
                time,
                host: None,
                child: None,
                text,
            });
        }
    }
    report
}

impl Summary {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.inputs += report.inputs;
        self.simulated += report.simulated;
        for (oracle, checked) in &report.checked {
            *self.checked.entry(oracle).or_default() += checked;
        }
        for (fault, times) in &report.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        for pair in strategies::pairs_of(&report.strategies) {
            *self.pairs.entry(pair).or_default() += 1;
        }
        if let Some(after) = report.converged_after {
            let ratio = after * 100 / report.bound.max(1);
            if ratio > self.worst_convergence.0 {
                self.worst_convergence = (ratio, report.seed);
            }
        }
        if !report.violations.is_empty() {
            self.failed.push(report);
        }
    }

    fn finish(&mut self, options: &Options) {
        self.failed.sort_by_key(|report| report.seed);
        if self.seeds >= MUST_SEE_ALL {
            let oracles = oracles().into_iter();
            let unchecked = oracles.filter(|oracle| self.checked.get(oracle).is_none_or(|checked| *checked == 0));
            let drawn = options.profile.draws_strategies() && options.fixed().next().is_none();
            let of_strategies = EXPECTED_OF_STRATEGIES.into_iter().filter(|_| drawn);
            let rare = EXPECTED_AT_LENGTH.into_iter().filter(|_| drawn && self.seeds >= MUST_SEE_RARE);
            let expected = EXPECTED.into_iter().chain(of_strategies).chain(rare);
            let unseen = expected.filter(|fault| !self.faults.contains_key(fault));
            let never = unchecked.chain(unseen).filter(|never| options.profile.must_see(never));
            self.never.extend(never.map(str::to_owned));
            if self.seeds >= MUST_SEE_PAIRS && drawn {
                let pairs = strategies::all_pairs();
                self.never.extend(pairs.into_iter().filter(|pair| !self.pairs.contains_key(pair)));
            }
        }
        let found: usize = self.failed.iter().map(|report| report.violations.len()).sum();
        self.violations = found as u64 + self.never.len() as u64;
    }
}
