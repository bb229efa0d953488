//! Several operating-system processes over loopback: what a user of the program would see.
//!
//! Every wait is for a condition, with a deadline; every process ends with the test that started it.

#![expect(clippy::unwrap_used, reason = "a test ends where what it needs is not there")]

mod support;

mod admin;
mod bad_input;
mod blackbox;
mod children;
mod cli;
mod demo;
mod failures;
mod partitions;
mod quorums;
mod record;
mod recovery;
mod steering;
mod strategies;
