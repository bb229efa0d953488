//! Processes, requests and waits.

pub(crate) mod cluster;
pub(crate) mod history;
pub(crate) mod http;
/// The network of the demonstration: a door in front of each node, at which links can be cut.
#[path = "../../../src/bin/process-hub/demo/network.rs"]
pub(crate) mod network;
pub(crate) mod process;

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here should take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Looks until `look` finds something.
///
/// # Panics
/// When it finds nothing for [`PATIENCE`], with what it said last.
pub(crate) fn until<T, E: Debug>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(lacks) => assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}; last: {lacks:?}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// `Ok` when `holds`, else what is there.
pub(crate) fn when<T>(holds: bool, found: T) -> Result<T, T> {
    if holds { Ok(found) } else { Err(found) }
}
