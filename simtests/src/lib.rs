//! ProcessHub's discrete-event simulator: many core nodes on virtual time, a fault model, the ground truth, and one set
//! of oracles that scenario tests, seeds and model checks share.

#![forbid(unsafe_code)]

mod chaos;
mod client;
pub mod decisions;
mod golden;
mod history;
mod oracles;
mod own;
mod plan;
mod profile;
mod run;
pub mod scenario;
mod shrink;
mod sim;
mod story;
mod strategies;
mod sweep;
mod table;

pub use golden::golden_traces;
pub use oracles::seen::Violation;
pub use plan::Options;
pub use process_hub_viewer::History;
pub use profile::Profile;
pub use run::{Report, record, repeat, replay, run, run_with_history};
pub use shrink::{Shrunk, shrink};
pub use sim::HostId;
pub use story::story;
pub use sweep::{Summary, oracles, sweep};
pub use table::partition_table;
