//! The pure core of ProcessHub: a cluster of supervised children as one state machine, inputs in, effects out.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod alter;
mod calls;
pub mod config;
mod coordinator;
pub mod effect;
mod explain;
mod gossip;
pub mod hashing;
pub mod hook;
mod hub;
pub mod id;
mod input;
mod lives;
mod membership;
pub mod message;
mod migration;
mod moves;
mod node;
mod outbox;
mod peer;
mod pull;
pub mod quorum;
pub mod registry;
pub mod request;
mod requests;
mod rivals;
pub mod saved;
pub mod spec;
pub mod steering;
pub mod strategy;
mod stream;
mod supervisor;
mod time;
mod view;
pub mod wire;
mod work;

pub use effect::{Effect, Effects, Lane, StopReason};
pub use hub::{Hub, HubInput};
pub use input::{CallKey, ChildEvent, DialFailure, ExitReason, Input, LinkEvent, LoadSample, Queued};
pub use message::{Message, StateUse};
pub use node::{MemberInfo, MemberState, Node};
pub use time::Time;
