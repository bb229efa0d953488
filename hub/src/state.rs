//! What a child hands over to its successor.

use bytes::Bytes;
use process_hub_core::config::limits;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::child::ChildError;
use crate::codec;

/// The state of a child on its way to its successor: any value that serde can write and read, or bytes of the child's own
/// making. At most [`State::MAX_LEN`] bytes encoded.
///
/// A successor may run a newer program. It reads what an older one wrote by trying: [`State::read`] of one type after the
/// other, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State(Bytes);

impl State {
    /// The largest state that can be handed over, in bytes.
    pub const MAX_LEN: usize = limits::STATE;

    /// A state that is this value.
    ///
    /// # Errors
    /// When serde cannot write the value, or it has more than [`State::MAX_LEN`] bytes encoded.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<State, ChildError> {
        Ok(State(codec::encode_state(value)?))
    }

    /// A state that is these bytes, without another copy of them.
    ///
    /// # Errors
    /// When there are more than [`State::MAX_LEN`].
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<State, ChildError> {
        let bytes = bytes.into();
        codec::check_state(bytes.len())?;
        Ok(State(bytes))
    }

    /// The value that it is.
    ///
    /// # Errors
    /// When it is not all of one such value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ChildError> {
        Ok(codec::decode_state(&self.0)?)
    }

    /// The bytes that it is.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes that it is, to be kept.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// What came from another copy, within the limit by then.
    pub(crate) fn received(bytes: Bytes) -> State {
        State(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_an_older_form_can_be_tried() {
        let state = State::of(&("total", 7_i64)).unwrap();
        assert_eq!(state.read::<(String, i64)>().unwrap(), ("total".to_owned(), 7));
        assert!(state.read::<(String, i64, bool)>().is_err());
        assert!(state.read::<String>().is_err(), "nothing may be left over");
        assert_eq!(State::received(state.bytes().clone()), state);
    }

    #[test]
    fn one_that_is_too_large_is_refused_with_its_size() {
        let bytes = vec![0; State::MAX_LEN + 1];
        let refused = State::from_bytes(bytes).unwrap_err();
        assert_eq!(refused.as_str(), "the value has 67108865 bytes encoded, the limit is 67108864: make it smaller");
    }
}
