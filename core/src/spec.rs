//! The recipe of a child and what is remembered beside it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use crate::config::limits;
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
///
/// One word where it is empty, which it is for most children.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::box_collection, reason = "one word where there is none")]
pub struct Metadata(Option<Box<BTreeMap<SmolStr, MetaValue>>>);

impl Metadata {
    /// No entries.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// With one more text entry.
    #[must_use]
    pub fn with(mut self, key: &str, text: &str) -> Self {
        self.insert(SmolStr::new(key), MetaValue::Text(SmolStr::new(text)));
        self
    }

    /// One more entry, or another value for a key; gives the value it had.
    pub fn insert(&mut self, key: SmolStr, value: MetaValue) -> Option<MetaValue> {
        self.0.get_or_insert_default().insert(key, value)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&MetaValue> {
        self.0.as_ref()?.get(key)
    }

    /// The entries, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&SmolStr, &MetaValue)> {
        self.0.iter().flat_map(|entries| entries.iter())
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The text under the key `tag`, if there is one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match self.get("tag") {
            Some(MetaValue::Text(text)) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Its size against [`crate::config::limits::METADATA`], in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let value = |value: &MetaValue| match value {
            MetaValue::Text(text) | MetaValue::Json(text) => text.len(),
        };
        self.iter().map(|(key, entry)| key.len() + value(entry)).sum()
    }
}

impl FromIterator<(SmolStr, MetaValue)> for Metadata {
    fn from_iter<T: IntoIterator<Item = (SmolStr, MetaValue)>>(entries: T) -> Self {
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        Self((!entries.is_empty()).then(|| Box::new(entries)))
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(entries) => entries.serialize(to),
            None => BTreeMap::<SmolStr, MetaValue>::new().serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        crate::wire::bounded::metadata(from)
    }
}

/// Labels: of a node, what it has; of a child, what its nodes must have. Sorted, each once; one word where there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::box_collection, reason = "one word where there is none")]
pub struct Labels(Option<Box<Vec<SmolStr>>>);

impl Labels {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &SmolStr> {
        self.as_slice().iter()
    }

    fn as_slice(&self) -> &[SmolStr] {
        self.0.as_ref().map_or(&[], |labels| labels)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether each of `wanted` is among these.
    #[must_use]
    pub fn cover(&self, wanted: &Labels) -> bool {
        wanted.iter().all(|label| self.as_slice().binary_search(label).is_ok())
    }

    /// Whether a node may have them: at most [`limits::LABELS`], each of 1 to [`limits::LABEL`] bytes.
    #[must_use]
    pub fn are_within_limits(&self) -> bool {
        self.len() <= limits::LABELS && self.iter().all(|label| label.len() <= limits::LABEL)
    }

    /// Their size against [`crate::config::limits::SPEC`], in bytes: 15 for each beside its text, so that no spec within
    /// that limit has more of them than a list of a message may hold.
    #[must_use]
    pub fn size(&self) -> usize {
        self.iter().map(|label| label.len() + 15).sum()
    }
}

impl<T: AsRef<str>> FromIterator<T> for Labels {
    fn from_iter<I: IntoIterator<Item = T>>(labels: I) -> Self {
        let mut labels: Vec<SmolStr> = labels.into_iter().map(SmolStr::new).collect();
        labels.sort();
        labels.dedup();
        labels.retain(|label| !label.is_empty());
        labels.shrink_to_fit();
        Self((!labels.is_empty()).then(|| Box::new(labels)))
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(to)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        crate::wire::bounded::labels(from)
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
    #[serde(with = "bounded::boxed")]
    pub args: Box<[u8]>,
    /// What to do when an instance ends by itself.
    pub restart: Restart,
    /// What the user attached.
    #[serde(deserialize_with = "bounded::metadata")]
    pub metadata: Metadata,
    /// Labels that a node must have to own it. Nodes without them are passed over.
    pub requires: Labels,
}

impl ChildSpec {
    /// A permanent child without metadata.
    #[must_use]
    pub fn new(id: ChildId, kind: Kind, args: impl Into<Vec<u8>>) -> Self {
        let (metadata, requires) = (Metadata::new(), Labels::new());
        Self { id, kind, args: args.into().into_boxed_slice(), restart: Restart::Permanent, metadata, requires }
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

    /// The same for nodes with these labels only.
    #[must_use]
    pub fn requires(mut self, labels: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.requires = labels.into_iter().collect();
        self
    }

    /// Its size against [`crate::config::limits::SPEC`], in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let named = self.id.as_str().len() + self.kind.as_str().len();
        named + self.args.len() + self.metadata.size() + self.requires.size()
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
