//! Model checking: every order of events of small clusters of real hubs, as far as bounds on faults allow.
//!
//! The simulator samples long runs of whole nodes; this enumerates *all* short ones of the part that decides, the hub. Each
//! scenario is three hubs that have met, a client's few requests and a few faults, and the checker goes through every
//! order in which messages, timers, children and faults can come. See `docs/testing.md` for what that shows and what not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod act;
mod cluster;
mod print;
mod properties;
mod quorum;
#[cfg(feature = "sabotage")]
mod sabotage;
mod scenarios;
mod state;
