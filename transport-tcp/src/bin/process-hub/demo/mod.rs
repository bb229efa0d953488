//! `process-hub demo`: clusters of processes on this machine, at work and in trouble, checked at every step.

mod cluster;
mod crew;
mod drain;
mod guided;
mod handover;
mod network;
mod partition;
mod replication;
mod sight;
mod stage;
mod story;

use std::time::Duration;

use crate::args::{DemoArgs, Scenario};
use crate::failure::Outcome;
use crew::Crew;

/// No single wait may be longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Tells one story. Fails at the first check that does not hold; no process is left behind.
pub(crate) fn run(args: &DemoArgs) -> Outcome {
    let mut crew = Crew::new(args.verbose)?;
    let outcome = match args.scenario {
        Scenario::Cluster => cluster::tell(&mut crew),
        Scenario::Replication => replication::tell(&mut crew),
        Scenario::Partition => partition::tell(&mut crew),
        Scenario::Drain => drain::tell(&mut crew),
        Scenario::Guided => guided::tell(&mut crew),
        Scenario::Handover => handover::tell(&mut crew),
    };
    crew.unless_broken_off();
    if outcome.is_err() && !args.verbose {
        eprintln!("\nthe last lines of each node's log:\n{}", crew.last_words());
    }
    outcome
}
