//! The aims of membership, on a simulated network.

extern crate std;

mod chaos;
mod cluster;
mod hostile;
mod scenarios;
