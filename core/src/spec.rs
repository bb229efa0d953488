//! The recipe of a child and what is remembered beside it.

use alloc::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::id::{ChildId, Kind};
use crate::wire::bounded;

/// What happens when a child's instance ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// It is started again, whatever the reason.
    #[default]
    Permanent,
    /// It is started again after an error; a normal end stops the child in the whole cluster.
    Transient,
    /// It is never started again: any end stops the child in the whole cluster. (The loss of its *node* is no end of
    /// the child: it is started on another.)
    Temporary,
}

/// A value of a child's metadata.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MetaValue {
    /// A text.
    Text(SmolStr),
    /// Anything else, as JSON text; the core does not look into it.
    Json(SmolStr),
}

/// What a user attaches to a child; replicated with it. The key `tag` can be queried.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(pub BTreeMap<SmolStr, MetaValue>);

impl Metadata {
    /// No entries.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// With one more text entry.
    #[must_use]
    pub fn with(mut self, key: &str, text: &str) -> Self {
        self.0.insert(SmolStr::new(key), MetaValue::Text(SmolStr::new(text)));
        self
    }

    /// The text under the key `tag`, if there is one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match self.0.get("tag") {
            Some(MetaValue::Text(text)) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Its size against [`crate::config::limits::METADATA`], in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0
            .iter()
            .map(|(key, value)| {
                key.len()
                    + match value {
                        MetaValue::Text(text) | MetaValue::Json(text) => text.len(),
                    }
            })
            .sum()
    }
}

/// The recipe to start a child: a kind that the hosting node has registered, and that kind's arguments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChildSpec {
    /// The child's name, unique in its hub.
    pub id: ChildId,
    /// The registered kind.
    pub kind: Kind,
    /// The kind's own arguments, bytes to the core.
    #[serde(deserialize_with = "bounded::bytes")]
    pub args: Bytes,
    /// What to do when an instance ends by itself.
    pub restart: Restart,
    /// What the user attached.
    #[serde(deserialize_with = "bounded::metadata")]
    pub metadata: Metadata,
}

impl ChildSpec {
    /// A permanent child without metadata.
    #[must_use]
    pub fn new(id: ChildId, kind: Kind, args: impl Into<Bytes>) -> Self {
        Self { id, kind, args: args.into(), restart: Restart::Permanent, metadata: Metadata::new() }
    }

    /// The same with another restart rule.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// The same with this metadata.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Its size against [`crate::config::limits::SPEC`], in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.id.as_str().len() + self.kind.as_str().len() + self.args.len() + self.metadata.size()
    }
}

/// What part a running copy plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It serves.
    #[default]
    Active,
    /// It stands by.
    Passive,
}
