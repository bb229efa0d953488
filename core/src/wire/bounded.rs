//! Lists and byte strings whose length is checked before room for them is made.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use crate::config::limits;
use crate::request::CallError;

/// A list of at most [`limits::BATCH`] elements.
pub(crate) fn list<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {} elements", limits::BATCH)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let claimed = elements.size_hint().unwrap_or(0);
            if claimed > limits::BATCH {
                return Err(de::Error::invalid_length(claimed, &self));
            }
            // Grown as elements really arrive: a claim alone makes no room.
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() == limits::BATCH {
                    return Err(de::Error::invalid_length(list.len() + 1, &self));
                }
                list.push(element);
            }
            Ok(list)
        }
    }

    from.deserialize_seq(List(PhantomData))
}

/// At most [`limits::FRAME`] bytes.
pub(crate) fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    let bytes = Bytes::deserialize(from)?;
    if bytes.len() > limits::FRAME {
        return Err(de::Error::invalid_length(bytes.len(), &"at most one frame of bytes"));
    }
    Ok(bytes)
}

/// A reply whose bytes are bounded.
pub(crate) fn reply<'de, D: Deserializer<'de>>(from: D) -> Result<Result<Bytes, CallError>, D::Error> {
    let reply = Result::<Bytes, CallError>::deserialize(from)?;
    if let Ok(bytes) = &reply {
        if bytes.len() > limits::FRAME {
            return Err(de::Error::invalid_length(bytes.len(), &"at most one frame of bytes"));
        }
    }
    Ok(reply)
}
