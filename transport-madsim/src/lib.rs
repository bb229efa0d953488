//! ProcessHub on madsim: the hub's own driver, links and children under a deterministic executor, clock and network.
//!
//! There is something in this crate only when it is compiled with `--cfg madsim`: run its tests with `cargo sim`, and
//! set `MADSIM_TEST_SEED` to run them with another seed.
//!
//! `Simulation` is the way in for tests of one's own children; `docs/simulate-your-cluster.md` is its guide.
//! The same seed gives the same run. What is simulated here is what lies around the pure core; the core itself has a
//! faster and nastier simulator of its own. `cluster` starts a cluster within a simulation:
//!
//! ```
//! # #[cfg(madsim)]
//! # fn main() {
//! use process_hub_madsim::{cluster, simulate};
//!
//! let members = simulate(7, || async {
//!     let cluster = cluster(3, |hub| hub).await;
//!     cluster.hub(0).nodes(true).len()
//! });
//! assert_eq!(members, 3);
//! # }
//! # #[cfg(not(madsim))]
//! # fn main() {}
//! ```

#![forbid(unsafe_code)]

#[cfg(madsim)]
mod cluster;
#[cfg(madsim)]
mod runtime;
#[cfg(madsim)]
mod simulation;
#[cfg(madsim)]
mod transport;

#[cfg(madsim)]
pub use cluster::{Cluster, cluster, seed, simulate, until};
#[cfg(madsim)]
pub use runtime::Madsim;
#[cfg(madsim)]
pub use simulation::{Ran, Simulation, seeds};
#[cfg(madsim)]
pub use transport::{MadsimListener, MadsimTcp};

/// Put this once into each file of simulated tests: it fails, with words, where `--cfg madsim` is missing and the
/// environment says that simulations are wanted (`PROCESS_HUB_SIM=1`) or that this is a CI (`CI`). Without it, such a
/// file has no tests there, and is green. `PROCESS_HUB_SIM=0` says that a command is meant to run without simulations, in
/// a CI too.
///
/// ```
/// process_hub_madsim::must_simulate!();
/// ```
#[macro_export]
macro_rules! must_simulate {
    () => {
        #[cfg(not(madsim))]
        #[test]
        fn simulations_are_compiled_in() {
            let simulate = ::std::env::var("PROCESS_HUB_SIM").ok();
            let wanted = match simulate.as_deref() {
                Some("0") => None,
                Some(_) => Some("PROCESS_HUB_SIM"),
                None => ::std::env::var_os("CI").map(|_| "CI"),
            };
            if let Some(name) = wanted {
                panic!(
                    "{name} is set, and the simulated tests of this file are not compiled in: run them with \
                     RUSTFLAGS='--cfg madsim', or say with PROCESS_HUB_SIM=0 that this command is to run without them"
                );
            }
        }
    };
}
