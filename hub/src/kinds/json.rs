//! A kind's types to and from JSON, for interfaces that people and scripts use.

use bytes::Bytes;
use process_hub_core::id::Kind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::child::Child;
use crate::codec;
use crate::error::JsonError;
use crate::kinds::{AnyKind, Kinds, Typed};

/// The conversions of one kind.
pub(crate) trait AnyJson: Send + Sync {
    fn args_from(&self, json: &Value) -> Result<Bytes, Problem>;
    fn args_to(&self, args: &[u8]) -> Result<Value, Problem>;
    fn message_from(&self, json: &Value) -> Result<Bytes, Problem>;
    fn reply_to(&self, reply: &[u8]) -> Result<Value, Problem>;
}

/// What went wrong; the kind is added by whoever knows it.
pub(crate) enum Problem {
    Json(serde_json::Error),
    Codec(codec::CodecError),
}

impl<C: Child> AnyJson for Typed<C> {
    fn args_from(&self, json: &Value) -> Result<Bytes, Problem> {
        from_json::<C::Args>(json)
    }
    fn args_to(&self, args: &[u8]) -> Result<Value, Problem> {
        to_json::<C::Args>(args)
    }
    fn message_from(&self, json: &Value) -> Result<Bytes, Problem> {
        from_json::<C::Message>(json)
    }
    fn reply_to(&self, reply: &[u8]) -> Result<Value, Problem> {
        to_json::<C::Reply>(reply)
    }
}

fn from_json<T: Serialize + DeserializeOwned>(json: &Value) -> Result<Bytes, Problem> {
    let value = T::deserialize(json).map_err(Problem::Json)?;
    codec::encode(&value).map_err(Problem::Codec)
}

fn to_json<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<Value, Problem> {
    let value: T = codec::decode(bytes).map_err(Problem::Codec)?;
    serde_json::to_value(value).map_err(Problem::Json)
}

/// The conversions of one kind, with its name for the errors.
pub(crate) struct KindJson<'a> {
    kind: &'a Kind,
    typed: &'a dyn AnyKind,
}

impl Kinds {
    pub(crate) fn json<'a>(&'a self, kind: &'a Kind) -> Result<KindJson<'a>, JsonError> {
        let unknown = || JsonError::UnknownKind { kind: kind.clone(), known: self.known() };
        Ok(KindJson { kind, typed: self.get(kind).ok_or_else(unknown)? })
    }
}

impl KindJson<'_> {
    pub(crate) fn args_from(&self, json: &Value) -> Result<Bytes, JsonError> {
        self.typed.json().args_from(json).map_err(|problem| self.error("arguments", problem))
    }
    pub(crate) fn args_to(&self, args: &[u8]) -> Result<Value, JsonError> {
        self.typed.json().args_to(args).map_err(|problem| self.error("arguments", problem))
    }
    pub(crate) fn message_from(&self, json: &Value) -> Result<Bytes, JsonError> {
        self.typed.json().message_from(json).map_err(|problem| self.error("message", problem))
    }
    pub(crate) fn reply_to(&self, reply: &[u8]) -> Result<Value, JsonError> {
        self.typed.json().reply_to(reply).map_err(|problem| self.error("reply", problem))
    }

    fn error(&self, what: &'static str, problem: Problem) -> JsonError {
        let kind = self.kind.clone();
        match problem {
            Problem::Json(error) => JsonError::Mismatch { kind, what, problem: error.to_string() },
            Problem::Codec(source) => JsonError::Codec { kind, source },
        }
    }
}
