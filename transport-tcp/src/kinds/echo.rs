//! A child that answers with what it was sent.

use process_hub::{Child, ChildError, Context};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::Value;

/// A child that answers with what it was sent. It takes no arguments.
#[derive(Debug)]
pub struct Echo;

/// Any JSON value. Formats for people hold it as it is, others as its text: they could not tell what comes next.
#[derive(Clone, Debug, PartialEq)]
pub struct AnyJson(pub Value);

impl Serialize for AnyJson {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return self.0.serialize(to);
        }
        serde_json::to_string(&self.0).map_err(ser::Error::custom)?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for AnyJson {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            return Value::deserialize(from).map(AnyJson);
        }
        let text = String::deserialize(from)?;
        serde_json::from_str(&text).map(AnyJson).map_err(de::Error::custom)
    }
}

impl Child for Echo {
    const KIND: &'static str = "echo";
    type Args = ();
    type Message = AnyJson;
    type Reply = AnyJson;

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, ChildError> {
        Ok(Echo)
    }

    async fn handle(&mut self, message: AnyJson, _: &mut Context<Self>) -> AnyJson {
        message
    }
}
