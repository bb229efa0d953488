//! ProcessHub on madsim: the hub's own driver, links and children under a deterministic executor, clock and network.
//!
//! There is something in this crate only when it is compiled with `--cfg madsim`: run its tests with `cargo sim`, and
//! set `MADSIM_TEST_SEED` to run them with another seed.
//!
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
mod transport;

#[cfg(madsim)]
pub use cluster::{Cluster, cluster, seed, simulate, until};
#[cfg(madsim)]
pub use runtime::Madsim;
#[cfg(madsim)]
pub use transport::{MadsimListener, MadsimTcp};
