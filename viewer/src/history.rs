//! The format: a history as it is written and read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All that was seen of a run, or the last part of it.
///
/// Times are microseconds since the beginning. Lanes, steps and messages are named by their numbers; those of steps and
/// messages count from the beginning of the run, also where the first ones were forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Always [`History::FORMAT`].
    pub format: String,
    /// Which version of the format; this one is [`History::VERSION`].
    pub version: u32,
    /// What it is a history of, in a word or two: `seed 7`.
    pub title: String,
    /// What a link to a step of it begins with: the seed.
    pub key: String,
    /// The command that shows it again.
    pub repeat: String,
    /// What the run was about.
    pub about: String,
    /// The one-way delay beyond which a message is called late.
    pub late_after: u64,
    /// When it ends.
    pub end: u64,
    /// Parts of the run that have a name.
    pub phases: Vec<Phase>,
    /// One for each node, as it was before the first step.
    pub lanes: Vec<Lane>,
    /// The directions that were cut before the first step, as from and to.
    pub cuts: Vec<(u32, u32)>,
    /// The number of the first step: how many were forgotten.
    pub first_step: u64,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// The number of the first message.
    pub first_message: u64,
    /// What nodes sent each other, in order.
    pub messages: Vec<Sent>,
    /// What must not be and was.
    pub violations: Vec<Pin>,
}

/// A part of a run that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// When it begins.
    pub t: u64,
    /// Its name.
    pub name: String,
}

/// One node, as it is before the first step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// Whether it is only seen through its messages: nothing is known of its state.
    pub remote: bool,
    /// Whether it runs.
    pub up: bool,
    /// Whether it handles nothing for now.
    pub paused: bool,
    /// What is known of its state: name and value.
    pub state: BTreeMap<String, String>,
    /// The instances that have not ended.
    pub instances: Vec<Instance>,
}

/// An instance of a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its number on its node.
    pub seq: u64,
    /// Its child.
    pub child: String,
    /// The part it plays.
    pub role: String,
    /// Its ownership token.
    pub token: String,
    /// Since when it is there.
    pub since: u64,
    /// Whether it serves.
    pub up: bool,
}

/// What sort of thing a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A node's process started.
    Boot,
    /// A node's process is no more.
    Crash,
    /// A node handles nothing from here on.
    Pause,
    /// It does again.
    Resume,
    /// Frames from this node to another are held from here on.
    Cut,
    /// They flow again.
    Heal,
    /// An instance is up, whether its node knows or not.
    Up,
    /// An instance is up no longer.
    Down,
    /// A node handled the tick of its timer.
    Tick,
    /// A node handled a message.
    Message,
    /// A node handled the news of a link.
    Link,
    /// A node handled the request of a local caller.
    Request,
    /// A node handled the news that an instance is up.
    Started,
    /// A node handled the news that an instance is no more, or never came up.
    Ended,
    /// A node handled other news of an instance.
    Child,
    /// A node handled something else.
    Other,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub t: u64,
    /// On which lane.
    pub lane: u32,
    /// What.
    pub what: What,
    /// In words.
    pub text: String,
    /// The message that was handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<u64>,
    /// The other lane, of a cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<u32>,
    /// The instance it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What the node wanted done, messages left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<Act>,
    /// What is another in its state now: name and value, or nothing where the name is gone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub state: BTreeMap<String, Option<String>>,
}

/// One thing that a node wanted done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Run an instance.
    Start {
        /// Of which child.
        child: String,
        /// Its number.
        seq: u64,
        /// The part it plays: `active`, `passive`, or `standby` where it waits for the state of another copy.
        role: String,
        /// Its token.
        token: String,
    },
    /// End an instance.
    Stop {
        /// Of which child.
        child: String,
        /// Its number.
        seq: u64,
        /// Why.
        why: String,
    },
    /// Let it play another part.
    Role {
        /// Of which child.
        child: String,
        /// Its number.
        seq: u64,
        /// The part: `frozen` while its state is on its way to another copy.
        role: String,
        /// Its token from here on; empty where it keeps the one it has.
        token: String,
    },
    /// Answer a caller.
    Reply {
        /// What.
        text: String,
    },
    /// Tell the user.
    Hook {
        /// What.
        text: String,
    },
    /// Anything else.
    Other {
        /// What.
        text: String,
    },
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was still on its way at the end.
    #[default]
    UnderWay,
    /// It was handled.
    Arrived,
    /// It was handled, and took longer than a message takes where nothing slows it.
    Late,
    /// It was lost.
    Lost,
    /// It is a copy: the same was handled before, or will be.
    Copy,
    /// It went to a node of which nothing else is known.
    Unknown,
}

/// What one node sent to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// When.
    pub t: u64,
    /// From which lane.
    pub from: u32,
    /// To which lane.
    pub to: u32,
    /// In which step; none where its sender is seen only through its messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// What became of it.
    pub fate: Fate,
    /// When that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The step in which it was handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled: Option<u64>,
    /// Whether it only keeps links and membership alive: there are many of these.
    pub chatter: bool,
    /// Its sort: `batch`.
    pub sort: String,
    /// In words.
    pub text: String,
    /// Why it was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Something that must not be, and where it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// When.
    pub t: u64,
    /// In which step.
    pub step: u64,
    /// On which lane, if on one.
    pub lane: Option<u32>,
    /// Which rule does not hold.
    pub rule: String,
    /// Of which child, if of one.
    pub child: Option<String>,
    /// In words.
    pub text: String,
}

/// A text is no history that this version can show. Nothing was kept of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// It is not the JSON of a history.
    #[error("this is no history: {0}; write one with `process-hub-sim run --seed N --history FILE`")]
    Json(#[from] serde_json::Error),
    /// It is another sort of file.
    #[error("this is a `{0}`, not a `{expected}`", expected = History::FORMAT)]
    Format(String),
    /// It was written by another version.
    #[error("the history has version {0}, this program reads version {known}: write it anew", known = History::VERSION)]
    Version(u32),
    /// A number in it points at nothing.
    #[error("the history is damaged: {place} names {what} {number}, and there is none")]
    Dangling {
        /// Where the number stands.
        place: String,
        /// What it should name.
        what: &'static str,
        /// The number.
        number: u64,
    },
}

impl History {
    /// The name of the format.
    pub const FORMAT: &'static str = "process-hub-history";
    /// The version of the format that is written and read.
    pub const VERSION: u32 = 1;

    /// Reads and checks a history.
    ///
    /// # Errors
    /// When the text is not one of this version, or numbers in it point at nothing.
    pub fn read(json: &str) -> Result<History, HistoryError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let head: Head = serde_json::from_str(json)?;
        if head.format != History::FORMAT {
            return Err(HistoryError::Format(head.format));
        }
        if head.version != History::VERSION {
            return Err(HistoryError::Version(head.version));
        }
        let history: History = serde_json::from_str(json)?;
        history.check()?;
        Ok(history)
    }

    /// As JSON.
    ///
    /// # Errors
    /// Never in practice: every key is a text.
    pub fn json(&self) -> Result<String, HistoryError> {
        Ok(serde_json::to_string(self)?)
    }

    fn check(&self) -> Result<(), HistoryError> {
        let within = |place: &dyn Fn() -> String, what, number: u64, first: u64, len: usize| {
            if number >= first && number - first < len as u64 {
                return Ok(());
            }
            Err(HistoryError::Dangling { place: place(), what, number })
        };
        let (steps, messages, lanes) = (self.steps.len(), self.messages.len(), self.lanes.len());
        for (index, step) in self.steps.iter().enumerate() {
            let place = || format!("step {}", self.first_step + index as u64);
            within(&place, "lane", step.lane.into(), 0, lanes)?;
            if let Some(peer) = step.peer {
                within(&place, "lane", peer.into(), 0, lanes)?;
            }
            if let Some(message) = step.message {
                within(&place, "message", message, self.first_message, messages)?;
            }
        }
        for (index, message) in self.messages.iter().enumerate() {
            let place = || format!("message {}", self.first_message + index as u64);
            within(&place, "lane", message.from.into(), 0, lanes)?;
            within(&place, "lane", message.to.into(), 0, lanes)?;
            for step in [message.step, message.handled].into_iter().flatten() {
                within(&place, "step", step, self.first_step, steps)?;
            }
        }
        for (from, to) in &self.cuts {
            let place = || "a cut".to_owned();
            within(&place, "lane", (*from).into(), 0, lanes)?;
            within(&place, "lane", (*to).into(), 0, lanes)?;
        }
        for pin in &self.violations {
            within(&|| format!("violation {}", pin.rule), "step", pin.step, self.first_step, steps)?;
        }
        Ok(())
    }
}
