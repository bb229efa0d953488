//! The aims of membership, on a simulated network.

extern crate std;

mod cluster;
mod hostile;
mod scenarios;
