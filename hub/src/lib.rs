//! ProcessHub's async face: typed children, handles to start, find and call them from any node, and the loop that
//! drives the pure core of `process-hub-core`.
//!
//! Everything here is generic over a [`Runtime`] (tasks, clock, randomness) and a [`Transport`] (streams of bytes);
//! `process-hub-tcp` supplies both for tokio and TCP, `process-hub-madsim` for a deterministic simulation. The loop that
//! runs in production is the very loop that runs in the simulation.
//!
//! A program starts a node with [`start`] (or the shorter way of its transport's crate), opens hubs on it with
//! [`NodeHandle::hub`], registering its [`Child`] types, and works with the [`Hub`] it gets.

#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as process_hub;

mod blocks;
mod child;
mod codec;
mod contain;
mod context;
mod driver;
mod error;
mod events;
mod handle;
mod hooks;
mod instance;
mod kinds;
mod options;
pub mod record;
mod runtime;
pub mod saved;
mod session;
mod spec;
mod state;
mod stats;
#[cfg(test)]
mod testing;
mod transport;
mod view;

pub use child::{Child, ChildError, StopCause};
pub use codec::CodecError;
pub use context::Context;
pub use driver::start;
#[cfg(feature = "json")]
pub use error::JsonError;
pub use error::{
    CallError, Closed, LeaveHubError, OpenHubError, ResetError, SpecError, StartError, StartNodeError, SteerError,
    StopError,
};
pub use events::{Events, HubEvent};
pub use handle::{
    ChildList, ChildLookup, Hub, HubBuilder, ListScope, NodeHandle, Pending, StartChildren, StopChildren,
};
pub use hooks::{HandlerInfo, HookError, HookHandler};
pub use instance::timers::TimerKey;
pub use options::{LinkLimits, NodeOptions};
pub use runtime::Runtime;
pub use spec::SpecExt;
pub use state::State;
pub use stats::StatsSnapshot;
pub use transport::{ConnectError, Connection, Listener, Peer, Transport};

/// The pure core, whose ids, recipes, results, hook events and configuration this crate's interface speaks in.
pub use process_hub_core as core;
pub use process_hub_core::wire::{Cookie, CookieError};
