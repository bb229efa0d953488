//! State that moves with its children, over real TCP on loopback. Not statistics but runs, whose results are checked.
//!
//! `cargo bench -p process-hub-tcp --bench handover -- calls --children 1000`: counters under steady calls while nodes
//! join, drain and leave one after another. Every increment has a number of its own: none that was acknowledged may be
//! lost or applied twice.
//!
//! `cargo bench -p process-hub-tcp --bench handover -- states --count 200 --mib 1`: states of that size move from one
//! process to another; what that takes in memory at each end is held against its bound.

#![expect(clippy::unwrap_used, reason = "a bench ends where what it needs is not there")]

#[path = "handover/calls.rs"]
mod calls;
#[path = "handover/states.rs"]
mod states;

use std::time::{Duration, Instant};

use process_hub::core::config::{HubConfig, Migration};
use process_hub::core::id::{ChildId, HubId};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    match mode.as_str() {
        "states" => states::run(argument("--count", 200), argument("--mib", 1)),
        "source" => states::source(argument("--count", 1), argument("--mib", 1)),
        "destination" => states::destination(argument("--count", 1), argument("--mib", 1)),
        // `cargo bench` itself passes `--bench`.
        _ => calls::run(argument("--children", 1_000), argument("--rounds", 10)),
    }
}

fn config() -> HubConfig {
    let migration = Migration::hot_swap().with_handover();
    HubConfig { migration, ..HubConfig::new(HubId::new("bench").unwrap()) }
}

fn id(n: usize) -> ChildId {
    ChildId::new(format!("child-{n}")).unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "it takes longer than {LIMIT:?} until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn row(what: &str, figure: impl std::fmt::Display) {
    println!("| {what} | {figure} |");
}

fn argument(name: &str, usual: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(usual, |value| value.parse().unwrap())
}
