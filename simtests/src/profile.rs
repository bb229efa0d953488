//! What sort of life a seed is about.

use std::fmt;
use std::str::FromStr;

use crate::chaos::{EXPECTED, EXPECTED_AT_LENGTH, EXPECTED_OF_STRATEGIES};

/// What sort of life a seed is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// No faults at all: nothing is ever lost, late or in doubt, and no node may do as if.
    Calm,
    /// Each family of faults off in about half of the seeds, rates of every order of magnitude.
    #[default]
    Swarm,
    /// More faults than anybody survives, until the end: only what must always hold is checked.
    Hell,
    /// As swarm, but some nodes never come back: what is left must get on without them.
    Permanent,
    /// One fixed cluster with default settings and the faults of a usual month, in a minute.
    Production,
    /// As swarm, and one member says anything; the others keep what does not depend on its word, and agree without it.
    Insider,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 6] =
        [Profile::Calm, Profile::Swarm, Profile::Hell, Profile::Permanent, Profile::Production, Profile::Insider];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Profile::Calm => "calm",
            Profile::Swarm => "swarm",
            Profile::Hell => "hell",
            Profile::Permanent => "permanent",
            Profile::Production => "production",
            Profile::Insider => "insider",
        }
    }

    /// Whether a large sweep of it must give this oracle something to check, or see this fault happen.
    #[must_use]
    pub(crate) fn must_see(self, oracle_or_fault: &str) -> bool {
        /// What is asked once all has converged.
        const AFTERWARDS: [&str; 13] = ["S8", "L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10", "MIR", "R6"];
        match self {
            Profile::Swarm | Profile::Permanent => true,
            // Nor is the size of a cluster reset before that.
            Profile::Hell => !AFTERWARDS.contains(&oracle_or_fault) && oracle_or_fault != "reset_size",
            // There are no faults, and so no child that is restarted for one.
            Profile::Calm => {
                let faults = [&EXPECTED[..], &EXPECTED_OF_STRATEGIES, &EXPECTED_AT_LENGTH];
                !faults.concat().contains(&oracle_or_fault) && oracle_or_fault != "S25"
            }
            // One cluster shows what it is made for.
            Profile::Production | Profile::Insider => false,
        }
    }

    /// Whether its clusters have all sorts of strategies.
    #[must_use]
    pub(crate) fn draws_strategies(self) -> bool {
        !matches!(self, Profile::Production | Profile::Insider)
    }

    /// Whether only a sample of its seeds is watched for long after all has converged: half the time of such a seed.
    #[must_use]
    pub(crate) fn samples_quiet(self) -> bool {
        matches!(self, Profile::Swarm | Profile::Permanent | Profile::Insider)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Profile::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.name()).collect();
            format!("there is no profile `{text}`; there are {}", names.join(", "))
        })
    }
}
