//! What simulations have found, each as what was left of it when nothing more could be left out.

#![allow(clippy::too_many_lines, reason = "they are as long as what went wrong")]

mod disks;
mod members;
mod moves;
mod starts;
