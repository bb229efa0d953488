//! How typed values become the bytes that the core carries, and back: bounded both ways.

use bytes::Bytes;
use process_hub_core::config::limits;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A typed value and bytes could not be turned into each other. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value cannot be written in this format.
    #[error("the value cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are not such a value.
    #[error("the bytes are not such a value: {0}")]
    Decode(String),
    /// The value is too large.
    #[error("the value has {len} bytes encoded, the limit is {limit}: make it smaller")]
    TooLarge {
        /// Its size in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Encodes a value of at most [`limits::PAYLOAD`] bytes.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, CodecError> {
    encode_within(value, limits::PAYLOAD)
}

/// Decodes a value that must be all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    // The limit counts numbers by their size in memory, which may be eight times that in the bytes.
    decode_with(bytes, bincode::config::standard().with_limit::<{ limits::PAYLOAD * 8 }>())
}

/// Encodes a child's state, of at most [`limits::STATE`] bytes.
pub(crate) fn encode_state<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, CodecError> {
    encode_within(value, limits::STATE)
}

/// Decodes a child's state.
pub(crate) fn decode_state<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_with(bytes, bincode::config::standard().with_limit::<{ limits::STATE * 8 }>())
}

/// Whether a state of this size can be handed over.
pub(crate) fn check_state(len: usize) -> Result<(), CodecError> {
    check(len, limits::STATE)
}

fn encode_within<T: Serialize + ?Sized>(value: &T, limit: usize) -> Result<Bytes, CodecError> {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard())
        .map_err(|error| CodecError::Encode(error.to_string()))?;
    check(bytes.len(), limit)?;
    Ok(bytes.into())
}

fn check(len: usize, limit: usize) -> Result<(), CodecError> {
    if len > limit { Err(CodecError::TooLarge { len, limit }) } else { Ok(()) }
}

fn decode_with<T: DeserializeOwned>(bytes: &[u8], config: impl bincode::config::Config) -> Result<T, CodecError> {
    let (value, read) =
        bincode::serde::decode_from_slice(bytes, config).map_err(|error| CodecError::Decode(error.to_string()))?;
    if read != bytes.len() {
        return Err(CodecError::Decode(format!("{} bytes are left over", bytes.len() - read)));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_nothing_may_be_left_over() {
        let bytes = encode(&("text", 7_u32)).unwrap();
        assert_eq!(decode::<(String, u32)>(&bytes).unwrap(), ("text".to_owned(), 7));
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert!(matches!(decode::<(String, u32)>(&longer), Err(CodecError::Decode(_))));
    }

    #[test]
    fn a_value_over_the_limit_is_refused_before_it_is_sent() {
        let large = vec![7_u8; limits::PAYLOAD + 1];
        assert!(matches!(encode(&large), Err(CodecError::TooLarge { .. })));
    }
}
