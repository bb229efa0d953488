//! The simulator: virtual time, hosts, network and child drivers around real core nodes.

mod carry;
pub(crate) mod child;
mod codec;
pub(crate) mod dice;
mod disk;
mod event;
pub(crate) mod host;
mod insider;
mod links;
pub(crate) mod moving;
mod neighbour;
pub(crate) mod net;
pub(crate) mod newcomer;
pub(crate) mod random;
mod trace;
pub(crate) mod world;

pub use event::HostId;
