//! Fields whose size is checked before room for them is made.
//!
//! A claimed length makes no room anywhere: lists and maps grow as elements arrive, and text and bytes are copied out
//! of the frame, so that a length beyond its end fails first.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use smol_str::SmolStr;

use crate::config::limits;
use crate::request::CallError;
use crate::spec::{ChildSpec, Labels, MetaValue, Metadata};

/// A list of at most [`limits::BATCH`] elements, in both directions.
pub(crate) mod list {
    use super::{Deserialize, Deserializer, List, PhantomData, Serialize, Serializer, Vec, limits};

    pub(crate) fn serialize<S: Serializer, T: Serialize>(list: &[T], to: S) -> Result<S::Ok, S::Error> {
        if list.len() > limits::BATCH {
            return Err(serde::ser::Error::custom("a list is longer than a message may hold"));
        }
        list.serialize(to)
    }

    pub(crate) fn deserialize<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de>,
    {
        from.deserialize_seq(List::<T, { limits::BATCH }>(PhantomData))
    }
}

struct List<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        const { assert!(size_of::<T>() > 0, "elements without a size would make a claim cost time and no bytes") };
        let claimed = elements.size_hint().unwrap_or(0);
        if claimed > MAX {
            return Err(Error::invalid_length(claimed, &self));
        }
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            if list.len() == MAX {
                return Err(Error::invalid_length(MAX + 1, &self));
            }
            list.push(element);
        }
        Ok(list)
    }
}

/// Bytes without room for more: one is kept for each child.
pub(crate) mod boxed {
    use super::{Box, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Box<[u8]>, D::Error> {
        super::bytes(from).map(|bytes| Box::from(&bytes[..]))
    }
}

/// At most [`limits::FRAME`] bytes.
pub(crate) fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    from.deserialize_bytes(Raw::<{ limits::FRAME }>)
}

/// At most [`limits::PAYLOAD`] bytes, in both directions: a message to a child.
pub(crate) mod payload {
    use super::{Bytes, Deserializer, Raw, Serialize, Serializer, limits};

    pub(crate) fn serialize<S: Serializer>(payload: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        if payload.len() > limits::PAYLOAD {
            return Err(serde::ser::Error::custom("a payload is larger than a message may hold"));
        }
        payload.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        from.deserialize_bytes(Raw::<{ limits::PAYLOAD }>)
    }
}

/// As many bytes as there are, in a record that this node has written itself: of what its own callers and children said,
/// the limits are checked where it is handled.
pub(crate) fn any<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    from.deserialize_bytes(Raw::<{ usize::MAX }>)
}

/// The same, or words.
pub(crate) fn any_or_words<'de, D: Deserializer<'de>>(from: D) -> Result<Result<Bytes, SmolStr>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Any(#[serde(deserialize_with = "any")] Bytes);

    Ok(Result::<Any, SmolStr>::deserialize(from)?.map(|Any(bytes)| bytes))
}

struct Raw<const MAX: usize>;

impl<'de, const MAX: usize> Visitor<'de> for Raw<MAX> {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        if bytes.len() > MAX {
            return Err(Error::invalid_length(bytes.len(), &self));
        }
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, bytes: A) -> Result<Bytes, A::Error> {
        List::<u8, MAX>(PhantomData).visit_seq(bytes).map(Bytes::from)
    }
}

/// A reply whose bytes are bounded as those of a message are (its sender has seen to that).
pub(crate) fn reply<'de, D: Deserializer<'de>>(from: D) -> Result<Result<Bytes, CallError>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Answer(#[serde(deserialize_with = "payload::deserialize")] Bytes);

    let reply = Result::<Answer, CallError>::deserialize(from)?;
    Ok(reply.map(|Answer(bytes)| bytes))
}

/// Metadata of at most [`limits::METADATA`] bytes, no key twice.
pub(crate) fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<Metadata, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Metadata;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "metadata of at most {} bytes", limits::METADATA)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Metadata, A::Error> {
            let mut map = BTreeMap::new();
            let mut size = 0_usize;
            while let Some((key, value)) = entries.next_entry::<SmolStr, MetaValue>()? {
                let (MetaValue::Text(text) | MetaValue::Json(text)) = &value;
                size = size.saturating_add(key.len()).saturating_add(text.len());
                if size > limits::METADATA {
                    return Err(Error::invalid_length(size, &self));
                }
                if map.insert(key, value).is_some() {
                    return Err(Error::custom("a key stands twice in metadata"));
                }
            }
            Ok(map.into_iter().collect())
        }
    }

    from.deserialize_map(Entries)
}

/// At most [`limits::BATCH`] labels.
pub(crate) fn labels<'de, D: Deserializer<'de>>(from: D) -> Result<Labels, D::Error> {
    let labels = from.deserialize_seq(List::<SmolStr, { limits::BATCH }>(PhantomData))?;
    Ok(labels.into_iter().collect())
}

/// A spec of at most [`limits::SPEC`] bytes, in both directions.
pub(crate) mod spec {
    use super::{Arc, ChildSpec, Deserialize, Deserializer, Error, Serialize, Serializer, limits};

    pub(crate) fn serialize<S: Serializer>(spec: &Arc<ChildSpec>, to: S) -> Result<S::Ok, S::Error> {
        if spec.size() > limits::SPEC || spec.metadata.size() > limits::METADATA {
            return Err(serde::ser::Error::custom("a spec is larger than a message may hold"));
        }
        spec.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<ChildSpec>, D::Error> {
        let spec = ChildSpec::deserialize(from)?;
        if spec.size() > limits::SPEC {
            return Err(Error::invalid_length(spec.size(), &"a spec within its limit"));
        }
        Ok(Arc::new(spec))
    }
}
