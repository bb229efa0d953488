//! The history of a run of ProcessHub nodes: what a person needs to see what happened, and why.
//!
//! A [`Recorder`] is told what nodes are handed and what they want done, by a simulator or by whoever replays a node's
//! flight record. What it has seen is a [`History`]: versioned JSON for programs, and one offline HTML file for people
//! ([`History::page`]). Nothing here runs unless somebody asks for a history.

#![forbid(unsafe_code)]

mod history;
mod page;
mod recorder;
mod state;
mod words;

pub use history::{Act, Fate, History, HistoryError, Instance, Lane, Phase, Pin, Sent, Step, What};
pub use recorder::{About, Recorder};
