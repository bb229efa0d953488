//! A run as the list of the decisions that make it what it is: what it is set up as, what is done to it and when, and what
//! went out of the ordinary. It can be written down as JSON, repeated exactly, and made smaller.

mod act;
mod code;
mod named;
mod script;
mod setup;
mod words;

use serde::{Deserialize, Serialize};

pub use act::{Act, Decision, Declared, Operation, Restarts};
pub use script::Script;
pub use setup::{ClockSetup, Setup};

use crate::sim::dice::Quirk;

/// The version of the form below.
const FORMAT: u32 = 1;

/// All the decisions of a run. Together with the program, they are the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    format: u32,
    /// The oracle that the run violates, if one.
    pub violates: Option<String>,
    /// What is simulated.
    pub setup: Setup,
    /// What is done, in order.
    pub decisions: Vec<Decision>,
    /// What was out of the ordinary.
    pub(crate) quirks: Vec<Quirk>,
}

impl Decisions {
    pub(crate) fn new(setup: Setup, decisions: Vec<Decision>, quirks: Vec<Quirk>) -> Self {
        Self { format: FORMAT, violates: None, setup, decisions, quirks }
    }

    /// Reads what [`Decisions::to_json`] wrote.
    ///
    /// # Errors
    /// When it is something else, of another version, or speaks of hosts that are not there; the text says what.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let read: Self =
            serde_json::from_str(text).map_err(|error| format!("this is no trace of decisions: {error}"))?;
        if read.format != FORMAT {
            return Err(format!("the trace is of format {}, this program reads {FORMAT}", read.format));
        }
        read.check()?;
        Ok(read)
    }

    /// All of it as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Nothing in it can fail to be written: no maps but those with text as keys.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// How many events it has: decisions, and what was out of the ordinary.
    #[must_use]
    pub fn len(&self) -> usize {
        self.decisions.len() + self.quirks.len()
    }

    /// Whether nothing happens in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn check(&self) -> Result<(), String> {
        self.setup.check()?;
        let nodes = self.setup.nodes;
        for (index, decision) in self.decisions.iter().enumerate() {
            if let Some(host) = decision.act.hosts().into_iter().find(|host| *host >= nodes) {
                return Err(format!("decision {index} speaks of n{}, and there are {nodes} nodes", host + 1));
            }
        }
        let sorted = self.decisions.is_sorted_by_key(|decision| decision.at);
        if sorted { Ok(()) } else { Err("the decisions are not in the order of their times".to_owned()) }
    }
}

impl Act {
    /// The hosts that it names.
    #[must_use]
    pub fn hosts(&self) -> Vec<usize> {
        match *self {
            Act::Boot { host, .. }
            | Act::Crash { host, .. }
            | Act::KillLeaver { host }
            | Act::Skew { host }
            | Act::Save { host }
            | Act::Pause { host, .. }
            | Act::SlowNode { host, .. }
            | Act::Leave { host, .. }
            | Act::ResetSize { host, .. }
            | Act::Start { host, .. }
            | Act::Stop { host, .. }
            | Act::Call { host, .. }
            | Act::Cast { host, .. }
            | Act::Drain { host, .. }
            | Act::Weight { host, .. }
            | Act::Labels { host, .. }
            | Act::Operate { host, .. }
            | Act::Explain { host, .. } => vec![host],
            Act::Cut { from, to }
            | Act::Uncut { from, to }
            | Act::SlowLink { from, to, .. }
            | Act::Disconnect { from, to }
            | Act::Congest { from, to, .. } => vec![from, to],
            Act::Migrate { host, to, .. } => vec![host, to],
            Act::Plan { host, leaves } => vec![host, leaves],
            Act::Heal { ref core, ref crashed, ref silenced } => [&core[..], crashed, silenced].concat(),
        }
    }
}
